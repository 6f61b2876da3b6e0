//! What the network and a distributed engine do to a call, and that it changes
//! nothing about the money. The embedded engine does none of it by itself.

use scrip_tests::{Fault, TestLedger};
use serde_json::{Value, json};

const CONFLICT: Fault = Fault::Cancelled(&["None", "TransactionConflict"]);

/// Throws this fault at the first transactions, as many as said.
fn throw(ledger: &TestLedger, fault: Fault, times: usize) {
    let mut left = times;
    ledger.http_client.inject(move |sent| {
        let hit = left > 0 && sent.operation == "TransactWriteItems";
        left -= usize::from(hit);
        hit.then(|| fault.clone())
    });
}

/// What becomes of a charge, its refund, and a fence, when each one's first
/// transactions meet this fault: every one succeeds, once, as a first answer.
async fn check(fault: Fault, times: usize) {
    let ledger = TestLedger::new().await;
    throw(&ledger, fault.clone(), times);
    let grant = ledger.grant("u", 10, None).await;
    assert_eq!((&grant["replayed"], &grant["balance"]), (&json!(false), &json!(10)), "{fault:?}");

    throw(&ledger, fault.clone(), times);
    let charge = ledger.charge("u", 3, "g", None).await.unwrap();
    assert_eq!((&charge["replayed"], &charge["balance"]), (&json!(false), &json!(7)), "{fault:?}");

    throw(&ledger, fault.clone(), times);
    let refund = ledger.refund(Some("u"), "g", None).await.unwrap();
    assert_eq!((&refund["outcome"], &refund["credits"]), (&json!("voided"), &json!(3)), "{fault:?}");
    assert_eq!(refund["records"].as_array().unwrap().len(), 1);

    for (generation, key) in [("f1", None), ("f2", Some("k"))] {
        throw(&ledger, fault.clone(), times);
        assert_eq!(
            ledger.refund(Some("u"), generation, key).await.unwrap()["outcome"],
            "fenced",
            "{fault:?}"
        );
    }

    throw(&ledger, fault.clone(), times);
    ledger.charge("u", 2, "s", Some("m1")).await.unwrap();
    ledger.charge("u", 2, "s", Some("m2")).await.unwrap();
    throw(&ledger, fault.clone(), times);
    let session = ledger.refund(Some("u"), "s", None).await.unwrap();
    assert_eq!((&session["outcome"], &session["credits"]), (&json!("voided"), &json!(4)), "{fault:?}");

    ledger.http_client.inject(|_| None);
    assert_eq!(ledger.sound_balance("u").await, 10, "{fault:?}");
    assert_eq!(ledger.records("u").await.len(), 4, "{fault:?}");
}

#[tokio::test]
async fn fault_changes_nothing_about_the_money() {
    for (fault, times) in [
        (Fault::RequestLost, 3),
        (Fault::ResponseLost, 1),
        (Fault::ResponseLost, 3),
        (Fault::ResponseAndTokenLost, 1),
        (Fault::Duplicated, 1),
        (Fault::Error(500, "InternalServerError"), 3),
        (Fault::Error(400, "ThrottlingException"), 4),
        (Fault::Error(400, "TransactionInProgressException"), 2),
        (CONFLICT, 4),
        (Fault::Cancelled(&["ThrottlingError", "None"]), 2),
    ] {
        check(fault, times).await;
    }
}

/// The answer of the charge is lost, and before it is sent again somebody else
/// charges, or refunds it: it is its caller's own write all the same.
#[tokio::test]
async fn lost_answer_is_found_again_behind_the_work_of_others() {
    for refunded in [false, true] {
        let ledger = std::sync::Arc::new(TestLedger::new().await);
        let other = std::sync::Arc::new(ledger.second_process());
        ledger.grant("u", 10, None).await;
        throw(&ledger, Fault::ResponseAndTokenLost, 1);
        let (charge, _) = tokio::join!(ledger.charge("u", 3, "g", None), async {
            while ledger.item("u", "charge#g#").await.is_none() {}
            if refunded {
                other.refund(Some("u"), "g", None).await.unwrap();
            } else {
                other.charge("u", 1, "other", None).await.unwrap();
            }
        });
        assert_eq!(charge.unwrap()["replayed"], false, "refunded: {refunded}");
        assert_eq!(ledger.sound_balance("u").await, if refunded { 10 } else { 6 });
        let repeated = ledger.charge("u", 3, "g", None).await;
        let repeated = repeated.map(|answer| answer["replayed"].clone()).map_err(|(code, _)| code);
        assert_eq!(
            repeated,
            if refunded { Err("GenerationVoided".to_owned()) } else { Ok(Value::Bool(true)) }
        );
    }
}

/// A refund reads wallet and charge at once. Where somebody else's refund, or
/// the charge itself, comes between the two, they do not fit together.
#[tokio::test]
async fn reads_that_something_comes_between_are_read_again() {
    for (late, charged_between) in
        [("wallet", false), ("charge#g#", false), ("wallet", true), ("charge#g#", true)]
    {
        let ledger = TestLedger::new().await;
        let other = ledger.second_process();
        ledger.grant("u", 10, None).await;
        if !charged_between {
            ledger.charge("u", 3, "g", None).await.unwrap();
        }
        let mut is_first = true;
        ledger.http_client.inject(move |sent| {
            let hit = is_first && sent.request["Key"]["sk"]["S"] == late;
            is_first &= !hit;
            hit.then_some(Fault::Delayed(300))
        });
        let (refund, ()) = tokio::join!(ledger.refund(Some("u"), "g", None), async {
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            if charged_between {
                other.charge("u", 3, "g", None).await.unwrap();
            } else {
                other.refund(Some("u"), "g", None).await.unwrap();
            }
        });
        let outcome = if charged_between { "voided" } else { "already_voided" };
        assert_eq!(refund.unwrap()["outcome"], outcome, "late: {late}");
        assert_eq!(ledger.sound_balance("u").await, 10, "late: {late}");
    }
}

/// A charge finds no credits, and before it looks for a record of its own there
/// are some, and the same charge has been made: its replay returns the balance
/// after it.
#[tokio::test]
async fn replay_never_returns_a_balance_older_than_its_record() {
    let ledger = TestLedger::new().await;
    let other = ledger.second_process();
    ledger.http_client.inject(|sent| (sent.operation == "TransactGetItems").then_some(Fault::Delayed(300)));
    let (replay, ()) = tokio::join!(ledger.charge("u", 3, "g", None), async {
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        other.grant("u", 10, None).await;
        other.charge("u", 3, "g", None).await.unwrap();
    });
    let replay = replay.unwrap();
    assert_eq!((&replay["replayed"], &replay["balance"]), (&json!(true), &json!(7)));
}

/// A charge under a key commits between what a refund of its whole generation
/// has read and its commit: that refund voids it too.
#[tokio::test]
async fn keyless_refund_leaves_no_keyed_charge_alive_that_came_before_it_committed() {
    for (other_keys, live_before) in
        [(false, None), (true, None), (false, Some(None)), (true, Some(Some("m1")))]
    {
        let ledger = TestLedger::new().await;
        let other = ledger.second_process();
        ledger.grant("u", 10, None).await;
        if other_keys {
            ledger.charge("u", 1, "other", Some("k")).await.unwrap();
        }
        if let Some(key) = live_before {
            ledger.charge("u", 2, "s", key).await.unwrap();
        }
        throw(&ledger, Fault::Delayed(300), 1);
        let (refund, ()) = tokio::join!(ledger.refund(Some("u"), "s", None), async {
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            other.charge("u", 3, "s", Some("m2")).await.unwrap();
        });
        let (refund, credits) = (refund.unwrap(), if live_before.is_some() { 5 } else { 3 });
        assert_eq!((&refund["outcome"], &refund["credits"]), (&json!("voided"), &json!(credits)));
        assert_eq!(ledger.sound_balance("u").await, if other_keys { 9 } else { 10 }, "{live_before:?}");
    }
}

/// A refund of many charges that breaks off between its transactions has voided
/// whole groups, and a repeat finishes it.
#[tokio::test]
async fn broken_refund_of_many_charges_is_finished_by_a_repeat() {
    let ledger = TestLedger::new().await;
    ledger.grant("u", 250, None).await;
    for message in 0..250 {
        ledger.charge("u", 1, "s", Some(&format!("m{message}"))).await.unwrap();
    }
    let mut transactions = 0;
    ledger.http_client.inject(move |sent| {
        transactions += i32::from(sent.operation == "TransactWriteItems");
        (transactions == 2).then_some(Fault::Error(400, "AccessDeniedException"))
    });
    assert_eq!(ledger.refund(Some("u"), "s", None).await.unwrap_err().0, "StoreUnavailable");
    ledger.http_client.inject(|_| None);
    assert_eq!(ledger.sound_balance("u").await, 99);
    let refund = ledger.refund(Some("u"), "s", None).await.unwrap();
    assert_eq!((&refund["outcome"], &refund["credits"]), (&json!("voided"), &json!(151)));
    assert_eq!(refund["records"].as_array().unwrap().len(), 250);
    assert_eq!(ledger.sound_balance("u").await, 250);
}
