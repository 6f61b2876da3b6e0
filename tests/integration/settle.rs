//! Settlements: the actual cost of a charge, overage and debt.

use scrip::transport::functions::DECREASE;
use scrip_tests::{Fault, TestLedger};
use serde_json::{Value, json};

type Outcome = Result<Value, (String, String)>;

/// Settles the charge of generation `g`, with further fields.
async fn settle(ledger: &TestLedger, generation: &str, credits: u64, fields: Value) -> Outcome {
    let mut request = json!({
        "operation": "settle", "user_uuid": "u", "generation_uuid": generation, "credits": credits,
    });
    request.as_object_mut().unwrap().extend(fields.as_object().cloned().unwrap_or_default());
    ledger.invoke(DECREASE, request).await
}

/// A user with these packs and a charge of generation `g`.
async fn charged(packs: &[u64], credits: u64) -> TestLedger {
    let ledger = TestLedger::new().await;
    for pack in packs {
        ledger.grant("u", *pack, None).await;
    }
    ledger.charge("u", credits, "g", None).await.unwrap();
    ledger
}

/// Compares some fields of an object.
#[track_caller]
fn assert_fields(object: &Value, fields: Value) {
    for (name, value) in fields.as_object().unwrap() {
        assert_eq!(object[name], *value, "{name} of {object}");
    }
}

#[tokio::test]
async fn settlement_moves_the_difference() {
    for (packs, charge, cost, expected, balance) in [
        (&[100][..], 100, 37, json!({ "credits": -37, "returned": 63, "taken": 0 }), 63),
        (&[100], 40, 40, json!({ "credits": -40, "returned": 0, "taken": 0 }), 60),
        (&[100], 40, 0, json!({ "credits": 0, "returned": 40, "taken": 0, "allocations": [] }), 100),
        (&[100], 40, 70, json!({ "credits": -70, "returned": 0, "taken": 30 }), 30),
        (&[10, 10, 10], 25, 5, json!({ "credits": -5, "returned": 20, "taken": 0 }), 25),
        (&[10, 10, 10], 5, 25, json!({ "credits": -25, "returned": 0, "taken": 20 }), 5),
    ] {
        let ledger = charged(packs, charge).await;
        let first = settle(&ledger, "g", cost, json!({})).await.unwrap();
        let common = json!({
            "outcome": "settled", "estimated": charge, "expired": 0, "uncovered": 0, "debt_added": 0,
            "balance": balance, "debt": 0, "replayed": false,
        });
        assert_fields(&first, common);
        assert_fields(&first, expected.clone());
        let again = settle(&ledger, "g", cost, json!({ "overage": "debt" })).await.unwrap();
        assert_fields(&again, json!({ "outcome": "already_settled", "replayed": true }));
        assert_fields(&again, expected);
        assert_eq!(again["settled_at"], first["settled_at"]);
        let other = settle(&ledger, "g", cost + 1, json!({})).await.unwrap_err();
        assert_eq!(other.0, "IdempotencyConflict");
        assert_eq!(ledger.audited_balance("u").await, balance);
        let record = &ledger.records("u").await[0];
        assert_eq!((&record["credits"], &record["estimated"]), (&first["credits"], &json!(charge)));
        let refund = ledger.refund(Some("u"), "g", None).await.unwrap();
        assert_fields(&refund, json!({ "outcome": "voided", "credits": cost }));
        assert_eq!(ledger.audited_balance("u").await, packs.iter().sum::<u64>(), "a void returns the cost");
    }
}

/// The last pack taken gets its credits first; those of an expired pack stay expired.
#[tokio::test]
async fn settlement_returns_what_was_taken_last() {
    let ledger = TestLedger::new().await;
    let soon = ledger.clock.now().plus_millis(3_600_000).to_string();
    ledger.grant("u", 10, Some(&soon)).await;
    ledger.grant("u", 10, None).await;
    ledger.charge("u", 15, "g", None).await.unwrap();
    ledger.clock.pass_days(1);
    let settled = settle(&ledger, "g", 3, json!({})).await.unwrap();
    assert_fields(&settled, json!({ "returned": 5, "expired": 7, "balance": 10 }));
    assert_eq!(settled["allocations"].as_array().unwrap().len(), 1);
    assert_eq!(ledger.audited_balance("u").await, 10);
}

#[tokio::test]
async fn overage_follows_the_policy() {
    let debt = |limit: u64| json!({ "overage": "debt", "debt_limit": limit });
    for (fields, expected, balance) in [
        (json!({}), Err("InsufficientCredits"), 2),
        (json!({ "overage": "refuse" }), Err("InsufficientCredits"), 2),
        (
            json!({ "overage": "available" }),
            Ok(json!({ "credits": -10, "taken": 2, "uncovered": 5, "debt": 0 })),
            0,
        ),
        (
            json!({ "overage": "debt" }),
            Ok(json!({ "credits": -15, "taken": 2, "debt_added": 5, "debt": 5 })),
            0,
        ),
        (debt(5), Ok(json!({ "debt_added": 5, "debt": 5 })), 0),
        (debt(4), Err("InsufficientCredits"), 2),
        (json!({ "overage": "other" }), Err("InvalidRequest"), 2),
        (json!({ "debt_limit": 5 }), Err("InvalidRequest"), 2),
    ] {
        let ledger = charged(&[10], 8).await;
        let outcome = settle(&ledger, "g", 15, fields.clone()).await;
        match (&outcome, expected) {
            (Ok(settled), Ok(expected)) => assert_fields(settled, expected),
            (Err((code, _)), Err(expected)) => assert_eq!(code, expected, "{fields}"),
            _ => panic!("{fields}: {outcome:?}"),
        }
        assert_eq!(ledger.audited_balance("u").await, balance, "{fields}");
        if outcome.is_err() {
            settle(&ledger, "g", 9, json!({})).await.expect("a rejection leaves the charge open");
        }
    }
}

#[tokio::test]
async fn debt_limit_counts_the_debts_of_all_charges() {
    let ledger = charged(&[10], 5).await;
    ledger.charge("u", 5, "other", None).await.unwrap();
    settle(&ledger, "other", 8, json!({ "overage": "debt", "debt_limit": 3 })).await.unwrap();
    for (limit, expected) in [(6, Err("InsufficientCredits")), (7, Ok(7))] {
        let outcome = settle(&ledger, "g", 9, json!({ "overage": "debt", "debt_limit": limit })).await;
        let debt = outcome.map(|settled| settled["debt"].as_u64().unwrap()).map_err(|(code, _)| code);
        assert_eq!(debt, expected.map_err(str::to_owned), "{limit}");
    }
    assert_eq!(ledger.audited_balance("u").await, 0);
}

#[tokio::test]
async fn settlement_needs_a_live_charge_without_outputs() {
    let ledger = charged(&[20], 5).await;
    assert_eq!(settle(&ledger, "other", 5, json!({})).await.unwrap_err().0, "ChargeNotFound");
    ledger.refund(Some("u"), "g", None).await.unwrap();
    assert_eq!(settle(&ledger, "g", 5, json!({})).await.unwrap_err().0, "GenerationVoided");
    ledger.refund(Some("u"), "fenced", None).await.unwrap();
    assert_eq!(settle(&ledger, "fenced", 5, json!({})).await.unwrap_err().0, "GenerationVoided");
    ledger.charge_with("u", 4, "images", json!({ "outputs": 4 })).await.unwrap();
    assert_eq!(settle(&ledger, "images", 4, json!({})).await.unwrap_err().0, "InvalidRequest");
    assert_eq!(ledger.audited_balance("u").await, 16);
}

/// A charge of 10 for 15: the grants that follow repay its debt of 5 before anything else.
#[tokio::test]
async fn grants_repay_the_oldest_debt_first() {
    let ledger = charged(&[10], 8).await;
    settle(&ledger, "g", 15, json!({ "overage": "debt" })).await.unwrap();
    let rejected = ledger.charge("u", 1, "next", None).await.unwrap_err();
    assert_eq!(
        rejected,
        (
            "InsufficientCredits".to_owned(),
            "The balance is 0, but the charge needs 1. The wallet owes 5.".to_owned()
        )
    );
    let granted = ledger.grant("u", 3, None).await;
    assert_fields(&granted, json!({ "repaid": 3, "balance": 0 }));
    assert_fields(&ledger.balance("u").await, json!({ "balance": 0, "debt": 2, "packs": [] }));
    assert_eq!(ledger.audited_balance("u").await, 0);
    let granted = ledger.grant("u", 30, None).await;
    assert_fields(&granted, json!({ "repaid": 2, "balance": 28 }));
    assert_eq!(ledger.audited_balance("u").await, 28);
    let settled = settle(&ledger, "g", 15, json!({})).await.unwrap();
    assert_fields(&settled, json!({ "outcome": "already_settled", "debt_added": 5, "taken": 2, "debt": 0 }));
    assert_eq!(settled["allocations"].as_array().unwrap().len(), 4, "10, 3 and 2 of three packs");
    let refund = ledger.refund(Some("u"), "g", None).await.unwrap();
    assert_fields(&refund, json!({ "credits": 15, "restored": 15 }));
    assert_eq!(ledger.audited_balance("u").await, 43);
}

/// What one charge returns repays another's debt; its void cancels what it still owes.
#[tokio::test]
async fn returned_credits_repay_debts_and_a_void_cancels_its_own() {
    let ledger = TestLedger::new().await;
    ledger.grant("u", 20, None).await;
    for (credits, generation) in [(10, "a"), (5, "b"), (5, "c")] {
        ledger.charge("u", credits, generation, None).await.unwrap();
    }
    settle(&ledger, "b", 9, json!({ "overage": "debt" })).await.unwrap();
    settle(&ledger, "c", 8, json!({ "overage": "debt" })).await.unwrap();
    assert_fields(&ledger.balance("u").await, json!({ "balance": 0, "debt": 7 }));
    let settled = settle(&ledger, "a", 5, json!({})).await.unwrap();
    assert_fields(&settled, json!({ "returned": 5, "repaid": 5, "balance": 0, "debt": 2 }));
    assert_eq!(ledger.audited_balance("u").await, 0);
    let refund = ledger.refund(Some("u"), "c", None).await.unwrap();
    assert_fields(&refund, json!({ "credits": 6, "balance": 6 }));
    assert_eq!(refund["repaid"], Value::Null, "its own debt is cancelled, not repaid");
    assert_eq!(ledger.balance("u").await["debt"], 0);
    assert_eq!(ledger.audited_balance("u").await, 6);
}

#[tokio::test]
async fn fifty_one_debts_are_too_many_and_one_grant_repays_fifty() {
    let ledger = TestLedger::new().await;
    ledger.grant("u", 51, None).await;
    for nth in 0..51 {
        ledger.charge("u", 1, &format!("g{nth}"), None).await.unwrap();
    }
    for nth in 0..50 {
        settle(&ledger, &format!("g{nth}"), 2, json!({ "overage": "debt" })).await.unwrap();
    }
    let rejected = settle(&ledger, "g50", 2, json!({ "overage": "debt" })).await.unwrap_err();
    assert_eq!(rejected.0, "LimitExceeded");
    let granted = ledger.grant("u", 60, None).await;
    assert_fields(&granted, json!({ "repaid": 50, "balance": 10 }));
    settle(&ledger, "g50", 2, json!({ "overage": "debt" })).await.unwrap();
    assert_eq!(ledger.audited_balance("u").await, 9);
}

/// The response of the transaction is lost; the same call finds its own settlement.
#[tokio::test]
async fn settlement_whose_response_is_lost_is_a_first_answer() {
    let ledger = charged(&[100], 40).await;
    ledger.http_client.fail_writes([Fault::ResponseAndTokenLost]);
    let settled = settle(&ledger, "g", 10, json!({})).await.unwrap();
    assert_fields(&settled, json!({ "outcome": "settled", "returned": 30, "replayed": false }));
    assert_eq!(ledger.audited_balance("u").await, 90);
}

/// After the lost response the refund reads all that it changed: also the charge that it repaid.
#[tokio::test]
async fn refund_of_one_key_leaves_the_charge_that_it_repaid() {
    let ledger = TestLedger::new().await;
    ledger.grant("u", 10, None).await;
    for key in ["a", "b"] {
        ledger.charge("u", 5, "g", Some(key)).await.unwrap();
    }
    settle(&ledger, "g", 8, json!({ "idempotency_key": "b", "overage": "debt" })).await.unwrap();
    ledger.http_client.fail_writes([Fault::ResponseAndTokenLost]);
    let refund = ledger.refund(Some("u"), "g", Some("a")).await.unwrap();
    assert_fields(&refund, json!({ "outcome": "voided", "credits": 5, "repaid": 3, "balance": 2 }));
    assert_eq!(refund["records"].as_array().unwrap().len(), 1);
    assert_eq!(ledger.audited_balance("u").await, 2);
}
