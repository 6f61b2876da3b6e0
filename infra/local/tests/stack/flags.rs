//! Flags, and the messages of a failed start.

use std::{fs, net::TcpListener};

use rustix::process::Signal;

use scrip::ledger::ClockAndRandom;
use scrip_tests::callback_token;
use serde_json::json;

use crate::support::{Stack, charge, command, failed_start, signature, text};

/// A listener and its port.
fn listening_port() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port().to_string();
    (listener, port)
}

#[test]
fn failed_start_reports_the_cause_in_one_line() {
    let scratch = tempfile::tempdir().unwrap();
    let path = |name: &str| text(&scratch.path().join(name)).to_owned();
    let (_listener, port) = listening_port();
    let silent = format!("http://127.0.0.1:{port}");
    let closed = format!("http://127.0.0.1:{}", listening_port().1);
    let (used, below_file, no_table, is_folder) =
        (path("used"), path("file/folder"), path("no_table"), path("is_folder"));
    fs::write(path("file"), "").unwrap();
    fs::create_dir(&no_table).unwrap();
    fs::write(path("no_table/credits.db"), "no table, and longer than the head of one ".repeat(9)).unwrap();
    fs::create_dir_all(path("is_folder/credits.db")).unwrap();
    let _running = Stack::start(&["--data-dir", &used]);

    for (flags, words) in [
        (&["--memory", "--dynamodb-port", "0", "--port", &port][..], &[&*port, "in use", "--port"][..]),
        (&["--memory", "--port", "0", "--dynamodb-port", &port], &[&port, "in use", "--dynamodb-port"]),
        (&["--port", "0", "--dynamodb-port", "0", "--data-dir", &below_file], &[&below_file, "write"]),
        (&["--port", "0", "--dynamodb-port", "0", "--data-dir", &used], &[&used, "another process"]),
        (&["--port", "0", "--dynamodb-port", "0", "--data-dir", &no_table], &[&no_table]),
        (&["--port", "0", "--dynamodb-port", "0", "--data-dir", &is_folder], &[&is_folder]),
        (&["--port", "0", "--dynamodb-endpoint", &closed], &[&closed, "reach"]),
        (&["--port", "0", "--dynamodb-endpoint", &silent], &[&silent, "reach"]),
        (&["--port", "0", "--dynamodb-endpoint", "nowhere"], &["nowhere"]),
    ] {
        let (code, message) = failed_start(command(flags));
        assert_eq!(code, Some(1), "{flags:?}: {message}");
        assert!(
            message.starts_with("error: ") && message.trim_end().lines().count() == 1,
            "{flags:?}: {message}"
        );
        assert!(words.iter().all(|word| message.contains(word)), "{flags:?}: {message}");
    }
}

#[test]
fn invalid_flags_are_usage_errors() {
    for flags in [
        &["--port", "65536"][..],
        &["--port", "x"],
        &["--unknown"],
        &["--dynamodb-endpoint", ""],
        &["--webhook-secret", "short"],
        &["--webhook-secret", "whsec_not-16-bytes"],
        &["--stripe-secret", "whsec_short"],
        &["--webhook-tolerance", "0"],
        &["--webhook-tolerance", "86401"],
        &["--host", "everywhere"],
        &["--data-dir", ""],
        &["--memory", "--data-dir", "x"],
    ] {
        let (code, message) = failed_start(command(flags));
        assert!(code == Some(2) && message.starts_with("error: "), "{flags:?}: {message}");
    }
}

#[test]
fn table_is_stored_in_a_folder_or_in_memory() {
    for (flags, folders) in
        [(&["--memory"][..], &[][..]), (&[], &[".scrip"]), (&["--data-dir", "a/b"], &["a"])]
    {
        let scratch = tempfile::tempdir().unwrap();
        let mut command = command(&[&["--port", "0", "--dynamodb-port", "0"], flags].concat());
        command.current_dir(scratch.path());
        let stack = Stack::run(command);
        stack.client().grant("u", 5);
        assert_eq!(stack.client().balance("u"), 5);
        drop(stack);
        let entries = fs::read_dir(scratch.path()).unwrap().map(|entry| entry.unwrap().file_name());
        assert_eq!(entries.collect::<Vec<_>>(), folders, "{flags:?}");
    }
}

#[test]
fn two_stacks_share_one_engine() {
    let first = Stack::start(&["--memory"]);
    let second = Stack::run(command(&["--port", "0", "--dynamodb-endpoint", &first.engine]));
    assert_eq!(second.engine, first.engine);
    let (first, second) = (first.client(), second.client());
    first.grant("u", 100);
    let charged = second.post("/credits/decrease", &charge("u", 30, "g"));
    assert_eq!(first.balance("u"), 70);
    let replayed = first.post("/credits/decrease", &charge("u", 30, "g"));
    assert_eq!(replayed["trans_no"], charged["trans_no"]);
    assert_eq!(second.balance("u"), 70);
}

#[test]
fn health_endpoint_is_served() {
    let stack = Stack::start(&["--memory"]);
    let answer = stack.client().send("GET", "/health", &[], b"");
    assert_eq!(answer.status, 200);
}

#[test]
fn host_other_than_loopback_is_served_with_a_warning() {
    for (flags, words) in [
        (&["--memory", "--host", "127.0.0.1"][..], &[][..]),
        (&["--memory", "--host", "0.0.0.0"], &["without a token", "DynamoDB engine accepts every caller"]),
        (
            &["--memory", "--host", "0.0.0.0", "--jwt-secret", "s"],
            &["caller with a token", "DynamoDB engine"],
        ),
    ] {
        let stack = Stack::start(flags);
        let host = stack.url.strip_prefix("http://").and_then(|address| address.split(':').next());
        assert_eq!(host, Some(flags[2]));
        assert!(stack.engine.starts_with("http://127.0.0.1:"), "reached from this machine: {}", stack.engine);
        assert_eq!(stack.client().send("GET", "/health", &[], b"").status, 200);
        stack.signal(Signal::TERM);
        let warning = stack.wait_for_exit().1;
        assert!(words.iter().all(|word| warning.contains(word)), "{flags:?}: {warning}");
        assert_eq!(warning.is_empty(), words.is_empty(), "{flags:?}: {warning}");
    }
}

#[test]
fn test_clock_with_a_stored_table_is_served_with_a_warning() {
    for (flags, is_warned) in [(&["--test-clock"][..], true), (&["--test-clock", "--memory"], false)] {
        let scratch = tempfile::tempdir().unwrap();
        let mut command = command(&[&["--port", "0", "--dynamodb-port", "0"], flags].concat());
        command.current_dir(scratch.path());
        let stack = Stack::run(command);
        stack.signal(Signal::TERM);
        assert_eq!(stack.wait_for_exit().1.contains("--memory"), is_warned, "{flags:?}");
    }
}

#[test]
fn embedded_engine_ignores_the_environment() {
    let nowhere = &*format!("http://127.0.0.1:{}", listening_port().1);
    for environment in [
        &[("HOME", "/nowhere"), ("AWS_PROFILE", "missing"), ("AWS_REGION", "")][..],
        &[("AWS_ENDPOINT_URL", nowhere), ("AWS_ENDPOINT_URL_DYNAMODB", "")],
        &[("HTTP_PROXY", nowhere), ("http_proxy", nowhere), ("ALL_PROXY", nowhere)],
        &[("SSL_CERT_FILE", "/nowhere"), ("SSL_CERT_DIR", "/nowhere")],
        &[("AWS_RETRY_MODE", "legacy")],
        &[("AWS_MAX_ATTEMPTS", "0")],
        &[("AWS_USE_FIPS_ENDPOINT", "true")],
        &[("AWS_USE_DUALSTACK_ENDPOINT", "true")],
    ] {
        let mut command = command(&["--port", "0", "--dynamodb-port", "0", "--memory"]);
        command.envs(environment.iter().copied());
        let stack = Stack::run(command);
        assert_eq!(stack.client().grant("u", 5)["balance"], 5, "{environment:?}");
    }
}

#[test]
fn callbacks_may_use_any_of_the_secrets() {
    let (first, second, default) =
        ("the-first-webhook-secret", "the-second-webhook-secret", "local-webhook-secret");
    for (flags, accepted) in [
        (&[][..], &[default][..]),
        (&["--webhook-secret", first, "--webhook-secret", second], &[first, second]),
    ] {
        let stack = Stack::start(&[&["--memory"], flags].concat());
        let client = stack.client();
        client.grant("u", 5);
        client.post("/credits/decrease", &charge("u", 5, "g"));
        for secret in [first, second, default] {
            let status = if accepted.contains(&secret) { 200 } else { 401 };
            assert_eq!(client.callback(secret, "g").status, status, "{flags:?}: {secret}");
        }
        assert_eq!(client.balance("u"), 5);
    }
}

#[test]
fn events_of_stripe_may_use_any_of_the_secrets() {
    let (first, second, default) =
        ("whsec_the-first-stripe-secret", "whsec_the-second-stripe-secret", "local-stripe-secret");
    for (flags, accepted) in [
        (&[][..], &[default][..]),
        (&["--stripe-secret", first, "--stripe-secret", second], &[first, second]),
    ] {
        let stack = Stack::start(&[&["--memory"], flags].concat());
        let event = br#"{"type":"customer.created"}"#;
        for secret in [first, second, default] {
            let status = if accepted.contains(&secret) { 200 } else { 401 };
            let headers = [("Stripe-Signature", &*signature(secret, event))];
            let answer = stack.client().send("POST", "/webhooks/stripe", &headers, event);
            assert_eq!(answer.status, status, "{flags:?}: {secret}");
        }
    }
}

#[test]
fn callbacks_may_be_as_old_as_the_tolerance() {
    for (flags, status) in [(&[][..], 401), (&["--webhook-tolerance", "900"], 200)] {
        let stack = Stack::start(&[&["--memory"], flags].concat());
        let body = br#"{"generation_uuid":"g","status":"processing"}"#;
        let signed_at = (ClockAndRandom::system().now)().plus_millis(-600_000);
        let signature = scrip_tests::signature("local-webhook-secret", signed_at, body);
        let answer =
            stack.client().send("POST", "/webhooks/generation", &[("X-Signature", &signature)], body);
        assert_eq!(answer.status, status, "{flags:?}: {answer:?}");
    }
}

#[test]
fn callbacks_may_have_a_token_in_their_path() {
    let stack = Stack::start(&["--memory", "--jwt-secret", "no token of a caller is needed"]);
    let content = r#"{"user_uuid":"u","generation_uuid":"g","exp":4102444800}"#;
    let token = callback_token("local-webhook-secret", content);
    let send = |token: &str| {
        let path = format!("/webhooks/callback/{token}");
        stack.client().send("POST", &path, &[], br#"{"task_status":"failed"}"#)
    };
    let answer = send(&token);
    assert_eq!((answer.status, &answer.body["outcome"]), (200, &json!("fenced")));
    assert_eq!(send(&token[1..]).status, 401);
}
