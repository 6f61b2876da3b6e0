//! Events of Stripe: signatures, grants, and what a permanent error answers.

use std::sync::Arc;

use scrip::{
    ledger::Ledger,
    transport::{App, functions::PAYMENTS},
};
use scrip_tests::{
    HttpResponse, STRIPE_SECRET, TestLedger, WEBHOOK_SECRET, http_event, invoke, payments_signed_with,
    signature,
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

/// A refund of so many of 10 parts of a payment.
pub(super) fn refund(payment: &str, part: u64) -> Value {
    event("charge.refunded", json!({ "amount": 10, "amount_refunded": part, "payment_intent": payment }))
}

/// A dispute of a payment.
pub(super) fn dispute(payment: &str, kind: &str) -> Value {
    let dispute = json!({ "id": "dp_1", "amount": 10, "status": "won", "payment_intent": payment });
    event(&format!("charge.dispute.{kind}"), dispute)
}

/// The payment of an invoice.
pub(super) fn invoice_payment(invoice: &str, payment: &str) -> Value {
    event("invoice_payment.paid", json!({ "invoice": invoice, "payment": { "payment_intent": payment } }))
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

/// The events about a payment in their order, with the outcome of each and the balance after it.
#[tokio::test]
async fn refunds_and_disputes_revoke_what_they_hold_back() {
    let ledger = TestLedger::new().await;
    for (event, outcome, balance) in [
        (refund("pi_1", 1), "kept", 0),
        (checkout("u1"), "granted", 90),
        (refund("pi_1", 1), "unchanged", 90),
        (dispute("pi_1", "funds_withdrawn"), "revoked", 0),
        (dispute("pi_1", "funds_withdrawn"), "unchanged", 0),
        (dispute("pi_1", "created"), "ignored", 0),
        (invoice_payment("in_1", "pi_1"), "ignored", 0),
        (invoice_payment("pi_1", "pi_2"), "aliased", 0),
        (invoice_payment("pi_1", "pi_2"), "aliased", 0),
    ] {
        let answer = ledger.stripe_event(&event).await;
        assert_eq!((answer.status, answer.body["outcome"].as_str()), (200, Some(outcome)), "{event}");
        assert_eq!(ledger.audited_balance("u1").await, balance, "{event}");
    }
    let mut won = dispute("pi_1", "funds_reinstated");
    won["created"] = json!(CREATED + 1);
    assert_eq!(ledger.stripe_event(&won).await.body["outcome"], "restored");
    let answer = ledger.stripe_event(&refund("pi_2", 5)).await;
    assert_eq!(answer.body, json!({ "outcome": "revoked", "order_no": "pi_1" }));
    assert_eq!(ledger.audited_balance("u1").await, 40);
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

/// An event is rejected with the signature of a call-back, and a call-back with that of an event.
#[tokio::test]
async fn header_of_another_sender_signs_nothing() {
    let ledger = TestLedger::new().await;
    let body = checkout("u1").to_string();
    for (url, secret, header) in
        [(URL, STRIPE_SECRET, "x-signature"), ("/webhooks/generation", WEBHOOK_SECRET, "stripe-signature")]
    {
        let headers = json!({ header: signature(secret, ledger.clock.now(), body.as_bytes()) });
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
