//! The requests that each use case sends, whole: no engine checks all of what
//! they say (consistent reads, conditions, what a failed condition returns).

use scrip::transport::functions::{GRANT, HISTORY};
use scrip_tests::{Clock, TestLedger};
use serde_json::{Value, json};

/// What was sent since the last call, without what differs from run to run.
fn sent(ledger: &TestLedger) -> Value {
    let requests = ledger.http_client.take_requests().into_iter().map(|sent| {
        let request = sent.request.to_string().replace(&ledger.table, "credits");
        let request = without_delivery(ledger.clock.unsalted(&request));
        json!({ sent.operation: plain(serde_json::from_str(&request).unwrap()) })
    });
    let mut requests: Vec<_> = requests.collect();
    // Reads at once may go out in either order.
    if requests.len() > 1 && requests[0].get("GetItem").is_some() && requests[1].get("GetItem").is_some() {
        requests[..2].sort_by_key(|request| request.to_string());
    }
    Value::Array(requests)
}

/// The place of a grant without a key names the delivery of its event.
fn without_delivery(mut request: String) -> String {
    const BEFORE: &str = "grant#unkeyed#";
    if let Some(at) = request.find(BEFORE).map(|at| at + BEFORE.len()) {
        request.replace_range(at..at + 36, "<delivery>");
    }
    request
}

/// Attribute values as what they hold: `{"S": "x"}` as `"x"`, a number as `#1`.
fn plain(value: Value) -> Value {
    let Value::Object(mut object) = value else {
        return match value {
            Value::Array(list) => list.into_iter().map(plain).collect(),
            other => other,
        };
    };
    if object.len() == 1 {
        for kind in ["S", "BOOL", "L", "M"] {
            if let Some(held) = object.remove(kind) {
                return plain(held);
            }
        }
        if let Some(number) = object.get("N").and_then(Value::as_str) {
            return json!(format!("#{number}"));
        }
    }
    object.into_iter().map(|(name, value)| (name, plain(value))).collect()
}

/// A user with two packs, and nothing sent yet.
async fn ledger() -> TestLedger {
    let ledger = TestLedger::with(Clock::stopped()).await;
    for (order_no, credits, expired_at) in [("jan", 5, Some("2026-02-01T00:00:00Z")), ("feb", 10, None)] {
        let grant = json!({
            "user_uuid": "u", "trans_type": "order_pay", "credits": credits, "order_no": order_no,
            "expired_at": expired_at,
        });
        ledger.invoke(GRANT, grant).await.unwrap();
    }
    ledger.http_client.take_requests();
    ledger
}

#[tokio::test]
async fn grant() {
    let ledger = ledger().await;
    let grant = json!({ "user_uuid": "new", "trans_type": "new_user", "credits": 3 });
    ledger.invoke(GRANT, grant.clone()).await.unwrap();
    insta::assert_json_snapshot!("grant_of_a_new_user", sent(&ledger));
    ledger
        .invoke(GRANT, json!({ "user_uuid": "new", "trans_type": "system_add", "credits": 3 }))
        .await
        .unwrap();
    insta::assert_json_snapshot!("grant_without_a_key", sent(&ledger));
}

#[tokio::test]
async fn decrease() {
    let ledger = ledger().await;
    ledger.charge("u", 8, "g", None).await.unwrap();
    insta::assert_json_snapshot!("decrease", sent(&ledger));
    ledger.charge("u", 1, "s", Some("m1")).await.unwrap();
    insta::assert_json_snapshot!("decrease_with_a_key", sent(&ledger));
    ledger.charge("u", 99, "poor", None).await.unwrap_err();
    insta::assert_json_snapshot!("decrease_beyond_the_balance", sent(&ledger));
}

#[tokio::test]
async fn refund() {
    let ledger = ledger().await;
    ledger.charge("u", 8, "g", None).await.unwrap();
    ledger.http_client.take_requests();
    ledger.refund(Some("u"), "g", None).await.unwrap();
    insta::assert_json_snapshot!("refund", sent(&ledger));
    ledger.refund(Some("u"), "fenced", None).await.unwrap();
    insta::assert_json_snapshot!("fence", sent(&ledger));
    ledger.refund(Some("u"), "fenced", Some("k")).await.unwrap();
    insta::assert_json_snapshot!("fence_with_a_key", sent(&ledger));
}

#[tokio::test]
async fn refund_where_there_are_keys() {
    let ledger = ledger().await;
    for key in ["m1", "m2", "m3"] {
        ledger.charge("u", 1, "s", Some(key)).await.unwrap();
    }
    ledger.http_client.take_requests();
    ledger.refund(Some("u"), "s", Some("m1")).await.unwrap();
    insta::assert_json_snapshot!("refund_with_a_key", sent(&ledger));
    ledger.refund(Some("u"), "s", None).await.unwrap();
    insta::assert_json_snapshot!("refund_of_a_session", sent(&ledger));
    ledger.refund(Some("u"), "fenced", None).await.unwrap();
    insta::assert_json_snapshot!("fence_beside_keys", sent(&ledger));
}

#[tokio::test]
async fn reads() {
    let ledger = ledger().await;
    ledger.charge("u", 8, "g", None).await.unwrap();
    ledger.http_client.take_requests();
    ledger.balance("u").await;
    insta::assert_json_snapshot!("balance", sent(&ledger));
    for (name, request) in [
        ("timeline", json!({ "operation": "timeline", "user_uuid": "u", "limit": 2 })),
        ("summary", json!({ "operation": "summary", "user_uuid": "u" })),
        (
            "summary_of_a_range",
            json!({ "operation": "summary", "user_uuid": "u", "from": "2026-01-01T00:00:00Z" }),
        ),
        ("generation", json!({ "operation": "generation", "generation_uuid": "g" })),
    ] {
        ledger.invoke(HISTORY, request).await.unwrap();
        let mut requests = sent(&ledger);
        requests.as_array_mut().unwrap().sort_by_key(Value::to_string);
        insta::assert_json_snapshot!(name, requests);
    }
}
