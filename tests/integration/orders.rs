//! A paid order is one grant over all users.

use std::time::Duration;

use scrip::{
    domain::{
        Credits, GrantRequest, GrantType, ImportOutcome, ImportedHistory, ImportedRecord, InvocationId,
        Metadata, Record, Timestamp, Wallet,
    },
    ledger::Invocation,
    transport::{Audit, functions::GRANT},
};
use scrip_tests::{
    TestLedger,
    engine::{Schedule, Timing},
};
use serde_json::{Value, json};
use tokio::{join, time::sleep};
use uuid::Uuid;

fn order(user: &str, credits: u64) -> Value {
    json!({ "user_uuid": user, "trans_type": "order_pay", "order_no": "o1", "credits": credits })
}

/// The outcome of a grant: `new`, `replayed`, or the error's code.
async fn grant(ledger: &TestLedger, user: &str, credits: u64) -> String {
    match ledger.invoke(GRANT, order(user, credits)).await {
        Ok(grant) => if grant["replayed"] == true { "replayed" } else { "new" }.to_owned(),
        Err((code, _)) => code,
    }
}

#[tokio::test]
async fn order_is_granted_to_one_user() {
    let ledger = TestLedger::new().await;
    for (user, credits, outcome) in [
        ("u1", 5, "new"),
        ("u2", 5, "IdempotencyConflict"),
        ("u1", 5, "replayed"),
        ("u1", 6, "IdempotencyConflict"),
        ("u2", 6, "IdempotencyConflict"),
    ] {
        assert_eq!(grant(&ledger, user, credits).await, outcome, "{user} {credits}");
    }
    let gift = json!({ "user_uuid": "u2", "trans_type": "system_add", "order_no": "o1", "credits": 7 });
    ledger.invoke(GRANT, gift).await.expect("only an `order_pay` claims its order");
    assert_eq!((ledger.audited_balance("u1").await, ledger.audited_balance("u2").await), (5, 7));
}

/// The limit of packs and the expiry are checked after the user of the order.
#[tokio::test]
async fn order_of_another_user_names_no_user() {
    let ledger = TestLedger::new().await;
    ledger.invoke(GRANT, order("owner-of-the-order", 5)).await.unwrap();
    let (code, detail) = ledger.invoke(GRANT, order("u2", 5)).await.unwrap_err();
    assert_eq!(
        (code.as_str(), detail.as_str()),
        ("IdempotencyConflict", "The order was granted to another user.")
    );
}

#[tokio::test]
async fn two_users_race_for_one_order() {
    let ledger = TestLedger::new().await;
    let other = ledger.second_process();
    for round in 0..10 {
        let order = |user: &str| {
            let mut request = order(user, 5);
            request["order_no"] = json!(format!("race-{round}"));
            request
        };
        let (one, two) = join!(ledger.invoke(GRANT, order("u1")), other.invoke(GRANT, order("u2")));
        assert_eq!([&one, &two].iter().filter(|outcome| outcome.is_ok()).count(), 1, "{one:?} {two:?}");
        let (code, _) = one.and(two).unwrap_err();
        assert_eq!(code, "IdempotencyConflict");
    }
    assert_eq!(ledger.audited_balance("u1").await + ledger.audited_balance("u2").await, 50);
}

/// The items of the first grant become visible one after the other: record, order, wallet.
#[tokio::test(start_paused = true)]
async fn grant_beside_a_partly_visible_grant_of_the_order() {
    for visible in [[1_000, 0], [0, 1_000], [1_000, 1_000]] {
        for (user, outcome) in [("u1", "replayed"), ("u2", "IdempotencyConflict")] {
            let (ledger, schedule): (TestLedger, Schedule) = TestLedger::with_delays().await;
            schedule.set([Timing { visible, ..Timing::default() }]);
            let (first, second) = join!(grant(&ledger, "u1", 5), async {
                sleep(Duration::from_millis(500)).await;
                grant(&ledger, user, 5).await
            });
            assert_eq!((first.as_str(), second.as_str()), ("new", outcome), "{visible:?}");
            sleep(Duration::from_millis(1_000)).await;
            assert_eq!((ledger.audited_balance("u1").await, ledger.audited_balance("u2").await), (5, 0));
        }
    }
}

/// A history with one paid order.
fn history(user: &str) -> ImportedHistory {
    let request = GrantRequest {
        user: user.to_owned().try_into().unwrap(),
        trans_type: GrantType::OrderPay,
        credits: Credits::requested(5).unwrap(),
        order_no: Some("o1".to_owned().try_into().unwrap()),
        expired_at: None,
        key: None,
        metadata: Metadata::default(),
    };
    let (now, invocation) =
        (Timestamp::parse("2025-01-01T00:00:00Z").unwrap(), InvocationId::new(Uuid::nil()));
    let (wallet, grant) = Wallet::default().grant(&request, invocation, now).unwrap();
    let (key, rows) = (request.identity().unwrap(), "[]".to_owned());
    let records = vec![ImportedRecord { key, record: Record::Grant(grant.into()), rows }];
    ImportedHistory { user: request.user, records, wallet }
}

#[tokio::test]
async fn imported_order_is_granted_to_its_user_alone_and_can_be_revoked() {
    let ledger = TestLedger::new().await;
    let soon = Invocation::until(ledger.clock.now().plus_millis(60_000));
    let import = async |user: &str| ledger.ledger().execute(&history(user), &soon).await.unwrap();
    assert_eq!(import("u1").await, ImportOutcome::Written);
    assert_eq!(grant(&ledger, "u1", 5).await, "replayed");
    assert_eq!(grant(&ledger, "u2", 5).await, "IdempotencyConflict");
    assert_eq!(import("u1").await, ImportOutcome::AlreadyPresent);
    assert_eq!(import("u2").await, ImportOutcome::Conflict, "an order of another user");
    assert_eq!((ledger.audited_balance("u1").await, ledger.audited_balance("u2").await), (5, 0));
    let revoke = json!({
        "operation": "revoke", "order_no": "o1", "source": "refund", "part": 1, "of": 2,
        "as_of": "2026-01-01T00:00:00Z", "reason": "it was refunded",
    });
    let revoked = ledger.invoke(GRANT, revoke).await.unwrap();
    assert_eq!((&revoked["outcome"], &revoked["taken"]), (&json!("revoked"), &json!(2)));
    assert_eq!(ledger.balance("u1").await["balance"], 3);
    let user = "u1".to_owned().try_into().unwrap();
    let audit = ledger.ledger().audit(&user, ledger.clock.now().plus_millis(60_000)).await.unwrap();
    assert!(audit.discrepancies.is_empty(), "{:?}", audit.discrepancies);
}

/// The partition of an order is no user.
#[tokio::test]
async fn audit_skips_orders() {
    let ledger = TestLedger::new().await;
    ledger.invoke(GRANT, order("u1", 5)).await.unwrap();
    let whole_table = json!({ "segment": 0, "of": 1 });
    let summary = ledger.audit(Audit::every(60).unwrap(), &whole_table, 120_000).await.unwrap();
    assert_eq!((&summary["users"], &summary["drifted"]), (&json!(1), &json!(0)), "{summary}");
}
