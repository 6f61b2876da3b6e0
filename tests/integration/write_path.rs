//! The write path: item formats, unknown attributes, and wallets that change before the commit.

use std::sync::Arc;

use aws_sdk_dynamodb::types::AttributeValue::{self, M, N, S};
use scrip::{
    domain::{Discrepancy, Timestamp, UserId},
    transport::{
        Audit, Function,
        functions::{BALANCE, DECREASE, GRANT, HISTORY, REFUND},
    },
};
use scrip_tests::{Clock, Fault, TestLedger};
use serde_json::{Value, json};
use tokio::{join, sync::Notify};

/// How many milliseconds an invocation has, if it has enough.
pub(super) const ENOUGH: i64 = 60_000;

/// A format that is newer than the newest of every kind of item.
const NEWER_FORMAT: i64 = 4;

pub(super) const HOUR: i64 = 3_600_000;

pub(super) fn number(number: i64) -> AttributeValue {
    N(number.to_string())
}

pub(super) fn grant(order_no: &str, credits: u64) -> Value {
    json!({ "user_uuid": "u", "trans_type": "order_pay", "order_no": order_no, "credits": credits })
}

pub(super) fn charge(generation: &str, key: Option<&str>, credits: u64) -> Value {
    json!({
        "user_uuid": "u", "trans_type": "anime_generation", "credits": credits,
        "generation_uuid": generation, "idempotency_key": key,
    })
}

pub(super) fn refund(user: Option<&str>, generation: &str) -> Value {
    json!({ "user_uuid": user, "generation_uuid": generation, "reason": "it failed" })
}

fn revoke(order_no: &str) -> Value {
    json!({
        "operation": "revoke", "order_no": order_no, "source": "refund", "credits": 1,
        "as_of": "2026-01-01T00:00:00Z", "reason": "the payment was returned",
    })
}

fn of_user() -> Value {
    json!({ "user_uuid": "u" })
}

fn history(operation: &str) -> Value {
    json!({ "operation": operation, "user_uuid": "u" })
}

fn of_generation(generation: &str) -> Value {
    json!({ "operation": "generation", "generation_uuid": generation })
}

/// A user with a grant, a charge without a key, a charge with a key, and a fence.
pub(super) async fn ledger() -> TestLedger {
    let ledger = TestLedger::new().await;
    ledger.invoke(GRANT, grant("order-1", 10)).await.unwrap();
    ledger.invoke(DECREASE, charge("gen-1", None, 4)).await.unwrap();
    ledger.invoke(DECREASE, charge("chat-1", Some("m-1"), 1)).await.unwrap();
    ledger.invoke(REFUND, refund(Some("u"), "gen-3")).await.unwrap();
    ledger
}

/// The items of that user, each with every kind of request that reads it.
fn readers() -> [(&'static str, Vec<(Function, Value)>); 5] {
    [
        (
            "wallet",
            vec![
                (GRANT, grant("order-2", 1)),
                (GRANT, grant("order-1", 10)),
                (GRANT, revoke("order-1")),
                (DECREASE, charge("gen-2", None, 1)),
                (DECREASE, charge("gen-1", None, 4)),
                (REFUND, refund(Some("u"), "gen-1")),
                (REFUND, refund(None, "gen-1")),
                (REFUND, refund(Some("u"), "gen-4")),
                (BALANCE, of_user()),
                (HISTORY, history("summary")),
            ],
        ),
        (
            "charge#gen-1#",
            vec![
                (DECREASE, charge("gen-1", None, 4)),
                (REFUND, refund(Some("u"), "gen-1")),
                (REFUND, refund(None, "gen-1")),
                (HISTORY, history("timeline")),
                (HISTORY, of_generation("gen-1")),
            ],
        ),
        (
            "charge#chat-1#m-1",
            vec![
                (DECREASE, charge("chat-1", Some("m-1"), 1)),
                (REFUND, refund(Some("u"), "chat-1")),
                (HISTORY, history("timeline")),
                (HISTORY, of_generation("chat-1")),
            ],
        ),
        (
            "grant#order#order-1",
            vec![(GRANT, grant("order-1", 10)), (GRANT, revoke("order-1")), (HISTORY, history("timeline"))],
        ),
        ("charge#gen-3#", vec![(DECREASE, charge("gen-3", None, 1)), (REFUND, refund(Some("u"), "gen-3"))]),
    ]
}

#[tokio::test]
async fn item_of_another_format_is_neither_read_nor_changed() {
    for (format, code) in
        [(number(NEWER_FORMAT), "StoreUnavailable"), (number(1), "Internal"), (S("2".to_owned()), "Internal")]
    {
        for (item, requests) in readers() {
            let ledger = ledger().await;
            ledger.set("u", item, "item_format", format.clone()).await;
            let before = ledger.items().await;
            for (function, request) in requests {
                let error = ledger.invoke(function, request.clone()).await.unwrap_err();
                assert_eq!(error.0, code, "{item} {format:?}: {} {request}", function.name);
            }
            assert_eq!(ledger.items().await, before, "{item} {format:?}: nothing is written");
        }
    }
}

/// Runs a request, and a change between its reads and its first transaction.
async fn with_change_before_commit(
    ledger: &TestLedger,
    request: (Function, Value),
    change: impl Future<Output = ()>,
) -> Result<Value, (String, String)> {
    let (sending, released) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (mut first, sends) = (Some(released.clone()), sending.clone());
    ledger.http_client.inject(move |sent| {
        let held = if sent.is_write() { first.take() } else { None };
        held.map(|released| {
            sends.notify_one();
            Fault::DelayedUntil(released)
        })
    });
    let (answer, ()) = join!(ledger.invoke(request.0, request.1), async {
        sending.notified().await;
        change.await;
        released.notify_one();
    });
    answer
}

#[tokio::test]
async fn item_that_gets_a_newer_format_before_the_commit_is_not_changed() {
    for (item, request) in [
        ("wallet", (GRANT, grant("order-2", 1))),
        ("wallet", (GRANT, revoke("order-1"))),
        ("grant#order#order-1", (GRANT, revoke("order-1"))),
        ("wallet", (DECREASE, charge("gen-2", None, 1))),
        ("wallet", (REFUND, refund(Some("u"), "gen-1"))),
        ("wallet", (REFUND, refund(Some("u"), "gen-4"))),
        ("charge#gen-1#", (REFUND, refund(Some("u"), "gen-1"))),
        ("charge#chat-1#m-1", (REFUND, refund(Some("u"), "chat-1"))),
    ] {
        let ledger = ledger().await;
        let mut before = ledger.items().await;
        before
            .get_mut(&["u".to_owned(), item.to_owned()])
            .unwrap()
            .insert("item_format".to_owned(), number(NEWER_FORMAT));
        let newer = ledger.set("u", item, "item_format", number(NEWER_FORMAT));
        let error = with_change_before_commit(&ledger, request.clone(), newer).await.unwrap_err();
        assert_eq!(error.0, "StoreUnavailable", "{item}: {}", request.1);
        assert_eq!(ledger.items().await, before, "{item}: {}", request.1);
    }
}

/// The user, and when an audit or a repair must have ended.
fn user_and_deadline(ledger: &TestLedger) -> (UserId, Timestamp) {
    ("u".to_owned().try_into().unwrap(), ledger.clock.now().plus_millis(ENOUGH))
}

/// The texts of the user's discrepancies.
async fn discrepancies(ledger: &TestLedger) -> Vec<String> {
    let (user, deadline) = user_and_deadline(ledger);
    let report = ledger.ledger().audit(&user, deadline).await.unwrap();
    report.discrepancies.listed().map(Discrepancy::to_string).collect()
}

/// What the audit of the whole table counts: users, users with discrepancies, failed audits.
async fn audit_counts(ledger: &TestLedger) -> [Value; 3] {
    let audit = Audit::every(60).unwrap();
    let summary = ledger.audit(audit, &json!({ "segment": 0, "of": 1 }), ENOUGH).await.unwrap();
    ["users", "drifted", "failed"].map(|count| summary[count].clone())
}

#[tokio::test]
async fn audit_names_a_wallet_of_a_newer_format_and_goes_on() {
    let ledger = ledger().await;
    for user in ["a", "b", "z"] {
        ledger.grant(user, 1, None).await;
    }
    ledger.set("u", "wallet", "item_format", number(NEWER_FORMAT)).await;
    assert_eq!(audit_counts(&ledger).await, [json!(4), json!(1), json!(0)]);
    let found = discrepancies(&ledger).await;
    assert_eq!(found, ["item user_uuid=\"u\" sk=\"wallet\": is of format 4, not 3"]);
}

/// An attribute in a map or a list of an item.
fn inside<'a>(item: &'a AttributeValue, path: &[&str]) -> Option<&'a AttributeValue> {
    path.iter().try_fold(item, |value, step| match value {
        M(map) => map.get(*step),
        AttributeValue::L(list) => list.get(step.parse::<usize>().unwrap()),
        _ => None,
    })
}

#[tokio::test]
async fn every_write_keeps_unknown_attributes() {
    let later = || S("later".to_owned());
    let ledger = ledger().await;
    ledger.set("u", "wallet", "packs[0].z", later()).await;
    ledger.set("u", "wallet", "totals.anime_generation.z", later()).await;
    assert_eq!(discrepancies(&ledger).await, [""; 0], "no discrepancy");
    ledger.set("u", "charge#gen-1#", "z", later()).await;
    for (function, request) in [
        (GRANT, grant("order-2", 5)),
        (DECREASE, charge("gen-2", None, 2)),
        (REFUND, refund(Some("u"), "gen-1")),
        (REFUND, refund(Some("u"), "gen-4")),
    ] {
        ledger.invoke(function, request.clone()).await.unwrap();
        let wallet = M(ledger.item("u", "wallet").await.unwrap());
        for path in [&["packs", "0", "z"][..], &["totals", "anime_generation", "z"]] {
            assert_eq!(inside(&wallet, path), Some(&later()), "{path:?} after {request}");
        }
        assert_eq!(inside(&wallet, &["packs", "1", "z"]), None, "another pack has none");
        assert_eq!(ledger.item("u", "charge#gen-1#").await.unwrap()["z"], later(), "after {request}");
    }
    assert_eq!(ledger.sound_balance("u").await, 12);
}

/// The transaction finds another wallet than was read, and keeps the attributes of that one.
#[tokio::test]
async fn write_to_a_wallet_that_moved_keeps_its_unknown_attributes() {
    let ledger = ledger().await;
    let other = ledger.second_process();
    let change = async {
        other.invoke(GRANT, grant("order-2", 5)).await.unwrap();
        ledger.set("u", "wallet", "packs[1].z", S("later".to_owned())).await;
    };
    with_change_before_commit(&ledger, (DECREASE, charge("gen-2", None, 2)), change).await.unwrap();
    let wallet = M(ledger.item("u", "wallet").await.unwrap());
    assert_eq!(inside(&wallet, &["packs", "1", "z"]), Some(&S("later".to_owned())));
    assert_eq!(ledger.sound_balance("u").await, 8);
}

#[tokio::test]
async fn wallet_that_is_deleted_before_the_commit_is_an_empty_one() {
    for (request, balance) in [
        ((DECREASE, charge("gen-2", None, 1)), Err(0)),
        ((DECREASE, json!({ "user_uuid": "u", "trans_type": "chat", "credits": 1 })), Err(0)),
        ((GRANT, grant("order-2", 3)), Ok(3)),
    ] {
        let ledger = ledger().await;
        let deletion = ledger.corrupt("u", "wallet", None);
        let answer = with_change_before_commit(&ledger, request.clone(), deletion).await;
        match (answer, balance) {
            (Ok(answer), Ok(balance)) => {
                assert_eq!((&answer["replayed"], &answer["balance"]), (&json!(false), &json!(balance)));
                assert_eq!(ledger.balance("u").await["balance"], balance);
            }
            (Err((code, message)), Err(balance)) => {
                assert_eq!(code, "InsufficientCredits");
                assert!(message.contains(&format!("balance is {balance}")), "{message}");
                assert!(ledger.item("u", "wallet").await.is_none());
            }
            (answer, _) => panic!("{}: {answer:?}", request.1),
        }
    }
}

#[tokio::test]
async fn wallet_that_is_an_hour_ahead_of_the_clock_is_changed_by_a_repair_alone() {
    for (ahead, is_changed) in [(HOUR - 60_000, true), (HOUR + 60_000, false)] {
        let ledger = TestLedger::with(Clock::stopped()).await;
        ledger.invoke(GRANT, grant("order-1", 10)).await.unwrap();
        ledger.invoke(DECREASE, charge("gen-1", None, 4)).await.unwrap();
        let version = number(ledger.clock.now().millis() + ahead);
        for (function, request) in [
            (GRANT, grant("order-2", 5)),
            (DECREASE, charge("gen-2", None, 1)),
            (REFUND, refund(Some("u"), "gen-1")),
            (REFUND, refund(Some("u"), "gen-3")),
        ] {
            ledger.set("u", "wallet", "version", version.clone()).await;
            let before = ledger.items().await;
            let ended = ledger.invoke(function, request.clone()).await.map(drop).map_err(|(code, _)| code);
            let expected = if is_changed { Ok(()) } else { Err("Internal".to_owned()) };
            assert_eq!(ended, expected, "{ahead}: {request}");
            assert_eq!(ledger.items().await != before, is_changed, "{ahead}: {request}");
        }
        if is_changed {
            continue;
        }
        let found = discrepancies(&ledger).await;
        assert!(found.len() == 1 && found[0].contains("more than an hour ahead of the clock"), "{found:?}");
        let (user, deadline) = user_and_deadline(&ledger);
        let repaired = ledger.ledger().repair(&user, deadline).await.unwrap();
        let version = repaired.after.unwrap().version.unwrap();
        assert!(
            repaired.trans_no.is_some() && version <= ledger.clock.now().plus_millis(60_000),
            "{version}"
        );
        ledger.invoke(DECREASE, charge("gen-2", None, 1)).await.unwrap();
        assert_eq!(ledger.sound_balance("u").await, 5);
        assert_eq!(discrepancies(&ledger).await, [""; 0]);
    }
}

#[tokio::test]
async fn audit_names_a_record_of_a_newer_format_and_goes_on() {
    for item in ["charge#gen-1#", "charge#chat-1#m-1", "grant#order#order-1", "charge#gen-3#"] {
        let ledger = ledger().await;
        for user in ["a", "b", "z"] {
            ledger.grant(user, 1, None).await;
        }
        ledger.set("u", item, "item_format", number(NEWER_FORMAT)).await;
        assert_eq!(audit_counts(&ledger).await, [json!(4), json!(1), json!(0)], "{item}");
        let found = discrepancies(&ledger).await;
        assert_eq!(found, [format!("item user_uuid=\"u\" sk=\"{item}\": is of format 4, not 2")]);
    }
}

#[tokio::test]
async fn repair_leaves_a_wallet_of_a_newer_format_as_it_is() {
    let ledger = ledger().await;
    ledger.set("u", "wallet", "item_format", number(NEWER_FORMAT)).await;
    let before = ledger.items().await;
    let (user, deadline) = user_and_deadline(&ledger);
    let repaired = ledger.ledger().repair(&user, deadline).await;
    assert!(repaired.as_ref().map_or(true, |repair| repair.trans_no.is_none()), "{repaired:?}");
    assert!(ledger.items().await == before, "nothing is written");
}
