//! What makes a grant the same grant.

use scrip::transport::functions::GRANT;
use scrip_tests::TestLedger;
use serde_json::{Value, json};

/// Grants twice, and says what the second ended with: `new`, `replayed`, or the
/// error's code.
async fn twice(first: Value, second: Value) -> String {
    let ledger = TestLedger::new().await;
    ledger.invoke(GRANT, first).await.unwrap();
    match ledger.invoke(GRANT, second).await {
        Ok(answer) if answer["replayed"] == true => "replayed".to_owned(),
        Ok(_) => "new".to_owned(),
        Err((code, _)) => code,
    }
}

fn grant(trans_type: &str, credits: u64, order_no: Option<&str>, key: Option<&str>) -> Value {
    json!({
        "user_uuid": "u", "trans_type": trans_type, "credits": credits, "order_no": order_no, "idempotency_key": key,
    })
}

#[tokio::test]
async fn grant_is_identified_by_its_type() {
    let (order, new, add) = ("order_pay", "new_user", "system_add");
    for (first, second, ended) in [
        (grant(order, 5, Some("o"), None), grant(order, 5, Some("o"), None), "replayed"),
        (grant(order, 5, Some("o"), Some("k1")), grant(order, 5, Some("o"), Some("k2")), "replayed"),
        (grant(order, 5, Some("o"), Some("k")), grant(order, 5, Some("p"), Some("k")), "new"),
        (grant(order, 5, Some("o"), None), grant(order, 6, Some("o"), None), "IdempotencyConflict"),
        (grant(new, 5, None, None), grant(new, 5, Some("o"), Some("k")), "replayed"),
        (grant(new, 5, None, None), grant(new, 6, None, None), "replayed"),
        (grant(add, 5, None, Some("k")), grant(add, 5, None, Some("k")), "replayed"),
        (grant(add, 5, None, Some("k")), grant(add, 6, None, Some("k")), "IdempotencyConflict"),
        (grant(add, 5, None, Some("k")), grant(add, 5, None, Some("l")), "new"),
        (grant(add, 5, None, None), grant(add, 5, None, None), "new"),
        (grant(add, 5, Some("o"), None), grant(add, 5, Some("o"), None), "new"),
        (grant(order, 5, Some("x"), None), grant(add, 5, None, Some("x")), "new"),
        (grant(add, 5, None, Some("new_user")), grant(new, 5, None, None), "new"),
    ] {
        assert_eq!(twice(first.clone(), second.clone()).await, ended, "{first} then {second}");
    }
}

/// A retry may compute the expiry again; another period of a subscription is another grant.
#[tokio::test]
async fn expiry_that_differs_by_a_day_is_a_conflict() {
    let (first, later) = (Some("2099-01-31T00:00:00Z"), Some("2099-02-28T00:00:00Z"));
    let order = |expired_at: Option<&str>| {
        let mut request = grant("order_pay", 5, Some("sub_1"), None);
        request["expired_at"] = json!(expired_at);
        request
    };
    for (second, outcome) in [
        (first, "replayed"),
        (Some("2099-01-31T23:59:59.999Z"), "replayed"),
        (Some("2099-01-30T00:00:00.001Z"), "replayed"),
        (Some("2099-02-01T00:00:00Z"), "IdempotencyConflict"),
        (Some("2099-01-30T00:00:00Z"), "IdempotencyConflict"),
        (later, "IdempotencyConflict"),
        (None, "IdempotencyConflict"),
    ] {
        assert_eq!(twice(order(first), order(second)).await, outcome, "{second:?}");
    }
    assert_eq!(twice(order(None), order(None)).await, "replayed");
    assert_eq!(twice(order(None), order(first)).await, "IdempotencyConflict");
}

/// A payment webhook that comes again a year later gets its first answer, though
/// the pack has run out since.
#[tokio::test]
async fn replay_is_answered_before_its_expiry_is_looked_at() {
    let ledger = TestLedger::new().await;
    let mut request = grant("order_pay", 5, Some("o"), None);
    request["expired_at"] = json!("2026-02-01T00:00:00Z");
    let first = ledger.invoke(GRANT, request.clone()).await.unwrap();
    ledger.clock.pass_days(365);
    let again = ledger.invoke(GRANT, request.clone()).await.unwrap();
    assert_eq!((&again["trans_no"], &again["replayed"]), (&first["trans_no"], &json!(true)));
    assert_eq!(again["balance"], 0, "today's balance");
    request["order_no"] = json!("p");
    assert_eq!(ledger.invoke(GRANT, request).await.unwrap_err().0, "InvalidRequest");
    assert_eq!(ledger.sound_balance("u").await, 0);
}

#[tokio::test]
async fn first_grant_is_created_and_a_replay_is_ok() {
    let ledger = TestLedger::new().await;
    let claims = Some(json!({ "scope": "credits:write" }));
    let body = grant("order_pay", 5, Some("o"), None).to_string();
    let first = ledger.http("POST", "/credits/grant", body.clone(), claims.clone()).await;
    let again = ledger.http("POST", "/credits/grant", body, claims).await;
    assert_eq!((first.status, again.status), (201, 200));
    assert_eq!(first.headers["content-type"], "application/json");
    assert_eq!(first.body["trans_no"], again.body["trans_no"]);
}
