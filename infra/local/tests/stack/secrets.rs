//! Secrets in responses and output.

use rustix::process::Signal;

use crate::support::{Stack, charge, command};

/// Values that begin with `planted` are secrets, or are in a place that may contain one.
#[test]
fn secrets_are_never_printed() {
    let engine = Stack::start(&["--memory"]);
    let mut command = command(&["--port", "0", "--dynamodb-endpoint", &engine.engine]);
    command.envs([
        ("AWS_ACCESS_KEY_ID", "key"),
        ("AWS_SECRET_ACCESS_KEY", "planted-secret"),
        ("AWS_SESSION_TOKEN", "planted-session"),
        ("RUST_LOG", "trace"),
    ]);
    let stack = Stack::run(command);
    let client = stack.client();
    client.grant("u", 5);
    let headers = [
        ("Authorization", "Bearer planted-token"),
        ("Cookie", "planted-cookie"),
        ("X-Signature", "planted-signature"),
    ];
    let good = charge("u", 1, "g").to_string();
    let status_of = |method: &str, path: &str, body: &str| {
        let answer = client.send(method, path, &headers, body.as_bytes());
        assert!(!answer.body.to_string().contains("planted"), "{method} {path} {body}: {answer:?}");
        answer.status
    };
    assert_eq!(status_of("POST", "/credits/decrease", &good), 200);
    assert_eq!(status_of("POST", "/credits/decrease", "{\"password\":planted-body"), 400);
    assert_eq!(status_of("POST", "/credits/decrease", "{\"user_uuid\":\"planted #\"}"), 400);
    assert_eq!(status_of("POST", "/credits/decrease?password=planted-query", &good), 400);
    assert_eq!(status_of("GET", "/credits/u/timeline?cursor=planted-cursor", ""), 400);
    assert_eq!(status_of("GET", "/planted-path", ""), 404);
    engine.kill();
    assert_eq!(status_of("POST", "/credits/decrease", &good), 503);
    stack.signal(Signal::TERM);
    let (code, errors) = stack.wait_for_exit();
    assert_eq!(code, Some(0), "{errors}");
    assert!(errors.contains("DynamoDB did not respond") && !errors.contains("planted"), "{errors}");
}
