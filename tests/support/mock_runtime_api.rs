//! A mock of Lambda's runtime interface that runs a function's program.

use std::{
    env,
    ffi::OsStr,
    io::{self, Read},
    process::Stdio,
    sync::Arc,
    thread::{self, JoinHandle},
    time::{Duration, Instant, SystemTime},
};

use axum::{
    Router,
    body::Bytes,
    extract::{Path, State},
    http::StatusCode,
    response::IntoResponse,
    routing::{get, post},
};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::{
    net::TcpListener,
    process::{Child, Command},
    sync::{Mutex, mpsc},
    time::timeout,
};
use uuid::Uuid;

use crate::process::peak_memory_kib;

/// Timeout of every wait.
const TIMEOUT: Duration = Duration::from_secs(60);
/// Time from the start of an invocation to its deadline.
const INVOCATION: Duration = Duration::from_secs(50);
const VERSION: &str = "/2018-06-01/runtime";

/// The response of an invocation, or its errorType and message.
pub type InvocationResult = Result<Value, (String, String)>;

/// A function's process. Dropping this kills it.
pub struct FunctionProcess {
    /// Time of its start.
    pub started: Instant,
    invocations: mpsc::Sender<Bytes>,
    next_requests: mpsc::UnboundedReceiver<Instant>,
    results: mpsc::Receiver<(Instant, InvocationResult)>,
    process: Child,
    /// Reads its outputs until it ends.
    output: JoinHandle<String>,
}

/// State of the runtime interface.
struct Interface {
    invocations: Mutex<mpsc::Receiver<Bytes>>,
    next_requests: mpsc::UnboundedSender<Instant>,
    results: mpsc::Sender<(Instant, InvocationResult)>,
}

impl FunctionProcess {
    /// A command with the environment of a function on Lambda, and nothing of this process's
    /// that would change it.
    pub fn command(program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        for (name, _) in env::vars_os() {
            let upper = name.to_string_lossy().to_uppercase();
            let is_removed = ["AWS_", "NODE_", "SSL_CERT_"].iter().any(|prefix| upper.starts_with(prefix));
            if is_removed || upper.ends_with("_PROXY") {
                command.env_remove(name);
            }
        }
        command
            .env("AWS_LAMBDA_FUNCTION_NAME", "function")
            .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128")
            .env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
            .env("AWS_REGION", "eu-central-1")
            .env("AWS_ACCESS_KEY_ID", "key")
            .env("AWS_SECRET_ACCESS_KEY", "secret")
            .stdin(Stdio::null())
            .kill_on_drop(true);
        command
    }

    /// Starts the process of such a command.
    pub async fn start(mut command: Command) -> FunctionProcess {
        let (invocations, to_invoke) = mpsc::channel(1);
        let (next_sender, next_requests) = mpsc::unbounded_channel();
        let (result_sender, results) = mpsc::channel(1);
        let interface = Interface {
            invocations: Mutex::new(to_invoke),
            next_requests: next_sender,
            results: result_sender,
        };
        command.env("AWS_LAMBDA_RUNTIME_API", serve(interface).await);
        let started = Instant::now();
        let (process, output) = spawn(command);
        FunctionProcess { started, invocations, next_requests, results, process, output }
    }

    /// Queues the next event.
    pub async fn send(&self, payload: String) {
        self.invocations.send(payload.into()).await.expect("the interface serves");
    }

    /// Waits for its next request for an event. Returns the time of the request.
    pub async fn next_request(&mut self) -> Instant {
        wait_for(&mut self.process, self.next_requests.recv()).await
    }

    /// Waits for the result of an invocation. Returns it with its time.
    pub async fn next_result(&mut self) -> (Instant, InvocationResult) {
        wait_for(&mut self.process, self.results.recv()).await
    }

    /// Peak memory so far, in KiB; on Linux only.
    pub fn peak_memory_kib(&self) -> u64 {
        let id = self.process.id().expect("it runs");
        peak_memory_kib(id).expect("a process of Linux")
    }

    /// Terminates it with a signal, so that a tool like valgrind can write its results.
    pub async fn terminate(&mut self) {
        let id = self.process.id().and_then(|id| Pid::from_raw(id.try_into().ok()?));
        kill_process(id.expect("it runs"), Signal::TERM).expect("a signal");
        timeout(TIMEOUT, self.process.wait()).await.expect("an end in time").expect("a status");
    }

    /// Kills it. Returns both its outputs.
    pub async fn into_output(mut self) -> String {
        self.process.kill().await.expect("it runs");
        self.output.join().expect("text")
    }
}

/// Waits for a value.
///
/// # Panics
/// If the process ends or the time is up.
async fn wait_for<T>(process: &mut Child, receive: impl Future<Output = Option<T>>) -> T {
    let received = tokio::select! {
        received = timeout(TIMEOUT, receive) => received,
        status = process.wait() => panic!("the function ended: {status:?}"),
    };
    received.expect("in time").expect("the interface serves")
}

/// Starts a process and a thread that reads both its outputs.
fn spawn(mut command: Command) -> (Child, JoinHandle<String>) {
    let (mut reader, writer) = io::pipe().expect("a pipe");
    command.stdout(writer.try_clone().expect("a pipe")).stderr(writer);
    let output = thread::spawn(move || {
        let mut output = String::new();
        reader.read_to_string(&mut output).expect("text");
        output
    });
    (command.spawn().expect("a process"), output)
}

/// Serves the runtime interface. Returns its host and port.
async fn serve(interface: Interface) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let router = Router::new()
        .route(&format!("{VERSION}/invocation/next"), get(next))
        .route(&format!("{VERSION}/invocation/{{id}}/{{kind}}"), post(receive_result))
        .with_state(Arc::new(interface));
    tokio::spawn(async { axum::serve(listener, router).await });
    address.to_string()
}

async fn next(State(interface): State<Arc<Interface>>) -> impl IntoResponse {
    // The test may be over.
    let _ = interface.next_requests.send(Instant::now());
    let payload = interface.invocations.lock().await.recv().await;
    let headers = [
        ("lambda-runtime-aws-request-id", Uuid::new_v4().to_string()),
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

async fn receive_result(
    State(interface): State<Arc<Interface>>,
    Path((_, kind)): Path<(String, String)>,
    body: Bytes,
) -> StatusCode {
    let at = Instant::now();
    let body: Value = serde_json::from_slice(&body).expect("JSON");
    let text = |name: &str| body[name].as_str().expect(name).to_owned();
    let result = match kind.as_str() {
        "response" => Ok(body),
        "error" => Err((text("errorType"), text("errorMessage"))),
        _ => return StatusCode::NOT_FOUND,
    };
    // The test may be over.
    let _ = interface.results.send((at, result)).await;
    StatusCode::ACCEPTED
}

/// Deadline of an invocation that starts now, in Unix milliseconds.
fn deadline() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
    (now + INVOCATION).as_millis().try_into().expect("a u64")
}
