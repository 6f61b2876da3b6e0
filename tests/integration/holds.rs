//! Holds: charges that are voided unless they end in time.

use scrip::{
    domain::{ExpireHold, RecordKey},
    ledger::Invocation,
};
use scrip_tests::{Clock, TestLedger};
use serde_json::{Value, json};

async fn sweep(ledger: &TestLedger) -> (u64, u64) {
    let deadline = ledger.clock.now().plus_millis(60_000);
    let summary = ledger.ledger().sweep(deadline).await.unwrap();
    assert!(!summary.is_unfinished);
    (summary.expired, summary.failed)
}

/// A user with 100 credits and a charge of 10 that is held for 60 s.
async fn held(fields: Value) -> TestLedger {
    let ledger = TestLedger::with(Clock::stopped()).await;
    ledger.grant("u", 100, None).await;
    let mut all = json!({ "hold_seconds": 60 });
    all.as_object_mut().unwrap().extend(fields.as_object().cloned().unwrap());
    ledger.charge_with("u", 10, "g", all).await.unwrap();
    ledger
}

#[tokio::test]
async fn hold_that_times_out_is_voided_once() {
    let ledger = held(json!({})).await;
    let charge = ledger.charge_with("u", 10, "g", json!({ "hold_seconds": 60 })).await.unwrap();
    let (created_at, until) =
        (charge["created_at"].as_str().unwrap(), charge["hold_until"].as_str().unwrap());
    assert_eq!((created_at, until), ("2026-01-01T00:00:00.001Z", "2026-01-01T00:01:00.001Z"));
    ledger.clock.pass_millis(59_000);
    assert_eq!(sweep(&ledger).await, (0, 0));
    assert_eq!(ledger.audited_balance("u").await, 90);
    ledger.clock.pass_millis(2_000);
    assert_eq!(sweep(&ledger).await, (1, 0));
    assert_eq!(sweep(&ledger).await, (0, 0));
    assert_eq!(ledger.audited_balance("u").await, 100);
    let record = ledger.records("u").await.remove(0);
    assert_eq!(record["voided_reason"], "hold timed out");
    assert_eq!(ledger.charge("u", 10, "g", None).await.unwrap_err().0, "GenerationVoided");
}

/// Whatever ends the charge first wins.
#[tokio::test]
async fn hold_ends_with_its_charge() {
    for end in ["settle", "refund", "success", "failure"] {
        let ledger = held(json!({})).await;
        let request =
            json!({ "operation": "settle", "user_uuid": "u", "generation_uuid": "g", "credits": 4 });
        let report = |status: &str| json!({ "user_uuid": "u", "generation_uuid": "g", "status": status });
        let balance = match end {
            "settle" => {
                ledger.invoke(scrip::transport::functions::DECREASE, request.clone()).await.unwrap();
                96
            }
            "refund" => {
                ledger.refund(Some("u"), "g", None).await.unwrap();
                100
            }
            "success" => {
                ledger.callback(report("succeeded")).await;
                90
            }
            _ => {
                ledger.callback(report("failed")).await;
                100
            }
        };
        ledger.clock.pass_days(1);
        assert_eq!(sweep(&ledger).await, (0, 0), "{end}");
        assert_eq!(ledger.audited_balance("u").await, balance, "{end}");
    }
    let ledger = held(json!({})).await;
    ledger.clock.pass_days(1);
    sweep(&ledger).await;
    let request = json!({ "operation": "settle", "user_uuid": "u", "generation_uuid": "g", "credits": 4 });
    let late = ledger.invoke(scrip::transport::functions::DECREASE, request).await.unwrap_err();
    assert_eq!(late.0, "GenerationVoided");
}

/// The index lags: the sweep finds a charge that was settled meanwhile.
#[tokio::test]
async fn hold_of_a_settled_charge_is_not_swept() {
    let ledger = held(json!({})).await;
    let request = json!({ "operation": "settle", "user_uuid": "u", "generation_uuid": "g", "credits": 4 });
    ledger.invoke(scrip::transport::functions::DECREASE, request).await.unwrap();
    ledger.clock.pass_days(1);
    let key = RecordKey::Charge { generation: Some("g".to_owned().try_into().unwrap()), key: None };
    let command = ExpireHold { user: "u".to_owned().try_into().unwrap(), key };
    let soon = Invocation::until(ledger.clock.now().plus_millis(60_000));
    assert_eq!(ledger.ledger().execute(&command, &soon).await, Ok(false));
    assert_eq!(ledger.audited_balance("u").await, 96);
}

/// A success ends the hold of a charge with outputs, whose outputs can still be refunded.
#[tokio::test]
async fn success_of_a_charge_with_outputs_ends_its_hold_alone() {
    let ledger = held(json!({ "outputs": 5 })).await;
    let report = |status: &str, output: Option<u8>| json!({ "user_uuid": "u", "generation_uuid": "g", "status": status, "output": output });
    assert_eq!(ledger.callback(report("failed", Some(1))).await.body["outcome"], "voided");
    assert_eq!(ledger.callback(report("succeeded", None)).await.body["outcome"], "settled");
    ledger.clock.pass_days(1);
    assert_eq!(sweep(&ledger).await, (0, 0));
    assert_eq!(ledger.audited_balance("u").await, 92);
    let record = ledger.records("u").await.remove(0);
    assert_eq!((&record["settled_at"], &record["returned_outputs"]), (&Value::Null, &json!([1])));
    assert_eq!(ledger.callback(report("failed", Some(2))).await.body["outcome"], "settled");
    assert_eq!(ledger.audited_balance("u").await, 92);
}

#[tokio::test]
async fn hold_is_part_of_the_identity_and_needs_a_generation() {
    let ledger = held(json!({})).await;
    for (fields, code) in [
        (json!({}), "IdempotencyConflict"),
        (json!({ "hold_seconds": 61 }), "IdempotencyConflict"),
        (json!({ "hold_seconds": 0 }), "InvalidRequest"),
        (json!({ "hold_seconds": 604_801 }), "InvalidRequest"),
        (json!({ "hold_seconds": 1.5 }), "InvalidRequest"),
        (json!({ "hold_seconds": 60, "generation_uuid": null, "idempotency_key": "k" }), "InvalidRequest"),
    ] {
        assert_eq!(ledger.charge_with("u", 10, "g", fields.clone()).await.unwrap_err().0, code, "{fields}");
    }
    assert_eq!(ledger.audited_balance("u").await, 90);
}

/// Many holds of many users, more than one page of a shard.
#[tokio::test]
async fn sweep_takes_all_overdue_holds() {
    let ledger = TestLedger::with(Clock::stopped()).await;
    for user in 0..4 {
        let user = format!("u{user}");
        ledger.grant(&user, 1_000, None).await;
        for nth in 0..30 {
            let hold = json!({ "hold_seconds": 60 + nth });
            ledger.charge_with(&user, 1, &format!("{user}-g{nth}"), hold).await.unwrap();
        }
    }
    ledger.clock.pass_millis(3_600_000);
    assert_eq!(sweep(&ledger).await, (120, 0));
    for user in 0..4 {
        assert_eq!(ledger.audited_balance(&format!("u{user}")).await, 1_000);
    }
}
