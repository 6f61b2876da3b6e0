//! The functions as `cargo lambda watch` builds and serves them, on the embedded engine.

use std::{
    fs,
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::Child,
    sync::mpsc::{self, Sender},
    thread,
    time::Duration,
};

use dynoxide::{Database, server};
use scrip::{
    ledger::ClockAndRandom,
    store::{Connection, Store, TABLE},
};
use scrip_tests::{STRIPE_SECRET, WEBHOOK_SECRET, signature};
use serde_json::{Value, json};

use crate::{
    http::{self, Response, agent},
    process::{ROOT, command, free_port, supervised, tool, wait_until},
};

/// In an order in which each sample event finds the records that it needs.
const FUNCTIONS: [&str; 9] =
    ["grant", "decrease", "balance", "history", "refund", "webhook", "payments", "audit", "sweep"];

/// Timeout of a request that waits for a build.
const BUILD_TIMEOUT: Duration = Duration::from_secs(900);

/// `cargo lambda watch`, which ends with this process at the latest.
struct CargoLambda {
    port: String,
    _process: Child,
}

impl CargoLambda {
    /// Starts it as README.md does.
    fn start() -> CargoLambda {
        let port = free_port().to_string();
        let mut watch = supervised(tool("cargo-lambda/bin/cargo-lambda"), "watch");
        watch.args(["lambda", "watch", "--ignore-changes"]).args(address(&port));
        watch.current_dir(ROOT).envs([
            ("AWS_ENDPOINT_URL_DYNAMODB", start_engine().as_str()),
            ("SCRIP_ADMIT_ANYONE", "true"),
            ("SCRIP_WEBHOOK_SECRETS", WEBHOOK_SECRET),
            ("SCRIP_STRIPE_SECRETS", STRIPE_SECRET),
        ]);
        let process = watch.spawn().expect("a shell");
        wait_until("cargo-lambda listens; its log is target/ci/watch.log", || {
            TcpStream::connect(format!("127.0.0.1:{port}")).is_ok()
        });
        CargoLambda { port, _process: process }
    }

    /// Invokes a function by its name with the payload of a file.
    fn invoke(&self, function: &str, event: &Path) -> Value {
        let mut invoke = command(tool("cargo-lambda/bin/cargo-lambda"));
        invoke.args(["lambda", "invoke"]).args(address(&self.port)).arg("--data-file");
        let output = invoke.arg(event).arg(function).output().expect("it starts");
        let text = String::from_utf8([output.stdout, output.stderr].concat()).expect("text");
        assert!(output.status.success(), "{function} {}: {text}", event.display());
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Response {
        http::send(
            &agent(BUILD_TIMEOUT),
            method,
            &format!("http://127.0.0.1:{}{path}", self.port),
            headers,
            body,
        )
    }

    /// Sends an event's request to its route.
    fn send_event(&self, event: &Value) -> Response {
        let text = |pointer: &str| event.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let body = text("/body");
        let now = (ClockAndRandom::system().now)();
        let [of_webhook, of_stripe] =
            [WEBHOOK_SECRET, STRIPE_SECRET].map(|secret| signature(secret, now, body.as_bytes()));
        let url = format!("{}?{}", text("/rawPath"), text("/rawQueryString"));
        self.send(
            text("/requestContext/http/method"),
            url.trim_end_matches('?'),
            &[("x-signature", &of_webhook), ("stripe-signature", &of_stripe)],
            body,
        )
    }
}

/// The address, as arguments of cargo-lambda.
fn address(port: &str) -> [&str; 4] {
    ["--invoke-address", "127.0.0.1", "--invoke-port", port]
}

/// Starts the embedded engine with a table. Returns its endpoint.
fn start_engine() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
    let (ready, is_ready) = mpsc::channel();
    let own = endpoint.clone();
    thread::spawn(move || serve_engine(listener, own, ready));
    is_ready.recv().expect("a table");
    endpoint
}

#[tokio::main]
async fn serve_engine(listener: TcpListener, endpoint: String, ready: Sender<()>) {
    listener.set_nonblocking(true).expect("a listener");
    let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
    let serving = tokio::spawn(server::serve_on(listener, Database::memory().expect("an engine")));
    let connection =
        Connection { region: Some("us-east-1".to_owned()), endpoint: Some(endpoint), anonymous: true };
    Store::connect(connection, TABLE).await.create_table().await.expect("a table");
    ready.send(()).expect("the test waits for it");
    serving.await.expect("no panic");
}

/// Files and contents of a function's sample events: settlements follow charges.
fn events(function: &str) -> Vec<(PathBuf, Value)> {
    let folder = Path::new(ROOT).join("functions").join(function).join("events");
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort_by_key(|file| (file.to_string_lossy().contains("settle"), file.clone()));
    files
        .into_iter()
        .map(|file| (file.clone(), serde_json::from_slice(&fs::read(file).unwrap()).unwrap()))
        .collect()
}

#[test]
#[ignore = "needs ministack, sam and cargo-lambda, which .ci/run installs"]
fn cargo_lambda_serves_every_function_by_name_and_by_route() {
    let server = CargoLambda::start();
    for function in FUNCTIONS {
        for (file, event) in events(function) {
            let response = server.invoke(function, &file);
            let Some(status) = response["statusCode"].as_u64() else {
                assert!(response["errorType"].is_null(), "{}: {response}", file.display());
                continue;
            };
            // The signatures of the sample events have expired.
            let is_signed = ["webhook", "payments"].contains(&function);
            let is_expected = if is_signed { status == 401 } else { matches!(status, 200 | 201) };
            assert!(is_expected, "{}: {response}", file.display());
            let routed = server.send_event(&event);
            assert_eq!(routed.status, 200, "{}: {routed:?}", file.display());
        }
    }
    check_errors(&server);
}

/// Over a route, errors equal those on AWS. By name they have status 500, where Lambda has 200
/// and a header.
fn check_errors(server: &CargoLambda) {
    let response = server.send("GET", "/credits/u1/timeline?limit=0", &[], "");
    assert_eq!((response.status, &response.body["code"]), (400, &json!("InvalidRequest")), "{response:?}");
    let too_much = json!({ "user_uuid": "u2", "trans_type": "chat", "credits": 1 }).to_string();
    let response = server.send("POST", "/credits/decrease", &[], &too_much);
    assert_eq!(
        (response.status, &response.body["code"]),
        (402, &json!("InsufficientCredits")),
        "{response:?}"
    );
    let response = server.send("POST", "/2015-03-31/functions/decrease/invocations", &[], &too_much);
    assert_eq!(
        (response.status, &response.body["errorType"]),
        (500, &json!("InsufficientCredits")),
        "{response:?}"
    );
}
