//! The command `bench`, on functions behind a gateway with injected errors.

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
use scrip_tests::{TestLedger, process::succeed};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;

use support::workspace::fail;

/// Selects the behaviour of the gateway by the number and path of a call.
type Behaviour = fn(u64, &str) -> CallEffect;

enum CallEffect {
    Done,
    /// The call is done, but the response is `Internal`.
    Unknown,
    /// The call is rejected.
    Busy,
    /// The call is not done, but the response is a success.
    FalseSuccess,
}

struct Gateway {
    bench: TestLedger,
    behaviour: Behaviour,
    calls: AtomicU64,
}

/// The header that the gateway requires.
const TOKEN: &str = "Bearer good";

async fn serve(behaviour: Behaviour) -> String {
    let gateway = Gateway { bench: TestLedger::new().await, behaviour, calls: AtomicU64::new(0) };
    let router = Router::new().fallback(handle).with_state(Arc::new(gateway));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/stage", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

async fn handle(
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
    let invoke = async || gateway.bench.http(method.as_str(), path, body.to_vec(), Some(claims)).await;
    let respond = |status: u16, body: Value| (StatusCode::from_u16(status).unwrap(), body.to_string());
    match (gateway.behaviour)(gateway.calls.fetch_add(1, Ordering::Relaxed), path) {
        CallEffect::Done => {
            let http = invoke().await;
            respond(http.status.try_into().unwrap(), http.body)
        }
        CallEffect::Unknown => {
            invoke().await;
            respond(500, json!({ "code": "Internal" }))
        }
        CallEffect::Busy => respond(503, json!({ "code": "Busy" })),
        CallEffect::FalseSuccess => respond(200, json!({})),
    }
    .into_response()
}

/// `scrip-ops bench` with ten users.
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

/// The number of completed calls of an operation.
fn completed(report: &Value, operation: &str) -> u64 {
    report["latency"][operation]["calls"].as_u64().unwrap_or(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn bench_of_each_mix_ends_with_correct_balances() {
    // A last call would arrive exactly at the end.
    for (mix, wallets, rate, calls) in
        [("generation", 10, "40", 119), ("chat", 10, "40", 119), ("hot", 1, "8", 23)]
    {
        let (url, folder) = (serve(|_, _| CallEffect::Done).await, tempfile::tempdir().unwrap());
        let flags = ["--mix", mix, "--rate", rate, "--for", "3s", "--spacing", "constant"];
        let output = succeed(command(&url, &folder, &flags));
        let report = report(&folder);
        assert_eq!(report["arrived"], calls, "{output}");
        let operations = ["grant", "decrease", "refund", "balance"];
        assert_eq!(
            operations.map(|operation| completed(&report, operation)).iter().sum::<u64>(),
            calls,
            "{output}"
        );
        assert!(completed(&report, "decrease") > calls / 2, "{output}");
        // A refund that overtakes its charge on a busy machine leaves a fence.
        let errors = report["errors"].as_object().unwrap();
        assert!(errors.keys().all(|error| error == "decrease: 409 GenerationVoided"), "{output}");
        assert_eq!(report["books"]["open"], 0, "{output}");
        assert_eq!(report["books"]["wallets"], wallets, "{output}");
        assert!(output.contains(&format!("{wallets} of {wallets} balances equal")), "{output}");
        for plot in ["latency.svg", "throughput.svg"] {
            let svg = std::fs::read_to_string(folder.path().join(plot)).unwrap();
            assert!(svg.contains("<polyline"), "{plot}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bench_counts_errors_and_unknown_outcomes() {
    let behaviour = |call, _: &str| match call {
        ..10 => CallEffect::Done,
        call if call % 7 == 0 => CallEffect::Unknown,
        call if call % 11 == 0 => CallEffect::Busy,
        _ => CallEffect::Done,
    };
    let (url, folder) = (serve(behaviour).await, tempfile::tempdir().unwrap());
    // The final balance reads fail too, so the command fails.
    let output = fail(command(&url, &folder, &["--rate", "40", "--for", "4s"]));
    assert_eq!(output, "the check failed; see the report");
    let report = report(&folder);
    assert_eq!(report["books"]["wrong"], 0, "{report}");
    assert!(report["books"]["open"].as_u64() > Some(10), "{report}");
    for error in ["decrease: 500 Internal", "decrease: 503 Busy", "balance: 503 Busy"] {
        assert!(report["errors"][error].as_u64() > Some(0), "{error}: {report}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bench_detects_a_wrong_balance() {
    let behaviour =
        |_, path: &str| if path == "/credits/refund" { CallEffect::FalseSuccess } else { CallEffect::Done };
    let (url, folder) = (serve(behaviour).await, tempfile::tempdir().unwrap());
    let output = fail(command(&url, &folder, &["--rate", "40", "--for", "4s"]));
    assert_eq!(output, "the check failed; see the report");
    let report = report(&folder);
    assert!(report["books"]["wrong"].as_u64() > Some(0), "{report}");
    assert!(report["books"]["faults"][0].as_str().unwrap().contains(", expected "), "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_stops_bench_with_a_report() {
    let (url, folder) = (serve(|_, _| CallEffect::Done).await, tempfile::tempdir().unwrap());
    let mut command = command(&url, &folder, &["--rate", "20", "--for", "10m"]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    // Long enough to start, even on a busy machine.
    sleep(Duration::from_secs(4));
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && text.contains("stopped by Ctrl-C"), "{text}");
    let report = report(&folder);
    assert_eq!(report["interrupted"], true);
    assert!((1..200).contains(&report["arrived"].as_u64().unwrap()), "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn bench_of_an_unusable_api_fails_in_one_line() {
    let (url, folder) = (serve(|_, _| CallEffect::Done).await, tempfile::tempdir().unwrap());
    let nowhere = url.replace("/stage", "/elsewhere");
    for (url, flags, expected) in [
        ("localhost:9000", &[][..], "must be http://host:port"),
        ("ftp://localhost", &[], "must be http://host:port"),
        ("http://127.0.0.1:1", &[], "unreachable; is it running?"),
        (&nowhere, &[], "is this Scrip?"),
        (&url, &["--token", "bad"], "rejects this one (401)"),
        (&url, &["--token", "reader"], "may not write for any user (403)"),
        (&url, &["--token", "a\nb"], "must be a valid header value"),
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_scrip-ops"));
        command.args(["bench", "--url", url, "--folder", folder.path().to_str().unwrap()]);
        command.args(if flags.is_empty() { &["--token", "good"] } else { flags });
        let output = fail(command);
        assert!(output.contains(expected), "{url} {flags:?}: {output}");
    }
}
