//! Call-backs by token and by Standard Webhooks, and the JSON of providers.

use scrip::{
    callback::{Callbacks, Secret, SecretForm, Secrets},
    transport::functions::{HISTORY, WEBHOOK},
};
use scrip_tests::{
    Fault, FaultInjectingClient, HttpResponse, RecordedRequest, TestLedger, WEBHOOK_SECRET, callback_token,
    callbacks_signed_with, http_event, invoke, standard_signature,
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::webhook::{app, executions, failed, ledger};

/// Seconds since 1970 at which the tokens of these tests expire, counted from the clock.
const TOKEN_SECONDS: i64 = 3_600;

/// The content of a token for a generation of the user `u`.
fn content(ledger: &TestLedger, generation: &str) -> Value {
    let exp = ledger.clock.now().millis() / 1_000 + TOKEN_SECONDS;
    json!({ "user_uuid": "u", "generation_uuid": generation, "exp": exp })
}

fn token(ledger: &TestLedger, generation: &str) -> String {
    callback_token(WEBHOOK_SECRET, content(ledger, generation).to_string())
}

async fn post(ledger: &TestLedger, token: &str, query: &str, body: &str) -> HttpResponse {
    ledger.http("POST", &format!("/webhooks/callback/{token}?{query}"), body, None).await
}

/// The call-back of a provider, and what Scrip reads in it.
#[derive(Deserialize)]
struct ProviderCallback {
    provider: String,
    /// Where the provider describes it.
    source: String,
    #[serde(default)]
    query: String,
    /// Absent: an empty body.
    body: Option<Value>,
    status: String,
    /// The reason of the refund.
    reason: Option<String>,
}

#[tokio::test]
async fn callbacks_of_providers_are_understood() {
    let callbacks: Vec<ProviderCallback> = serde_json::from_str(include_str!("callbacks.json")).unwrap();
    assert!(callbacks.len() > 20);
    let ledger = TestLedger::new().await;
    ledger.grant("u", 100, None).await;
    for (nth, callback) in callbacks.into_iter().enumerate() {
        let about = format!("{} ({})", callback.provider, callback.source);
        let generation = format!("provider-{nth}");
        ledger.charge("u", 1, &generation, None).await.unwrap();
        let body = callback.body.map(|body| body.to_string()).unwrap_or_default();
        let answer = post(&ledger, &token(&ledger, &generation), &callback.query, &body).await;
        assert_eq!((answer.status, &answer.body["status"]), (200, &json!(callback.status)), "{about}");
        let outcome = match callback.status.as_str() {
            "failed" => json!("voided"),
            "progress" => json!("ignored"),
            _ => json!("settled"),
        };
        assert_eq!(answer.body["outcome"], outcome, "{about}");
        let charges = json!({ "operation": "generation", "generation_uuid": generation });
        let charges = ledger.invoke(HISTORY, charges).await.unwrap();
        assert_eq!(charges["charges"][0]["voided_reason"], json!(callback.reason), "{about}");
    }
}

#[tokio::test]
async fn minted_token_refunds_its_generation_once() {
    let ledger = ledger().await;
    ledger.charge("u", 1, "session", Some("m1")).await.unwrap();
    ledger.charge("u", 1, "session", Some("m2")).await.unwrap();
    let mint = json!({ "operation": "mint", "user_uuid": "u", "generation_uuid": "session", "idempotency_key": "m1" });
    let minted = ledger.invoke(WEBHOOK, mint).await.unwrap();
    let days = 7 * 24 * 60 * 60;
    assert_eq!(minted["exp"], ledger.clock.now().millis() / 1_000 + days);
    let token = minted["token"].as_str().unwrap();
    assert_eq!(minted["path"], format!("/webhooks/callback/{token}"));
    for outcome in ["voided", "already_voided"] {
        let answer = post(&ledger, token, "", r#"{"status":"failed"}"#).await;
        let expected = json!({ "generation_uuid": "session", "status": "failed", "outcome": outcome });
        assert_eq!((answer.status, answer.body), (200, expected));
        assert_eq!(ledger.sound_balance("u").await, 5, "the other message stays charged");
    }
    ledger.clock.pass_millis(days * 1_000);
    assert_eq!(post(&ledger, token, "", r#"{"status":"failed"}"#).await.status, 401);
}

/// The late failure of an earlier attempt does not touch the next one.
#[tokio::test]
async fn token_with_a_trans_no_refunds_that_charge_alone() {
    let ledger = ledger().await;
    let first = ledger.charge("u", 1, "twice", Some("try-1")).await.unwrap()["trans_no"].clone();
    ledger.refund(Some("u"), "twice", None).await.unwrap();
    ledger.charge("u", 1, "twice", Some("try-2")).await.unwrap();
    let mint =
        json!({ "operation": "mint", "user_uuid": "u", "generation_uuid": "twice", "trans_no": first });
    let minted = ledger.invoke(WEBHOOK, mint).await.unwrap();
    for _ in 0..2 {
        let answer = post(&ledger, minted["token"].as_str().unwrap(), "status=failed", "").await;
        assert_eq!(answer.body["outcome"], "already_voided");
    }
    assert_eq!(ledger.sound_balance("u").await, 5);
}

#[tokio::test]
async fn token_with_an_output_refunds_that_output_alone() {
    let ledger = TestLedger::new().await;
    ledger.grant("u", 60, None).await;
    ledger.charge_with("u", 40, "images", json!({ "outputs": 4 })).await.unwrap();
    for (output, outcome, balance) in [(4, "voided", 30), (4, "already_voided", 30), (2, "voided", 40)] {
        let mint =
            json!({ "operation": "mint", "user_uuid": "u", "generation_uuid": "images", "output": output });
        let minted = ledger.invoke(WEBHOOK, mint).await.unwrap();
        let body = r#"{"status":"failed","output":["a result of the provider"]}"#;
        let answer = post(&ledger, minted["token"].as_str().unwrap(), "", body).await;
        assert_eq!((answer.status, &answer.body["outcome"]), (200, &json!(outcome)), "{output}");
        assert_eq!(ledger.sound_balance("u").await, balance, "{output}");
    }
}

/// A wrong number must not refund everything.
#[tokio::test]
async fn output_of_a_signed_callback_is_a_number_of_scrip_or_the_result_of_the_provider() {
    let ledger = TestLedger::new().await;
    ledger.grant("u", 60, None).await;
    ledger.charge_with("u", 40, "images", json!({ "outputs": 4 })).await.unwrap();
    for (output, status, balance) in [
        (json!(0), 400, 20),
        (json!(-1), 400, 20),
        (json!(5), 400, 20),
        (json!(101), 400, 20),
        (json!(3), 200, 30),
        (json!({ "url": "https://cdn.example/1.png" }), 200, 60),
    ] {
        let mut body = failed("images");
        body["output"] = output.clone();
        assert_eq!(ledger.callback(body).await.status, status, "{output}");
        assert_eq!(ledger.sound_balance("u").await, balance, "{output}");
    }
}

#[tokio::test]
async fn mint_validates_its_fields_and_has_no_route() {
    let ledger = ledger().await;
    let mint = |member: &str, value: Value| {
        let mut mint = json!({ "operation": "mint", "user_uuid": "u", "generation_uuid": "g" });
        mint[member] = value;
        mint
    };
    let now = ledger.clock.now().millis() / 1_000;
    for (payload, detail) in [
        (mint("user_uuid", json!(null)), "`user_uuid` is required."),
        (
            mint("generation_uuid", json!("a b")),
            "`generation_uuid` must be 1 to 255 characters of `A-Z a-z 0-9 . _ : - | @ + = ~ /`.",
        ),
        (mint("exp", json!(now)), "`exp` must be in the future."),
        (mint("exp", json!("soon")), "`exp` must be a whole number of seconds since 1970."),
        (mint("exp", json!(i64::MAX)), "`exp` must be a whole number of seconds since 1970."),
        (mint("output", json!(0)), "`output` must be a whole number from 1 to 100."),
        (mint("status", json!("failed")), "`status` is not a field of this request."),
        (mint("operation", json!("seal")), "`operation` is not an operation of this function."),
    ] {
        let (code, problem) = ledger.invoke(WEBHOOK, payload).await.unwrap_err();
        assert_eq!(code, "InvalidRequest");
        assert!(problem.starts_with(detail), "{problem}");
    }
    let all = json!({ "sub": "u", "scope": "credits:read credits:write" });
    for path in ["/webhooks/mint", "/", ""] {
        let body = mint("exp", json!(now + 9)).to_string();
        let event = http_event("POST", path, body.into_bytes(), Some(all.clone()), &json!({}));
        for method in ["POST", ""] {
            let mut event = event.clone();
            event["requestContext"]["http"]["method"] = json!(method);
            let answer = HttpResponse::from_reply(ledger.send(WEBHOOK, event.to_string()).await);
            assert_eq!(answer.status, 404, "{method} {path}");
        }
    }
}

/// The token is verified before the body is parsed, and before anything is read.
#[tokio::test]
async fn token_that_is_forged_expired_or_truncated_does_nothing() {
    let ledger = ledger().await;
    let good = token(&ledger, "g");
    let (begin, code) = good.split_once('.').unwrap();
    let expired = |seconds: i64| {
        let mut content = content(&ledger, "g");
        content["exp"] = json!(ledger.clock.now().millis() / 1_000 + seconds);
        callback_token(WEBHOOK_SECRET, content.to_string())
    };
    let other_generation = token(&ledger, "other");
    let other_begin = other_generation.split_once('.').unwrap().0;
    for (token, why) in [
        (callback_token("another-secret-entirely", content(&ledger, "g").to_string()), "another secret"),
        (format!("{other_begin}.{code}"), "the code of another generation"),
        (format!("{begin}.{}", &code[..code.len() - 1]), "a truncated code"),
        (format!("{}.{code}", &begin[1..]), "a truncated content"),
        (begin.to_owned(), "no code"),
        (format!("{begin}."), "an empty code"),
        ("-".to_owned(), "no token"),
        (expired(0), "expired now"),
        (expired(-1), "expired a second ago"),
    ] {
        for body in [r#"{"status":"failed"}"#, "{", ""] {
            ledger.http_client.take_requests();
            let answer = post(&ledger, &token, "status=failed", body).await;
            assert_eq!((answer.status, answer.body["code"].as_str()), (401, Some("Unauthorized")), "{why}");
            assert!(!answer.body.to_string().contains(begin), "{why}: the response repeats the token");
            assert_eq!(ledger.http_client.take_requests().len(), 0, "{why}");
        }
    }
    assert_eq!(ledger.sound_balance("u").await, 6);
    assert_eq!(post(&ledger, &expired(1), "status=failed", "").await.body["outcome"], "voided");
}

#[tokio::test]
async fn token_with_an_invalid_content_is_rejected() {
    let ledger = ledger().await;
    let with = |member: &str, value: Value| {
        let mut content = content(&ledger, "g");
        content[member] = value;
        content.to_string()
    };
    for content in [
        with("exp", Value::Null),
        with("exp", json!("tomorrow")),
        with("user_uuid", Value::Null),
        with("generation_uuid", json!(7)),
        with("credits", json!(7)),
        "[]".to_owned(),
        String::new(),
    ] {
        let answer = post(&ledger, &callback_token(WEBHOOK_SECRET, &content), "status=failed", "").await;
        assert_eq!((answer.status, answer.body["code"].as_str()), (400, Some("InvalidRequest")), "{content}");
    }
    assert_eq!(ledger.sound_balance("u").await, 6);
}

#[tokio::test]
async fn body_beside_a_token_is_json_or_empty() {
    let ledger = ledger().await;
    let token = token(&ledger, "g");
    let deep = "[".repeat(200) + &"]".repeat(200);
    for (body, status, outcome) in [
        ("{", 400, Value::Null),
        ("status=failed", 400, Value::Null),
        (&deep, 400, Value::Null),
        (&" ".repeat(16 * 1024 + 1), 413, Value::Null),
        (" \n", 200, json!("ignored")),
        ("null", 200, json!("ignored")),
        (r#""failed""#, 200, json!("ignored")),
        (r#"{"status":7}"#, 200, json!("ignored")),
        (r#"{"status":"failed","status":"running"}"#, 200, json!("ignored")),
    ] {
        let answer = post(&ledger, &token, "", body).await;
        assert_eq!((answer.status, &answer.body["outcome"]), (status, &outcome), "{body:.40}");
    }
    assert_eq!(ledger.sound_balance("u").await, 6);
}

#[tokio::test]
async fn callback_by_direct_invocation_needs_a_token() {
    let ledger = ledger().await;
    let invoke = |token: Option<String>| {
        let payload = json!({ "operation": "callback", "token": token, "data": { "task_status": "failed" } });
        ledger.invoke(WEBHOOK, payload)
    };
    assert_eq!(invoke(None).await.unwrap_err().0, "InvalidRequest");
    assert_eq!(invoke(Some("forged.token".to_owned())).await.unwrap_err().0, "Unauthorized");
    assert_eq!(invoke(Some(token(&ledger, "g"))).await.unwrap()["outcome"], "voided");
    assert_eq!(ledger.sound_balance("u").await, 10);
}

/// During the replacement of a secret both are accepted; the first seals.
#[tokio::test]
async fn tokens_of_each_secret_are_accepted() {
    const NEXT: &str = "whsec_dGhlLW5leHQtc2VjcmV0LW9mLXRoaXMtdGVzdA==";
    const NEXT_KEY: &str = "the-next-secret-of-this-test";
    let ledger = ledger().await;
    let secrets = Secret::list(&format!("{NEXT} {WEBHOOK_SECRET}"), SecretForm::StandardWebhooks).unwrap();
    let app = app(&ledger, Callbacks::signed_with(Secrets::fixed(secrets)));
    let deadline = ledger.clock.now().plus_millis(60_000);
    for secret in [NEXT_KEY, WEBHOOK_SECRET] {
        let path =
            format!("/webhooks/callback/{}", callback_token(secret, content(&ledger, "g").to_string()));
        let event = http_event("POST", &path, Vec::new(), None, &json!({}));
        let answer = HttpResponse::from_reply(invoke(&app, WEBHOOK, event.to_string(), deadline).await);
        assert_eq!((answer.status, &answer.body["outcome"]), (200, &json!("ignored")), "{secret}");
    }
    let mint = content(&ledger, "g").to_string().replacen('{', r#"{"operation":"mint","#, 1);
    let Ok(scrip::transport::Reply::Direct(minted)) = invoke(&app, WEBHOOK, mint, deadline).await else {
        panic!("no direct answer");
    };
    let minted: Value = serde_json::from_str(minted.get()).unwrap();
    let content = minted["token"].as_str().unwrap().split_once('.').unwrap().0;
    let sealed = callback_token(NEXT_KEY, content_text(content));
    assert_eq!(minted["token"], sealed, "the first secret seals");
}

fn content_text(encoded: &str) -> String {
    use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
    String::from_utf8(BASE64_URL_SAFE_NO_PAD.decode(encoded).unwrap()).unwrap()
}

#[tokio::test]
async fn execution_of_a_token_is_resumed() {
    let ledger = ledger().await;
    let http_client = FaultInjectingClient::new();
    http_client.inject(|_| Some(Fault::Response("{}")));
    let executions = Some(executions(&http_client));
    let app = app(&ledger, Callbacks { executions, ..callbacks_signed_with(WEBHOOK_SECRET) });
    let mut content = content(&ledger, "g");
    content["task_token"] = json!("token-1");
    let path = format!("/webhooks/callback/{}", callback_token(WEBHOOK_SECRET, content.to_string()));
    let body = json!({ "state": "failed", "failure_reason": "moderation" }).to_string().into_bytes();
    let event = http_event("POST", &path, body, None, &json!({}));
    let deadline = ledger.clock.now().plus_millis(60_000);
    assert_eq!(
        HttpResponse::from_reply(invoke(&app, WEBHOOK, event.to_string(), deadline).await).status,
        200
    );
    let sent = http_client.take_requests();
    let [RecordedRequest { operation, request, .. }] = &sent[..] else { panic!("{sent:?}") };
    let expected = json!({ "taskToken": "token-1", "error": "GenerationFailed", "cause": "moderation" });
    assert_eq!((operation.as_str(), request), ("SendTaskFailure", &expected));
    assert_eq!(ledger.sound_balance("u").await, 10);
}

#[tokio::test]
async fn standard_webhooks_sign_a_callback() {
    let ledger = ledger().await;
    let body = failed("g").to_string();
    let (now, key) = (ledger.clock.now(), WEBHOOK_SECRET.as_bytes());
    let good = standard_signature(key, "msg_1", now, body.as_bytes());
    let changed = |member: &str, value: &str| {
        let mut headers = good.clone();
        headers[member] = json!(value);
        headers
    };
    let send = |headers: Value| ledger.http_with("POST", "/webhooks/generation", body.clone(), None, headers);
    for (headers, why) in [
        (json!({}), "no signature"),
        (changed("webhook-id", "msg_2"), "another id"),
        (changed("webhook-timestamp", "1"), "another time"),
        (changed("webhook-signature", "v1,AAAA"), "no digest"),
        (standard_signature(b"another-secret-entirely", "msg_1", now, body.as_bytes()), "another secret"),
        (standard_signature(key, "msg_1", now, b"{}"), "another body"),
        (standard_signature(key, "msg_1", now.plus_millis(-301_000), body.as_bytes()), "late"),
    ] {
        ledger.http_client.take_requests();
        assert_eq!(send(headers).await.status, 401, "{why}");
        assert_eq!(ledger.http_client.take_requests().len(), 0, "{why}");
    }
    let signature = good["webhook-signature"].as_str().unwrap();
    let several = changed("webhook-signature", &format!("v1a,AAAA v1,AAAA {signature}"));
    for outcome in ["voided", "already_voided"] {
        assert_eq!(send(several.clone()).await.body["outcome"], outcome);
    }
    assert_eq!(ledger.sound_balance("u").await, 10);
}

/// A provider that repeats a call-back under its first signature needs a larger tolerance.
#[tokio::test]
async fn signature_is_valid_for_the_tolerance() {
    for (tolerance, age_seconds, status) in
        [("900", 301, 200), ("900", 901, 401), ("300", 301, 401), ("86400", 86_400, 200)]
    {
        let ledger = ledger().await;
        let callbacks =
            Callbacks { tolerance: tolerance.parse().unwrap(), ..callbacks_signed_with(WEBHOOK_SECRET) };
        let app = app(&ledger, callbacks);
        let body = failed("g").to_string().into_bytes();
        let signed_at = ledger.clock.now().plus_millis(-age_seconds * 1_000);
        let headers = json!({ "x-signature": scrip_tests::signature(WEBHOOK_SECRET, signed_at, &body) });
        let event = http_event("POST", "/webhooks/generation", body, None, &headers);
        let deadline = ledger.clock.now().plus_millis(60_000);
        let answer = HttpResponse::from_reply(invoke(&app, WEBHOOK, event.to_string(), deadline).await);
        assert_eq!(answer.status, status, "{tolerance} s, {age_seconds} s old");
        let balance = if status == 200 { 10 } else { 6 };
        assert_eq!(ledger.sound_balance("u").await, balance);
    }
}
