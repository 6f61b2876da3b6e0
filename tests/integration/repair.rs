//! What a repair corrects, and what it refuses.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use aws_sdk_dynamodb::types::AttributeValue;
use scrip::{
    domain::{Discrepancies, Discrepancy, Timestamp, UserId},
    ledger::Repair,
    store::ScanSegment,
    transport::functions::GRANT,
};
use scrip_tests::{
    CORRUPTIONS, Clock, Corruption, Fault as ClientFault, RecordedRequest, RepairOutcome, TestLedger,
};
use serde_json::{Value, json};
use tokio::{join, sync::Notify, task::JoinSet};

use crate::audit::{audit, is_read_of};

type Items = BTreeMap<String, HashMap<String, AttributeValue>>;

/// How long a repair may take, in milliseconds.
const PATIENCE_MILLIS: i64 = 60_000;

/// A pack has less left by the wallet than by the records.
const LESS_LEFT: Corruption = Some(|item| {
    let Some(AttributeValue::L(packs)) = item.get_mut("packs") else { panic!("no packs") };
    let Some(AttributeValue::M(pack)) = packs.last_mut() else { panic!("no pack") };
    pack.insert("n".to_owned(), AttributeValue::N("1".to_owned()));
});

fn request_of(ledger: &TestLedger, user: &str) -> (UserId, Timestamp) {
    (user.to_owned().try_into().unwrap(), ledger.clock.now().plus_millis(PATIENCE_MILLIS))
}

async fn plan(ledger: &TestLedger, user: &str) -> Repair {
    let (user, deadline) = request_of(ledger, user);
    ledger.ledger().plan_repair(&user, deadline).await.unwrap()
}

async fn repair(ledger: &TestLedger, user: &str) -> Repair {
    let (user, deadline) = request_of(ledger, user);
    ledger.ledger().repair(&user, deadline).await.unwrap()
}

/// Repairs, which writes, and looks whether all is well then.
async fn repair_and_check(ledger: &TestLedger, user: &str) -> Repair {
    let repaired = repair(ledger, user).await;
    assert!(repaired.trans_no.is_some(), "{:?}", repaired.discrepancies);
    assert_sound(ledger, user).await;
    repaired
}

/// Nothing is wrong, and a repair finds nothing to do.
async fn assert_sound(ledger: &TestLedger, user: &str) {
    let found = audit(ledger, user).await.discrepancies;
    assert!(found.is_empty(), "{found:?}");
    let before = items(ledger, user).await;
    let again = repair(ledger, user).await;
    assert_eq!((again.discrepancies.count(), again.after, again.trans_no), (0, None, None));
    assert_eq!(items(ledger, user).await, before, "a second repair writes nothing");
}

/// All of a user's items, by their sort keys.
async fn items(ledger: &TestLedger, user: &str) -> Items {
    let query = ledger.client.query().table_name(&ledger.table).consistent_read(true);
    let query = query.key_condition_expression("user_uuid = :user");
    let query = query.expression_attribute_values(":user", AttributeValue::S(user.to_owned()));
    let pages: Vec<_> = query.into_paginator().items().send().collect::<Result<_, _>>().await.unwrap();
    pages.into_iter().map(|item| (item["sk"].as_s().unwrap().clone(), item)).collect()
}

fn repairs(items: &Items) -> Vec<&String> {
    items.keys().filter(|sort| sort.starts_with("repair#")).collect()
}

#[tokio::test]
async fn repair_corrects_the_wallet_and_refuses_other_damage() {
    let mut checks = JoinSet::new();
    for (sort, damage, says, then) in CORRUPTIONS {
        checks.spawn(async move {
            let ledger = TestLedger::new().await;
            ledger.create_sample_user("u").await;
            let (balance, records) = (ledger.balance("u").await, ledger.records("u").await);
            ledger.corrupt("u", sort, damage).await;
            let damaged = items(&ledger, "u").await;
            let planned = plan(&ledger, "u").await;
            assert_eq!(items(&ledger, "u").await, damaged, "{says}: a plan writes nothing");
            assert_eq!(
                planned.after.is_some(),
                then == RepairOutcome::Repairs,
                "{sort}: {says}: {:?}",
                planned.discrepancies
            );
            if then == RepairOutcome::Repairs {
                let repaired = repair_and_check(&ledger, "u").await;
                assert_eq!(repaired.discrepancies, planned.discrepancies, "{sort}: {says}");
                assert_eq!(ledger.balance("u").await, balance, "{sort}: {says}");
                assert_eq!(ledger.records("u").await, records, "{sort}: {says}");
                goes_on(&ledger, "u").await;
            } else {
                let refused = repair(&ledger, "u").await;
                assert!(refused.discrepancies.listed().any(|fault| !fault.is_repairable()), "{sort}: {says}");
                assert_eq!(
                    (refused.trans_no, &items(&ledger, "u").await),
                    (None, &damaged),
                    "{sort}: {says}"
                );
            }
        });
    }
    checks.join_all().await;
}

/// The user is granted, charged and refunded as any other.
async fn goes_on(ledger: &TestLedger, user: &str) {
    let before = ledger.sound_balance(user).await;
    ledger.grant(user, 5, None).await;
    ledger.charge(user, 9, "gen-after", Some("k")).await.unwrap();
    ledger.refund(Some(user), "gen-after", None).await.unwrap();
    assert_eq!(ledger.charge(user, 1, "gen-3", None).await.unwrap_err().0, "GenerationVoided");
    assert_eq!(ledger.refund(Some(user), "chat-1", None).await.unwrap()["restored"], 1);
    assert_eq!(ledger.sound_balance(user).await, before + 6);
    assert_sound(ledger, user).await;
}

/// Sets the credits that a source revokes of an order.
async fn revoke(ledger: &TestLedger, order_no: &str, as_of: &str, credits: u64, shortfall: &str) -> Value {
    let request = json!({
        "operation": "revoke", "order_no": order_no, "source": "refund", "credits": credits, "as_of": as_of,
        "shortfall": shortfall, "reason": "a dispute",
    });
    ledger.invoke(GRANT, request).await.unwrap()
}

/// Creates a user with a shortfall of 15 for one order, and with 6 credits taken and a debt of 4
/// for another.
async fn create_revoked_user(ledger: &TestLedger, user: &str) {
    for (order_no, credits, spent) in [("o1", 20, 20), ("o2", 10, 4)] {
        let request = json!({
            "user_uuid": user, "trans_type": "order_pay", "order_no": order_no, "credits": credits,
        });
        ledger.invoke(GRANT, request).await.unwrap();
        ledger.charge(user, spent, &format!("gen-{order_no}"), None).await.unwrap();
    }
    revoke(ledger, "o1", "2026-01-01T00:00:00Z", 15, "keep").await;
    revoke(ledger, "o2", "2026-01-01T00:00:00Z", 10, "debt").await;
}

#[tokio::test]
async fn repair_rebuilds_revoked_credits_shortfalls_and_the_debt_of_an_order() {
    let mut checks = JoinSet::new();
    for (says, corruption) in [
        (
            "sk=\"wallet\"",
            (|item| _ = item.remove("item_format")) as fn(&mut HashMap<String, AttributeValue>),
        ),
        ("0 credits are revoked by the wallet and 10 by the records", |item| _ = item.remove("revoked")),
        ("99 credits are revoked by the wallet and 10 by the records", |item| {
            item.insert("revoked".to_owned(), AttributeValue::N("99".to_owned()));
        }),
        ("is 0 by the wallet and 15 by the records", |item| _ = item.remove("shortfalls")),
        ("is 3 by the wallet and 15 by the records", |item| {
            let Some(AttributeValue::M(shortfalls)) = item.get_mut("shortfalls") else {
                panic!("no shortfalls")
            };
            shortfalls.values_mut().for_each(|credits| *credits = AttributeValue::N("3".to_owned()));
        }),
        ("the debts are 0 by the wallet and 4 by the records", |item| _ = item.remove("debts")),
        ("the debts are 9 by the wallet and 4 by the records", |item| {
            let Some(AttributeValue::L(debts)) = item.get_mut("debts") else { panic!("no debts") };
            let Some(AttributeValue::M(debt)) = debts.first_mut() else { panic!("no debt") };
            debt.insert("n".to_owned(), AttributeValue::N("9".to_owned()));
        }),
    ] {
        checks.spawn(async move {
            let ledger = TestLedger::new().await;
            create_revoked_user(&ledger, "u").await;
            let wallet = async || {
                let mut wallet = items(&ledger, "u").await.remove("wallet").unwrap();
                wallet.remove("version");
                wallet
            };
            let before = wallet().await;
            ledger.corrupt("u", "wallet", Some(corruption)).await;
            let found = plan(&ledger, "u").await.discrepancies;
            assert!(found.listed().any(|fault| fault.to_string().contains(says)), "{says}: {found:?}");
            repair_and_check(&ledger, "u").await;
            assert_eq!(wallet().await, before, "{says}");
            // Disputes that are won, and a refund that fills the shortfall.
            assert_eq!(ledger.refund(Some("u"), "gen-o1", None).await.unwrap()["revoked"], 15);
            assert_eq!(revoke(&ledger, "o2", "2026-01-02T00:00:00Z", 0, "keep").await["restored"], 10);
            assert_eq!(revoke(&ledger, "o1", "2026-01-02T00:00:00Z", 0, "keep").await["restored"], 15);
            assert_eq!(ledger.balance("u").await["balance"], 26, "{says}");
            assert_sound(&ledger, "u").await;
        });
    }
    checks.join_all().await;
}

#[tokio::test]
async fn repair_keeps_what_was_wrong_and_both_wallets_whole() {
    let ledger = TestLedger::new().await;
    ledger.create_sample_user("u").await;
    ledger.corrupt("u", "wallet", LESS_LEFT).await;
    let before = items(&ledger, "u").await;
    let repaired = repair_and_check(&ledger, "u").await;
    let after = items(&ledger, "u").await;
    let named = format!("repair#{}", repaired.trans_no.unwrap());
    let kept = |part: &str| &after[&format!("{named}#{part}")];
    let wallet = |items: &Items| {
        let mut wallet = items["wallet"].clone();
        wallet.retain(|name, _| name != "user_uuid" && name != "sk");
        wallet
    };
    assert_eq!(kept("before")["wallet"].as_m().unwrap(), &wallet(&before));
    assert_eq!(kept("after")["wallet"].as_m().unwrap(), &wallet(&after));
    let faults: Vec<_> =
        repaired.discrepancies.listed().map(|fault| AttributeValue::S(fault.to_string())).collect();
    assert_eq!(kept("faults")["faults"].as_l().unwrap(), &faults);
    assert_eq!(kept("faults")["repaired_at"], after["wallet"]["version"]);
    let version = |items: &Items| items["wallet"]["version"].as_n().unwrap().parse::<i64>().unwrap();
    assert!(version(&before) < version(&after));
    assert_eq!(repairs(&after).len(), 3);

    ledger.corrupt("u", &format!("{named}#faults"), Some(|item| _ = item.remove("faults"))).await;
    let refused = repair(&ledger, "u").await;
    let faults: Vec<_> = refused.discrepancies.listed().map(Discrepancy::to_string).collect();
    assert!(
        faults[0].contains(&named) && !refused.discrepancies.listed().any(Discrepancy::is_repairable),
        "{faults:?}"
    );
}

/// By how many hours the version and the last record are ahead of the clock.
#[tokio::test]
async fn version_ahead_of_the_clock_is_set_back_unless_the_records_are_ahead_too() {
    const HOUR: i64 = 3_600_000;
    for (version, record, is_ahead, is_set_back) in [
        (30 * HOUR, 0, true, true),
        (30 * HOUR, HOUR / 2, true, true),
        (HOUR / 2, 0, false, false),
        (30 * HOUR, 2 * HOUR, true, false),
    ] {
        let ledger = TestLedger::with(Clock::stopped()).await;
        ledger.create_sample_user("u").await;
        ledger.clock.pass_millis(record);
        let last = ledger.charge("u", 1, "gen-last", None).await.unwrap();
        let last = Timestamp::parse(last["created_at"].as_str().unwrap()).unwrap();
        ledger.clock.pass_millis(-record);
        let now = ledger.clock.now();
        let update = ledger.client.update_item().table_name(&ledger.table);
        let update = update.key("user_uuid", AttributeValue::S("u".to_owned()));
        let update = update.key("sk", AttributeValue::S("wallet".to_owned()));
        let version_at = AttributeValue::N((now.millis() + version).to_string());
        let update = update.update_expression("SET version = :version");
        update.expression_attribute_values(":version", version_at).send().await.unwrap();

        let repaired = repair(&ledger, "u").await;
        let found = |names: fn(&Discrepancy) -> bool| repaired.discrepancies.listed().any(names);
        assert_eq!(found(|one| matches!(one, Discrepancy::VersionAhead(_))), is_ahead, "{version} {record}");
        assert_eq!(repaired.trans_no.is_some(), is_set_back, "{version} {record}");
        let by_records = found(|one| matches!(one, Discrepancy::RecordsAhead(_)));
        assert_eq!(by_records, is_ahead && !is_set_back, "{version} {record}");
        if is_set_back {
            let later = now.max(last.plus_millis(1));
            assert_eq!(repaired.after.unwrap().version, Some(later), "{version} {record}");
            assert_sound(&ledger, "u").await;
        }
    }
}

#[tokio::test]
async fn repair_waits_until_a_record_is_visible_beside_its_wallet() {
    let ledger = TestLedger::new().await;
    ledger.create_sample_user("u").await;
    ledger.corrupt("u", "wallet", LESS_LEFT).await;
    ledger.http_client.take_requests();
    plan(&ledger, "u").await;
    let is_read = |sent: &RecordedRequest| sent.operation == "Query" && sent.request["IndexName"].is_null();
    let before =
        ledger.http_client.take_requests().into_iter().find(is_read).unwrap().response.unwrap().to_string();
    let before: &'static str = before.leak();
    ledger.charge("u", 1, "gen-late", None).await.unwrap();
    let mut is_first = true;
    ledger.http_client.inject(move |sent| {
        (is_read(sent) && std::mem::take(&mut is_first)).then_some(ClientFault::Response(before))
    });
    let balance = ledger.balance("u").await["balance"].as_u64().unwrap();
    let repaired = repair_and_check(&ledger, "u").await;
    assert_eq!(repaired.discrepancies.count(), 1, "the damage alone: {:?}", repaired.discrepancies);
    assert_eq!(ledger.sound_balance("u").await, balance + 3, "and the charge is not lost");
}

#[tokio::test]
async fn lost_wallet_of_any_user_is_made_of_the_records() {
    let ledger = TestLedger::new().await;
    ledger.grant("chargeless", 5, Some("2099-01-01T00:00:00Z")).await;
    ledger.refund(Some("fenced"), "gen-1", None).await.unwrap();
    ledger.create_sample_user("u").await;
    for user in ["chargeless", "fenced", "u"] {
        let balance = ledger.balance(user).await;
        ledger.corrupt(user, "wallet", None).await;
        repair_and_check(&ledger, user).await;
        assert_eq!(ledger.balance(user).await, balance, "{user}");
        assert_eq!(repairs(&items(&ledger, user).await).len(), 2, "{user}: there was no wallet before");
    }
    let unknown = repair(&ledger, "unknown").await;
    assert_eq!((unknown.discrepancies.count(), unknown.trans_no, unknown.records), (0, None, 0));
}

/// A pack that ran out is or is not in the wallet still, a refund came before or after
/// that, and its pack had left the wallet.
#[tokio::test]
async fn packs_that_ran_out_are_what_they_were() {
    for (millis_before_refund, millis_after) in
        [(0, 0), (0, 9_000), (0, 20_000), (0, 90_000), (11_000, 0), (11_000, 90_000), (90_000, 0)]
    {
        let ledger = TestLedger::with(Clock::stopped()).await;
        ledger.grant("u", 10, Some("2026-01-01T00:00:10Z")).await;
        ledger.grant("u", 10, Some("2026-01-01T00:00:10Z")).await;
        ledger.grant("u", 10, None).await;
        ledger.charge("u", 12, "gen-1", None).await.unwrap();
        ledger.charge("u", 1, "gen-2", None).await.unwrap();
        ledger.clock.pass_millis(millis_before_refund);
        ledger.refund(Some("u"), "gen-1", None).await.unwrap();
        ledger.clock.pass_millis(millis_after);
        let (balance, summary) = (ledger.balance("u").await, summary(&ledger, "u").await);
        ledger.corrupt("u", "wallet", None).await;
        repair_and_check(&ledger, "u").await;
        assert_eq!(ledger.balance("u").await, balance, "{millis_before_refund} {millis_after}");
        assert_eq!(self::summary(&ledger, "u").await, summary, "{millis_before_refund} {millis_after}");
        ledger.sound_balance("u").await;
    }
}

async fn summary(ledger: &TestLedger, user: &str) -> Value {
    let request = json!({ "operation": "summary", "user_uuid": user });
    ledger.invoke(scrip::transport::functions::HISTORY, request).await.unwrap()
}

#[tokio::test]
async fn ten_thousand_records_are_audited_and_counted() {
    let ledger = TestLedger::new().await;
    ledger.grant("u", 20_000, None).await;
    ledger.clock.pass_millis(11_000);
    ledger.charge("u", 1, "chat-1", Some("m-1")).await.unwrap();
    ledger.copy("u", "charge#chat-1#m-1", 10_000).await;
    let found = audit(&ledger, "u").await.discrepancies;
    assert_eq!(found.count(), 2, "what the copies took, and their sum: {found:?}");
    let empty = ClientFault::Response(r#"{"Count":0,"ScannedCount":0,"Items":[]}"#);
    ledger.http_client.inject(move |sent| is_read_of(sent, Some("timeline")).then(|| empty.clone()));
    let found = audit(&ledger, "u").await.discrepancies;
    assert_eq!(found.listed().count(), Discrepancies::LISTED_MAX);
    assert!(found.count() > 3_000, "at least one of each part of the index: {}", found.count());
    ledger.http_client.inject(|_| None);
    let repaired = repair_and_check(&ledger, "u").await;
    assert_eq!((repaired.records, ledger.sound_balance("u").await), (10_002, 9_999));
}

#[tokio::test]
async fn charge_between_read_and_write_is_not_lost() {
    for damage in [LESS_LEFT, None] {
        let ledger = TestLedger::new().await;
        ledger.create_sample_user("u").await;
        let balance = ledger.sound_balance("u").await;
        ledger.corrupt("u", "wallet", damage).await;
        ledger.http_client.take_requests();
        let sending = Arc::new(Notify::new());
        let (mut is_first, sends) = (true, sending.clone());
        ledger.http_client.inject(move |sent| {
            let is_late = sent.operation == "TransactWriteItems" && std::mem::take(&mut is_first);
            is_late.then(|| sends.notify_one());
            is_late.then_some(ClientFault::Delayed(1_000))
        });
        let second_process = ledger.second_process();
        let writes = async {
            sending.notified().await;
            second_process.grant("u", 3, None).await;
            second_process.charge("u", 2, "gen-second", None).await.unwrap();
        };
        join!(repair(&ledger, "u"), writes);
        let tries = ledger
            .http_client
            .take_requests()
            .iter()
            .filter(|sent| sent.operation == "TransactWriteItems")
            .count();
        assert_eq!(tries, 2, "the first was refused");
        assert_sound(&ledger, "u").await;
        assert_eq!(ledger.sound_balance("u").await, balance + 1);
        assert_eq!(repairs(&items(&ledger, "u").await).len(), 3);
    }
}

#[tokio::test]
async fn repair_succeeds_beside_continuous_writes() {
    let ledger = TestLedger::new().await;
    ledger.create_sample_user("u").await;
    let balance = ledger.sound_balance("u").await;
    ledger.corrupt("u", "wallet", LESS_LEFT).await;
    let second_process = ledger.second_process();
    let writes = async {
        for nth in 0..30 {
            let generation = format!("more-{nth}");
            second_process.grant("u", 3, None).await;
            second_process.charge("u", 2, &generation, Some("k")).await.unwrap();
            second_process.refund(Some("u"), &generation, None).await.unwrap();
        }
    };
    let (repaired, ()) = join!(repair(&ledger, "u"), writes);
    assert!(repaired.trans_no.is_some(), "{:?}", repaired.discrepancies);
    assert_sound(&ledger, "u").await;
    assert_eq!(ledger.sound_balance("u").await, balance + 90);
}

#[tokio::test]
async fn repair_whose_answer_is_lost_is_done_once() {
    for fault in [
        ClientFault::ResponseLost,
        ClientFault::ResponseAndTokenLost,
        ClientFault::RequestLost,
        ClientFault::Duplicated,
    ] {
        let ledger = TestLedger::new().await;
        ledger.create_sample_user("u").await;
        ledger.corrupt("u", "wallet", LESS_LEFT).await;
        let (mut is_first, injected) = (true, fault.clone());
        ledger.http_client.inject(move |sent| {
            let is_write = sent.operation == "TransactWriteItems";
            (is_write && std::mem::take(&mut is_first)).then(|| fault.clone())
        });
        let repaired = repair_and_check(&ledger, "u").await;
        assert_eq!(repaired.discrepancies.count(), 1, "{injected:?}");
        let after = items(&ledger, "u").await;
        assert_eq!(repairs(&after).len(), 3, "{injected:?}");
        assert!(after.contains_key(&format!("repair#{}#after", repaired.trans_no.unwrap())), "{injected:?}");
    }
}

#[tokio::test]
async fn two_repairs_at_once_are_one() {
    let ledger = TestLedger::new().await;
    ledger.create_sample_user("u").await;
    ledger.corrupt("u", "wallet", LESS_LEFT).await;
    let second_process = ledger.second_process();
    let (one, other) = join!(repair(&ledger, "u"), repair(&second_process, "u"));
    assert!(one.trans_no.is_some() != other.trans_no.is_some(), "{one:?} {other:?}");
    assert_sound(&ledger, "u").await;
    assert_eq!(repairs(&items(&ledger, "u").await).len(), 3);
}

#[tokio::test]
async fn repair_trail_is_exported_and_not_in_the_history() {
    let ledger = TestLedger::new().await;
    ledger.create_sample_user("u").await;
    ledger.corrupt("u", "wallet", LESS_LEFT).await;
    let records = ledger.records("u").await;
    repair_and_check(&ledger, "u").await;
    assert_eq!(ledger.records("u").await, records);

    let (to, deadline) = (TestLedger::new().await, ledger.clock.now().plus_millis(PATIENCE_MILLIS));
    let (all, next) = ledger.ledger().items(None, deadline).await.unwrap();
    assert!(next.is_none(), "one page");
    for item in &all {
        to.ledger().put_new(item, deadline).await.unwrap();
    }
    assert_eq!(items(&to, "u").await, items(&ledger, "u").await);
    assert_sound(&to, "u").await;
    let mut users = to.ledger().users(ScanSegment::WHOLE, None);
    assert_eq!(users.next(deadline).await.unwrap().as_deref(), Some("u"));
    assert_eq!(users.next(deadline).await.unwrap(), None);
}
