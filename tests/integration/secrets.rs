//! No response and no log line contains a secret, and no log line contains content of a caller.

use std::{
    env,
    io::{self, BufRead, BufReader, Write},
    process::{Command, Stdio},
    sync::{Arc, Mutex},
};

use aws_sdk_dynamodb::types::AttributeValue;
use lambda_runtime::tracing::{
    Dispatch,
    subscriber::{filter::LevelFilter, fmt, util::SubscriberInitExt},
};
use scrip::transport::functions::{DECREASE, REFUND, WEBHOOK};
use scrip_tests::{
    Fault, TestLedger,
    planted_secrets::{LOG_VARIABLE, PREFIX, planted_secret},
};
use serde_json::json;

/// Begins what callers may see again, and a log may not have.
const PRIVATE: &str = "private-";

/// Takes what is logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(line)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Asks over HTTP, with every scope: the status.
async fn status(ledger: &TestLedger, method: &str, url: &str, body: &str, key: Option<&str>) -> i64 {
    let claims = json!({ "sub": "private-subject", "scope": "credits:read credits:write" });
    let headers = key.map_or(json!({}), |key| json!({ "Idempotency-Key": key }));
    ledger.http_with(method, url, body, Some(claims), headers).await.status
}

/// The ledger itself looks for secrets in each answer.
#[tokio::test]
async fn neither_secrets_nor_what_callers_send_is_logged() {
    let log = Log::default();
    let writer = log.clone();
    // As finely as a function ever logs, on this thread alone.
    let lines = fmt().with_max_level(LevelFilter::INFO).with_ansi(false).with_writer(move || writer.clone());
    // With a single subscriber, tracing caches whether a line is enabled from the first thread
    // that reaches it, which may belong to another test.
    let _another = Dispatch::new(fmt().with_max_level(LevelFilter::OFF).finish());
    let _logging = lines.finish().set_default();

    let ledger = TestLedger::new().await;
    let user = "logged-user".to_owned();
    let charge = json!({
        "user_uuid": user, "trans_type": "private_generation", "credits": 2, "generation_uuid": "logged-gen",
        "order_no": "private-order", "idempotency_key": "private-key",
    });
    let refund = json!({
        "user_uuid": user, "generation_uuid": "logged-gen", "reason": "private-reason \u{1f}\n\u{202e}",
    });
    ledger.grant(&user, 5, None).await;
    ledger.invoke(DECREASE, charge.clone()).await.unwrap();
    ledger.invoke(REFUND, refund.clone()).await.unwrap();
    ledger.invoke(REFUND, refund).await.unwrap();

    let callback = json!({
        "generation_uuid": "logged-gen", "user_uuid": user, "status": "failed", "error": "private-error",
        "task_token": planted_secret("task-token"),
    });
    assert_eq!(ledger.callback(callback).await.status, 200);
    let refused = json!({ "status": planted_secret("status"), "task_token": planted_secret("task-token") });
    assert_eq!(ledger.callback(refused).await.status, 400);

    let secret_of = |place: &str| json!(format!("{} #", planted_secret(place)));
    let refused = |field: &str| {
        let mut body = charge.clone();
        body[field] = secret_of(field);
        body.to_string()
    };
    let without_identity = json!({ "user_uuid": user, "trans_type": "chat", "credits": 2 });
    let mint = json!({
        "operation": "mint", "user_uuid": user, "generation_uuid": "logged-gen", "task_token": planted_secret("task-token"),
    });
    let minted = ledger.invoke(WEBHOOK, mint).await.unwrap();
    let token = format!("{}?status=planted-status&password=planted-query", minted["path"].as_str().unwrap());
    let post = "/credits/decrease";
    for (method, url, body, key, answered) in [
        ("POST", post, charge.to_string(), None, 409),
        ("POST", post, refused("user_uuid"), None, 400),
        ("POST", post, refused("trans_type"), None, 400),
        ("POST", post, refused("credits"), None, 400),
        ("POST", post, refused("generation_uuid"), None, 400),
        ("POST", post, refused("order_no"), None, 400),
        ("POST", post, refused("idempotency_key"), None, 400),
        ("POST", post, refused("password"), None, 400),
        ("POST", post, charge.to_string(), Some("planted-key #"), 409),
        ("POST", post, without_identity.to_string(), Some("planted-key #"), 400),
        ("POST", "/credits/grant", refused("expired_at"), None, 400),
        ("POST", post, "{\"password\":planted-malformed".to_owned(), None, 400),
        ("POST", post, "\"planted-text\"".to_owned(), None, 400),
        ("POST", post, "[\"planted-list\"]".to_owned(), None, 400),
        ("POST", "/credits/decrease?password=planted-query", charge.to_string(), None, 400),
        ("POST", "/webhooks/generation", "planted-unsigned".to_owned(), None, 401),
        ("POST", "/webhooks/callback/planted-token.planted-code", "planted-body".to_owned(), None, 401),
        (
            "POST",
            &*token,
            json!({ "state": "failed", "failure_reason": "private-reason" }).to_string(),
            None,
            200,
        ),
        ("POST", "/planted-path", "planted-body".to_owned(), None, 404),
        ("PUT", "/credits/grant?planted-query", "planted-body".to_owned(), None, 405),
        ("GET", "/credits/planted-user%23/balance", String::new(), None, 400),
        ("GET", "/credits/logged-user/balance?password=planted-query", String::new(), None, 400),
        ("GET", "/credits/logged-user/timeline?cursor=planted-cursor", String::new(), None, 400),
        ("GET", "/credits/logged-user/timeline?limit=planted-limit", String::new(), None, 400),
        ("GET", "/credits/logged-user/summary?from=planted-from", String::new(), None, 400),
        ("GET", "/credits/logged-user/timeline", String::new(), None, 200),
        ("GET", "/generations/logged-gen", String::new(), None, 200),
    ] {
        assert_eq!(status(&ledger, method, url, &body, key).await, answered, "{method} {url} {body}");
    }

    for (fault, answered) in [
        (Fault::RequestLost, 503),
        (Fault::Error(400, "ThrottlingException"), 503),
        (Fault::Error(400, "InvalidSignatureException"), 503),
        (Fault::Error(400, "IncompleteSignatureException"), 503),
        (Fault::Error(400, "ExpiredTokenException"), 503),
        (Fault::Error(500, "InternalServerError"), 503),
        (Fault::Error(400, "ValidationException"), 500),
        (Fault::Response("{\"Item\":\"planted-answer\"}"), 500),
    ] {
        let (clock, thrown) = (ledger.clock.clone(), fault.clone());
        ledger.http_client.inject(move |_| {
            clock.pass_millis(20_000);
            Some(thrown.clone())
        });
        let url = "/credits/logged-user/balance";
        assert_eq!(status(&ledger, "GET", url, "", None).await, answered, "{fault:?}");
    }
    ledger.http_client.inject(|_| None);

    for (attribute, value) in [
        ("version", AttributeValue::S(planted_secret("version"))),
        ("packs", AttributeValue::S(planted_secret("packs"))),
        ("keyed", AttributeValue::S(planted_secret("keyed"))),
        (
            "totals",
            AttributeValue::M([(planted_secret("type"), AttributeValue::S(planted_secret("totals")))].into()),
        ),
    ] {
        let mut item = ledger.item(&user, "wallet").await.unwrap();
        item.insert(attribute.to_owned(), value);
        item.insert("user_uuid".to_owned(), AttributeValue::S("corrupt".to_owned()));
        ledger.client.put_item().table_name(&ledger.table).set_item(Some(item)).send().await.unwrap();
        assert_eq!(status(&ledger, "GET", "/credits/corrupt/balance", "", None).await, 500, "{attribute}");
    }

    let logged = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(logged.contains("user_uuid=\"logged-user\" generation_uuid=\"logged-gen\""), "{logged}");
    assert!(logged.lines().count() > 30, "all of it was logged: {logged}");
    for kept in [PREFIX, PRIVATE] {
        let leaking: Vec<_> = logged.lines().filter(|line| line.contains(kept)).collect();
        assert!(leaking.is_empty(), "{leaking:#?}");
    }
}

/// The tests that repeat the same requests most often. They log nothing that others do not.
const LONGEST: [&str; 7] = [
    "mutated_fuzz_corpus_passes_every_check",
    "no_cost_grows_with_the_history",
    "run_takes_wallets_of_any_size",
    "stories_under_drawn_delays_end_at_the_same_balance",
    "summary_of_more_than_100_000_records_is_refused",
    "ten_thousand_records_are_audited_and_counted",
    "three_hundred_charges_for_a_hundred_credits",
];

/// Runs the other tests of this binary, with all that any crate can log.
#[test]
#[ignore = "runs most of the suite a second time"]
fn no_test_says_a_secret() {
    let mut suite = Command::new(env::current_exe().unwrap());
    suite
        .arg("--nocapture")
        .args(LONGEST.iter().flat_map(|name| ["--skip", name]))
        .env(LOG_VARIABLE, "1")
        .env("AWS_SECRET_ACCESS_KEY", planted_secret("environment"));
    let (said, saying) = io::pipe().unwrap();
    suite.stdin(Stdio::null()).stdout(saying.try_clone().unwrap()).stderr(saying);
    let mut running = suite.spawn().unwrap();
    // It holds the pipe's other end, which would keep the pipe from ending.
    drop(suite);
    let (mut requests, mut answers) = (0, 0);
    for line in BufReader::new(said).split(b'\n').map(Result::unwrap) {
        let line = String::from_utf8_lossy(&line);
        assert!(!line.contains(PREFIX), "{line}");
        requests += usize::from(line.contains("transmitting request"));
        answers += usize::from(line.contains("code=\"ok\""));
    }
    // This does not check whether each passes: so much to log makes the races late.
    running.wait().unwrap();
    assert!(requests > 5_000 && answers > 1_000, "it was logged: {requests} {answers}");
}
