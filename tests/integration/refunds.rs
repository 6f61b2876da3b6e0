//! What a refund gives back.

use scrip::transport::functions::{HISTORY, REFUND};
use scrip_tests::TestLedger;
use serde_json::{Value, json};

/// The credits left in each usable pack, in spending order.
async fn left(ledger: &TestLedger, user: &str) -> Vec<u64> {
    let balance = ledger.balance(user).await;
    balance["packs"].as_array().unwrap().iter().map(|pack| pack["remaining"].as_u64().unwrap()).collect()
}

#[tokio::test]
async fn generation_uuid_recorded() {
    let ledger = TestLedger::new().await;
    ledger.grant("u", 10, None).await;
    let charge = ledger.charge("u", 3, "g", None).await.unwrap();
    assert_eq!(charge["generation_uuid"], "g");
    let item = ledger.item("u", "charge#g#").await.unwrap();
    assert_eq!(item["generation_uuid"].as_s().unwrap(), "g");
    assert_eq!(item["is_voided"].as_bool().unwrap(), &false);
    let found =
        ledger.invoke(HISTORY, json!({ "operation": "generation", "generation_uuid": "g" })).await.unwrap();
    assert_eq!(found["charges"][0]["trans_no"], charge["trans_no"]);
}

#[tokio::test]
async fn void_marked() {
    let ledger = TestLedger::new().await;
    ledger.grant("u", 10, None).await;
    let charge = ledger.charge("u", 3, "g", None).await.unwrap();
    let refund = ledger.refund(Some("u"), "g", None).await.unwrap();
    assert_eq!(refund["outcome"], "voided");
    assert_eq!(refund["records"][0]["trans_no"], charge["trans_no"]);
    let records = ledger.records("u").await;
    assert_eq!(records.len(), 2, "no record is written for a refund: {records:?}");
    assert_eq!(records[0]["is_voided"], true);
    assert_eq!(records[0]["voided_reason"], "it failed");
    assert_eq!(records[0]["voided_at"], refund["records"][0]["voided_at"]);
    assert_eq!(records[0]["credits"], -3, "the charge stays");
}

#[tokio::test]
async fn balance_leaves_voided_out() {
    let ledger = TestLedger::new().await;
    ledger.grant("u", 10, None).await;
    ledger.charge("u", 3, "g1", None).await.unwrap();
    ledger.charge("u", 4, "g2", None).await.unwrap();
    ledger.refund(Some("u"), "g1", None).await.unwrap();
    assert_eq!(ledger.sound_balance("u").await, 6);
    let timeline =
        ledger.invoke(HISTORY, json!({ "operation": "timeline", "user_uuid": "u" })).await.unwrap();
    let generations: Vec<_> = timeline["records"]
        .as_array()
        .unwrap()
        .iter()
        .map(|record| record["generation_uuid"].clone())
        .collect();
    assert_eq!(generations, [json!("g2"), Value::Null], "the voided charge is left out");
}

#[tokio::test]
async fn cross_pack_refund_restores() {
    let ledger = TestLedger::new().await;
    for (credits, expired_at) in
        [(5, Some("2026-02-01T00:00:00Z")), (10, Some("2026-03-01T00:00:00Z")), (7, None)]
    {
        ledger.grant("u", credits, expired_at).await;
    }
    ledger.charge("u", 18, "g", None).await.unwrap();
    assert_eq!(left(&ledger, "u").await, [4]);
    let refund = ledger.refund(Some("u"), "g", None).await.unwrap();
    assert_eq!(
        (&refund["credits"], &refund["restored"], &refund["expired"]),
        (&json!(18), &json!(18), &json!(0))
    );
    assert_eq!(left(&ledger, "u").await, [5, 10, 7]);
    assert_eq!(ledger.sound_balance("u").await, 22);
}

#[tokio::test]
async fn repeated_refund_idempotent() {
    let ledger = TestLedger::new().await;
    ledger.grant("u", 10, None).await;
    ledger.charge("u", 3, "g", None).await.unwrap();
    let first = ledger.refund(Some("u"), "g", None).await.unwrap();
    for user in [Some("u"), None] {
        let again = ledger.refund(user, "g", None).await.unwrap();
        assert_eq!(again["outcome"], "already_voided");
        assert_eq!(again["records"], first["records"]);
        assert_eq!(again["credits"], 0);
    }
    assert_eq!(ledger.sound_balance("u").await, 10);
}

/// Packs of 5 for January and 10 for February, a charge of 8: the February
/// balance is 7.
#[tokio::test]
async fn pack_that_runs_out_takes_only_its_own_credits_along() {
    let ledger = TestLedger::new().await;
    ledger.grant("u", 5, Some("2026-02-01T00:00:00Z")).await;
    ledger.grant("u", 10, Some("2026-03-01T00:00:00Z")).await;
    ledger.charge("u", 8, "g", None).await.unwrap();
    assert_eq!(ledger.sound_balance("u").await, 7);
    ledger.clock.pass_days(40);
    assert_eq!(ledger.sound_balance("u").await, 7);
    ledger.clock.pass_days(40);
    assert_eq!(ledger.sound_balance("u").await, 0);
}

#[tokio::test]
async fn refund_reports_expired_credits_separately() {
    let ledger = TestLedger::new().await;
    ledger.grant("u", 5, Some("2026-02-01T00:00:00Z")).await;
    ledger.grant("u", 10, Some("2026-03-01T00:00:00Z")).await;
    ledger.charge("u", 8, "g", None).await.unwrap();
    ledger.clock.pass_days(40);
    let refund = ledger.refund(Some("u"), "g", None).await.unwrap();
    assert_eq!(
        (&refund["credits"], &refund["restored"], &refund["expired"]),
        (&json!(8), &json!(3), &json!(5))
    );
    assert_eq!(ledger.sound_balance("u").await, 10);
}

#[tokio::test]
async fn key_refunds_its_own_charge_alone() {
    let ledger = TestLedger::new().await;
    ledger.grant("u", 10, None).await;
    for key in [None, Some("m1"), Some("m2")] {
        ledger.charge("u", 1, "session", key).await.unwrap();
    }
    let refund = ledger.refund(Some("u"), "session", Some("m1")).await.unwrap();
    assert_eq!((refund["outcome"].as_str(), &refund["credits"]), (Some("voided"), &json!(1)));
    assert_eq!(ledger.sound_balance("u").await, 8);
    let all = ledger.refund(Some("u"), "session", None).await.unwrap();
    assert_eq!((&all["outcome"], &all["credits"]), (&json!("voided"), &json!(2)));
    assert_eq!(all["records"].as_array().unwrap().len(), 3, "what was voided before is named too");
    assert_eq!(ledger.sound_balance("u").await, 10);
}

#[tokio::test]
async fn fence_stops_the_charge_of_its_own_key_alone() {
    let ledger = TestLedger::new().await;
    ledger.grant("u", 10, None).await;
    for (fence, stopped, passes) in [(None, None, Some("k")), (Some("k"), Some("k"), None)] {
        let generation = format!("g-{fence:?}").replace(['(', ')', '"'], "");
        for _ in 0..2 {
            let refund = ledger.refund(Some("u"), &generation, fence).await.unwrap();
            assert_eq!((&refund["outcome"], &refund["records"]), (&json!("fenced"), &json!([])));
        }
        let late = ledger.charge("u", 1, &generation, stopped).await;
        assert_eq!(late.unwrap_err().0, "GenerationVoided");
        assert_eq!(ledger.charge("u", 1, &generation, passes).await.unwrap()["replayed"], false);
    }
    assert_eq!(ledger.sound_balance("u").await, 8);
}

#[tokio::test]
async fn by_generation_alone_the_index_finds_the_one_user() {
    let ledger = TestLedger::new().await;
    assert_eq!(ledger.refund(None, "g", None).await.unwrap_err().0, "ChargeNotFound");
    for user in ["u1", "u2"] {
        ledger.grant(user, 10, None).await;
    }
    ledger.charge("u1", 3, "g", None).await.unwrap();
    ledger.charge("u1", 3, "shared", None).await.unwrap();
    ledger.charge("u2", 3, "shared", Some("k")).await.unwrap();
    let refund = ledger.refund(None, "g", None).await.unwrap();
    assert_eq!((&refund["outcome"], &refund["user_uuid"]), (&json!("voided"), &json!("u1")));
    assert_eq!(ledger.refund(None, "shared", None).await.unwrap_err().0, "IdempotencyConflict");
    assert_eq!((ledger.sound_balance("u1").await, ledger.sound_balance("u2").await), (7, 7));
}

#[tokio::test]
async fn session_of_thousands_of_charges_is_refunded_whole() {
    let ledger = TestLedger::new().await;
    let charges: u64 = if scrip_tests::engine_is_external() { 300 } else { 2_500 };
    ledger.grant("u", charges, None).await;
    for message in 0..charges {
        ledger.charge("u", 1, "session", Some(&format!("m{message}"))).await.unwrap();
    }
    assert_eq!(ledger.sound_balance("u").await, 0);
    let refund = ledger.refund(Some("u"), "session", None).await.unwrap();
    assert_eq!((&refund["outcome"], &refund["credits"]), (&json!("voided"), &json!(charges)));
    assert_eq!(refund["records"].as_array().unwrap().len() as u64, charges.min(1_000));
    assert_eq!(refund.get("truncated"), (charges > 1_000).then_some(&json!(true)));
    assert_eq!(ledger.sound_balance("u").await, charges);
    let again = ledger.refund(Some("u"), "session", None).await.unwrap();
    assert_eq!((&again["outcome"], &again["records"]), (&json!("already_voided"), &refund["records"]));
}

/// Providers send a failure late and twice. It names the charge of its own attempt.
#[tokio::test]
async fn failure_of_an_earlier_attempt_leaves_the_next_attempt() {
    for keys in [[None, Some("try-2")], [Some("try-1"), Some("try-2")]] {
        let ledger = TestLedger::new().await;
        ledger.grant("u", 20, None).await;
        let first = ledger.charge("u", 5, "g", keys[0]).await.unwrap();
        ledger.refund(Some("u"), "g", keys[0]).await.unwrap();
        let second = ledger.charge("u", 5, "g", keys[1]).await.unwrap();
        for user in [Some("u"), None] {
            let failure = json!({
                "user_uuid": user, "generation_uuid": "g", "trans_no": first["trans_no"], "status": "failed",
            });
            assert_eq!(ledger.callback(failure.clone()).await.body["outcome"], "already_voided", "{failure}");
            assert_eq!(ledger.sound_balance("u").await, 15, "{failure}");
        }
        let refund = |trans_no: &Value, key: Option<&str>| {
            json!({
                "user_uuid": "u", "generation_uuid": "g", "idempotency_key": key, "trans_no": trans_no,
                "reason": "it failed",
            })
        };
        let of_other_key = ledger.invoke(REFUND, refund(&first["trans_no"], keys[1])).await.unwrap_err();
        assert_eq!(of_other_key.0, "ChargeNotFound", "the key and `trans_no` name two charges");
        let voided = ledger.invoke(REFUND, refund(&second["trans_no"], None)).await.unwrap();
        assert_eq!((&voided["outcome"], &voided["credits"]), (&json!("voided"), &json!(5)));
        assert_eq!(ledger.sound_balance("u").await, 20);
    }
}

/// A fence would reject a later attempt, although the request names one charge.
#[tokio::test]
async fn refund_of_an_unknown_trans_no_leaves_no_fence() {
    let ledger = TestLedger::new().await;
    ledger.grant("u", 20, None).await;
    let trans_no = "019b76da-a9f4-73a8-8f03-f62e8c5cba76";
    let refund =
        json!({ "user_uuid": "u", "generation_uuid": "g", "trans_no": trans_no, "reason": "it failed" });
    assert_eq!(ledger.invoke(REFUND, refund.clone()).await.unwrap_err().0, "ChargeNotFound");
    let callback =
        json!({ "user_uuid": "u", "generation_uuid": "g", "trans_no": trans_no, "status": "failed" });
    let callback = ledger.callback(callback).await;
    assert_eq!((callback.status, &callback.body["code"]), (503, &json!("GenerationUnknown")));
    ledger.charge("u", 5, "g", None).await.unwrap();
    assert_eq!(ledger.invoke(REFUND, refund).await.unwrap_err().0, "ChargeNotFound");
    assert_eq!(ledger.sound_balance("u").await, 15);
    let mut invalid =
        json!({ "generation_uuid": "g", "reason": "r", "trans_no": "17ace44c-eeb6-49f0-9d9c-066808c5874f" });
    assert_eq!(ledger.invoke(REFUND, invalid.clone()).await.unwrap_err().0, "InvalidRequest", "version 4");
    invalid["trans_no"] = json!(7);
    assert_eq!(ledger.invoke(REFUND, invalid).await.unwrap_err().0, "InvalidRequest");
}
