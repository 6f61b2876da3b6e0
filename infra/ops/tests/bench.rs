//! Load, on the functions behind a gateway that can fail.

#![allow(clippy::unwrap_used, reason = "a test ends by panicking")]

mod support;

use std::{
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread::sleep,
    time::Duration,
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, Method, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use rustix::process::{Pid, Signal, kill_process};
use scrip_tests::Bench;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;

use support::workspace::{fail, succeed};

/// How a gateway treats the calls that it gets, by their number and their path.
type Manner = fn(u64, &str) -> Treatment;

/// What becomes of a call.
enum Treatment {
    Good,
    /// It is done, and the answer says that nobody knows.
    Open,
    /// It is not done, and the answer says so.
    Busy,
    /// It is not done, and the answer says that it was.
    Lie,
}

struct Gateway {
    bench: Bench,
    manner: Manner,
    calls: AtomicU64,
}

/// The token that the gateway asks for.
const TOKEN: &str = "Bearer good";

async fn serve(manner: Manner) -> String {
    let gateway = Gateway { bench: Bench::new().await, manner, calls: AtomicU64::new(0) };
    let router = Router::new().fallback(answer).with_state(Arc::new(gateway));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/stage", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

async fn answer(
    State(gateway): State<Arc<Gateway>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let Some(path) = uri.path().strip_prefix("/stage") else { return StatusCode::NOT_FOUND.into_response() };
    match headers.get(header::AUTHORIZATION).map(|token| token.to_str().unwrap()) {
        Some(TOKEN) => {}
        Some("Bearer reader") => return (StatusCode::FORBIDDEN, "{}").into_response(),
        _ => return (StatusCode::UNAUTHORIZED, "{}").into_response(),
    }
    let claims = json!({ "sub": "bench", "scope": "credits:read credits:write" });
    let done = async || gateway.bench.http(method.as_str(), path, body.to_vec(), Some(claims)).await;
    let told = |status: u16, body: Value| (StatusCode::from_u16(status).unwrap(), body.to_string());
    match (gateway.manner)(gateway.calls.fetch_add(1, Ordering::Relaxed), path) {
        Treatment::Good => {
            let http = done().await;
            told(http.status.try_into().unwrap(), http.body)
        }
        Treatment::Open => {
            done().await;
            told(500, json!({ "code": "Internal" }))
        }
        Treatment::Busy => told(503, json!({ "code": "Busy" })),
        Treatment::Lie => told(200, json!({})),
    }
    .into_response()
}

/// `scrip-ops bench`, of ten users, for a short time.
fn command(url: &str, folder: &TempDir, flags: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_scrip-ops"));
    command.args(["bench", "--url", url, "--token", "good", "--users", "10", "--seed", "7"]);
    command.args(["--folder", folder.path().to_str().unwrap()]).args(flags);
    command.env_remove("SCRIP_TOKEN").stdin(Stdio::null());
    command
}

fn report(folder: &TempDir) -> Value {
    serde_json::from_slice(&std::fs::read(folder.path().join("report.json")).unwrap()).unwrap()
}

/// How many calls of an operation ended.
fn ended(report: &Value, operation: &str) -> u64 {
    report["latency"][operation]["calls"].as_u64().unwrap_or(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_mix_is_called_and_its_balances_are_right() {
    // The last call would arrive at the very end.
    for (mix, wallets, rate, calls) in
        [("generation", 10, "40", 119), ("chat", 10, "40", 119), ("hot", 1, "8", 23)]
    {
        let (url, folder) = (serve(|_, _| Treatment::Good).await, tempfile::tempdir().unwrap());
        let flags = ["--mix", mix, "--rate", rate, "--for", "3s", "--spacing", "constant"];
        let said = succeed(command(&url, &folder, &flags));
        let report = report(&folder);
        assert_eq!(report["arrived"], calls, "{said}");
        let operations = ["grant", "decrease", "refund", "balance"];
        assert_eq!(
            operations.map(|operation| ended(&report, operation)).iter().sum::<u64>(),
            calls,
            "{said}"
        );
        assert!(ended(&report, "decrease") > calls / 2, "{said}");
        // A refund that overtakes its charge on a busy machine leaves a fence.
        let errors = report["errors"].as_object().unwrap();
        assert!(errors.keys().all(|error| error == "decrease: 409 GenerationVoided"), "{said}");
        assert_eq!(report["books"]["open"], 0, "{said}");
        assert_eq!(report["books"]["wallets"], wallets, "{said}");
        assert!(said.contains(&format!("{wallets} of {wallets} balances are")), "{said}");
        for plot in ["latency.svg", "throughput.svg"] {
            let svg = std::fs::read_to_string(folder.path().join(plot)).unwrap();
            assert!(svg.contains("<polyline"), "{plot}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_is_counted_and_what_is_open_is_told() {
    let manner = |call, _: &str| match call {
        ..10 => Treatment::Good,
        call if call % 7 == 0 => Treatment::Open,
        call if call % 11 == 0 => Treatment::Busy,
        _ => Treatment::Good,
    };
    let (url, folder) = (serve(manner).await, tempfile::tempdir().unwrap());
    // Balances that cannot be read are told at the end, by which the command fails.
    let said = fail(command(&url, &folder, &["--rate", "40", "--for", "4s"]));
    assert_eq!(said, "not all is as it should be");
    let report = report(&folder);
    assert_eq!(report["books"]["wrong"], 0, "{report}");
    assert!(report["books"]["open"].as_u64() > Some(10), "{report}");
    for error in ["decrease: 500 Internal", "decrease: 503 Busy", "balance: 503 Busy"] {
        assert!(report["errors"][error].as_u64() > Some(0), "{error}: {report}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_balance_that_is_wrong_is_found() {
    let manner = |_, path: &str| if path == "/credits/refund" { Treatment::Lie } else { Treatment::Good };
    let (url, folder) = (serve(manner).await, tempfile::tempdir().unwrap());
    let said = fail(command(&url, &folder, &["--rate", "40", "--for", "4s"]));
    assert_eq!(said, "not all is as it should be");
    let report = report(&folder);
    assert!(report["books"]["wrong"].as_u64() > Some(0), "{report}");
    assert!(report["books"]["faults"][0].as_str().unwrap().contains("must be from"), "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_ends_it_with_the_report_so_far() {
    let (url, folder) = (serve(|_, _| Treatment::Good).await, tempfile::tempdir().unwrap());
    let mut command = command(&url, &folder, &["--rate", "20", "--for", "10m"]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    // Long enough that it has begun, on a machine that is busy too.
    sleep(Duration::from_secs(4));
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && said.contains("ended by Ctrl-C"), "{said}");
    let report = report(&folder);
    assert_eq!(report["interrupted"], true);
    assert!((1..200).contains(&report["arrived"].as_u64().unwrap()), "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_called_is_one_line() {
    let (url, folder) = (serve(|_, _| Treatment::Good).await, tempfile::tempdir().unwrap());
    let nowhere = url.replace("/stage", "/elsewhere");
    for (url, flags, problem) in [
        ("localhost:9000", &[][..], "must be http://host:port"),
        ("ftp://localhost", &[], "must be http://host:port"),
        ("http://127.0.0.1:1", &[], "cannot be reached; is it running?"),
        (&nowhere, &[], "is this Scrip?"),
        (&url, &["--token", "bad"], "refuses this one (401)"),
        (&url, &["--token", "reader"], "may not write for any user (403)"),
        (&url, &["--token", "a\nb"], "is no token"),
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_scrip-ops"));
        command.args(["bench", "--url", url, "--folder", folder.path().to_str().unwrap()]);
        command.args(if flags.is_empty() { &["--token", "good"] } else { flags });
        let said = fail(command);
        assert!(said.contains(problem), "{url} {flags:?}: {said}");
    }
}
