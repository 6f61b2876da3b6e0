//! Call-backs of providers: signatures, refunds, and the executions that they resume.

use std::sync::Arc;

use aws_sdk_secretsmanager::config::{BehaviorVersion, Credentials, Region};
use scrip::{
    callback::{Callbacks, Executions, SecretForm, Secrets},
    ledger::Ledger,
    transport::{
        App,
        functions::{HISTORY, WEBHOOK},
    },
};
use scrip_tests::{
    Fault, FaultInjectingClient, HttpResponse, RecordedRequest, TestLedger, WEBHOOK_SECRET,
    callbacks_signed_with, http_event, invoke, signature,
};
use serde_json::{Value, json};

const URL: &str = "/webhooks/generation";

/// A wallet of 10 credits, a charge of 4 under generation `g`.
pub(super) async fn ledger() -> TestLedger {
    let ledger = TestLedger::new().await;
    ledger.grant("u", 10, None).await;
    ledger.charge("u", 4, "g", None).await.unwrap();
    ledger
}

pub(super) fn failed(generation: &str) -> Value {
    json!({ "generation_uuid": generation, "status": "failed", "user_uuid": "u" })
}

/// Sends an invalid call-back, and checks that nothing is read or written.
async fn check_refused(ledger: &TestLedger, body: &[u8], header: Option<String>, why: &str) {
    ledger.http_client.take_requests();
    let headers = header.map_or(json!({}), |header| json!({ "X-Signature": header }));
    let answer = ledger.http_with("POST", URL, body, None, headers).await;
    assert_eq!((answer.status, answer.body["code"].as_str()), (401, Some("Unauthorized")), "{why}");
    assert_eq!(answer.headers["www-authenticate"], "X-Signature");
    assert_eq!(ledger.http_client.take_requests().len(), 0, "{why}: it read the table");
}

#[tokio::test]
async fn generation_that_failed_is_refunded_once() {
    let ledger = ledger().await;
    for outcome in ["voided", "already_voided"] {
        let answer = ledger.callback(failed("g")).await;
        let expected = json!({ "generation_uuid": "g", "status": "failed", "outcome": outcome });
        assert_eq!((answer.status, answer.body), (200, expected));
        assert_eq!(ledger.sound_balance("u").await, 10);
    }
}

/// A success settles; a failure that comes later changes nothing.
#[tokio::test]
async fn success_settles_the_charge_at_what_it_is() {
    let report = |status: &str, user: Option<&str>| json!({ "generation_uuid": "g", "status": status, "user_uuid": user });
    for user in [Some("u"), None] {
        let ledger = ledger().await;
        for (status, outcome) in
            [("succeeded", "settled"), ("succeeded", "already_settled"), ("failed", "settled")]
        {
            let answer = ledger.callback(report(status, user)).await;
            let expected = json!({ "generation_uuid": "g", "status": status, "outcome": outcome });
            assert_eq!((answer.status, answer.body), (200, expected));
        }
        assert_eq!(ledger.audited_balance("u").await, 6);
        let refund = ledger.refund(Some("u"), "g", None).await.unwrap();
        assert_eq!(refund["outcome"], "voided", "the app itself may refund a settled charge");
        assert_eq!(ledger.audited_balance("u").await, 10);
    }
}

/// A success after the refund is noted on the charge, once.
#[tokio::test]
async fn success_after_the_refund_is_noted() {
    let ledger = ledger().await;
    ledger.refund(Some("u"), "g", None).await.unwrap();
    let success = json!({ "generation_uuid": "g", "user_uuid": "u", "status": "succeeded" });
    for _ in 0..2 {
        assert_eq!(ledger.callback(success.clone()).await.body["outcome"], "late_success");
    }
    let record = ledger.records("u").await.remove(0);
    let noted_at = record["late_success_at"].as_str().expect("a time");
    assert!(record["voided_at"].as_str().is_some_and(|voided_at| voided_at <= noted_at), "{record}");
    assert_eq!(ledger.audited_balance("u").await, 10);
}

/// Providers do not repeat a call-back after a 4xx.
#[tokio::test]
async fn success_of_an_unknown_generation_is_to_be_repeated() {
    let ledger = ledger().await;
    for user in [Some("u"), None] {
        let success = json!({ "generation_uuid": "unknown", "user_uuid": user, "status": "succeeded" });
        let answer = ledger.callback(success).await;
        assert_eq!((answer.status, &answer.body["code"]), (503, &json!("GenerationUnknown")));
    }
    ledger.refund(Some("u"), "unknown", None).await.unwrap();
    let success = json!({ "generation_uuid": "unknown", "user_uuid": "u", "status": "succeeded" });
    assert_eq!(ledger.callback(success).await.body["outcome"], "fenced");
}

/// A session has several charges; `trans_no` and the key select one.
#[tokio::test]
async fn success_settles_what_it_addresses() {
    let ledger = ledger().await;
    for key in ["a", "b", "c"] {
        ledger.charge("u", 1, "chat", Some(key)).await.unwrap();
    }
    let report = |status: &str, key: Option<&str>| json!({ "generation_uuid": "chat", "user_uuid": "u", "status": status, "idempotency_key": key });
    assert_eq!(ledger.callback(report("succeeded", Some("b"))).await.body["outcome"], "settled");
    assert_eq!(ledger.callback(report("failed", None)).await.body["outcome"], "voided", "a and c");
    assert_eq!(ledger.audited_balance("u").await, 5);
    assert_eq!(ledger.callback(report("succeeded", None)).await.body["outcome"], "already_settled");
}

/// The words of providers, without regard to case; any other one is progress. Members that
/// Scrip does not use are ignored.
#[tokio::test]
async fn providers_words_for_a_status_are_understood() {
    let ledger = ledger().await;
    let failed = [
        "failed",
        "failure",
        "fail",
        "error",
        "errored",
        "canceled",
        "cancelled",
        "aborted",
        "timed_out",
        "timeout",
        "expired",
        "rejected",
    ];
    let succeeded = [
        "succeeded",
        "success",
        "succeed",
        "successful",
        "completed",
        "COMPLETED",
        "complete",
        "done",
        "ok",
        "finished",
    ];
    let progress = ["processing", "IN_QUEUE", "starting", "", "failed?"];
    let words = failed.map(|word| (word, "failed", json!("voided"))).into_iter();
    let words = words.chain(succeeded.map(|word| (word, "succeeded", json!("settled"))));
    let words = words.chain(progress.map(|word| (word, "progress", json!("ignored"))));
    for (nth, (word, status, outcome)) in words.enumerate() {
        let generation = format!("word{nth}");
        ledger.charge("u", 1, &generation, None).await.unwrap();
        let body = json!({
            "generation_uuid": generation, "user_uuid": "u", "status": word, "logs": "x", "output": ["url"],
            "metrics": { "predict_time": 1.5 },
        });
        let answer = ledger.callback(body).await;
        assert_eq!(
            (answer.status, &answer.body["status"], &answer.body["outcome"]),
            (200, &json!(status), &outcome),
            "{word}"
        );
        ledger.refund(Some("u"), &generation, None).await.unwrap();
    }
    assert_eq!(ledger.sound_balance("u").await, 6);
}

#[tokio::test]
async fn providers_error_is_the_reason() {
    let ledger = ledger().await;
    for (nth, (error, reason)) in [
        (json!("out of memory"), "out of memory".to_owned()),
        (json!("é".repeat(300)), "é".repeat(255)),
        (json!(""), "generation failed".to_owned()),
        (Value::Null, "generation failed".to_owned()),
    ]
    .into_iter()
    .enumerate()
    {
        let generation = format!("g{nth}");
        ledger.charge("u", 1, &generation, None).await.unwrap();
        let mut body = failed(&generation);
        body["error"] = error;
        assert_eq!(ledger.callback(body).await.status, 200);
        let request = json!({ "operation": "generation", "generation_uuid": generation });
        let listed = ledger.invoke(HISTORY, request).await.unwrap();
        assert_eq!(listed["charges"][0]["voided_reason"], reason);
    }
}

/// A provider that gets an error calls again.
#[tokio::test]
async fn failure_of_an_unknown_generation_is_an_error_without_user_and_a_fence_with_user() {
    let ledger = ledger().await;
    let unknown = json!({ "generation_uuid": "later", "status": "failed" });
    let answer = ledger.callback(unknown.clone()).await;
    assert_eq!((answer.status, answer.body["code"].as_str()), (503, Some("GenerationUnknown")));
    assert!(answer.headers.contains_key("retry-after"), "{answer:?}");
    ledger.charge("u", 3, "later", None).await.unwrap();
    assert_eq!(ledger.callback(unknown).await.body["outcome"], "voided");

    assert_eq!(ledger.callback(failed("never")).await.body["outcome"], "fenced");
    assert_eq!(ledger.charge("u", 3, "never", None).await.unwrap_err().0, "GenerationVoided");
    assert_eq!(ledger.sound_balance("u").await, 6);
}

#[tokio::test]
async fn call_back_with_a_key_refunds_that_message_alone() {
    let ledger = ledger().await;
    for key in ["m1", "m2"] {
        ledger.charge("u", 1, "session", Some(key)).await.unwrap();
    }
    let mut body = failed("session");
    body["idempotency_key"] = json!("m1");
    assert_eq!(ledger.callback(body).await.body["outcome"], "voided");
    assert_eq!(ledger.sound_balance("u").await, 5);
}

#[tokio::test]
async fn generation_of_two_users_is_refunded_to_neither() {
    let ledger = ledger().await;
    ledger.grant("other", 10, None).await;
    ledger.charge("other", 4, "g", None).await.unwrap();
    let answer = ledger.callback(json!({ "generation_uuid": "g", "status": "failed" })).await;
    assert_eq!((answer.status, answer.body["code"].as_str()), (409, Some("IdempotencyConflict")));
    assert_eq!((ledger.sound_balance("u").await, ledger.sound_balance("other").await), (6, 6));
}

#[tokio::test]
async fn call_back_that_is_forged_late_or_changed_does_nothing() {
    let ledger = ledger().await;
    let body = failed("g").to_string().into_bytes();
    let now = ledger.clock.now();
    let good = |body: &[u8]| signature(WEBHOOK_SECRET, now, body);
    let at = |millis: i64| Some(signature(WEBHOOK_SECRET, now.plus_millis(millis), &body));
    let (time, code) = good(&body).split_once(',').map(|(t, v)| (t.to_owned(), v.to_owned())).unwrap();
    let spaced = String::from_utf8(body.clone()).unwrap().replace(':', ": ");
    for (body, header, why) in [
        (&body[..], None, "no signature"),
        (&body, Some(String::new()), "nothing in it"),
        (&body, Some(signature("another-secret-entirely", now, &body)), "another's secret"),
        (&body, Some(good(b"{}")), "another body's"),
        (&body[..body.len() - 1], Some(good(&body)), "cut off"),
        (spaced.as_bytes(), Some(good(&body)), "the same JSON in other bytes"),
        (&body, at(-400_000), "late"),
        (&body, at(400_000), "of the future"),
        (&body, Some(format!("t=1,{code}")), "its time changed"),
        (&body, Some(format!("{time},{code},t=1")), "two times"),
        (&body, Some(code.clone()), "no time"),
        (&body, Some(time.clone()), "no code"),
        (&body, Some(format!("{time},{}", &code[..code.len() - 2])), "half a code"),
        (&body, Some(format!("{time},{}", code.replace("v1=", "v0="))), "another scheme"),
    ] {
        check_refused(&ledger, body, header, why).await;
    }
    assert_eq!(ledger.sound_balance("u").await, 6);
    ledger.clock.pass_millis(301_000);
    check_refused(&ledger, &body, Some(good(&body)), "replayed after its time").await;
}

#[tokio::test]
async fn no_token_is_a_signature() {
    let ledger = ledger().await;
    let all = json!({ "sub": "u", "scope": "credits:read credits:write" });
    assert_eq!(ledger.http("POST", URL, failed("g").to_string(), Some(all)).await.status, 401);
    assert_eq!(ledger.sound_balance("u").await, 6);
}

#[tokio::test]
async fn signed_body_is_still_validated() {
    let ledger = ledger().await;
    let with = |field: &str, value: Value| {
        let mut body = failed("g");
        body[field] = value;
        body.to_string()
    };
    for (body, detail) in [
        ("{".to_owned(), "The JSON is malformed at line 1, column 1."),
        ("\u{0}".to_owned(), "The JSON is malformed at line 1, column 1."),
        (String::new(), "`generation_uuid` is required. `status` is required."),
        (with("status", json!(1)), "`status` must be a string."),
        (with("error", json!({ "code": 1 })), "`error` must be a string."),
        (with("task_token", json!("")), "`task_token` must be 1 to 2048 characters."),
    ] {
        let header = signature(WEBHOOK_SECRET, ledger.clock.now(), body.as_bytes());
        let answer = ledger.http_with("POST", URL, body, None, json!({ "x-signature": header })).await;
        assert_eq!((answer.status, answer.body["detail"].as_str()), (400, Some(detail)));
    }
    // Bytes that are no text arrive as base64, and are what was signed.
    let bytes = b"\xff{}";
    let header = signature(WEBHOOK_SECRET, ledger.clock.now(), bytes);
    assert_eq!(
        ledger.http_with("POST", URL, bytes, None, json!({ "x-signature": header })).await.status,
        400
    );
    assert_eq!(ledger.sound_balance("u").await, 6);
}

#[tokio::test]
async fn direct_invocation_needs_no_signature() {
    let ledger = ledger().await;
    assert_eq!(ledger.invoke(WEBHOOK, failed("g")).await.unwrap()["outcome"], "voided");
}

/// Sends a call-back to an app of its own, signed now.
pub(super) async fn call(ledger: &TestLedger, app: &Arc<App>, body: &Value, secret: &str) -> HttpResponse {
    let body = body.to_string().into_bytes();
    let headers = json!({ "x-signature": signature(secret, ledger.clock.now(), &body) });
    let event = http_event("POST", URL, body, None, &headers);
    let deadline = ledger.clock.now().plus_millis(60_000);
    HttpResponse::from_reply(invoke(app, WEBHOOK, event.to_string(), deadline).await)
}

pub(super) fn app(ledger: &TestLedger, callbacks: Callbacks) -> Arc<App> {
    let ledger = Ledger::new(ledger.store(), ledger.clock.sources());
    Arc::new(App::new(ledger).with_callbacks(callbacks))
}

/// Step Functions at the end of this client.
pub(super) fn executions(http_client: &FaultInjectingClient) -> Executions {
    let config = aws_sdk_sfn::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new("test", "test", None, None, "test"))
        .http_client(http_client.clone());
    Executions::new(config)
}

#[tokio::test]
async fn waiting_execution_is_resumed() {
    let ledger = ledger().await;
    let http_client = FaultInjectingClient::new();
    http_client.inject(|_| Some(Fault::Response("{}")));
    let callbacks =
        Callbacks { executions: Some(executions(&http_client)), ..callbacks_signed_with(WEBHOOK_SECRET) };
    let app = app(&ledger, callbacks);
    let body = |status: &str| json!({ "generation_uuid": "g", "user_uuid": "u", "status": status, "error": "out of memory", "task_token": "token-1" });
    for (status, operation, request) in [
        (
            "failed",
            "SendTaskFailure",
            json!({ "taskToken": "token-1", "error": "GenerationFailed", "cause": "out of memory" }),
        ),
        (
            "succeeded",
            "SendTaskSuccess",
            json!({ "taskToken": "token-1", "output": "{\"generation_uuid\":\"g\",\"status\":\"succeeded\"}" }),
        ),
    ] {
        assert_eq!(call(&ledger, &app, &body(status), WEBHOOK_SECRET).await.status, 200);
        let sent = http_client.take_requests();
        let [RecordedRequest { operation: sent, request: with, .. }] = &sent[..] else { panic!("{sent:?}") };
        assert_eq!((sent.as_str(), with), (operation, &request));
    }
    assert_eq!(ledger.sound_balance("u").await, 10);
    call(&ledger, &app, &failed("g"), WEBHOOK_SECRET).await;
    assert_eq!(http_client.take_requests().len(), 0, "no execution waits");
}

/// The execution has timed out, or was resumed before.
#[tokio::test]
async fn execution_that_has_gone_on_is_no_error() {
    for code in ["TaskTimedOut", "TaskDoesNotExist", "InvalidToken"] {
        let ledger = ledger().await;
        let http_client = FaultInjectingClient::new();
        http_client.inject(move |_| Some(Fault::Error(400, code)));
        let callbacks =
            Callbacks { executions: Some(executions(&http_client)), ..callbacks_signed_with(WEBHOOK_SECRET) };
        let app = app(&ledger, callbacks);
        for status in ["failed", "succeeded"] {
            let body =
                json!({ "generation_uuid": "g", "user_uuid": "u", "status": status, "task_token": "t" });
            assert_eq!(call(&ledger, &app, &body, WEBHOOK_SECRET).await.status, 200, "{code}");
            assert_eq!(http_client.take_requests().len(), 1, "{code}");
        }
        assert_eq!(ledger.sound_balance("u").await, 10);
    }
}

/// The refund is committed before. The provider repeats the call-back, which then resumes the
/// execution.
#[tokio::test]
async fn execution_that_cannot_be_resumed_is_an_error_after_the_refund() {
    let ledger = ledger().await;
    let http_client = FaultInjectingClient::new();
    http_client.inject(|_| Some(Fault::Error(400, "AccessDeniedException")));
    let callbacks =
        Callbacks { executions: Some(executions(&http_client)), ..callbacks_signed_with(WEBHOOK_SECRET) };
    let app = app(&ledger, callbacks);
    let mut body = failed("g");
    body["task_token"] = json!("t");
    let answer = call(&ledger, &app, &body, WEBHOOK_SECRET).await;
    assert_eq!((answer.status, answer.body["code"].as_str()), (500, Some("Internal")));
    assert_eq!(ledger.sound_balance("u").await, 10);
    http_client.inject(|_| Some(Fault::Response("{}")));
    assert_eq!(call(&ledger, &app, &body, WEBHOOK_SECRET).await.body["outcome"], "already_voided");
}

/// Secrets Manager at the end of this client.
fn kept(http_client: &FaultInjectingClient) -> Callbacks {
    let config = aws_sdk_secretsmanager::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new("test", "test", None, None, "test"))
        .http_client(http_client.clone());
    Callbacks::signed_with(Secrets::from_secrets_manager(
        config,
        "scrip/webhook".to_owned(),
        SecretForm::StandardWebhooks,
    ))
}

#[tokio::test]
async fn secrets_are_read_again_every_five_minutes_and_outlast_an_outage() {
    const OLD: &str = "the-old-webhook-secret";
    const NEW: &str = "the-new-webhook-secret";
    let ledger = ledger().await;
    let http_client = FaultInjectingClient::new();
    let app = app(&ledger, kept(&http_client));
    let one = r#"{ "SecretString": "the-old-webhook-secret" }"#;
    let both = r#"{ "SecretString": "the-new-webhook-secret\nthe-old-webhook-secret\n" }"#;
    let down = Fault::Error(400, "AccessDeniedException");
    for (minutes, kept, secret, status, reads) in [
        (0, down.clone(), OLD, 500, 1),
        (0, Fault::Response(r#"{ "SecretString": "{\"key\": \"the-old-webhook-secret\"}" }"#), OLD, 500, 1),
        (0, Fault::Response(one), OLD, 200, 1),
        (4, Fault::Response(both), NEW, 401, 0),
        (2, Fault::Response(both), NEW, 200, 1),
        (0, Fault::Response(both), OLD, 200, 0),
        (6, down.clone(), OLD, 200, 1),
        (4, down, NEW, 200, 0),
    ] {
        ledger.clock.pass_millis(minutes * 60_000);
        http_client.inject(move |_| Some(kept.clone()));
        let answer = call(&ledger, &app, &failed("g"), secret).await;
        assert_eq!(
            (answer.status, http_client.take_requests().len()),
            (status, reads),
            "{minutes} min, {secret}"
        );
    }
}

#[tokio::test]
async fn call_backs_without_a_secret_are_rejected() {
    let ledger = ledger().await;
    let app = app(&ledger, Callbacks::none());
    assert_eq!(call(&ledger, &app, &failed("g"), "").await.status, 500);
    assert_eq!(ledger.sound_balance("u").await, 6);
}
