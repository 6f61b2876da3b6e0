//! What it says of what it was told.

use rustix::process::Signal;

use crate::support::{Stack, charge, command};

/// What begins with `planted` is a secret, or stands where one may.
#[test]
fn nothing_secret_is_said() {
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
    let ask = |method: &str, path: &str, body: &str| {
        let answer = client.send(method, path, &headers, body.as_bytes());
        assert!(!answer.body.to_string().contains("planted"), "{method} {path} {body}: {answer:?}");
        answer.status
    };
    assert_eq!(ask("POST", "/credits/decrease", &good), 200);
    assert_eq!(ask("POST", "/credits/decrease", "{\"password\":planted-body"), 400);
    assert_eq!(ask("POST", "/credits/decrease", "{\"user_uuid\":\"planted #\"}"), 400);
    assert_eq!(ask("POST", "/credits/decrease?password=planted-query", &good), 400);
    assert_eq!(ask("GET", "/credits/u/timeline?cursor=planted-cursor", ""), 400);
    assert_eq!(ask("GET", "/planted-path", ""), 404);
    engine.kill();
    assert_eq!(ask("POST", "/credits/decrease", &good), 503);
    stack.signal(Signal::TERM);
    let (code, said) = stack.ended();
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("DynamoDB did not respond") && !said.contains("planted"), "{said}");
}
