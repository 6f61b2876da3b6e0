//! The caller's own fields of a record.

use scrip::transport::functions::{DECREASE, GRANT, HISTORY};
use scrip_tests::TestLedger;
use serde_json::{Value, json};

fn grant(metadata: Value) -> Value {
    json!({ "user_uuid": "u", "trans_type": "order_pay", "order_no": "o", "credits": 5, "metadata": metadata })
}

fn charge(metadata: Value) -> Value {
    json!({
        "user_uuid": "u", "trans_type": "chat", "credits": 1, "generation_uuid": "g", "metadata": metadata,
    })
}

#[tokio::test]
async fn metadata_is_stored_and_returned_with_its_record() {
    let ledger = TestLedger::new().await;
    let (paid, model) = (json!({ "payment": "p-1" }), json!({ "model": "flux", "size": "é×é" }));
    let granted = ledger.invoke(GRANT, grant(paid.clone())).await.unwrap();
    let charged = ledger.invoke(DECREASE, charge(model.clone())).await.unwrap();
    assert_eq!((&granted["metadata"], &charged["metadata"]), (&paid, &model));
    let records = ledger.records("u").await;
    assert_eq!((&records[1]["metadata"], &records[0]["metadata"]), (&paid, &model));
    let generation = json!({ "operation": "generation", "generation_uuid": "g" });
    let generation = ledger.invoke(HISTORY, generation).await.unwrap();
    assert_eq!(generation["charges"][0]["metadata"], model);
    assert_eq!(ledger.audited_balance("u").await, 4);
}

#[tokio::test]
async fn metadata_is_no_part_of_an_identity() {
    let ledger = TestLedger::new().await;
    for (function, first, other) in [
        (GRANT, grant(json!({ "a": "1" })), grant(json!({ "a": "2" }))),
        (DECREASE, charge(json!({ "a": "1" })), charge(Value::Null)),
    ] {
        ledger.invoke(function, first).await.unwrap();
        let replay = ledger.invoke(function, other).await.unwrap();
        assert_eq!((&replay["replayed"], &replay["metadata"]), (&json!(true), &json!({ "a": "1" })));
    }
}

#[tokio::test]
async fn metadata_out_of_form_is_rejected() {
    let ledger = TestLedger::new().await;
    let deep = r#"{"user_uuid":"u","trans_type":"chat","credits":1,"metadata":"#;
    for metadata in [
        r#"{"a":1}"#,
        r#"{"a":null}"#,
        r#"{"a":{"b":"c"}}"#,
        r#"{"a":["b"]}"#,
        r#"{"a":"1","a":"1"}"#,
        r#"{"a b":"1"}"#,
        r#"["a"]"#,
        "[]",
        r#"[["a","b"]]"#,
        r#""a""#,
        "1",
    ] {
        let answer = ledger.http("POST", "/credits/decrease", format!("{deep}{metadata}}}"), write()).await;
        assert_eq!((answer.status, &answer.body["code"]), (400, &json!("InvalidRequest")), "{metadata}");
        assert!(answer.body["detail"].as_str().unwrap().contains("`metadata` must"), "{}", answer.body);
    }
    let empty = ledger.http("POST", "/credits/grant", grant(json!({})).to_string(), write()).await;
    assert_eq!((empty.status, &empty.body["metadata"]), (201, &Value::Null), "no members are no metadata");
}

fn write() -> Option<Value> {
    Some(json!({ "scope": "credits:write" }))
}
