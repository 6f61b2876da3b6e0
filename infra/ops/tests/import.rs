//! Imports of planned users, tested through the functions on the embedded engine.

#![allow(clippy::unwrap_used, reason = "a test ends by panicking")]

use std::collections::{BTreeMap, BTreeSet, HashMap};

use aws_sdk_dynamodb::types::AttributeValue;
use scrip::{
    domain::{
        Block, ImportOutcome, ImportedHistory, ImportedRecord, LedgerError, OldRows, RecordKey, Timestamp,
    },
    ledger::Invocation,
    store::StoredItem,
    transport::functions::HISTORY,
};
use scrip_ops::plan::{OldRow, PlanRules, PlannedRecord, ReferenceOwner, UserPlan, plan};
use scrip_tests::{Fault, RecordedRequest, TestLedger};
use serde_json::json;
use tokio::task::JoinSet;

/// A row of user `u` without expiry, created `minutes` before the clock's start. The prefix of
/// `order_no` makes it an order or a generation.
fn row(id: i64, minutes: i64, trans_type: &str, credits: i64, order_no: &str) -> OldRow {
    let found = |is: bool| if is { ReferenceOwner::SameUser } else { ReferenceOwner::Missing };
    OldRow {
        id,
        trans_no: format!("t{id}"),
        created_at: Timestamp::parse("2026-01-01T00:00:00Z").unwrap().plus_millis(-minutes * 60_000),
        user_uuid: "u".to_owned(),
        trans_type: trans_type.to_owned(),
        credits,
        order_no: Some(order_no.to_owned()).filter(|order_no| !order_no.is_empty()),
        expired_at: None,
        order_owner: found(order_no.starts_with("order")),
        generation_owner: found(order_no.starts_with("gen")),
        lot: None,
    }
}

/// Packs of 10 and 20, a charge of 15 from both, and a refunded charge of 3.
fn rows() -> Vec<OldRow> {
    vec![
        row(1, 90, "new_user", 10, ""),
        row(2, 80, "order_pay", 20, "order-1"),
        row(3, 70, "anime_generation", -15, "gen-1"),
        row(4, 60, "anime_generation", -3, "gen-2"),
        row(5, 50, "anime_generation_refund", 3, "gen-2"),
    ]
}

fn history(user_plan: UserPlan) -> ImportedHistory {
    let record = |planned: PlannedRecord| ImportedRecord {
        key: planned.key,
        record: planned.record,
        rows: format!("{:?}", planned.rows),
    };
    let records = user_plan.records.into_iter().map(record).collect();
    ImportedHistory { user: user_plan.user, records, wallet: user_plan.wallet.unwrap() }
}

async fn try_import(bench: &TestLedger, history: &ImportedHistory) -> Result<ImportOutcome, LedgerError> {
    let invocation = Invocation::until(bench.clock.now().plus_millis(60_000));
    bench.ledger().execute(history, &invocation).await
}

async fn import(bench: &TestLedger, history: &ImportedHistory) -> ImportOutcome {
    try_import(bench, history).await.unwrap()
}

#[tokio::test]
async fn imported_user_accepts_all_operations() {
    let bench = TestLedger::new().await;
    let history = history(plan("u", &rows(), &PlanRules::as_of(bench.clock.now())).unwrap());
    assert_eq!(import(&bench, &history).await, ImportOutcome::Written);
    assert_eq!(bench.sound_balance("u").await, 15);
    assert_eq!(import(&bench, &history).await, ImportOutcome::AlreadyPresent);

    // The same charge again, its refund, and an old refund.
    assert_eq!(bench.charge("u", 15, "gen-1", None).await.unwrap()["replayed"], true);
    assert_eq!(bench.refund(None, "gen-1", None).await.unwrap()["restored"], 15);
    assert_eq!(bench.refund(Some("u"), "gen-2", None).await.unwrap()["outcome"], "already_voided");
    assert_eq!(bench.charge("u", 3, "gen-2", None).await.unwrap_err().0, "GenerationVoided");
    assert_eq!(bench.sound_balance("u").await, 30);
    assert_eq!(import(&bench, &history).await, ImportOutcome::Conflict, "nothing is overwritten");
    assert_eq!(bench.sound_balance("u").await, 30);
}

#[tokio::test]
async fn blocked_user_is_imported_and_no_longer_blocked() {
    // In one transaction, and in several.
    for more in [0, 300] {
        let bench = TestLedger::new().await;
        let mut rows = rows();
        rows.extend((0..more).map(|nth| row(100 + nth, 40, "system_add", 1, "")));
        let history = history(plan("u", &rows, &PlanRules::as_of(bench.clock.now())).unwrap());
        let invocation = Invocation::until(bench.clock.now().plus_millis(60_000));
        let block = Block { user: history.user.clone() };
        assert!(bench.ledger().execute(&block, &invocation).await.unwrap());
        assert_eq!(bench.refund(Some("u"), "gen-1", None).await.unwrap_err().0, "LimitExceeded");
        assert_eq!(import(&bench, &history).await, ImportOutcome::Written);
        let balance = 15 + more.unsigned_abs();
        assert_eq!(bench.sound_balance("u").await, balance);
        assert_eq!(bench.refund(Some("u"), "gen-1", None).await.unwrap()["restored"], 15);
        assert!(!bench.ledger().execute(&block, &invocation).await.unwrap(), "the user has a wallet");
    }
}

/// All items of a user, by their sort keys.
async fn items(bench: &TestLedger, user: &str) -> BTreeMap<String, Item> {
    let query = bench.client.query().table_name(&bench.table).key_condition_expression("user_uuid = :user");
    let pages = query.expression_attribute_values(":user", text(user)).into_paginator().items().send();
    let items = pages.collect::<Result<Vec<_>, _>>().await.unwrap();
    items.into_iter().map(|item| (item["sk"].as_s().unwrap().clone(), item)).collect()
}

fn text(text: &str) -> AttributeValue {
    AttributeValue::S(text.to_owned())
}

async fn put(bench: &TestLedger, item: Item) {
    bench.client.put_item().table_name(&bench.table).set_item(Some(item)).send().await.unwrap();
}

/// Moves the old rows of a user into the records, where earlier versions wrote them.
async fn move_old_rows_into_records(bench: &TestLedger, user: &str) {
    let mut items = items(bench, user).await;
    for rows in items.split_off("rows#").into_iter().take_while(|(sort, _)| sort.starts_with("rows#")) {
        for (sort, rows) in rows.1["old_rows"].as_m().unwrap() {
            items.get_mut(sort).unwrap().insert("old_rows".to_owned(), rows.clone());
        }
        bench.corrupt(user, &rows.0, None).await;
    }
    for item in items.into_values() {
        put(bench, item).await;
    }
}

/// The old rows in the ledger by record, and the number of their items.
async fn old_rows(bench: &TestLedger, history: &ImportedHistory) -> (OldRows, usize) {
    let all = bench.ledger().all_items(&history.user, bench.clock.now().plus_millis(60_000)).await.unwrap();
    let rows =
        all.iter().flat_map(StoredItem::old_rows).map(|(key, rows)| (key.clone(), rows.clone())).collect();
    (rows, all.iter().filter(|item| matches!(item, StoredItem::OldRows(_))).count())
}

fn planned_rows(history: &ImportedHistory) -> OldRows {
    history.records.iter().map(|imported| (imported.key.clone(), imported.rows.clone())).collect()
}

/// A history of one grant and many charges.
fn long_history(bench: &TestLedger, charges: i64) -> ImportedHistory {
    let charges = (0..charges).map(|nth| row(10 + nth, 40, "anime_generation", -1, &format!("gen-{nth}")));
    let rows: Vec<_> = std::iter::once(row(1, 90, "new_user", 1_000, "")).chain(charges).collect();
    history(plan("u", &rows, &PlanRules::as_of(bench.clock.now())).unwrap())
}

async fn discrepancies(bench: &TestLedger) -> Vec<String> {
    let user = "u".to_owned().try_into().unwrap();
    let audited = bench.ledger().audit(&user, bench.clock.now().plus_millis(60_000)).await.unwrap();
    audited.discrepancies.listed().map(ToString::to_string).collect()
}

#[tokio::test]
async fn old_rows_of_a_transaction_are_in_one_item() {
    let bench = TestLedger::new().await;
    let history = history(plan("u", &rows(), &PlanRules::as_of(bench.clock.now())).unwrap());
    import(&bench, &history).await;
    let items = items(&bench, "u").await;
    let rows = &items["rows#grant#new_user#"];
    let names: BTreeSet<_> = rows.keys().map(String::as_str).collect();
    assert_eq!(names, BTreeSet::from(["old_rows", "sk", "user_uuid"]), "and no attribute of an index");
    let rows: BTreeMap<_, _> = rows["old_rows"].as_m().unwrap().iter().collect();
    let expected = [
        ("charge#gen-1#", "[3]"),
        ("charge#gen-2#", "[4, 5]"),
        ("grant#new_user#", "[1]"),
        ("grant#order#order-1", "[2]"),
    ];
    for ((sort, rows), (expected_sort, expected_rows)) in rows.into_iter().zip(expected) {
        assert_eq!((sort.as_str(), rows), (expected_sort, &text(expected_rows)));
        assert!(!items[sort].contains_key("old_rows"));
    }
    assert_eq!(items.len(), 4 + 2, "a wallet and the rows");
    assert_eq!(discrepancies(&bench).await, [""; 0]);
}

#[tokio::test]
async fn import_writes_one_item_of_old_rows_per_transaction() {
    let bench = TestLedger::new().await;
    let history = long_history(&bench, 250);
    bench.http_client.take_requests();
    assert_eq!(import(&bench, &history).await, ImportOutcome::Written);
    let actions = |sent: &RecordedRequest| sent.request["TransactItems"].as_array().unwrap().len();
    let actions: Vec<_> =
        bench.http_client.take_requests().iter().filter(|sent| sent.is_write()).map(actions).collect();
    assert_eq!(actions, [99, 99, 55 + 2], "records and rows, and the wallet at last");
    assert_eq!(old_rows(&bench, &history).await, (planned_rows(&history), 3));
    assert_eq!(discrepancies(&bench).await, [""; 0]);
}

#[tokio::test]
async fn old_rows_beyond_the_item_size_are_split() {
    let bench = TestLedger::new().await;
    let mut history = long_history(&bench, 9);
    history.records.iter_mut().for_each(|imported| imported.rows = format!("[\"{}\"]", "é".repeat(50_000)));
    history.records[5].rows = "x".repeat(390_000);
    assert_eq!(import(&bench, &history).await, ImportOutcome::Written);
    assert_eq!(old_rows(&bench, &history).await, (planned_rows(&history), 6));
    let mut history = long_history(&bench, 9);
    (history.user, history.records[5].rows) = ("v".to_owned().try_into().unwrap(), "x".repeat(410_000));
    let refused = try_import(&bench, &history).await.unwrap_err();
    assert!(matches!(&refused, LedgerError::Internal(why) if why.contains("size")), "{refused:?}");
}

#[tokio::test]
async fn stopped_import_is_completed_by_transactions_of_any_size() {
    for (first, then) in [(99, 20), (20, 99)] {
        let bench = TestLedger::new().await;
        let history = long_history(&bench, 250);
        contended_beyond(&bench, first, 2);
        assert_eq!(try_import(&bench, &history).await, Err(LedgerError::StoreUnavailable));
        contended_beyond(&bench, then, usize::MAX);
        assert_eq!(import(&bench, &history).await, ImportOutcome::Written);
        let (rows, parts) = old_rows(&bench, &history).await;
        assert_eq!(rows, planned_rows(&history));
        assert!(parts > 3, "{parts}");
        assert_eq!(discrepancies(&bench).await, [""; 0]);
        assert_eq!(import(&bench, &history).await, ImportOutcome::AlreadyPresent);
    }
}

/// Lets larger transactions conflict, and loses the responses after the first `answers`.
fn contended_beyond(bench: &TestLedger, actions: usize, answers: usize) {
    let (clock, mut answered) = (bench.clock.clone(), 0);
    bench.http_client.inject(move |sent| {
        if !sent.is_write() {
            return None;
        }
        if sent.request["TransactItems"].as_array().unwrap().len() > actions {
            return Some(Fault::Cancelled(&["TransactionConflict"]));
        }
        answered += 1;
        (answered > answers).then(|| {
            clock.pass_millis(60_000);
            Fault::RequestLost
        })
    });
}

#[tokio::test]
async fn import_rejects_other_rows_and_rows_without_records() {
    let bench = TestLedger::new().await;
    let history = history(plan("u", &rows(), &PlanRules::as_of(bench.clock.now())).unwrap());
    import(&bench, &history).await;
    let whole = items(&bench, "u").await;
    bench.corrupt("u", "wallet", None).await;
    let mut other = history.clone();
    other.records[2].rows = "[7]".to_owned();
    assert_eq!(import(&bench, &other).await, ImportOutcome::Conflict);
    bench.corrupt("u", "grant#new_user#", None).await;
    assert_eq!(import(&bench, &history).await, ImportOutcome::Conflict);
    let left = whole.keys().filter(|sort| !["wallet", "grant#new_user#"].contains(&sort.as_str()));
    assert!(items(&bench, "u").await.keys().eq(left), "nothing is written");
}

#[tokio::test]
async fn user_of_an_earlier_version_keeps_old_rows_in_the_records() {
    let bench = TestLedger::new().await;
    let history = history(plan("u", &rows(), &PlanRules::as_of(bench.clock.now())).unwrap());
    import(&bench, &history).await;
    move_old_rows_into_records(&bench, "u").await;
    assert_eq!(old_rows(&bench, &history).await, (planned_rows(&history), 0));
    assert_eq!(discrepancies(&bench).await, [""; 0]);
    assert_eq!(bench.refund(Some("u"), "gen-1", None).await.unwrap()["restored"], 15);
    assert_eq!(items(&bench, "u").await["charge#gen-1#"]["old_rows"], text("[3]"));
    assert_eq!(discrepancies(&bench).await, [""; 0]);
    bench
        .corrupt(
            "u",
            "charge#gen-1#",
            Some(|item| {
                item.insert("old_rows".to_owned(), AttributeValue::Bool(true));
            }),
        )
        .await;
    assert!(discrepancies(&bench).await[0].contains("other attributes than were written"));
}

#[tokio::test]
async fn import_of_an_earlier_version_is_completed() {
    let bench = TestLedger::new().await;
    let history = long_history(&bench, 150);
    import(&bench, &history).await;
    // The earlier version had written the first 99 records.
    move_old_rows_into_records(&bench, "u").await;
    bench.corrupt("u", "wallet", None).await;
    for imported in &history.records[99..] {
        let RecordKey::Charge { generation: Some(generation), .. } = &imported.key else { unreachable!() };
        bench.corrupt("u", &format!("charge#{generation}#"), None).await;
    }
    assert_eq!(import(&bench, &history).await, ImportOutcome::Written);
    assert_eq!(old_rows(&bench, &history).await, (planned_rows(&history), 1));
    assert_eq!(discrepancies(&bench).await, [""; 0]);
}

#[tokio::test]
async fn refund_leaves_old_rows_unchanged() {
    let bench = TestLedger::new().await;
    let history = history(plan("u", &rows(), &PlanRules::as_of(bench.clock.now())).unwrap());
    import(&bench, &history).await;
    let before = items(&bench, "u").await;
    bench.http_client.take_requests();
    assert_eq!(bench.refund(Some("u"), "gen-1", None).await.unwrap()["restored"], 15);
    bench.invoke(HISTORY, json!({ "operation": "timeline", "user_uuid": "u" })).await.unwrap();
    for sent in bench.http_client.take_requests() {
        let all = format!("{} {:?}", sent.body, sent.response);
        assert!(!all.contains("rows#") && !all.contains("old_rows"), "{all}");
    }
    let after = items(&bench, "u").await;
    assert_eq!(before["rows#grant#new_user#"], after["rows#grant#new_user#"]);
}

#[tokio::test]
async fn audit_finds_damaged_old_rows() {
    let damages: [(Corruption, &str); 7] = [
        (|item| _ = item.remove("old_rows"), "old_rows: missing"),
        (|item| _ = item.insert("old_rows".to_owned(), text("[]")), "old_rows: not a map"),
        (|item| _ = item.insert("more".to_owned(), text("")), "other attributes than were written"),
        (
            |item| _ = item.insert("item_format".to_owned(), AttributeValue::N("2".to_owned())),
            "is of format 2",
        ),
        (
            |item| _ = rows_of(item).insert("wallet".to_owned(), text("[]")),
            "not a string under the key of a record",
        ),
        (
            |item| _ = rows_of(item).insert("charge#gen-1#".to_owned(), AttributeValue::Bool(true)),
            "not a string under the key of a record",
        ),
        (|item| _ = rows_of(item).remove("grant#new_user#"), "has no rows of its first record"),
    ];
    let mut checks = JoinSet::new();
    for (damage, expected) in damages {
        checks.spawn(async move {
            let (bench, sort) = (TestLedger::new().await, "rows#grant#new_user#");
            let history = history(plan("u", &rows(), &PlanRules::as_of(bench.clock.now())).unwrap());
            import(&bench, &history).await;
            bench.corrupt("u", sort, Some(damage)).await;
            let found = discrepancies(&bench).await;
            assert!(
                found.len() == 1 && found[0].contains(sort) && found[0].contains(expected),
                "{expected}: {found:?}"
            );
            let repaired = bench.ledger().repair(&history.user, bench.clock.now().plus_millis(60_000)).await;
            assert!(repaired.is_ok_and(|repaired| repaired.trans_no.is_none()), "{expected}");
        });
    }
    checks.join_all().await;
}

type Item = HashMap<String, AttributeValue>;

type Corruption = fn(&mut Item);

fn rows_of(item: &mut Item) -> &mut Item {
    let Some(AttributeValue::M(rows)) = item.get_mut("old_rows") else { panic!("no rows") };
    rows
}

#[tokio::test]
async fn interrupted_import_is_completed_by_a_repetition() {
    let bench = TestLedger::new().await;
    let many = (0..250).map(|nth| row(10 + nth, 40, "chat", -1, "gen-chat"));
    let granted = row(1, 90, "new_user", 1_000, "");
    let rows: Vec<_> = std::iter::once(granted).chain(many).collect();
    let history = history(plan("u", &rows, &PlanRules::as_of(bench.clock.now())).unwrap());
    for lost in 1..=3 {
        let mut seen = 0;
        let clock = bench.clock.clone();
        bench.http_client.inject(move |sent| {
            seen += usize::from(sent.operation == "TransactWriteItems");
            (seen >= lost).then(|| {
                clock.pass_millis(60_000);
                Fault::RequestLost
            })
        });
        let broken = try_import(&bench, &history).await;
        assert_eq!(broken, Err(LedgerError::StoreUnavailable));
        bench.http_client.inject(|_| None);
        assert_eq!(bench.balance("u").await["balance"], 0, "no credits before all records are written");
    }
    assert_eq!(import(&bench, &history).await, ImportOutcome::Written);
    assert_eq!(bench.sound_balance("u").await, 750);
}

#[tokio::test]
async fn migrated_user_can_be_repaired() {
    let bench = TestLedger::new().await;
    let history = history(plan("u", &rows(), &PlanRules::as_of(bench.clock.now())).unwrap());
    import(&bench, &history).await;
    let balance = bench.balance("u").await;
    bench.corrupt("u", "wallet", None).await;
    let deadline = bench.clock.now().plus_millis(60_000);
    let repaired = bench.ledger().repair(&history.user, deadline).await.unwrap();
    assert_eq!((repaired.trans_no.is_some(), repaired.records), (true, 4), "{:?}", repaired.discrepancies);
    assert_eq!(bench.balance("u").await, balance);
    assert_eq!(bench.ledger().audit(&history.user, deadline).await.unwrap().discrepancies.count(), 0);
    assert_eq!(import(&bench, &history).await, ImportOutcome::Conflict, "nothing is overwritten");
    assert_eq!(bench.refund(None, "gen-1", None).await.unwrap()["restored"], 15);
    assert_eq!(bench.sound_balance("u").await, 30);
}

/// A row as PostgreSQL writes it, with identifiers of the usual length.
fn row_text(id: i64) -> String {
    let uuid = uuid::Uuid::from_u128(id.unsigned_abs().into());
    format!(
        "{{\"id\":{id},\"trans_no\":\"{uuid}\",\"created_at\":\"2025-06-01T10:20:30.123456+00:00\",\
         \"user_uuid\":\"{uuid}\",\"trans_type\":\"anime_generation\",\"credits\":-5,\
         \"order_no\":\"{uuid}\",\"expired_at\":\"2026-06-01T10:20:30+00:00\"}}"
    )
}

#[tokio::test]
async fn import_costs_less_than_three_units_a_record() {
    let bench = TestLedger::new().await;
    let mut history = long_history(&bench, 195);
    for (nth, imported) in history.records.iter_mut().enumerate() {
        imported.rows = format!("[{}]", row_text(nth.try_into().unwrap()));
    }
    bench.http_client.take_requests();
    import(&bench, &history).await;
    let sent = bench.http_client.take_requests();
    let units: Vec<_> =
        sent.iter().filter(|sent| sent.is_write()).map(RecordedRequest::table_units).collect();
    let of_rows = 60.0;
    assert_eq!(units, [98.0 * 2.0 + of_rows, 98.0 * 2.0 + of_rows + 2.0], "of the table alone");
}
