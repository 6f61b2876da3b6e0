//! Outputs: the parts of a charge that are refunded on their own.

use scrip::transport::functions::REFUND;
use scrip_tests::TestLedger;
use serde_json::{Value, json};

type Outcome = Result<Value, (String, String)>;

async fn refund(ledger: &TestLedger, outputs: Value) -> Outcome {
    let request = json!({
        "user_uuid": "u", "generation_uuid": "g", "reason": "it failed", "outputs": outputs,
    });
    ledger.invoke(REFUND, request).await
}

async fn charged(credits: u64, outputs: u64) -> TestLedger {
    let ledger = TestLedger::new().await;
    ledger.grant("u", 60, None).await;
    ledger.charge_with("u", credits, "g", json!({ "outputs": outputs })).await.unwrap();
    ledger
}

#[tokio::test]
async fn each_output_is_refunded_once() {
    let ledger = charged(40, 4).await;
    for (outputs, outcome, credits, returned, balance) in [
        (json!([4]), "voided", 10, json!([4]), 30),
        (json!([4]), "already_voided", 0, json!([4]), 30),
        (json!([2, 4]), "voided", 10, json!([2, 4]), 40),
    ] {
        let refund = refund(&ledger, outputs.clone()).await.unwrap();
        assert_eq!((&refund["outcome"], &refund["credits"]), (&json!(outcome), &json!(credits)), "{outputs}");
        assert_eq!((&refund["outputs"], &refund["balance"]), (&returned, &json!(balance)), "{outputs}");
        assert_eq!(refund["records"][0]["voided_at"], Value::Null, "{outputs}");
        assert_eq!(ledger.audited_balance("u").await, balance);
    }
    let record = &ledger.records("u").await[0];
    assert_eq!((&record["credits"], &record["outputs"]), (&json!(-20), &json!(4)));
    assert_eq!(record["returned_outputs"], json!([2, 4]));
    let last = refund(&ledger, json!([1, 3])).await.unwrap();
    assert_eq!((&last["credits"], &last["outputs"]), (&json!(20), &json!([1, 2, 3, 4])));
    assert!(last["records"][0]["voided_at"].is_string(), "without outputs the charge is void");
    assert_eq!(ledger.audited_balance("u").await, 60);
}

#[tokio::test]
async fn refund_without_outputs_returns_the_rest() {
    let ledger = charged(10, 3).await;
    assert_eq!(refund(&ledger, json!([3])).await.unwrap()["credits"], 4, "the parts are 3, 3 and 4");
    let rest = ledger.refund(Some("u"), "g", None).await.unwrap();
    assert_eq!((&rest["outcome"], &rest["credits"]), (&json!("voided"), &json!(6)));
    assert_eq!(ledger.audited_balance("u").await, 60);
    let late = refund(&ledger, json!([1])).await.unwrap();
    assert_eq!((&late["outcome"], &late["credits"]), (&json!("already_voided"), &json!(0)));
    assert_eq!(late["outputs"], json!([1, 2, 3]));
}

/// An output may be worth nothing, and is returned once all the same.
#[tokio::test]
async fn more_outputs_than_credits() {
    let ledger = charged(2, 4).await;
    let worth = [(1, 0), (2, 1), (3, 0), (4, 1)];
    for (output, credits) in worth {
        let first = refund(&ledger, json!([output])).await.unwrap();
        assert_eq!((&first["outcome"], &first["credits"]), (&json!("voided"), &json!(credits)), "{output}");
        let again = refund(&ledger, json!([output])).await.unwrap();
        assert_eq!((&again["outcome"], &again["credits"]), (&json!("already_voided"), &json!(0)), "{output}");
    }
    assert_eq!(ledger.audited_balance("u").await, 60);
}

#[tokio::test]
async fn outputs_out_of_form_change_nothing() {
    let ledger = charged(40, 4).await;
    ledger.charge("u", 5, "plain", None).await.unwrap();
    for outputs in
        [json!([]), json!([0]), json!([101]), json!([1, 1]), json!(["1"]), json!(1), json!([1.5]), json!({})]
    {
        assert_eq!(refund(&ledger, outputs.clone()).await.unwrap_err().0, "InvalidRequest", "{outputs}");
    }
    assert_eq!(refund(&ledger, json!([5])).await.unwrap_err().0, "InvalidRequest", "beyond 4");
    let of = |generation: &str, key: Option<&str>| {
        json!({
            "user_uuid": "u", "generation_uuid": generation, "idempotency_key": key, "reason": "r", "outputs": [1],
        })
    };
    for (request, code) in [
        (of("plain", None), "InvalidRequest"),
        (of("unknown", None), "ChargeNotFound"),
        (of("g", Some("unknown")), "ChargeNotFound"),
    ] {
        assert_eq!(ledger.invoke(REFUND, request.clone()).await.unwrap_err().0, code, "{request}");
    }
    ledger.charge("u", 5, "unknown", None).await.expect("no fence was left");
    for (fields, code) in [
        (json!({ "outputs": 0 }), "InvalidRequest"),
        (json!({ "outputs": 101 }), "InvalidRequest"),
        (json!({ "outputs": 3 }), "IdempotencyConflict"),
        (json!({}), "IdempotencyConflict"),
    ] {
        assert_eq!(ledger.charge_with("u", 40, "g", fields.clone()).await.unwrap_err().0, code, "{fields}");
    }
    assert_eq!(ledger.charge_with("u", 40, "g", json!({ "outputs": 4 })).await.unwrap()["replayed"], true);
    assert_eq!(ledger.audited_balance("u").await, 10);
}

/// With keys in the session, `outputs` without a key still addresses the charge without one.
#[tokio::test]
async fn outputs_address_the_charge_under_their_key() {
    let ledger = charged(40, 4).await;
    ledger.charge("u", 5, "g", Some("k")).await.unwrap();
    assert_eq!(refund(&ledger, json!([1])).await.unwrap()["credits"], 10);
    assert_eq!(ledger.audited_balance("u").await, 25);
}

/// A provider reports the end of each image.
#[tokio::test]
async fn callbacks_refund_single_outputs() {
    let ledger = charged(40, 4).await;
    let report = |output: Value| json!({ "user_uuid": "u", "generation_uuid": "g", "status": "failed", "output": output });
    for (output, outcome, balance) in
        [(json!(2), "voided", 30), (json!(2), "already_voided", 30), (json!(4), "voided", 40)]
    {
        assert_eq!(ledger.callback(report(output)).await.body["outcome"], outcome);
        assert_eq!(ledger.audited_balance("u").await, balance);
    }
    let result = ledger.callback(report(json!("https://cdn.example/image.png"))).await;
    assert_eq!(result.body["outcome"], "voided", "an `output` that is no number is the provider's");
    assert_eq!(ledger.audited_balance("u").await, 60);
}
