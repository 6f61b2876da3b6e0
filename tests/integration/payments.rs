//! Events of Stripe: signatures, grants, and what a permanent error answers.

use std::sync::Arc;

use scrip::{
    ledger::Ledger,
    transport::{App, functions::PAYMENTS},
};
use scrip_tests::{
    HttpResponse, STRIPE_SECRET, TestLedger, http_event, invoke, payments_signed_with, signature,
};
use serde_json::{Value, json};

const URL: &str = "/webhooks/stripe";

/// The time of every event, in seconds since 1970: 2026-01-01T00:00:00Z.
const CREATED: i64 = 1_767_225_600;

/// An event of Stripe.
pub(super) fn event(kind: &str, object: Value) -> Value {
    json!({ "id": "evt_1", "type": kind, "created": CREATED, "data": { "object": object } })
}

/// A paid session that sells 100 credits to this user.
pub(super) fn checkout(user: &str) -> Value {
    event(
        "checkout.session.completed",
        json!({
            "id": "cs_1", "mode": "payment", "payment_status": "paid", "payment_intent": "pi_1",
            "metadata": { "scrip_credits": "100", "scrip_user": user },
        }),
    )
}

#[tokio::test]
async fn paid_order_is_granted_once_over_its_events_and_users() {
    let ledger = TestLedger::new().await;
    let mut late = checkout("u1");
    late["type"] = json!("checkout.session.async_payment_succeeded");
    for (event, outcome) in [(checkout("u1"), "granted"), (checkout("u1"), "replayed"), (late, "replayed")] {
        let answer = ledger.stripe_event(&event).await;
        assert_eq!((answer.status, answer.body), (200, json!({ "outcome": outcome, "order_no": "pi_1" })));
    }
    let answer = ledger.stripe_event(&checkout("u2")).await;
    assert_eq!((answer.status, answer.body["code"].as_str()), (409, Some("IdempotencyConflict")));
    assert!(!answer.body.to_string().contains("u1"), "{:?}", answer.body);
    assert_eq!((ledger.audited_balance("u1").await, ledger.audited_balance("u2").await), (100, 0));
    let pack = &ledger.balance("u1").await["packs"][0];
    assert_eq!((&pack["trans_type"], &pack["order_no"]), (&json!("order_pay"), &json!("pi_1")));
}

#[tokio::test]
async fn event_without_credits_is_ignored_and_one_with_unusable_ones_is_invalid() {
    let ledger = TestLedger::new().await;
    let metadata = |metadata: Value| {
        let mut event = checkout("u1");
        event["data"]["object"]["metadata"] = metadata;
        event
    };
    let mut pending = checkout("u1");
    pending["data"]["object"]["payment_status"] = json!("unpaid");
    for (event, status, member, value) in [
        (event("customer.created", json!({})), 200, "outcome", "ignored"),
        (pending, 200, "outcome", "ignored"),
        (metadata(json!({})), 200, "outcome", "ignored"),
        (metadata(json!({ "scrip_credits": "x", "scrip_user": "u1" })), 400, "code", "InvalidRequest"),
        (metadata(json!({ "scrip_credits": "5" })), 400, "code", "InvalidRequest"),
        (json!([]), 400, "code", "InvalidRequest"),
    ] {
        ledger.http_client.take_requests();
        let answer = ledger.stripe_event(&event).await;
        assert_eq!((answer.status, answer.body[member].as_str()), (status, Some(value)), "{event}");
        assert_eq!(ledger.http_client.take_requests().len(), 0, "{event}: it has asked the table");
    }
}

/// Sends a body under a header, to a function with these secrets.
async fn send(ledger: &TestLedger, secrets: &str, body: &str, header: Option<String>) -> HttpResponse {
    let app = App::new(Ledger::new(ledger.store(), ledger.clock.sources()));
    let app = Arc::new(app.with_payments(payments_signed_with(secrets)));
    let headers = header.map_or(json!({}), |header| json!({ "Stripe-Signature": header }));
    let event = http_event("POST", URL, body.as_bytes().to_vec(), None, &headers);
    let deadline = ledger.clock.now().plus_millis(60_000);
    HttpResponse::from_reply(invoke(&app, PAYMENTS, event.to_string(), deadline).await)
}

/// The bytes are verified before anything of them is parsed.
#[tokio::test]
async fn unsigned_event_is_rejected_before_it_is_parsed() {
    let ledger = TestLedger::new().await;
    let (body, now) = (checkout("u1").to_string(), ledger.clock.now());
    let signed = |secret: &str, ago_millis: i64, body: &str| {
        Some(signature(secret, now.plus_millis(-ago_millis), body.as_bytes()))
    };
    let rotation = format!("whsec_the-next-of-this-test\n{STRIPE_SECRET}");
    for (secrets, sent, header, status) in [
        (STRIPE_SECRET, &*body, signed(STRIPE_SECRET, 0, &body), 200),
        (STRIPE_SECRET, &body, signed(STRIPE_SECRET, 300_000, &body), 200),
        (STRIPE_SECRET, &body, signed(STRIPE_SECRET, 301_000, &body), 401),
        (STRIPE_SECRET, &body, signed("whsec_the-next-of-this-test", 0, &body), 401),
        (&*rotation, &body, signed("whsec_the-next-of-this-test", 0, &body), 200),
        (&rotation, &body, signed(STRIPE_SECRET, 0, &body), 200),
        (STRIPE_SECRET, &body, signed(STRIPE_SECRET, 0, &body[1..]), 401),
        (STRIPE_SECRET, &body, None, 401),
        (STRIPE_SECRET, "{\"type\":", signed(STRIPE_SECRET, 0, "{\"type\""), 401),
        (STRIPE_SECRET, "{\"type\":", signed(STRIPE_SECRET, 0, "{\"type\":"), 400),
        (STRIPE_SECRET, "", signed(STRIPE_SECRET, 0, ""), 400),
    ] {
        let answer = send(&ledger, secrets, sent, header.clone()).await;
        assert_eq!(answer.status, status, "{sent} {header:?}: {:?}", answer.body);
        if status == 401 {
            assert_eq!(answer.headers["www-authenticate"], "Stripe-Signature");
        }
    }
    assert_eq!(ledger.audited_balance("u1").await, 100);
}

/// A call-back's signature is none of an event, and the other way round.
#[tokio::test]
async fn header_of_another_sender_signs_nothing() {
    let ledger = TestLedger::new().await;
    let body = checkout("u1").to_string();
    let signature = signature(STRIPE_SECRET, ledger.clock.now(), body.as_bytes());
    for (url, header) in [(URL, "x-signature"), ("/webhooks/generation", "stripe-signature")] {
        let headers = json!({ header: signature });
        let answer = ledger.http_with("POST", url, body.clone(), None, headers).await;
        assert_eq!((answer.status, answer.body["code"].as_str()), (401, Some("Unauthorized")), "{url}");
    }
}

#[tokio::test]
async fn event_may_have_256_kib() {
    let ledger = TestLedger::new().await;
    let empty = checkout("u1").to_string().len() + ",\"pad\":\"\"".len();
    for (bytes, status) in [(256 * 1024, 200), (256 * 1024 + 1, 413)] {
        let mut event = checkout("u1");
        event["pad"] = json!("x".repeat(bytes - empty));
        assert_eq!(event.to_string().len(), bytes);
        let answer = ledger.stripe_event(&event).await;
        assert_eq!(answer.status, status, "{bytes}");
        if status == 413 {
            assert_eq!(answer.body["detail"], "The request must not exceed 262144 bytes.");
        }
    }
}

/// Only the signature authenticates an event.
#[tokio::test]
async fn event_has_no_direct_form() {
    let ledger = TestLedger::new().await;
    for operation in [None, Some("payments")] {
        let mut payload = checkout("u1");
        payload["operation"] = json!(operation);
        let (code, _) = ledger.invoke(PAYMENTS, payload).await.unwrap_err();
        assert_eq!(code, "InvalidRequest");
    }
    assert_eq!(ledger.balance("u1").await["balance"], 0);
}
