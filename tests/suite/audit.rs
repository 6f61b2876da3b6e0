//! What an audit finds, and what it does not mistake for damage.

use scrip::domain::{Discrepancy, UserUuid};
use scrip_tests::{Bench, DAMAGES, Fault as OnWire};
use tokio::task::JoinSet;

/// The faults of a user, as they are told.
async fn faults(bench: &Bench, user: &str) -> Vec<String> {
    let user = UserUuid::try_from(user.to_owned()).unwrap();
    let audited = bench.ledger().audit(&user, bench.clock.now().plus_millis(60_000)).await.unwrap();
    audited.discrepancies.iter().map(Discrepancy::to_string).collect()
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
        ("timeline", 100, Some("is not the same in the timeline's index")),
        ("generation_uuid", 2, None),
        ("generation_uuid", 100, Some("is not in the generations' index")),
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
}

#[tokio::test]
async fn a_first_grant_that_comes_meanwhile_is_no_drift() {
    let bench = Bench::new().await;
    let beside = bench.beside();
    bench.wire.inject(|sent| (sent.operation == "Query").then_some(OnWire::Late(300)));
    let user = UserUuid::try_from("u".to_owned()).unwrap();
    let deadline = bench.clock.now().plus_millis(60_000);
    let audit = bench.ledger().audit(&user, deadline);
    let grant = async {
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        beside.grant("u", 3, None).await;
        beside.charge("u", 2, "gen-1", None).await.unwrap();
    };
    let (audited, ()) = tokio::join!(audit, grant);
    assert_eq!(audited.unwrap().discrepancies.len(), 0);
}
