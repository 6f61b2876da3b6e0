//! What was planned, on a real engine, through the functions.

#![allow(clippy::unwrap_used, reason = "a test ends by panicking")]

use scrip::{
    domain::{ImportOutcome, ImportedHistory, ImportedRecord, LedgerError, Timestamp},
    ledger::Invocation,
    store::StoredItem,
};
use scrip_ops::plan::{Found, Moved, OldRow, Placed, plan};
use scrip_tests::{Bench, Fault};

/// A row of user `u`, made that many minutes before the clock's start, which never
/// runs out. Its `order_no` is an order where it begins so, else a generation.
fn row(id: i64, minutes: i64, trans_type: &str, credits: i64, order_no: &str) -> OldRow {
    let found = |is: bool| if is { Found::Own } else { Found::Nowhere };
    OldRow {
        id,
        trans_no: format!("t{id}"),
        created_at: Timestamp::parse("2026-01-01T00:00:00Z").unwrap().plus_millis(-minutes * 60_000),
        user_uuid: "u".to_owned(),
        trans_type: trans_type.to_owned(),
        credits,
        order_no: Some(order_no.to_owned()).filter(|order_no| !order_no.is_empty()),
        expired_at: None,
        as_order: found(order_no.starts_with("order")),
        as_generation: found(order_no.starts_with("gen")),
    }
}

/// Packs of 10 and 20, a charge of 15 over both, and one of 3 that was refunded.
fn rows() -> Vec<OldRow> {
    vec![
        row(1, 90, "new_user", 10, ""),
        row(2, 80, "order_pay", 20, "order-1"),
        row(3, 70, "anime_generation", -15, "gen-1"),
        row(4, 60, "anime_generation", -3, "gen-2"),
        row(5, 50, "anime_generation_refund", 3, "gen-2"),
    ]
}

fn history(moved: Moved) -> ImportedHistory {
    let record = |placed: Placed| ImportedRecord {
        key: placed.key,
        record: placed.record,
        rows: format!("{:?}", placed.rows),
    };
    let records = moved.records.into_iter().map(record).collect();
    ImportedHistory { user: moved.user, records, wallet: moved.wallet.unwrap() }
}

async fn try_import(bench: &Bench, history: &ImportedHistory) -> Result<ImportOutcome, LedgerError> {
    let invocation = Invocation::until(bench.clock.now().plus_millis(60_000));
    bench.ledger().execute(history, &invocation).await
}

async fn import(bench: &Bench, history: &ImportedHistory) -> ImportOutcome {
    try_import(bench, history).await.unwrap()
}

#[tokio::test]
async fn an_imported_user_goes_on_as_any_other() {
    let bench = Bench::new().await;
    let history = history(plan("u", &rows(), bench.clock.now()).unwrap());
    assert_eq!(import(&bench, &history).await, ImportOutcome::Written);
    assert_eq!(bench.sound_balance("u").await, 15);
    assert_eq!(import(&bench, &history).await, ImportOutcome::AlreadyPresent);

    // The same charge again, its refund, and one that was refunded before.
    assert_eq!(bench.charge("u", 15, "gen-1", None).await.unwrap()["replayed"], true);
    assert_eq!(bench.refund(None, "gen-1", None).await.unwrap()["restored"], 15);
    assert_eq!(bench.refund(Some("u"), "gen-2", None).await.unwrap()["outcome"], "already_voided");
    assert_eq!(bench.charge("u", 3, "gen-2", None).await.unwrap_err().0, "GenerationVoided");
    assert_eq!(bench.sound_balance("u").await, 30);
    assert_eq!(import(&bench, &history).await, ImportOutcome::Conflict, "nothing is written over");
    assert_eq!(bench.sound_balance("u").await, 30);
}

#[tokio::test]
async fn every_record_keeps_the_rows_that_it_was() {
    let bench = Bench::new().await;
    let history = history(plan("u", &rows(), bench.clock.now()).unwrap());
    import(&bench, &history).await;
    let all = bench.ledger().all_items(&history.user, bench.clock.now().plus_millis(60_000)).await.unwrap();
    let mut rows: Vec<_> = all
        .into_iter()
        .filter_map(|held| match held {
            StoredItem::Wallet(wallet) => {
                assert_eq!(wallet, history.wallet);
                None
            }
            StoredItem::Record { old_rows, .. } => old_rows,
            other => panic!("{other:?}"),
        })
        .collect();
    rows.sort();
    assert_eq!(rows, ["[1]", "[2]", "[3]", "[4, 5]"]);
}

#[tokio::test]
async fn an_import_that_breaks_off_is_finished_by_a_repeat() {
    let bench = Bench::new().await;
    let many = (0..250).map(|nth| row(10 + nth, 40, "chat", -1, "gen-chat"));
    let granted = row(1, 90, "new_user", 1_000, "");
    let rows: Vec<_> = std::iter::once(granted).chain(many).collect();
    let history = history(plan("u", &rows, bench.clock.now()).unwrap());
    for lost in 1..=3 {
        let mut seen = 0;
        let clock = bench.clock.clone();
        bench.wire.inject(move |sent| {
            seen += usize::from(sent.operation == "TransactWriteItems");
            (seen >= lost).then(|| {
                clock.pass_millis(60_000);
                Fault::Lost
            })
        });
        let broken = try_import(&bench, &history).await;
        assert_eq!(broken, Err(LedgerError::StoreUnavailable));
        bench.wire.inject(|_| None);
        assert_eq!(bench.balance("u").await["balance"], 0, "no credits before all of it is there");
    }
    assert_eq!(import(&bench, &history).await, ImportOutcome::Written);
    assert_eq!(bench.sound_balance("u").await, 750);
}

#[tokio::test]
async fn a_migrated_user_is_repaired_as_any_other() {
    let bench = Bench::new().await;
    let history = history(plan("u", &rows(), bench.clock.now()).unwrap());
    import(&bench, &history).await;
    let balance = bench.balance("u").await;
    bench.damage("u", "wallet", None).await;
    let deadline = bench.clock.now().plus_millis(60_000);
    let repaired = bench.ledger().repair(&history.user, deadline).await.unwrap();
    assert_eq!((repaired.trans_no.is_some(), repaired.records), (true, 4), "{:?}", repaired.discrepancies);
    assert_eq!(bench.balance("u").await, balance);
    assert_eq!(bench.ledger().audit(&history.user, deadline).await.unwrap().discrepancies.count(), 0);
    assert_eq!(import(&bench, &history).await, ImportOutcome::Conflict, "nothing is written over");
    assert_eq!(bench.refund(None, "gen-1", None).await.unwrap()["restored"], 15);
    assert_eq!(bench.sound_balance("u").await, 30);
}
