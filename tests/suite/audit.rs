//! What an audit finds, and what it does not mistake for damage.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use scrip::domain::{Fault, UserUuid};
use scrip_tests::{Bench, Fault as OnWire};
use tokio::task::JoinSet;

/// The faults of a user, as they are told.
async fn faults(bench: &Bench, user: &str) -> Vec<String> {
    let user = UserUuid::try_from(user.to_owned()).unwrap();
    let audited = bench.ledger().audit(&user, bench.clock.now().plus_millis(60_000)).await.unwrap();
    audited.faults.iter().map(Fault::to_string).collect()
}

/// A user with two packs and charges of three kinds, one of them voided, and a fence.
async fn a_user(bench: &Bench) {
    bench.grant("u", 10, None).await;
    bench.grant("u", 20, Some("2099-01-01T00:00:00Z")).await;
    bench.charge("u", 25, "gen-1", None).await.unwrap();
    bench.charge("u", 1, "chat-1", Some("m-1")).await.unwrap();
    bench.charge("u", 2, "gen-2", None).await.unwrap();
    bench.refund(Some("u"), "gen-2", None).await.unwrap();
    bench.refund(Some("u"), "gen-3", None).await.unwrap();
}

type Attributes = HashMap<String, AttributeValue>;

fn number(number: i64) -> AttributeValue {
    AttributeValue::N(number.to_string())
}

fn text(text: &str) -> AttributeValue {
    AttributeValue::S(text.to_owned())
}

fn list<'a>(item: &'a mut Attributes, name: &str) -> &'a mut Vec<AttributeValue> {
    let Some(AttributeValue::L(list)) = item.get_mut(name) else { panic!("no {name}") };
    list
}

fn map<'a>(value: Option<&'a mut AttributeValue>, name: &str) -> &'a mut Attributes {
    let Some(AttributeValue::M(map)) = value else { panic!("no {name}") };
    map
}

/// What can happen to an item; nothing is left of a lost one.
type Damage = Option<fn(&mut Attributes)>;

#[tokio::test]
async fn an_audit_finds_what_was_done_by_hand() {
    let damages: [(&str, Damage, &str); 21] = [
        ("wallet", None, "there are records and no wallet"),
        ("wallet", Some(|item| _ = item.remove("packs")), "sk=\"wallet\": missing field `packs`"),
        ("wallet", Some(|item| _ = item.insert("more".to_owned(), number(1))), "other attributes"),
        ("wallet", Some(|item| _ = item.remove("keyed")), "does not know of charges with keys"),
        (
            "wallet",
            Some(|item| _ = list(item, "packs").pop()),
            "has 0 left by the wallet and 4 by the records",
        ),
        (
            "wallet",
            Some(|item| _ = map(list(item, "packs").first_mut(), "pack").insert("n".to_owned(), number(3))),
            "has 3 left by the wallet and 4 by the records",
        ),
        (
            "wallet",
            Some(|item| _ = map(list(item, "packs").first_mut(), "pack").insert("c".to_owned(), number(11))),
            "is told otherwise than its grant's record",
        ),
        (
            "wallet",
            Some(|item| _ = map(item.get_mut("totals"), "totals").remove("anime_generation")),
            "the sums of anime_generation are 0 credits of 0 records",
        ),
        ("grant", None, "has no record of its grant"),
        ("grant", Some(|item| _ = item.insert("credits".to_owned(), number(9))), "is told otherwise"),
        (
            "grant",
            Some(|item| _ = item.insert("order_no".to_owned(), text("another"))),
            "where another belongs",
        ),
        (
            "grant",
            Some(|item| _ = item.insert("is_voided".to_owned(), AttributeValue::Bool(true))),
            "void mark",
        ),
        ("charge#gen-1#", None, "the sums of anime_generation"),
        (
            "charge#gen-1#",
            Some(|item| _ = list(item, "allocations").pop()),
            "allocations are not its credits",
        ),
        ("charge#gen-1#", Some(|item| _ = item.remove("user_trans")), "other attributes than were written"),
        ("charge#gen-1#", Some(|item| _ = item.remove("trans_no")), "sk=\"charge#gen-1#\""),
        (
            "charge#gen-1#",
            Some(|item| _ = item.insert("generation_uuid".to_owned(), text("gen-9"))),
            "where another belongs",
        ),
        (
            "charge#gen-1#",
            Some(|item| _ = item.insert("is_voided".to_owned(), AttributeValue::Bool(true))),
            "half",
        ),
        ("charge#gen-2#", Some(|item| _ = item.remove("voided_by")), "half written"),
        ("charge#gen-3#", None, "there are 1 fences by the wallet and 0 by the records"),
        ("charge#gen-3#", Some(|item| _ = item.remove("voided_reason")), "missing field `voided_reason`"),
    ];
    let mut checks = JoinSet::new();
    for (sort, damage, says) in damages {
        checks.spawn(async move {
            let bench = Bench::new().await;
            a_user(&bench).await;
            assert_eq!(faults(&bench, "u").await, [""; 0]);
            damaged(&bench, sort, damage).await;
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
        a_user(&bench).await;
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

/// Does this to the item whose sort key begins so.
async fn damaged(bench: &Bench, sort: &str, damage: Damage) {
    let query = bench.client.query().table_name(&bench.table).limit(1);
    let query = query.key_condition_expression("user_uuid = :user AND begins_with(sk, :sort)");
    let query = query.expression_attribute_values(":user", text("u"));
    let found = query.expression_attribute_values(":sort", text(sort)).send().await.unwrap();
    let mut item = found.items.unwrap().remove(0);
    let key = ["user_uuid", "sk"].map(|name| (name.to_owned(), item[name].clone()));
    let delete = bench.client.delete_item().table_name(&bench.table).set_key(Some(key.into()));
    delete.send().await.unwrap();
    if let Some(damage) = damage {
        damage(&mut item);
        bench.client.put_item().table_name(&bench.table).set_item(Some(item)).send().await.unwrap();
    }
}

#[tokio::test]
async fn a_user_who_is_written_to_meanwhile_is_no_drift() {
    let bench = Bench::new().await;
    a_user(&bench).await;
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
    a_user(&bench).await;
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
    assert_eq!(audited.unwrap().faults.len(), 0);
}
