//! Signatures, and the actions of events.

use serde_json::{Value, json};

use super::*;
use crate::{
    callback::{Secret, SecretForm},
    domain::RevokedAmount,
};

const OLD: &str = "whsec_b2xkLXNlY3JldC1vZi10aGlzLXRlc3Q=";
const NEW: &str = "whsec_bmV3LXNlY3JldC1vZi10aGlzLXRlc3Q=";
/// `printf '1700000000.{}' | openssl dgst -sha256 -hmac "$OLD"`
const BY_OLD: &str = "a87981ca5f7c3db5b5b7b485e8276f3bdcdca3554304fca4b6becc45bad220d7";
/// The same with `$NEW`.
const BY_NEW: &str = "d0305d07dbaff18ddae3c0432e0486d5dac8c5ad94d88f066eb3fa1b28656eef";

const NO_MATCH: &str = "No `v1` of the signature matches this body.";
const TOO_FAR: &str = "`t` of `Stripe-Signature` is too far from the current time.";

/// Expects the result of a header for the body `{}`, this many milliseconds after 1700000000,
/// where these secrets are accepted.
async fn check(secrets: &str, header: Option<&str>, after_millis: i64, expected: Result<(), &'static str>) {
    let payments = Payments::signed_with(Secrets::fixed(Secret::list(secrets, SecretForm::Stripe).unwrap()));
    let now = Timestamp::from_millis(1_700_000_000_000 + after_millis).unwrap();
    let result = payments.verify(header, b"{}", now).await;
    assert_eq!(result, expected.map_err(CallbackError::Unauthorized), "{header:?} by {secrets}");
}

#[tokio::test]
async fn signature_matches_the_whole_text_of_a_secret() {
    let (by_old, by_new) = (format!("t=1700000000,v1={BY_OLD}"), format!("t=1700000000,v1={BY_NEW}"));
    let (both, rotated) = (format!("{by_new},v1={BY_OLD}"), format!("{OLD} {NEW}"));
    let not_stripes = format!("t=1700000000,v0={BY_OLD},v2={BY_OLD}");
    let twice = format!("t=1700000000,{by_old}");
    for (secrets, header, expected) in [
        (OLD, Some(&*by_old), Ok(())),
        (OLD, Some(&*by_new), Err(NO_MATCH)),
        (OLD, Some(&*both), Ok(())),
        (&*rotated, Some(&*by_old), Ok(())),
        (&*rotated, Some(&*by_new), Ok(())),
        ("b2xkLXNlY3JldC1vZi10aGlzLXRlc3Q=", Some(&*by_old), Err(NO_MATCH)),
        (OLD, Some(&*not_stripes), Err(NO_MATCH)),
        (OLD, Some(&*twice), Err("`Stripe-Signature` must contain exactly one `t`.")),
        (OLD, Some("t=now"), Err("`t` of `Stripe-Signature` must be a time in seconds since 1970.")),
        (OLD, None, Err("The header `Stripe-Signature` is missing.")),
    ] {
        check(secrets, header, 0, expected).await;
    }
    for (after_millis, expected) in
        [(300_999, Ok(())), (301_000, Err(TOO_FAR)), (-300_000, Ok(())), (-300_001, Err(TOO_FAR))]
    {
        check(OLD, Some(&by_old), after_millis, expected).await;
    }
}

/// The time of every event, in seconds since 1970, and a day.
const CREATED: i64 = 1_700_000_000;
const DAY: i64 = 86_400;

fn event(kind: &str, object: &Value) -> Value {
    json!({ "id": "evt_1", "type": kind, "created": CREATED, "data": { "object": object } })
}

/// An action in one line, times as days after [`CREATED`].
fn describe(action: Result<PaymentAction, PaymentError>) -> String {
    let days = |at: Timestamp| (at.millis() / 1_000 - CREATED) / DAY;
    match action {
        Ok(PaymentAction::Grant(PaymentGrant { order_no, request, alias })) => {
            let expiry = request.expired_at.map(|at| format!(" for {} days", days(at))).unwrap_or_default();
            let alias = alias.map(|alias| format!(" alias {alias}")).unwrap_or_default();
            assert_eq!(request.order_no.as_ref(), Some(&order_no));
            format!("grant {} to {} for {order_no}{expiry}{alias}", request.credits, request.user)
        }
        Ok(PaymentAction::Revoke(request)) => {
            let RevokedAmount::Share { part, of } = request.amount else { panic!("no share: {request:?}") };
            assert_eq!((request.user, days(request.as_of)), (None, 0));
            format!("revoke {part}/{of} of {} by {}", request.order_no, request.source)
        }
        Ok(PaymentAction::Alias(OrderAlias { alias, order_no })) => format!("alias {alias} of {order_no}"),
        Ok(PaymentAction::Ignored) => "ignored".to_owned(),
        Err(error) => error.to_string(),
    }
}

/// Expects the action of an object with some of its members changed.
fn check_changes(kind: &str, object: &Value, cases: &[(Value, &str)]) {
    for (changes, expected) in cases {
        let mut object = object.clone();
        for (pointer, value) in changes.as_object().unwrap() {
            *object.pointer_mut(pointer).expect(pointer) = value.clone();
        }
        assert_eq!(describe(PaymentAction::of_event(&event(kind, &object))), *expected, "{kind}: {changes}");
    }
}

#[test]
fn paid_session_of_a_single_payment_grants() {
    let session = json!({
        "id": "cs_1", "object": "checkout.session", "mode": "payment", "payment_status": "paid",
        "payment_intent": "pi_1", "client_reference_id": null,
        "metadata": { "scrip_credits": "100", "scrip_user": "u1" },
    });
    let no_user = "`metadata.scrip_user` is required.";
    let no_credits = "`metadata.scrip_credits` must be the digits of a whole number from 1 to 1000000000000.";
    let no_days = "`metadata.scrip_days` must be the digits of a whole number from 1 to 36500.";
    let with = |name: &str, value: Value| {
        let mut metadata = session["metadata"].clone();
        metadata[name] = value;
        json!({ "/metadata": metadata })
    };
    let cases = [
        (json!({}), "grant 100 to u1 for pi_1"),
        (
            json!({ "/payment_intent": { "id": "pi_2", "object": "payment_intent" } }),
            "grant 100 to u1 for pi_2",
        ),
        (json!({ "/payment_intent": null }), "grant 100 to u1 for cs_1"),
        (
            json!({ "/payment_status": "no_payment_required", "/payment_intent": null }),
            "grant 100 to u1 for cs_1",
        ),
        (json!({ "/payment_status": "unpaid" }), "ignored"),
        (json!({ "/mode": "subscription" }), "ignored"),
        (json!({ "/mode": "setup" }), "ignored"),
        (json!({ "/metadata": {} }), "ignored"),
        (json!({ "/metadata": null }), "ignored"),
        (with("scrip_days", json!("30")), "grant 100 to u1 for pi_1 for 30 days"),
        (with("scrip_days", json!("0")), no_days),
        (with("scrip_days", json!("36501")), no_days),
        (with("scrip_days", json!("a month")), no_days),
        (with("scrip_credits", json!("1000000000000")), "grant 1000000000000 to u1 for pi_1"),
        (with("scrip_credits", json!("1000000000001")), no_credits),
        (with("scrip_credits", json!("0")), no_credits),
        (with("scrip_credits", json!("-5")), no_credits),
        (with("scrip_credits", json!("+5")), no_credits),
        (with("scrip_credits", json!("1.5")), no_credits),
        (with("scrip_credits", json!("1e3")), no_credits),
        (with("scrip_credits", json!("")), no_credits),
        (with("scrip_credits", json!("99999999999999999999999")), no_credits),
        (with("scrip_credits", json!(100)), no_credits),
        (with("scrip_user", json!("")), no_user),
        (with("scrip_user", json!(null)), no_user),
        (
            with("scrip_user", json!("a b")),
            "`metadata.scrip_user` must be 1 to 255 characters of `A-Z a-z 0-9 . _ : - | @ + = ~ /`.",
        ),
        (
            json!({ "/metadata": { "scrip_credits": "7" }, "/client_reference_id": "u2" }),
            "grant 7 to u2 for pi_1",
        ),
        (json!({ "/client_reference_id": "u2" }), "grant 100 to u1 for pi_1"),
    ];
    for kind in ["checkout.session.completed", "checkout.session.async_payment_succeeded"] {
        check_changes(kind, &session, &cases);
    }
    check_changes("checkout.session.expired", &session, &[(json!({}), "ignored")]);
    check_changes("checkout.session.async_payment_failed", &session, &[(json!({}), "ignored")]);
}

/// A line of a subscription whose period ends this many days after [`CREATED`], as today's API
/// versions send it.
fn line(days: i64) -> Value {
    json!({
        "object": "line_item", "quantity": 1, "period": { "start": CREATED, "end": CREATED + days * DAY },
        "parent": {
            "type": "subscription_item_details",
            "subscription_item_details": { "proration": false, "subscription": "sub_1" },
        },
        "pricing": { "type": "price_details", "price_details": { "price": "price_1", "product": "prod_1" } },
    })
}

#[test]
fn paid_invoice_of_a_subscription_grants_until_its_period_ends() {
    let invoice = json!({
        "id": "in_1", "object": "invoice",
        "parent": {
            "type": "subscription_details",
            "subscription_details": {
                "subscription": "sub_1", "metadata": { "scrip_credits": "500", "scrip_user": "u1" },
            },
        },
        "lines": { "data": [line(30)], "has_more": false },
    });
    let metadata = "/parent/subscription_details/metadata";
    let proration = "/lines/data/0/parent/subscription_item_details/proration";
    let priced = |credits: &str, days: i64, quantity: i64| {
        let mut line = line(days);
        line["quantity"] = json!(quantity);
        line["pricing"]["price_details"]["price"] = json!({ "metadata": { "scrip_credits": credits } });
        line
    };
    let by_price = |lines: Value| json!({ metadata: { "scrip_user": "u1" }, "/lines/data": lines });
    let incomplete = |mut changes: Value| {
        changes["/lines/has_more"] = json!(true);
        changes
    };
    let item = json!({ "parent": { "type": "invoice_item_details" }, "period": { "end": CREATED } });
    check_changes(
        "invoice.paid",
        &invoice,
        &[
            (json!({}), "grant 500 to u1 for in_1 for 30 days"),
            (json!({ "/lines/data": [line(30), line(365), item] }), "grant 500 to u1 for in_1 for 365 days"),
            (
                json!({ metadata: { "scrip_credits": "5", "scrip_user": "u1", "scrip_grace_days": "3" } }),
                "grant 5 to u1 for in_1 for 33 days",
            ),
            (
                json!({ metadata: { "scrip_credits": "5", "scrip_user": "u1", "scrip_grace_days": "soon" } }),
                "`metadata.scrip_grace_days` must be the digits of a whole number from 0 to 36500.",
            ),
            (json!({ metadata: { "scrip_credits": "5" } }), "`metadata.scrip_user` is required."),
            (json!({ metadata: {} }), "ignored"),
            (json!({ "/parent": null }), "ignored"),
            (json!({ "/parent": { "type": "quote_details", "subscription_details": null } }), "ignored"),
            (json!({ proration: true }), "ignored"),
            (
                json!({ proration: true, "/lines/has_more": true }),
                "`lines` must include a period of the subscription.",
            ),
            (json!({ "/lines/data": [] }), "`lines` must include a period of the subscription."),
            (
                json!({ "/lines/data/0/period": null }),
                "`lines.data.period.end` must be a whole number of seconds since 1970.",
            ),
            (by_price(json!([priced("10", 30, 3)])), "grant 30 to u1 for in_1 for 30 days"),
            (
                by_price(json!([priced("10", 30, 2), priced("7", 60, 1), line(90)])),
                "grant 27 to u1 for in_1 for 60 days",
            ),
            (by_price(json!([priced("10", 30, 0)])), "ignored"),
            (by_price(json!([line(30)])), "ignored"),
            (
                by_price(json!([priced("1000000000000", 30, 2)])),
                "`metadata.scrip_credits` times the quantities must be at most 1000000000000.",
            ),
            (
                incomplete(by_price(json!([priced("10", 30, 1)]))),
                "`lines` must be complete; set `scrip_credits` on a subscription with so many items.",
            ),
            (incomplete(json!({})), "grant 500 to u1 for in_1 for 30 days"),
        ],
    );
    check_changes("invoice.payment_failed", &invoice, &[(json!({}), "ignored")]);
}

#[test]
fn invoices_of_older_api_versions_grant_and_name_their_payment() {
    let line = json!({
        "type": "subscription", "proration": false, "quantity": 2, "period": { "end": CREATED + 30 * DAY },
        "metadata": { "scrip_credits": "500", "scrip_user": "u1" },
        "price": { "id": "price_1", "metadata": { "scrip_credits": "20", "scrip_grace_days": "1" } },
        "plan": { "id": "price_1", "metadata": { "scrip_credits": "3" } },
    });
    let invoice = json!({
        "id": "in_1", "object": "invoice", "subscription": "sub_1", "payment_intent": "pi_1", "charge": "ch_1",
        "subscription_details": { "metadata": { "scrip_credits": "500", "scrip_user": "u1" } },
        "lines": { "data": [line] },
    });
    let user = json!({ "scrip_user": "u1" });
    check_changes(
        "invoice.paid",
        &invoice,
        &[
            (json!({}), "grant 500 to u1 for in_1 for 30 days alias pi_1"),
            (json!({ "/payment_intent": null }), "grant 500 to u1 for in_1 for 30 days alias ch_1"),
            (json!({ "/payment_intent": null, "/charge": null }), "grant 500 to u1 for in_1 for 30 days"),
            (json!({ "/subscription_details": null }), "grant 500 to u1 for in_1 for 30 days alias pi_1"),
            (json!({ "/subscription": null }), "grant 500 to u1 for in_1 for 30 days alias pi_1"),
            (
                json!({ "/subscription_details": { "metadata": user } }),
                "grant 40 to u1 for in_1 for 31 days alias pi_1",
            ),
            (
                json!({ "/subscription_details": { "metadata": user }, "/lines/data/0/price": null }),
                "grant 6 to u1 for in_1 for 30 days alias pi_1",
            ),
            (json!({ "/lines/data/0/proration": true }), "ignored"),
            (json!({ "/lines/data/0/type": "invoiceitem" }), "ignored"),
            (json!({ "/subscription": null, "/subscription_details": { "metadata": null } }), "ignored"),
        ],
    );
}

#[test]
fn payment_of_an_invoice_is_an_alias_of_it() {
    let payment = json!({
        "id": "inpay_1", "object": "invoice_payment", "invoice": "in_1",
        "payment": { "type": "payment_intent", "payment_intent": "pi_1" },
    });
    check_changes(
        "invoice_payment.paid",
        &payment,
        &[
            (json!({}), "alias pi_1 of in_1"),
            (json!({ "/invoice": { "id": "in_2", "object": "invoice" } }), "alias pi_1 of in_2"),
            (json!({ "/invoice": null }), "`invoice` is required."),
            (json!({ "/payment": { "type": "charge", "charge": "ch_1" } }), "alias ch_1 of in_1"),
            (json!({ "/payment": { "type": "payment_record", "payment_record": "pr_1" } }), "ignored"),
            (json!({ "/payment": null }), "ignored"),
        ],
    );
}

/// The share decides, so that a currency without decimals is no special case.
#[test]
fn refunds_and_disputes_revoke_a_share_of_the_order() {
    let charge = json!({
        "id": "ch_1", "object": "charge", "amount": 10_000, "amount_refunded": 2_000, "currency": "usd",
        "payment_intent": "pi_1",
    });
    let too_much = "`amount_refunded` must be at most `amount`, which must not be 0.";
    check_changes(
        "charge.refunded",
        &charge,
        &[
            (json!({}), "revoke 2000/10000 of pi_1 by refund"),
            (
                json!({ "/currency": "jpy", "/amount": 500, "/amount_refunded": 500 }),
                "revoke 500/500 of pi_1 by refund",
            ),
            (json!({ "/payment_intent": null }), "revoke 2000/10000 of ch_1 by refund"),
            (json!({ "/amount_refunded": 10_001 }), too_much),
            (json!({ "/amount": 0, "/amount_refunded": 0 }), too_much),
            (json!({ "/amount": -1 }), "`amount` must be a whole number."),
            (json!({ "/amount_refunded": "2000" }), "`amount_refunded` must be a whole number."),
        ],
    );

    let dispute = json!({
        "id": "dp_1", "object": "dispute", "amount": 10_000, "charge": "ch_1", "payment_intent": "pi_1",
        "status": "needs_response",
    });
    check_changes(
        "charge.dispute.funds_withdrawn",
        &dispute,
        &[
            (json!({}), "revoke 1/1 of pi_1 by dispute:dp_1"),
            (json!({ "/amount": 2_000 }), "revoke 1/1 of pi_1 by dispute:dp_1"),
            (json!({ "/payment_intent": null }), "revoke 1/1 of ch_1 by dispute:dp_1"),
            (
                json!({ "/payment_intent": null, "/charge": { "id": "ch_2" } }),
                "revoke 1/1 of ch_2 by dispute:dp_1",
            ),
            (json!({ "/payment_intent": null, "/charge": null }), "`payment_intent` is required."),
            (json!({ "/id": null }), "`id` is required."),
        ],
    );
    check_changes(
        "charge.dispute.funds_reinstated",
        &dispute,
        &[
            (json!({ "/status": "won" }), "revoke 0/1 of pi_1 by dispute:dp_1"),
            (json!({}), "revoke 0/1 of pi_1 by dispute:dp_1"),
            (json!({ "/status": "lost" }), "ignored"),
        ],
    );
    for kind in ["charge.dispute.created", "charge.dispute.closed", "charge.dispute.updated"] {
        check_changes(kind, &dispute, &[(json!({}), "ignored")]);
    }
}

#[test]
fn event_of_no_use_is_ignored_and_one_without_its_fields_is_invalid() {
    let charge = json!({ "amount": 1, "amount_refunded": 1, "payment_intent": "pi_1" });
    let mut without_time = event("charge.refunded", &charge);
    without_time["created"] = json!("2026-11-28T00:00:00Z");
    for (event, expected) in [
        (event("customer.created", &json!({})), "ignored"),
        (json!({ "type": "v1.billing.meter.error_report_triggered", "object": "v2.core.event" }), "ignored"),
        (event("checkout.session.completed", &json!(null)), "ignored"),
        (event("invoice.paid", &json!([])), "ignored"),
        (json!({}), "`type` must be a string."),
        (json!("event"), "`type` must be a string."),
        (without_time, "`created` must be a whole number of seconds since 1970."),
    ] {
        assert_eq!(describe(PaymentAction::of_event(&event)), expected, "{event}");
    }
}
