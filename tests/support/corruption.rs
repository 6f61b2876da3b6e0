//! Corruptions of a user's items, and what audit and repair do about them.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;

use crate::TestLedger;

/// An item.
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

/// A change of an item; none deletes it.
pub type Corruption = Option<fn(&mut Attributes)>;

/// What a repair does about a corruption.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RepairOutcome {
    /// It replaces the wallet: the records are sound.
    Repairs,
    /// It writes nothing.
    Refuses,
}
use RepairOutcome::{Refuses, Repairs};

/// Corruptions of the user that [`TestLedger::create_sample_user`] creates: prefix of the item's sort key,
/// change, a part of the discrepancy that an audit reports, and outcome of a repair.
pub const CORRUPTIONS: [(&str, Corruption, &str, RepairOutcome); 34] = [
    ("wallet", None, "there are records and no wallet", Repairs),
    ("wallet", Some(|item| _ = item.remove("packs")), "sk=\"wallet\": packs: missing", Repairs),
    ("wallet", Some(|item| _ = item.remove("version")), "sk=\"wallet\": version: missing", Repairs),
    ("wallet", Some(|item| _ = item.insert("version".to_owned(), text("1"))), "sk=\"wallet\": ", Repairs),
    (
        "wallet",
        Some(|item| _ = item.insert("version".to_owned(), number(1))),
        "later than the wallet",
        Repairs,
    ),
    (
        "wallet",
        // In 2096.
        Some(|item| _ = item.insert("version".to_owned(), number(4_000_000_000_000))),
        "more than an hour ahead of the clock",
        Repairs,
    ),
    ("wallet", Some(|item| _ = item.insert("more".to_owned(), number(1))), "other attributes", Repairs),
    (
        "wallet",
        Some(|item| _ = item.remove("keyed")),
        "lacks the flag of charges with generation and key",
        Repairs,
    ),
    (
        "wallet",
        Some(|item| _ = item.remove("fences")),
        "0 fences by the wallet and 1 by the records",
        Repairs,
    ),
    (
        "wallet",
        Some(|item| _ = item.insert("fences".to_owned(), number(2))),
        "2 fences by the wallet and 1 by the records",
        Refuses,
    ),
    (
        "wallet",
        Some(|item| _ = list(item, "packs").pop()),
        "has 0 left by the wallet and 4 by the records",
        Repairs,
    ),
    (
        "wallet",
        Some(|item| _ = map(list(item, "packs").first_mut(), "pack").insert("n".to_owned(), number(3))),
        "has 3 left by the wallet and 4 by the records",
        Repairs,
    ),
    (
        "wallet",
        Some(|item| _ = map(list(item, "packs").first_mut(), "pack").insert("n".to_owned(), number(11))),
        "a pack with no credits or more than its grant",
        Repairs,
    ),
    (
        "wallet",
        Some(|item| _ = map(list(item, "packs").first_mut(), "pack").insert("c".to_owned(), number(11))),
        "differs between the wallet and its grant's record",
        Repairs,
    ),
    (
        "wallet",
        Some(|item| {
            let mut pack = list(item, "packs").first().expect("a pack").clone();
            let other = text("01941f29-7c00-7000-8000-000000000001");
            map(Some(&mut pack), "pack").insert("i".to_owned(), other);
            list(item, "packs").insert(0, pack);
        }),
        "is in the wallet and in no record",
        Repairs,
    ),
    (
        "wallet",
        Some(|item| _ = map(item.get_mut("totals"), "totals").remove("anime_generation")),
        "the sums of anime_generation are 0 credits of 0 records",
        Repairs,
    ),
    (
        "wallet",
        Some(|item| _ = totals(item, "anime_generation").insert("c".to_owned(), number(5))),
        "the sums of anime_generation are 5 credits of 3 records",
        Repairs,
    ),
    (
        "wallet",
        Some(|item| _ = totals(item, "anime_generation").insert("n".to_owned(), number(4))),
        "the sums of anime_generation are 28 credits of 4 records",
        Refuses,
    ),
    (
        "wallet",
        Some(|item| _ = totals(item, "anime_generation").insert("vn".to_owned(), number(2))),
        "2 of 2 voided",
        Refuses,
    ),
    ("grant", None, "has no record of its grant", Refuses),
    (
        "grant",
        Some(|item| _ = item.insert("credits".to_owned(), number(9))),
        "differs between a charge",
        Refuses,
    ),
    (
        "grant",
        Some(|item| _ = item.insert("order_no".to_owned(), text("another"))),
        "is under the key of another record",
        Refuses,
    ),
    (
        "grant",
        Some(|item| _ = item.insert("is_voided".to_owned(), AttributeValue::Bool(true))),
        "void mark",
        Refuses,
    ),
    ("charge#gen-1#", None, "the sums of anime_generation", Refuses),
    (
        "charge#gen-1#",
        Some(|item| _ = list(item, "allocations").pop()),
        "allocations are not its credits",
        Refuses,
    ),
    (
        "charge#gen-1#",
        Some(|item| _ = item.remove("user_trans")),
        "other attributes than were written",
        Refuses,
    ),
    ("charge#gen-1#", Some(|item| _ = item.remove("trans_no")), "sk=\"charge#gen-1#\"", Refuses),
    (
        "charge#gen-1#",
        Some(|item| _ = item.insert("generation_uuid".to_owned(), text("gen-9"))),
        "is under the key of another record",
        Refuses,
    ),
    (
        "charge#gen-1#",
        Some(|item| _ = item.insert("is_voided".to_owned(), AttributeValue::Bool(true))),
        "incomplete",
        Refuses,
    ),
    ("charge#gen-2#", Some(|item| _ = item.remove("voided_by")), "incomplete", Refuses),
    (
        "charge#gen-2#",
        Some(|item| {
            item.retain(|name, _| !name.starts_with("voided_"));
            item.insert("is_voided".to_owned(), AttributeValue::Bool(false));
        }),
        "2 of 1 voided by the wallet",
        Refuses,
    ),
    ("charge#gen-3#", None, "there are 1 fences by the wallet and 0 by the records", Refuses),
    ("charge#gen-3#", Some(|item| _ = item.remove("voided_reason")), "its void mark is incomplete", Refuses),
    ("charge#chat-1#m-1", None, "the sums of anime_generation", Refuses),
];

fn totals<'a>(item: &'a mut Attributes, trans_type: &str) -> &'a mut Attributes {
    map(map(item.get_mut("totals"), "totals").get_mut(trans_type), trans_type)
}

impl TestLedger {
    /// Creates a user with two packs, charges of three kinds, one of them voided, and a fence.
    pub async fn create_sample_user(&self, user: &str) {
        let charge = async |credits, generation, key| {
            self.charge(user, credits, generation, key).await.expect("a charge");
        };
        self.grant(user, 10, None).await;
        self.grant(user, 20, Some("2099-01-01T00:00:00Z")).await;
        charge(25, "gen-1", None).await;
        charge(1, "chat-1", Some("m-1")).await;
        charge(2, "gen-2", None).await;
        for generation in ["gen-2", "gen-3"] {
            self.refund(Some(user), generation, None).await.expect("a refund");
        }
    }

    /// Corrupts the user's first item whose sort key has this prefix.
    pub async fn corrupt(&self, user: &str, sort_prefix: &str, corruption: Corruption) {
        let query = self.client.query().table_name(&self.table).limit(1);
        let query = query.key_condition_expression("user_uuid = :user AND begins_with(sk, :sort)");
        let query = query.expression_attribute_values(":user", text(user));
        let response =
            query.expression_attribute_values(":sort", text(sort_prefix)).send().await.expect("a response");
        let mut item = response.items.and_then(|mut items| items.pop()).expect("an item");
        let key = ["user_uuid", "sk"].map(|name| (name.to_owned(), item[name].clone()));
        let delete = self.client.delete_item().table_name(&self.table).set_key(Some(key.into()));
        delete.send().await.expect("a response");
        if let Some(corrupt) = corruption {
            corrupt(&mut item);
            let put = self.client.put_item().table_name(&self.table).set_item(Some(item));
            put.send().await.expect("a response");
        }
    }
}
