//! What an audit finds, and what it does not mistake for damage.

use std::collections::BTreeSet;

use scrip::{
    domain::{Discrepancies, Discrepancy, UserId},
    ledger::AuditReport,
};
use scrip_tests::{Bench, DAMAGES, Fault as OnWire, Sent};
use serde_json::Value;
use tokio::task::JoinSet;

async fn audit(bench: &Bench, user: &str) -> AuditReport {
    let user = UserId::try_from(user.to_owned()).unwrap();
    bench.ledger().audit(&user, bench.clock.now().plus_millis(60_000)).await.unwrap()
}

/// The texts of a user's discrepancies.
async fn faults(bench: &Bench, user: &str) -> Vec<String> {
    audit(bench, user).await.discrepancies.listed().map(Discrepancy::to_string).collect()
}

/// Whether a request reads all of a user's items, or all of an index.
fn is_read_of(sent: &Sent, index: Option<&str>) -> bool {
    sent.operation == "Query" && sent.request["IndexName"].as_str() == index
}

/// The answer to the last such read, as a body that any read can get.
fn answer(bench: &Bench, index: Option<&str>, change: impl FnOnce(&mut Vec<Value>)) -> &'static str {
    let sent = bench.wire.take().into_iter().rfind(|sent| is_read_of(sent, index)).unwrap();
    let mut answer = sent.answer.unwrap();
    change(answer["Items"].as_array_mut().unwrap());
    answer["Count"] = answer["Items"].as_array().unwrap().len().into();
    answer["ScannedCount"] = answer["Count"].clone();
    answer.to_string().leak()
}

#[tokio::test]
async fn an_audit_finds_what_was_done_by_hand() {
    let mut checks = JoinSet::new();
    for (sort, damage, says, _) in DAMAGES {
        checks.spawn(async move {
            let bench = Bench::new().await;
            bench.a_user("u").await;
            assert_eq!(faults(&bench, "u").await, [""; 0]);
            bench.damage("u", sort, damage).await;
            let found = faults(&bench, "u").await;
            assert!(found.iter().any(|fault| fault.contains(says)), "{sort}: {says}: {found:#?}");
        });
    }
    checks.join_all().await;
}

#[tokio::test]
async fn an_index_that_lags_is_no_damage_and_one_that_lacks_something_is() {
    let empty = OnWire::Answered(r#"{"Count":0,"ScannedCount":0,"Items":[]}"#);
    for (index, answers, says) in [
        ("timeline", 2, None),
        ("timeline", 100, Some("is missing or different in the timeline index")),
        ("generation_uuid", 2, None),
        ("generation_uuid", 100, Some("is missing in the generation index")),
    ] {
        let bench = Bench::new().await;
        bench.a_user("u").await;
        let (mut left, empty) = (answers, empty.clone());
        bench.wire.inject(move |sent| {
            let is_empty = sent.request["IndexName"] == index && left > 0;
            left -= i32::from(is_empty);
            is_empty.then(|| empty.clone())
        });
        let found = faults(&bench, "u").await;
        assert_eq!(found.is_empty(), says.is_none(), "{index}: {found:?}");
        assert!(
            found.iter().all(|fault| says.is_some_and(|says| fault.contains(says))),
            "{index}: {found:?}"
        );
    }
}

#[tokio::test]
async fn a_record_that_is_visible_after_its_wallet_is_no_drift_and_a_lost_one_is() {
    for (stale_reads, is_drift) in [(1, false), (3, false), (100, true)] {
        let bench = Bench::new().await;
        bench.a_user("u").await;
        bench.wire.take();
        faults(&bench, "u").await;
        let before = answer(&bench, None, |_| {});
        bench.charge("u", 1, "gen-late", None).await.unwrap();
        let mut left = stale_reads;
        bench.wire.inject(move |sent| {
            let is_stale = is_read_of(sent, None) && left > 0;
            left -= i32::from(is_stale);
            is_stale.then_some(OnWire::Answered(before))
        });
        let found = faults(&bench, "u").await;
        assert_eq!(!found.is_empty(), is_drift, "{stale_reads}: {found:?}");
        let (user, deadline) =
            (UserId::try_from("u".to_owned()).unwrap(), bench.clock.now().plus_millis(60_000));
        let planned = bench.ledger().plan_repair(&user, deadline).await.unwrap();
        assert_eq!((planned.discrepancies.is_empty(), planned.after), (!is_drift, None), "{stale_reads}");
    }
}

#[tokio::test]
async fn the_records_that_an_index_lacks_or_changes_are_named_among_many() {
    let bench = Bench::new().await;
    bench.a_user("u").await;
    bench.copy("u", "charge#chat-1#m-1", 300).await;
    bench.wire.take();
    faults(&bench, "u").await;
    let mut changed = BTreeSet::new();
    let index = answer(&bench, Some("timeline"), |entries| {
        let name = |entry: &Value| {
            let trans_no = entry["trans_no"]["S"].as_str().unwrap();
            format!("record {trans_no} is missing or different in the timeline index")
        };
        changed.extend([100, 50, 7].map(|nth| name(&entries[nth])));
        entries.remove(100);
        entries.remove(50);
        entries[7]["credits"]["N"] = "-77".into();
    });
    bench.wire.inject(|sent| is_read_of(sent, Some("timeline")).then_some(OnWire::Answered(index)));
    let found: BTreeSet<_> =
        faults(&bench, "u").await.into_iter().filter(|fault| fault.contains("timeline")).collect();
    assert_eq!(found, changed);
}

#[tokio::test]
async fn very_many_discrepancies_are_counted_and_a_hundred_are_named() {
    let bench = Bench::new().await;
    bench.a_user("u").await;
    bench.damage("u", "charge#chat-1#m-1", Some(|item| _ = item.remove("credits"))).await;
    bench.copy("u", "charge#chat-1#m-1", 150).await;
    let found = audit(&bench, "u").await.discrepancies;
    assert_eq!(found.listed().count(), Discrepancies::LISTED_MAX);
    assert!(found.count() > 150 && !found.is_repairable(), "{found:?}");
}

#[tokio::test]
async fn a_user_who_is_written_to_meanwhile_is_no_drift() {
    let bench = Bench::new().await;
    bench.a_user("u").await;
    let beside = bench.beside();
    let writes = async {
        for nth in 0..40 {
            let generation = format!("more-{nth}");
            beside.grant("u", 3, None).await;
            beside.charge("u", 2, &generation, Some("k")).await.unwrap();
            beside.refund(Some("u"), &generation, None).await.unwrap();
        }
    };
    let audits = async {
        for _ in 0..20 {
            assert_eq!(faults(&bench, "u").await, [""; 0]);
        }
    };
    tokio::join!(writes, audits);
}

#[tokio::test]
async fn an_audit_of_many_records_or_none_is_right() {
    let bench = Bench::new().await;
    assert_eq!(faults(&bench, "nobody").await, [""; 0]);
    bench.refund(Some("fenced"), "gen-1", None).await.unwrap();
    assert_eq!(faults(&bench, "fenced").await, [""; 0]);
    bench.grant("chargeless", 5, Some("2099-01-01T00:00:00Z")).await;
    assert_eq!(faults(&bench, "chargeless").await, [""; 0]);
    bench.clock.pass_millis(10_000);
    bench.a_user("u").await;
    bench.copy("u", "charge#chat-1#m-1", 10_000).await;
    let found = faults(&bench, "u").await;
    assert_eq!(found.len(), 2, "what the copies took, and their sum: {found:?}");
    let empty = OnWire::Answered(r#"{"Count":0,"ScannedCount":0,"Items":[]}"#);
    bench.wire.inject(move |sent| is_read_of(sent, Some("timeline")).then(|| empty.clone()));
    let found = audit(&bench, "u").await.discrepancies;
    assert_eq!(found.listed().count(), Discrepancies::LISTED_MAX);
    assert!(found.count() > 3_000, "at least one of each part of the index: {}", found.count());
}

#[tokio::test]
async fn a_first_grant_that_comes_meanwhile_is_no_drift() {
    let bench = Bench::new().await;
    let beside = bench.beside();
    bench.wire.inject(|sent| (sent.operation == "Query").then_some(OnWire::Late(300)));
    let user = UserId::try_from("u".to_owned()).unwrap();
    let deadline = bench.clock.now().plus_millis(60_000);
    let audit = bench.ledger().audit(&user, deadline);
    let grant = async {
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        beside.grant("u", 3, None).await;
        beside.charge("u", 2, "gen-1", None).await.unwrap();
    };
    let (audited, ()) = tokio::join!(audit, grant);
    assert!(audited.unwrap().discrepancies.is_empty());
}
