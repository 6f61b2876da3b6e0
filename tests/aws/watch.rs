//! The functions one by one, as `cargo lambda watch` builds and serves them, on
//! the embedded engine.

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
use scrip_tests::{WEBHOOK_SECRET, signature};
use serde_json::{Value, json};

use crate::{
    http::{self, Answer, agent},
    process::{ROOT, command, free_port, kept, tool, wait_until},
};

/// In an order in which each event finds what it needs.
const FUNCTIONS: [&str; 7] = ["grant", "decrease", "balance", "history", "refund", "webhook", "audit"];

/// How long a request may take that waits for a build.
const BUILD: Duration = Duration::from_secs(900);

/// `cargo lambda watch`, which ends with this process at the latest.
struct Watch {
    port: String,
    _process: Child,
}

impl Watch {
    /// Starts it as the README does.
    fn start() -> Watch {
        let port = free_port().to_string();
        let mut watch = kept(tool("cargo-lambda/bin/cargo-lambda"), "watch");
        watch.args(["lambda", "watch", "--ignore-changes"]).args(at(&port));
        watch.current_dir(ROOT).envs([
            ("AWS_ENDPOINT_URL_DYNAMODB", engine().as_str()),
            ("SCRIP_ADMIT_ANYONE", "true"),
            ("SCRIP_WEBHOOK_SECRETS", WEBHOOK_SECRET),
        ]);
        let process = watch.spawn().expect("a shell");
        wait_until("cargo-lambda listens; target/ci/watch.log has what it says", || {
            TcpStream::connect(format!("127.0.0.1:{port}")).is_ok()
        });
        Watch { port, _process: process }
    }

    /// Invokes a function by its name with the payload of a file.
    fn invoke(&self, function: &str, event: &Path) -> Value {
        let mut invoke = command(tool("cargo-lambda/bin/cargo-lambda"));
        invoke.args(["lambda", "invoke"]).args(at(&self.port)).arg("--data-file");
        let ended = invoke.arg(event).arg(function).output().expect("it starts");
        let said = String::from_utf8([ended.stdout, ended.stderr].concat()).expect("text");
        assert!(ended.status.success(), "{function} {}: {said}", event.display());
        serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {said}"))
    }

    fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        http::send(&agent(BUILD), method, &format!("http://127.0.0.1:{}{path}", self.port), headers, body)
    }

    /// Sends the request that this event was made of, to the route.
    fn route(&self, event: &Value) -> Answer {
        let text = |pointer: &str| event.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let body = text("/body");
        let signed = signature(WEBHOOK_SECRET, (ClockAndRandom::system().now)(), body.as_bytes());
        let url = format!("{}?{}", text("/rawPath"), text("/rawQueryString"));
        self.send(
            text("/requestContext/http/method"),
            url.trim_end_matches('?'),
            &[("x-signature", &signed)],
            body,
        )
    }
}

/// Where it listens, as its commands are told.
fn at(port: &str) -> [&str; 4] {
    ["--invoke-address", "127.0.0.1", "--invoke-port", port]
}

/// The embedded engine, with the table in it: where it is.
fn engine() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
    let (made, is_made) = mpsc::channel();
    let there = endpoint.clone();
    thread::spawn(move || serve_engine(listener, there, made));
    is_made.recv().expect("a table");
    endpoint
}

#[tokio::main]
async fn serve_engine(listener: TcpListener, endpoint: String, made: Sender<()>) {
    listener.set_nonblocking(true).expect("a listener");
    let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
    let serving = tokio::spawn(server::serve_on(listener, Database::memory().expect("an engine")));
    let there =
        Connection { region: Some("us-east-1".to_owned()), endpoint: Some(endpoint), anonymous: true };
    Store::connect(there, TABLE).await.create_table().await.expect("a table");
    made.send(()).expect("the test waits for it");
    serving.await.expect("no panic");
}

/// The sample events of a function: files and contents, sorted by name.
fn events(function: &str) -> Vec<(PathBuf, Value)> {
    let folder = Path::new(ROOT).join("functions").join(function).join("events");
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    files
        .into_iter()
        .map(|file| (file.clone(), serde_json::from_slice(&fs::read(file).unwrap()).unwrap()))
        .collect()
}

#[test]
#[ignore = "needs ministack, sam and cargo-lambda, which .ci/run installs"]
fn cargo_lambda_serves_every_function_by_name_and_by_route() {
    let watch = Watch::start();
    for function in FUNCTIONS {
        for (file, event) in events(function) {
            let told = watch.invoke(function, &file);
            let Some(status) = told["statusCode"].as_u64() else {
                assert!(told["errorType"].is_null(), "{}: {told}", file.display());
                continue;
            };
            // The sample of a call-back was signed long ago.
            let as_expected = if function == "webhook" { status == 401 } else { matches!(status, 200 | 201) };
            assert!(as_expected, "{}: {told}", file.display());
            let answer = watch.route(&event);
            assert_eq!(answer.status, 200, "{}: {answer:?}", file.display());
        }
    }
    errors_are_told(&watch);
}

/// Over a route they are as on AWS. By name they come with status 500, where Lambda
/// has 200 and a header.
fn errors_are_told(watch: &Watch) {
    let answer = watch.send("GET", "/credits/u1/timeline?limit=0", &[], "");
    assert_eq!((answer.status, &answer.body["code"]), (400, &json!("InvalidRequest")), "{answer:?}");
    let too_much = json!({ "user_uuid": "u2", "trans_type": "chat", "credits": 1 }).to_string();
    let answer = watch.send("POST", "/credits/decrease", &[], &too_much);
    assert_eq!((answer.status, &answer.body["code"]), (402, &json!("InsufficientCredits")), "{answer:?}");
    let answer = watch.send("POST", "/2015-03-31/functions/decrease/invocations", &[], &too_much);
    assert_eq!(
        (answer.status, &answer.body["errorType"]),
        (500, &json!("InsufficientCredits")),
        "{answer:?}"
    );
}
