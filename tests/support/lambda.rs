//! What Lambda is to a function: the environment, and the runtime interface that
//! hands it one event after another.

use std::{
    env,
    io::{self, Read},
    process::Stdio,
    sync::Arc,
    thread::{self, JoinHandle},
    time::{Duration, SystemTime},
};

use axum::{
    Router,
    body::Bytes,
    extract::{Path, State},
    http::StatusCode,
    response::IntoResponse,
    routing::{get, post},
};
use serde_json::Value;
use tokio::{
    net::TcpListener,
    process::{Child, Command},
    sync::{Mutex, mpsc},
    time::timeout,
};

use crate::{Bench, Clock, bench::embedded};

/// Stands for the engine's endpoint in the value of a variable.
pub const ENGINE: &str = "the engine's endpoint";

/// The longest that an invocation may take here: a bound, never a wait.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long an invocation may take by its deadline.
const INVOCATION: Duration = Duration::from_secs(50);
const VERSION: &str = "/2018-06-01/runtime";

/// What an invocation ended with: an answer, or the errorType and message.
type Ended = Result<Value, (String, String)>;

/// The function under a stand-in for Lambda, with a table of its own; it is gone
/// when this is.
pub struct Lambda {
    /// The table, past the function.
    pub bench: Bench,
    invocations: mpsc::Sender<Bytes>,
    endings: mpsc::Receiver<Ended>,
    function: Child,
    /// What the function says, until it ends.
    said: JoinHandle<String>,
}

/// What the runtime interface hands over and takes.
struct Interface {
    invocations: Mutex<mpsc::Receiver<Bytes>>,
    endings: mpsc::Sender<Ended>,
}

impl Lambda {
    /// Starts the function of this binary, with these variables beside Lambda's own.
    pub async fn start(binary: &str, environment: &[(&str, &str)]) -> Lambda {
        let engine = embedded().await;
        let bench = Bench::at(&engine, Clock::running()).await;
        let (invocations, to_invoke) = mpsc::channel(1);
        let (ended, endings) = mpsc::channel(1);
        let interface =
            serve_interface(Interface { invocations: Mutex::new(to_invoke), endings: ended }).await;
        let mut command = Command::new(binary);
        for (name, _) in env::vars_os() {
            let upper = name.to_string_lossy().to_uppercase();
            if upper.starts_with("AWS_") || upper.ends_with("_PROXY") {
                command.env_remove(name);
            }
        }
        command
            .env("AWS_LAMBDA_RUNTIME_API", interface)
            .env("AWS_LAMBDA_FUNCTION_NAME", "function")
            .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128")
            .env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
            .env("AWS_REGION", "eu-central-1")
            .env("AWS_ACCESS_KEY_ID", "key")
            .env("AWS_SECRET_ACCESS_KEY", "secret")
            .env("AWS_ENDPOINT_URL_DYNAMODB", &engine)
            .env("SCRIP_TABLE", &bench.table)
            .envs(environment.iter().map(|(name, value)| (name, value.replace(ENGINE, &engine))))
            .stdin(Stdio::null())
            .kill_on_drop(true);
        let (function, said) = listen(command);
        Lambda { bench, invocations, endings, function, said }
    }

    /// Ends the function: all that it has said.
    pub async fn ended(mut self) -> String {
        self.function.kill().await.expect("it runs");
        self.said.join().expect("text")
    }

    /// Invokes the function with a payload.
    pub async fn invoke(&mut self, payload: &Value) -> Ended {
        self.invoke_raw(payload.to_string()).await
    }

    /// Invokes the function with a payload as it is.
    pub async fn invoke_raw(&mut self, payload: String) -> Ended {
        self.invocations.send(payload.into()).await.expect("the interface serves");
        let ended = tokio::select! {
            ended = timeout(PATIENCE, self.endings.recv()) => ended,
            status = self.function.wait() => panic!("the function ended: {status:?}"),
        };
        ended.expect("an end in time").expect("the interface serves")
    }
}

/// Starts a process, and hears what it says on both its outputs.
fn listen(mut command: Command) -> (Child, JoinHandle<String>) {
    let (mut hearing, saying) = io::pipe().expect("a pipe");
    command.stdout(saying.try_clone().expect("a pipe")).stderr(saying);
    let said = thread::spawn(move || {
        let mut said = String::new();
        hearing.read_to_string(&mut said).expect("text");
        said
    });
    (command.spawn().expect("a process"), said)
}

/// Serves the runtime interface: its host and port.
async fn serve_interface(interface: Interface) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let router = Router::new()
        .route(&format!("{VERSION}/invocation/next"), get(next))
        .route(&format!("{VERSION}/invocation/{{id}}/{{kind}}"), post(end))
        .with_state(Arc::new(interface));
    tokio::spawn(async { axum::serve(listener, router).await });
    address.to_string()
}

async fn next(State(interface): State<Arc<Interface>>) -> impl IntoResponse {
    let payload = interface.invocations.lock().await.recv().await;
    let headers = [
        ("lambda-runtime-aws-request-id", "8476a536-e9f4-11e8-9739-2dfe598c3fcd".to_owned()),
        ("lambda-runtime-deadline-ms", deadline().to_string()),
        (
            "lambda-runtime-invoked-function-arn",
            "arn:aws:lambda:eu-central-1:123456789012:function:function".to_owned(),
        ),
        (
            "lambda-runtime-trace-id",
            "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Parent=9a9197af755a6419;Sampled=1".to_owned(),
        ),
    ];
    (headers, payload.unwrap_or_default())
}

async fn end(
    State(interface): State<Arc<Interface>>,
    Path((_, kind)): Path<(String, String)>,
    body: Bytes,
) -> StatusCode {
    let body: Value = serde_json::from_slice(&body).expect("JSON");
    let text = |name: &str| body[name].as_str().expect(name).to_owned();
    let ended = match kind.as_str() {
        "response" => Ok(body),
        "error" => Err((text("errorType"), text("errorMessage"))),
        _ => return StatusCode::NOT_FOUND,
    };
    // The test may be over.
    let _ = interface.endings.send(ended).await;
    StatusCode::ACCEPTED
}

/// When an invocation that starts now must have ended, in Unix milliseconds.
fn deadline() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
    (now + INVOCATION).as_millis().try_into().expect("a time of this age")
}
