//! The scheduled audit: the users of each run, and its result.

use std::collections::{BTreeMap, BTreeSet};

use scrip::{
    domain::{CreditSum, Credits, TransType, UserId},
    transport::Audit,
};
use scrip_tests::{Fault, RecordedRequest, TestLedger};
use serde_json::{Value, json};

/// How many milliseconds an invocation has, if it has enough.
const ENOUGH: i64 = 120_000;

fn hourly() -> Audit {
    Audit::every(60).unwrap()
}

/// Of so many users, most with a pack, each fifth only with a fence.
async fn some_users(ledger: &TestLedger, count: u64) {
    for nth in 0..count {
        let user = format!("user-{nth}");
        if nth % 5 == 0 {
            ledger.refund(Some(&user), "gen-1", None).await.unwrap();
        } else {
            ledger.grant(&user, nth + 1, None).await;
            ledger.charge(&user, 1, "gen-1", None).await.unwrap();
        }
    }
}

fn is_read_of_wallet(sent: &RecordedRequest) -> bool {
    sent.operation == "GetItem" && sent.request["Key"]["sk"]["S"] == "wallet"
}

/// How often each user's wallet was read since the last call.
fn looked_at(ledger: &TestLedger) -> BTreeMap<String, u64> {
    let mut users = BTreeMap::new();
    for sent in ledger.http_client.take_requests().into_iter().filter(is_read_of_wallet) {
        let user = sent.request["Key"]["user_uuid"]["S"].as_str().unwrap().to_owned();
        *users.entry(user).or_default() += 1;
    }
    users
}

#[tokio::test]
async fn week_of_runs_audits_every_user_once() {
    for (every, runs) in [(60, 168), (11 * 60, 15), (7 * 24 * 60, 1)] {
        let ledger = TestLedger::new().await;
        some_users(&ledger, 30).await;
        ledger.http_client.take_requests();
        let mut segments = BTreeMap::<i64, u64>::new();
        let mut users = 0;
        for _ in 0..runs {
            let found = ledger.audit(Audit::every(every).unwrap(), &json!({}), ENOUGH).await.unwrap();
            assert_eq!((&found["of"], &found["drifted"]), (&json!(runs), &json!(0)), "{found}");
            assert!(found.get("unfinished_after").is_none(), "{found}");
            *segments.entry(found["segment"].as_i64().unwrap()).or_default() += 1;
            users += found["users"].as_u64().unwrap();
            ledger.clock.pass_millis(i64::from(every) * 60_000);
        }
        assert_eq!(segments, (0..runs).map(|nth| (nth, 1)).collect(), "each segment has its turn");
        let looked_at = looked_at(&ledger);
        assert_eq!((users, looked_at.len()), (30, 30));
        assert!(looked_at.values().all(|times| *times == 1), "{looked_at:?}");
    }
}

#[tokio::test]
async fn run_audits_the_segment_of_its_schedule_however_late_it_is() {
    let ledger = TestLedger::new().await;
    let due = ledger.clock.now();
    let mut segments = BTreeSet::new();
    for later in [0, 1, 3_599_999, 86_400_000] {
        ledger.clock.pass_millis(later);
        let found = ledger.audit(hourly(), &json!({ "time": due.to_string() }), ENOUGH).await.unwrap();
        segments.insert(found["segment"].as_i64().unwrap());
    }
    assert_eq!(segments.len(), 1, "{segments:?}");
}

#[tokio::test]
async fn unfinished_run_goes_on_where_it_ended() {
    let ledger = TestLedger::new().await;
    some_users(&ledger, 12).await;
    ledger.http_client.take_requests();
    let (mut payload, mut users, mut runs) = (json!({ "segment": 0, "of": 1 }), 0, 0);
    loop {
        // The time suffices for the first user only.
        let found = ledger.audit(hourly(), &payload, 20_000).await.unwrap();
        (users, runs) = (users + found["users"].as_u64().unwrap(), runs + 1);
        payload = json!({ "segment": 0, "of": 1, "after": found["unfinished_after"] });
        if payload["after"].is_null() {
            break;
        }
        assert_eq!(found["users"], 1, "{found}");
    }
    // The last run finds no further user.
    assert_eq!((users, runs), (12, 13));
    let looked_at = looked_at(&ledger);
    assert!(looked_at.len() == 12 && looked_at.values().all(|times| *times == 1), "{looked_at:?}");
}

#[tokio::test]
async fn user_who_takes_too_long_is_the_next_run_s_first() {
    let ledger = TestLedger::new().await;
    some_users(&ledger, 6).await;
    let clock = ledger.clock.clone();
    let mut begun = 0;
    ledger.http_client.inject(move |sent| {
        if is_read_of_wallet(sent) {
            begun += 1;
            // Four are audited at once: two have ended when the sixth begins.
            clock.pass_millis(if begun == 6 { ENOUGH } else { 0 });
        }
        (begun >= 6).then_some(Fault::RequestLost)
    });
    let found = ledger.audit(hourly(), &json!({ "segment": 0, "of": 1 }), ENOUGH).await.unwrap();
    assert!(
        (2..6).contains(&found["users"].as_u64().unwrap()) && found["unfinished_after"].is_string(),
        "{found}"
    );
    ledger.http_client.inject(|_| None);
    let rest = json!({ "segment": 0, "of": 1, "after": found["unfinished_after"] });
    let rest = ledger.audit(hourly(), &rest, ENOUGH).await.unwrap();
    assert_eq!(found["users"].as_u64().unwrap() + rest["users"].as_u64().unwrap(), 6, "{found} {rest}");
}

#[tokio::test]
async fn user_who_needs_more_than_a_run_fails_and_the_next_run_begins_behind() {
    let ledger = TestLedger::new().await;
    some_users(&ledger, 6).await;
    let clock = ledger.clock.clone();
    let mut is_first = true;
    ledger.http_client.inject(move |sent| {
        let uses_all = sent.operation == "GetItem" && std::mem::take(&mut is_first);
        clock.pass_millis(if uses_all { ENOUGH } else { 0 });
        None
    });
    let found = ledger.audit(hourly(), &json!({ "segment": 0, "of": 1 }), ENOUGH).await.unwrap();
    assert_eq!((&found["failed"], found["unfinished_after"].is_string()), (&json!(1), true), "{found}");
    let rest = json!({ "segment": 0, "of": 1, "after": found["unfinished_after"] });
    let rest = ledger.audit(hourly(), &rest, ENOUGH).await.unwrap();
    assert_eq!((&rest["failed"], rest.get("unfinished_after")), (&json!(0), None), "{rest}");
    assert_eq!(found["users"].as_u64().unwrap() + rest["users"].as_u64().unwrap(), 5, "{found} {rest}");
}

#[tokio::test]
async fn run_goes_on_behind_users_whose_audit_fails() {
    let ledger = TestLedger::new().await;
    some_users(&ledger, 8).await;
    ledger.http_client.inject(|sent| {
        let user = &sent.request["ExpressionAttributeValues"][":user"]["S"];
        (user == "user-3" || user == "user-6").then_some(Fault::Error(400, "ValidationException"))
    });
    let found = ledger.audit(hourly(), &json!({ "segment": 0, "of": 1 }), ENOUGH).await.unwrap();
    assert_eq!((&found["users"], &found["failed"]), (&json!(6), &json!(2)), "{found}");
    assert!(found.get("unfinished_after").is_none() && found["drifted"] == 0, "{found}");
}

#[tokio::test]
async fn payload_may_be_any_object_and_names_a_segment_that_there_is() {
    let ledger = TestLedger::new().await;
    some_users(&ledger, 3).await;
    for payload in [
        json!({}),
        json!({ "version": "0", "detail-type": "Scheduled Event", "resources": ["r"], "detail": {} }),
        json!({ "segment": null, "of": null, "after": null, "time": null }),
        json!({ "segment": 999_999, "of": 1_000_000, "time": "2026-01-01T00:00:00Z" }),
        json!({ "segment": 0, "of": 1, "after": "nobody", "time": "passed over" }),
    ] {
        ledger.audit(hourly(), &payload, ENOUGH).await.unwrap_or_else(|error| panic!("{payload}: {error:?}"));
    }
    for payload in [
        json!([0, 1, null]),
        json!("segment"),
        Value::Null,
        json!({ "segment": 1 }),
        json!({ "of": 1 }),
        json!({ "after": "u" }),
        json!({ "segment": 1, "of": 1 }),
        json!({ "segment": -1, "of": 1 }),
        json!({ "segment": 0, "of": 0 }),
        json!({ "segment": 0, "of": 1_000_001 }),
        json!({ "segment": "planted", "of": 1 }),
        json!({ "segment": 0.5, "of": 1 }),
        json!({ "time": "planted" }),
        json!({ "time": 1_767_225_600 }),
    ] {
        let (code, why) = ledger.audit(hourly(), &payload, ENOUGH).await.unwrap_err();
        assert_eq!(code, "InvalidRequest", "{payload}");
        assert!(!why.contains("planted"), "{why}");
    }
    assert!(Audit::every(0).is_none() && Audit::every(-60).is_none() && Audit::every(10_081).is_none());
}

#[tokio::test]
async fn store_that_fails_is_an_error_of_the_run() {
    let ledger = TestLedger::new().await;
    some_users(&ledger, 3).await;
    for operation in ["Scan", "GetItem", "Query"] {
        ledger.http_client.inject(move |sent| (sent.operation == operation).then_some(Fault::RequestLost));
        let (code, _) = ledger.audit(hourly(), &json!({ "segment": 0, "of": 1 }), ENOUGH).await.unwrap_err();
        assert_eq!(code, "StoreUnavailable", "{operation}");
    }
}

#[tokio::test]
async fn run_takes_wallets_of_any_size() {
    let ledger = TestLedger::new().await;
    ledger.grant("chargeless", 5, Some("2099-01-01T00:00:00Z")).await;
    ledger.clock.pass_millis(20_000);
    ledger.grant("many", 20_000, None).await;
    ledger.charge("many", 1, "chat-1", Some("m-1")).await.unwrap();
    ledger.copy("many", "charge#chat-1#m-1", 9_999).await;
    let whole = json!({ "segment": 0, "of": 1 });
    let found = ledger.audit(hourly(), &whole, ENOUGH).await.unwrap();
    assert_eq!((&found["users"], &found["drifted"]), (&json!(2), &json!(1)), "the copies took something");

    let user = UserId::try_from("many".to_owned()).unwrap();
    let mut wallet = ledger.store().wallet(&user).await.unwrap().wallet;
    wallet.packs[0].remaining = Credits::requested(10_000).unwrap();
    let charged = wallet.totals.iter_mut().find(|(of, _)| matches!(of, TransType::Charge(_)));
    charged.unwrap().1.created = CreditSum { credits: Credits::requested(10_000).unwrap(), count: 10_000 };
    ledger.corrupt("many", "wallet", None).await;
    ledger.seed("many", &wallet).await;
    let found = ledger.audit(hourly(), &whole, ENOUGH).await.unwrap();
    let expected = json!({ "segment": 0, "of": 1, "users": 2, "records": 10_002, "voided": 0, "drifted": 0, "failed": 0 });
    assert_eq!(found, expected);
}
