use std::{
    env,
    ffi::OsStr,
    fs,
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

/// The longest that an invocation may take here: a bound, never a wait.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long an invocation may take by its deadline.
const INVOCATION: Duration = Duration::from_secs(50);
const VERSION: &str = "/2018-06-01/runtime";

/// What an invocation ended with: an answer, or the errorType and message.
pub type Ended = Result<Value, (String, String)>;

/// A process of a function under a stand-in for Lambda's runtime interface, from its
/// start on; it is gone when this is.
pub struct Instance {
    /// When it was started.
    pub started: Instant,
    invocations: mpsc::Sender<Bytes>,
    asked: mpsc::UnboundedReceiver<Instant>,
    endings: mpsc::Receiver<(Instant, Ended)>,
    process: Child,
    /// What it says, until it ends.
    said: JoinHandle<String>,
}

/// What the runtime interface hands over and takes.
struct Interface {
    invocations: Mutex<mpsc::Receiver<Bytes>>,
    asked: mpsc::UnboundedSender<Instant>,
    endings: mpsc::Sender<(Instant, Ended)>,
}

impl Instance {
    /// A command in the environment that Lambda gives a function, and in no other.
    pub fn command(program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        for (name, _) in env::vars_os() {
            let upper = name.to_string_lossy().to_uppercase();
            let sways = ["AWS_", "NODE_", "SSL_CERT_"].iter().any(|prefix| upper.starts_with(prefix));
            if sways || upper.ends_with("_PROXY") {
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
    pub async fn start(mut command: Command) -> Instance {
        let (invocations, to_invoke) = mpsc::channel(1);
        let (asks, asked) = mpsc::unbounded_channel();
        let (ended, endings) = mpsc::channel(1);
        let interface = Interface { invocations: Mutex::new(to_invoke), asked: asks, endings: ended };
        command.env("AWS_LAMBDA_RUNTIME_API", serve(interface).await);
        let started = Instant::now();
        let (process, said) = listen(command);
        Instance { started, invocations, asked, endings, process, said }
    }

    /// Has the next event ready for when it is asked for.
    pub async fn send(&self, payload: String) {
        self.invocations.send(payload.into()).await.expect("the interface serves");
    }

    /// When it asked for an event, each time once.
    pub async fn asked(&mut self) -> Instant {
        within(&mut self.process, self.asked.recv()).await
    }

    /// How an invocation ended, and when.
    pub async fn ending(&mut self) -> (Instant, Ended) {
        within(&mut self.process, self.endings.recv()).await
    }

    /// The most memory that it has had so far, in KiB: on Linux alone.
    pub fn peak_memory_kib(&self) -> u64 {
        let id = self.process.id().expect("it runs");
        let status = fs::read_to_string(format!("/proc/{id}/status")).expect("a process of Linux");
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a peak");
        peak.trim().trim_end_matches(" kB").parse().expect("a number")
    }

    /// Asks it to end, as a tool that watches it needs, and waits until it has.
    pub async fn end(&mut self) {
        let id = self.process.id().and_then(|id| Pid::from_raw(id.try_into().ok()?));
        kill_process(id.expect("it runs"), Signal::TERM).expect("a signal");
        timeout(PATIENCE, self.process.wait()).await.expect("an end in time").expect("a status");
    }

    /// Ends it at once: all that it has said.
    pub async fn ended(mut self) -> String {
        self.process.kill().await.expect("it runs");
        self.said.join().expect("text")
    }
}

/// What comes while the process runs, in time.
async fn within<T>(process: &mut Child, coming: impl Future<Output = Option<T>>) -> T {
    let came = tokio::select! {
        came = timeout(PATIENCE, coming) => came,
        status = process.wait() => panic!("the function ended: {status:?}"),
    };
    came.expect("in time").expect("the interface serves")
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
async fn serve(interface: Interface) -> String {
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
    // Nobody may want to know.
    let _ = interface.asked.send(Instant::now());
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

async fn end(
    State(interface): State<Arc<Interface>>,
    Path((_, kind)): Path<(String, String)>,
    body: Bytes,
) -> StatusCode {
    let at = Instant::now();
    let body: Value = serde_json::from_slice(&body).expect("JSON");
    let text = |name: &str| body[name].as_str().expect(name).to_owned();
    let ended = match kind.as_str() {
        "response" => Ok(body),
        "error" => Err((text("errorType"), text("errorMessage"))),
        _ => return StatusCode::NOT_FOUND,
    };
    // The test may be over.
    let _ = interface.endings.send((at, ended)).await;
    StatusCode::ACCEPTED
}

/// When an invocation that starts now must have ended, in Unix milliseconds.
fn deadline() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
    (now + INVOCATION).as_millis().try_into().expect("a time of this age")
}
