//! What an audit finds, and what it does not mistake for damage.

use std::collections::BTreeSet;

use aws_sdk_dynamodb::types::AttributeValue;
use scrip::{
    domain::{Discrepancies, Discrepancy, OrderNo, UserId},
    ledger::AuditReport,
    transport::functions::GRANT,
};
use scrip_tests::{CORRUPTIONS, Corruption, Fault as ClientFault, RecordedRequest, TestLedger};
use serde_json::{Value, json};
use tokio::task::JoinSet;

/// Audits a user, in 60 s at most.
pub(crate) async fn audit(ledger: &TestLedger, user: &str) -> AuditReport {
    let user = UserId::try_from(user.to_owned()).unwrap();
    ledger.ledger().audit(&user, ledger.clock.now().plus_millis(60_000)).await.unwrap()
}

/// The texts of a user's discrepancies.
async fn faults(ledger: &TestLedger, user: &str) -> Vec<String> {
    audit(ledger, user).await.discrepancies.listed().map(Discrepancy::to_string).collect()
}

/// Whether a request reads all of a user's items, or all of an index.
pub(crate) fn is_read_of(sent: &RecordedRequest, index: Option<&str>) -> bool {
    sent.operation == "Query" && sent.request["IndexName"].as_str() == index
}

/// The answer to the last such read, as a body that any read can get.
fn answer(ledger: &TestLedger, index: Option<&str>, change: impl FnOnce(&mut Vec<Value>)) -> &'static str {
    let sent = ledger.http_client.take_requests().into_iter().rfind(|sent| is_read_of(sent, index)).unwrap();
    let mut answer = sent.response.unwrap();
    change(answer["Items"].as_array_mut().unwrap());
    answer["Count"] = answer["Items"].as_array().unwrap().len().into();
    answer["ScannedCount"] = answer["Count"].clone();
    answer.to_string().leak()
}

#[tokio::test]
async fn audit_finds_what_was_done_by_hand() {
    let mut checks = JoinSet::new();
    for (sort, damage, says, _) in CORRUPTIONS {
        checks.spawn(async move {
            let ledger = TestLedger::new().await;
            ledger.create_sample_user("u").await;
            assert_eq!(faults(&ledger, "u").await, [""; 0]);
            ledger.corrupt("u", sort, damage).await;
            let found = faults(&ledger, "u").await;
            assert!(found.iter().any(|fault| fault.contains(says)), "{sort}: {says}: {found:#?}");
        });
    }
    checks.join_all().await;
}

#[tokio::test]
async fn index_that_lags_is_no_damage_and_one_that_lacks_something_is() {
    let empty = ClientFault::Response(r#"{"Count":0,"ScannedCount":0,"Items":[]}"#);
    for (index, answers, says) in [
        ("timeline", 2, None),
        ("timeline", 100, Some("is missing or different in the timeline index")),
        ("generation_uuid", 2, None),
        ("generation_uuid", 100, Some("is missing in the generation index")),
    ] {
        let ledger = TestLedger::new().await;
        ledger.create_sample_user("u").await;
        let (mut left, empty) = (answers, empty.clone());
        ledger.http_client.inject(move |sent| {
            let is_empty = sent.request["IndexName"] == index && left > 0;
            left -= i32::from(is_empty);
            is_empty.then(|| empty.clone())
        });
        let found = faults(&ledger, "u").await;
        assert_eq!(found.is_empty(), says.is_none(), "{index}: {found:?}");
        assert!(
            found.iter().all(|fault| says.is_some_and(|says| fault.contains(says))),
            "{index}: {found:?}"
        );
    }
}

#[tokio::test]
async fn record_that_is_visible_after_its_wallet_is_no_drift_and_a_lost_one_is() {
    for (stale_reads, is_drift) in [(1, false), (3, false), (100, true)] {
        let ledger = TestLedger::new().await;
        ledger.create_sample_user("u").await;
        ledger.http_client.take_requests();
        faults(&ledger, "u").await;
        let before = answer(&ledger, None, |_| {});
        ledger.charge("u", 1, "gen-late", None).await.unwrap();
        let mut left = stale_reads;
        ledger.http_client.inject(move |sent| {
            let is_stale = is_read_of(sent, None) && left > 0;
            left -= i32::from(is_stale);
            is_stale.then_some(ClientFault::Response(before))
        });
        let found = faults(&ledger, "u").await;
        assert_eq!(!found.is_empty(), is_drift, "{stale_reads}: {found:?}");
        let (user, deadline) =
            (UserId::try_from("u".to_owned()).unwrap(), ledger.clock.now().plus_millis(60_000));
        let planned = ledger.ledger().plan_repair(&user, deadline).await.unwrap();
        assert_eq!((planned.discrepancies.is_empty(), planned.after), (!is_drift, None), "{stale_reads}");
    }
}

#[tokio::test]
async fn records_that_an_index_lacks_or_changes_are_named_among_many() {
    let ledger = TestLedger::new().await;
    ledger.create_sample_user("u").await;
    ledger.copy("u", "charge#chat-1#m-1", 300).await;
    ledger.http_client.take_requests();
    faults(&ledger, "u").await;
    let mut changed = BTreeSet::new();
    let index = answer(&ledger, Some("timeline"), |entries| {
        let name = |entry: &Value| {
            let trans_no = entry["trans_no"]["S"].as_str().unwrap();
            format!("record {trans_no} is missing or different in the timeline index")
        };
        changed.extend([200, 100, 50].map(|nth| name(&entries[nth])));
        // All three are charges: the newest ten may be in any order, with a grant among them.
        entries[200]["credits"]["N"] = "-77".into();
        entries.remove(100);
        entries.remove(50);
    });
    ledger
        .http_client
        .inject(|sent| is_read_of(sent, Some("timeline")).then_some(ClientFault::Response(index)));
    let found: BTreeSet<_> =
        faults(&ledger, "u").await.into_iter().filter(|fault| fault.contains("timeline")).collect();
    assert_eq!(found, changed);
}

#[tokio::test]
async fn very_many_discrepancies_are_counted_and_a_hundred_are_named() {
    let ledger = TestLedger::new().await;
    ledger.create_sample_user("u").await;
    ledger.corrupt("u", "charge#chat-1#m-1", Some(|item| _ = item.remove("credits"))).await;
    ledger.copy("u", "charge#chat-1#m-1", 150).await;
    let found = audit(&ledger, "u").await.discrepancies;
    assert_eq!(found.listed().count(), Discrepancies::LISTED_MAX);
    assert!(found.count() > 150 && !found.is_repairable(), "{found:?}");
}

#[tokio::test]
async fn user_who_is_written_to_meanwhile_is_no_drift() {
    let ledger = TestLedger::new().await;
    ledger.create_sample_user("u").await;
    let second_process = ledger.second_process();
    let writes = async {
        for nth in 0..40 {
            let generation = format!("more-{nth}");
            second_process.grant("u", 3, None).await;
            second_process.charge("u", 2, &generation, Some("k")).await.unwrap();
            second_process.refund(Some("u"), &generation, None).await.unwrap();
        }
    };
    let audits = async {
        for _ in 0..20 {
            assert_eq!(faults(&ledger, "u").await, [""; 0]);
        }
    };
    tokio::join!(writes, audits);
}

#[tokio::test]
async fn audit_of_a_user_without_charges_finds_nothing() {
    let ledger = TestLedger::new().await;
    assert_eq!(faults(&ledger, "nobody").await, [""; 0]);
    ledger.refund(Some("fenced"), "gen-1", None).await.unwrap();
    assert_eq!(faults(&ledger, "fenced").await, [""; 0]);
    ledger.grant("chargeless", 5, Some("2099-01-01T00:00:00Z")).await;
    assert_eq!(faults(&ledger, "chargeless").await, [""; 0]);
}

#[tokio::test]
async fn first_grant_that_comes_meanwhile_is_no_drift() {
    let ledger = TestLedger::new().await;
    let second_process = ledger.second_process();
    ledger.http_client.inject(|sent| (sent.operation == "Query").then_some(ClientFault::Delayed(300)));
    let user = UserId::try_from("u".to_owned()).unwrap();
    let deadline = ledger.clock.now().plus_millis(60_000);
    let audit = ledger.ledger().audit(&user, deadline);
    let grant = async {
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        second_process.grant("u", 3, None).await;
        second_process.charge("u", 2, "gen-1", None).await.unwrap();
    };
    let (audited, ()) = tokio::join!(audit, grant);
    assert!(audited.unwrap().discrepancies.is_empty());
}

/// Grants 10 credits of an order to user `u`.
async fn grant_order(ledger: &TestLedger, order_no: &str) {
    let request = json!({ "user_uuid": "u", "trans_type": "order_pay", "order_no": order_no, "credits": 10 });
    ledger.invoke(GRANT, request).await.unwrap();
}

/// Sets what the source `refund` revokes of an order of 10 credits.
async fn revoke(ledger: &TestLedger, order_no: &str, part: u64) {
    let request = json!({
        "operation": "revoke", "order_no": order_no, "source": "refund", "part": part, "of": 10,
        "as_of": "2026-01-01T00:00:00Z", "reason": "it was refunded",
    });
    ledger.invoke(GRANT, request).await.unwrap();
}

/// The texts of the discrepancies of an order.
async fn order_faults(ledger: &TestLedger, order_no: &str) -> Vec<String> {
    let order_no = OrderNo::try_from(order_no.to_owned()).unwrap();
    let deadline = ledger.clock.now().plus_millis(60_000);
    let audit = ledger.ledger().audit_order(&order_no, deadline).await.unwrap();
    audit.discrepancies.listed().map(Discrepancy::to_string).collect()
}

fn set_owner(item: &mut std::collections::HashMap<String, AttributeValue>, user: &str) {
    item.insert("owner".to_owned(), AttributeValue::S(user.to_owned()));
}

/// A corruption of an order or its grant, and what the audits of the user and of the order report;
/// none means nothing.
type OrderCorruption = (&'static str, &'static str, Corruption, Option<&'static str>, Option<&'static str>);

const ORDER_CORRUPTIONS: [OrderCorruption; 11] = [
    ("order#o1", "order", None, Some("has no item"), None),
    ("order#o2", "order", None, None, None),
    (
        "order#o2",
        "order",
        Some(|item| set_owner(item, "v")),
        Some("has another user or none"),
        Some("order o2 has a user, and the user has no grant of it"),
    ),
    ("order#o1", "order", Some(|item| _ = item.remove("owner")), Some("has another user or none"), None),
    (
        "order#o1",
        "order",
        Some(|item| _ = item.insert("statements".to_owned(), AttributeValue::L(Vec::new()))),
        Some("are revoked by its order and 5 by its record"),
        Some("are revoked by its order and 5 by its record"),
    ),
    (
        "order#o1",
        "order",
        Some(|item| _ = item.insert("more".to_owned(), AttributeValue::Bool(true))),
        Some("sk=\"order\": has other attributes than were written"),
        Some("sk=\"order\": has other attributes than were written"),
    ),
    (
        "order#o1",
        "order",
        Some(|item| _ = item.remove("revision")),
        Some("sk=\"order\": not the format of its attributes"),
        Some("sk=\"order\": not the format of its attributes"),
    ),
    (
        "order#o2",
        "order",
        Some(|item| _ = item.insert("item_format".to_owned(), AttributeValue::N("9".to_owned()))),
        Some("is of format 9, not 2"),
        Some("is of format 9, not 2"),
    ),
    (
        "u",
        "grant#order#o1",
        Some(|item| {
            item.retain(|name, _| {
                !["item_format", "changed_at", "revocations", "revoked"].contains(&name.as_str())
            })
        }),
        Some("5 credits of grant"),
        Some("are revoked by its order and 0 by its record"),
    ),
    (
        "u",
        "grant#order#o2",
        None,
        Some("the sums of order_pay"),
        Some("order o2 has a user, and the user has no grant of it"),
    ),
    (
        "u",
        "grant#order#o2",
        Some(|item| _ = item.insert("is_voided".to_owned(), AttributeValue::Bool(true))),
        Some("void mark"),
        Some("void mark"),
    ),
];

#[tokio::test]
async fn orders_are_compared_with_their_grants() {
    let mut checks = JoinSet::new();
    for (user, sort, corruption, by_user, by_order) in ORDER_CORRUPTIONS {
        checks.spawn(async move {
            let ledger = TestLedger::new().await;
            grant_order(&ledger, "o1").await;
            grant_order(&ledger, "o2").await;
            revoke(&ledger, "o1", 5).await;
            let order_no = if format!("{user}{sort}").contains("o1") { "o1" } else { "o2" };
            assert_eq!(faults(&ledger, "u").await, [""; 0]);
            assert_eq!(order_faults(&ledger, order_no).await, [""; 0]);
            ledger.corrupt(user, sort, corruption).await;
            for (found, expected) in
                [(faults(&ledger, "u").await, by_user), (order_faults(&ledger, order_no).await, by_order)]
            {
                let is_found = expected.is_none_or(|text| found.iter().any(|fault| fault.contains(text)));
                assert!(
                    is_found && found.is_empty() == expected.is_none(),
                    "{user} {sort} {expected:?}: {found:#?}"
                );
            }
            let (user, deadline) =
                (UserId::try_from("u".to_owned()).unwrap(), ledger.clock.now().plus_millis(60_000));
            let planned = ledger.ledger().plan_repair(&user, deadline).await.unwrap();
            assert_eq!(planned.after, None, "a repair of the wallet does not correct an order");
        });
    }
    checks.join_all().await;
}

#[tokio::test]
async fn audit_reads_a_bounded_number_of_orders_and_revoked_ones_first() {
    let ledger = TestLedger::new().await;
    let orders: Vec<_> = (0..103).map(|nth| format!("o{nth}")).collect();
    for order_no in &orders {
        grant_order(&ledger, order_no).await;
    }
    for order_no in &orders[..3] {
        revoke(&ledger, order_no, 1).await;
    }
    ledger.http_client.take_requests();
    assert_eq!(faults(&ledger, "u").await, [""; 0]);
    let requests = ledger.http_client.take_requests();
    let reads = requests.iter().filter(|sent| sent.operation == "GetItem");
    let is_order = |sent: &&RecordedRequest| sent.request["Key"]["sk"]["S"] == "order";
    let read: BTreeSet<_> =
        reads.filter(is_order).map(|sent| sent.request["Key"]["user_uuid"].to_string()).collect();
    assert_eq!(read.len(), 100);
    assert!(
        (0..3).all(|nth| read.contains(&json!({ "S": format!("order#o{nth}") }).to_string())),
        "{read:?}"
    );
}

/// The pack of one order paid for another, and both were restored: by the record of the first
/// order alone, more was returned than taken.
#[tokio::test]
async fn credits_that_returned_through_another_order_are_no_damage() {
    let ledger = TestLedger::new().await;
    let set = async |order_no: &str, nth: u64, credits: u64| {
        let request = json!({
            "operation": "revoke", "order_no": order_no, "source": "refund", "credits": credits,
            "as_of": format!("2026-01-01T00:00:0{nth}Z"), "shortfall": if order_no == "o2" { "debt" } else { "keep" },
            "reason": "a dispute",
        });
        ledger.invoke(GRANT, request).await.unwrap()
    };
    grant_order(&ledger, "o2").await;
    ledger.charge("u", 10, "gen", None).await.unwrap();
    grant_order(&ledger, "o1").await;
    assert_eq!(set("o2", 1, 10).await["taken"], 10, "the pack of o1 pays");
    assert_eq!(set("o1", 2, 10).await["shortfall"], 10);
    assert_eq!(set("o2", 3, 0).await["shortfall"], 0);
    assert_eq!(set("o1", 4, 0).await["restored"], 10);
    assert_eq!(ledger.balance("u").await["balance"], 10);
    assert_eq!(faults(&ledger, "u").await, [""; 0]);
}
