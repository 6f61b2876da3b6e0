//! The start of a function: configuration from the environment, and the event loop.

use std::{io::Write, time::Duration};

use aws_config::SdkConfig;
use lambda_runtime::{LambdaEvent, service_fn};
use metrics_cloudwatch_embedded::{Builder, Collector};
use tokio::time::timeout;

use super::{
    App, Audit, Failure, Function, Payload, Reply, Sweep,
    functions::{PAYMENTS, WEBHOOK},
    log, telemetry,
};
use crate::{
    aws_config::lambda_config,
    callback::{Callbacks, Executions, Secret, SecretForm, Secrets, Tolerance},
    environment::variable,
    ledger::{ClockAndRandom, Ledger},
    payments::Payments,
    store::{Store, TABLE},
};

/// The namespace of all metrics.
const NAMESPACE: &str = "Scrip";

/// The time limit of the first connection to the table.
const WARM_UP_TIMEOUT: Duration = Duration::from_secs(1);

/// The default interval of audits, in minutes.
const AUDIT_MINUTES_DEFAULT: i32 = 60;

/// The endpoint of a service, if the environment sets one. An empty variable is ignored,
/// because the SDK would panic.
fn endpoint(service: &str) -> Option<String> {
    variable(&format!("AWS_ENDPOINT_URL_{service}")).or_else(|| variable("AWS_ENDPOINT_URL"))
}

/// The secrets of the environment: from Secrets Manager, if `SCRIP_<name>_SECRET_ID` names them,
/// or else from `SCRIP_<name>_SECRETS`.
fn secrets(sdk: &SdkConfig, name: &str, form: SecretForm) -> Result<Secrets, lambda_runtime::Error> {
    use aws_sdk_secretsmanager::config::Builder as SecretsManager;

    if let Some(id) = variable(&format!("SCRIP_{name}_SECRET_ID")) {
        let mut config = SecretsManager::from(sdk);
        config.set_endpoint_url(endpoint("SECRETS_MANAGER"));
        return Ok(Secrets::from_secrets_manager(config, id, form));
    }
    let text = variable(&format!("SCRIP_{name}_SECRETS")).unwrap_or_default();
    Ok(Secrets::fixed(Secret::list(&text, form)?))
}

/// The call-backs of the environment: their [`secrets`], the tolerance of
/// `SCRIP_WEBHOOK_TOLERANCE_SECONDS`, and the executions of Step Functions.
fn callbacks(sdk: &SdkConfig) -> Result<Callbacks, lambda_runtime::Error> {
    use aws_sdk_sfn::config::Builder as StepFunctions;

    let mut executions = StepFunctions::from(sdk);
    executions.set_endpoint_url(endpoint("SFN"));
    let tolerance = variable("SCRIP_WEBHOOK_TOLERANCE_SECONDS").map(|seconds| seconds.parse()).transpose();
    let tolerance = tolerance.map_err(|problem| format!("SCRIP_WEBHOOK_TOLERANCE_SECONDS {problem}"))?;
    Ok(Callbacks {
        secrets: secrets(sdk, "WEBHOOK", SecretForm::StandardWebhooks)?,
        tolerance: tolerance.unwrap_or(Tolerance::DEFAULT),
        executions: Some(Executions::new(executions)),
    })
}

/// The app of the environment: the table `SCRIP_TABLE` at `AWS_ENDPOINT_URL_DYNAMODB` or
/// `AWS_ENDPOINT_URL`. Scopes may begin with `SCRIP_SCOPE_PREFIX`. Callers without claims are
/// accepted only if `SCRIP_ADMIT_ANYONE` is `true`. Empty variables are ignored.
///
/// It connects to the table before the first event, because Lambda provides a whole processor
/// until then.
async fn build_app(sdk: &SdkConfig) -> App {
    let table = variable("SCRIP_TABLE").unwrap_or_else(|| TABLE.to_owned());
    let store = Store::for_lambda(sdk, endpoint("DYNAMODB"), table);
    let ledger = Ledger::new(store, ClockAndRandom::system());
    let _ = timeout(WARM_UP_TIMEOUT, ledger.warm()).await;
    let scope_prefix = variable("SCRIP_SCOPE_PREFIX").unwrap_or_default();
    let app = App::new(ledger).with_scope_prefix(scope_prefix);
    let accepts_missing_claims = variable("SCRIP_ADMIT_ANYONE").as_deref() == Some("true");
    if accepts_missing_claims { app.without_authentication() } else { app }
}

/// Serves a function's events until Lambda ends the process.
///
/// # Errors
/// If Lambda's runtime API is unreachable.
pub async fn run(function: Function) -> Result<(), lambda_runtime::Error> {
    let metrics = start_telemetry()?;
    let app = build_app(&lambda_config()).await;
    serve(metrics, async |event| function.handle(&app, event).await).await
}

/// Serves the events of the webhook. A separate function, so that only its binary links the
/// clients of call-backs.
///
/// # Errors
/// If the secrets in the environment are invalid, or Lambda's runtime API is unreachable.
pub async fn run_webhook() -> Result<(), lambda_runtime::Error> {
    let metrics = start_telemetry()?;
    let sdk = lambda_config();
    let callbacks = callbacks(&sdk)?;
    let app = build_app(&sdk).await.with_callbacks(callbacks);
    serve(metrics, async |event| WEBHOOK.handle(&app, event).await).await
}

/// Serves the events of the payment provider. A separate function, so that only its binary and
/// the webhook's link the client of Secrets Manager.
///
/// # Errors
/// If the secrets in the environment are invalid, or Lambda's runtime API is unreachable.
pub async fn run_payments() -> Result<(), lambda_runtime::Error> {
    let metrics = start_telemetry()?;
    let sdk = lambda_config();
    let payments = Payments::signed_with(secrets(&sdk, "STRIPE", SecretForm::Stripe)?);
    let app = build_app(&sdk).await.with_payments(payments);
    serve(metrics, async |event| PAYMENTS.handle(&app, event).await).await
}

/// The time for which an audit retries a throttled call, in milliseconds.
const AUDIT_CONTENTION_MILLIS: i64 = 60_000;

/// Serves the events of the audit until Lambda ends the process. `SCRIP_AUDIT_EVERY_MINUTES` is
/// the interval of its schedule, from 1 to 10,080 minutes, by default 60.
///
/// # Errors
/// If the interval is invalid, or Lambda's runtime API is unreachable.
pub async fn run_audit() -> Result<(), lambda_runtime::Error> {
    let metrics = start_telemetry()?;
    let minutes =
        variable("SCRIP_AUDIT_EVERY_MINUTES").map_or(Ok(AUDIT_MINUTES_DEFAULT), |minutes| minutes.parse());
    let audit = minutes.ok().and_then(Audit::every);
    let audit = audit.ok_or("SCRIP_AUDIT_EVERY_MINUTES must be a whole number from 1 to 10080")?;
    let mut app = build_app(&lambda_config()).await;
    app.ledger = app.ledger.with_contention_budget(AUDIT_CONTENTION_MILLIS);
    serve(metrics, async |event| audit.handle(&app, event).await).await
}

/// Serves the events of the sweep of holds until Lambda ends the process.
///
/// # Errors
/// If Lambda's runtime API is unreachable.
pub async fn run_sweep() -> Result<(), lambda_runtime::Error> {
    let metrics = start_telemetry()?;
    let app = build_app(&lambda_config()).await;
    serve(metrics, async |event| Sweep.handle(&app, event).await).await
}

/// Starts the log, and the metrics if they are configured.
fn start_telemetry() -> Result<Option<&'static Collector>, lambda_runtime::Error> {
    log::start();
    metrics()
}

async fn serve(
    metrics: Option<&'static Collector>,
    handle: impl AsyncFn(LambdaEvent<Payload>) -> Result<Reply, Failure>,
) -> Result<(), lambda_runtime::Error> {
    let answer = async |event: LambdaEvent<Payload>| {
        let request_id = event.context.request_id.clone();
        let result = handle(event).await;
        if let Some(metrics) = metrics {
            // Emitted before the response, after which Lambda may freeze the process. Errors
            // are ignored, because the response is more important. A single write, because
            // standard output scans each write for line ends.
            let mut lines = Vec::new();
            let _ = metrics.set_property("request_id", request_id).flush(&mut lines);
            let _ = std::io::stdout().write_all(&lines);
        }
        result
    };
    lambda_runtime::run(service_fn(answer)).await
}

/// Metrics in CloudWatch's embedded metric format in the log, if `SCRIP_STACK` is set.
fn metrics() -> Result<Option<&'static Collector>, lambda_runtime::Error> {
    let Some(stack) = variable("SCRIP_STACK") else { return Ok(None) };
    let embedded = Builder::new().cloudwatch_namespace(NAMESPACE).with_dimension("stack", stack).init()?;
    telemetry::describe();
    Ok(Some(embedded))
}
