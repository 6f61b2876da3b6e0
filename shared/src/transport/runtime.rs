use std::{env, sync::Arc};

use lambda_runtime::{LambdaEvent, service_fn};
use metrics_cloudwatch_embedded::{Builder, Collector};

use super::{App, Audit, Failure, Function, Payload, Reply, log, telemetry};
use crate::{
    callback::{Callbacks, Executions, Secret, Secrets},
    ledger::{Ledger, Sources},
    sdk,
    store::{Connection, Store, TABLE},
};

/// The namespace of all metrics.
const NAMESPACE: &str = "Scrip";

/// How many minutes are between two audits where nobody says.
const HOURLY: i32 = 60;

/// What the environment says, read once at the start.
#[derive(Clone, Debug)]
pub struct Config {
    /// The table's name.
    pub table: String,
    /// How to reach it.
    pub connection: Connection,
    /// As [`App::admits_anyone`] says.
    pub admits_anyone: bool,
}

impl Config {
    /// From `SCRIP_TABLE`, `SCRIP_ADMIT_ANYONE` (`true`; off otherwise),
    /// `AWS_REGION`, and `AWS_ENDPOINT_URL_DYNAMODB` or `AWS_ENDPOINT_URL`.
    /// An empty variable is none.
    pub fn from_env() -> Config {
        Config {
            table: variable("SCRIP_TABLE").unwrap_or_else(|| TABLE.to_owned()),
            connection: Connection {
                region: variable("AWS_REGION"),
                endpoint: endpoint("DYNAMODB"),
                anonymous: false,
            },
            admits_anyone: variable("SCRIP_ADMIT_ANYONE").as_deref() == Some("true"),
        }
    }
}

/// A variable of the environment; an empty one is none.
pub(super) fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

/// The endpoint of a service, where the environment has another than AWS's; an
/// empty variable, which the SDK would not take, is none.
fn endpoint(service: &str) -> Option<String> {
    variable(&format!("AWS_ENDPOINT_URL_{service}")).or_else(|| variable("AWS_ENDPOINT_URL"))
}

/// Call-backs as the environment says: their secrets from Secrets Manager, where
/// `SCRIP_WEBHOOK_SECRET_ID` names them, or from `SCRIP_WEBHOOK_SECRETS` itself; and
/// the executions of Step Functions.
///
/// Apart from [`Config`], so that only the function that needs them carries the
/// clients.
///
/// # Errors
/// When the secrets of the environment are out of form.
pub async fn callbacks() -> Result<Callbacks, lambda_runtime::Error> {
    use aws_sdk_secretsmanager::config::Builder as SecretsManager;
    use aws_sdk_sfn::config::Builder as StepFunctions;

    let sdk = sdk::loader().load().await;
    let mut executions = StepFunctions::from(&sdk);
    executions.set_endpoint_url(endpoint("SFN"));
    let secrets = if let Some(id) = variable("SCRIP_WEBHOOK_SECRET_ID") {
        let mut config = SecretsManager::from(&sdk);
        config.set_endpoint_url(endpoint("SECRETS_MANAGER"));
        Secrets::kept(config, id)
    } else {
        Secrets::given(Secret::list(&variable("SCRIP_WEBHOOK_SECRETS").unwrap_or_default())?)
    };
    Ok(Callbacks { secrets, executions: Some(Executions::new(executions)) })
}

impl App {
    /// What this configuration describes.
    pub async fn start(config: Config, callbacks: Callbacks) -> App {
        let store = Store::connect(config.connection, config.table).await;
        let ledger = Ledger::new(store, Sources::system());
        App { ledger, admits_anyone: config.admits_anyone, callbacks }
    }
}

/// Serves a function's events until Lambda ends the process.
///
/// # Errors
/// When Lambda's runtime interface cannot be reached.
pub async fn run(function: Function, callbacks: Callbacks) -> Result<(), lambda_runtime::Error> {
    let metrics = begin()?;
    let app = Arc::new(App::start(Config::from_env(), callbacks).await);
    serve(metrics, async |event| function.handle(app.clone(), event).await).await
}

/// Serves the schedule of the audit until Lambda ends the process. How many minutes are
/// between two runs is in `SCRIP_AUDIT_EVERY_MINUTES`; an hour where it says nothing.
///
/// # Errors
/// When that is not from one minute to a week, or Lambda's runtime interface cannot be
/// reached.
pub async fn run_audit() -> Result<(), lambda_runtime::Error> {
    let metrics = begin()?;
    let minutes = variable("SCRIP_AUDIT_EVERY_MINUTES").map_or(Ok(HOURLY), |minutes| minutes.parse());
    let audit = minutes.ok().and_then(Audit::every);
    let audit = audit.ok_or("SCRIP_AUDIT_EVERY_MINUTES must be a whole number from 1 to 10080")?;
    let app = Arc::new(App::start(Config::from_env(), Callbacks::none()).await);
    serve(metrics, async |event| audit.handle(app.clone(), event).await).await
}

/// Starts the log, and metrics where they are asked for.
fn begin() -> Result<Option<&'static Collector>, lambda_runtime::Error> {
    log::start();
    metrics()
}

async fn serve(
    metrics: Option<&'static Collector>,
    handle: impl AsyncFn(LambdaEvent<Payload>) -> Result<Reply, Failure>,
) -> Result<(), lambda_runtime::Error> {
    let answer = async |event: LambdaEvent<Payload>| {
        let request_id = event.context.request_id.clone();
        let answered = handle(event).await;
        if let Some(metrics) = metrics {
            // Before the answer: after it the process may stand still for an hour. An
            // answer is worth more than what is told of it.
            let _ = metrics.set_property("request_id", request_id).flush(std::io::stdout().lock());
        }
        answered
    };
    lambda_runtime::run(service_fn(answer)).await
}

/// Metrics in CloudWatch's embedded format, among the lines of the log, where
/// `SCRIP_STACK` says whose they are.
fn metrics() -> Result<Option<&'static Collector>, lambda_runtime::Error> {
    let Some(stack) = variable("SCRIP_STACK") else { return Ok(None) };
    let embedded = Builder::new().cloudwatch_namespace(NAMESPACE).with_dimension("stack", stack).init()?;
    telemetry::describe();
    Ok(Some(embedded))
}
