//! What can be wrong with a user's items.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;

use crate::Bench;

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

/// What can happen to an item; nothing is left of a lost one.
pub type Damage = Option<fn(&mut Attributes)>;

/// Whether a repair puts it right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repair {
    /// It does: the wallet alone is wrong.
    Mends,
    /// It does not, and writes nothing.
    Refuses,
}
use Repair::{Mends, Refuses};

/// Damages of the user that [`Bench::a_user`] makes: to the item whose sort key begins so,
/// what an audit says of it, and what a repair does.
pub const DAMAGES: [(&str, Damage, &str, Repair); 34] = [
    ("wallet", None, "there are records and no wallet", Mends),
    ("wallet", Some(|item| _ = item.remove("packs")), "sk=\"wallet\": packs: is missing", Mends),
    ("wallet", Some(|item| _ = item.remove("version")), "sk=\"wallet\": version: is missing", Mends),
    ("wallet", Some(|item| _ = item.insert("version".to_owned(), text("1"))), "sk=\"wallet\": ", Mends),
    ("wallet", Some(|item| _ = item.insert("version".to_owned(), number(1))), "later than the wallet", Mends),
    (
        "wallet",
        // In 2096.
        Some(|item| _ = item.insert("version".to_owned(), number(4_000_000_000_000))),
        "more than an hour ahead of the clock",
        Mends,
    ),
    ("wallet", Some(|item| _ = item.insert("more".to_owned(), number(1))), "other attributes", Mends),
    (
        "wallet",
        Some(|item| _ = item.remove("keyed")),
        "lacks the flag of charges with generation and key",
        Mends,
    ),
    ("wallet", Some(|item| _ = item.remove("fences")), "0 fences by the wallet and 1 by the records", Mends),
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
        Mends,
    ),
    (
        "wallet",
        Some(|item| _ = map(list(item, "packs").first_mut(), "pack").insert("n".to_owned(), number(3))),
        "has 3 left by the wallet and 4 by the records",
        Mends,
    ),
    (
        "wallet",
        Some(|item| _ = map(list(item, "packs").first_mut(), "pack").insert("n".to_owned(), number(11))),
        "a pack with no credits or more than its grant",
        Mends,
    ),
    (
        "wallet",
        Some(|item| _ = map(list(item, "packs").first_mut(), "pack").insert("c".to_owned(), number(11))),
        "differs between the wallet and its grant's record",
        Mends,
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
        Mends,
    ),
    (
        "wallet",
        Some(|item| _ = map(item.get_mut("totals"), "totals").remove("anime_generation")),
        "the sums of anime_generation are 0 credits of 0 records",
        Mends,
    ),
    (
        "wallet",
        Some(|item| _ = totals(item, "anime_generation").insert("c".to_owned(), number(5))),
        "the sums of anime_generation are 5 credits of 3 records",
        Mends,
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

fn totals<'a>(item: &'a mut Attributes, of: &str) -> &'a mut Attributes {
    map(map(item.get_mut("totals"), "totals").get_mut(of), of)
}

impl Bench {
    /// Makes a user with two packs and charges of three kinds, one of them voided, and a
    /// fence.
    pub async fn a_user(&self, user: &str) {
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

    /// Does this to the item of a user whose sort key begins so.
    pub async fn damage(&self, user: &str, sort: &str, damage: Damage) {
        let query = self.client.query().table_name(&self.table).limit(1);
        let query = query.key_condition_expression("user_uuid = :user AND begins_with(sk, :sort)");
        let query = query.expression_attribute_values(":user", text(user));
        let found = query.expression_attribute_values(":sort", text(sort)).send().await.expect("an answer");
        let mut item = found.items.and_then(|mut items| items.pop()).expect("an item");
        let key = ["user_uuid", "sk"].map(|name| (name.to_owned(), item[name].clone()));
        let delete = self.client.delete_item().table_name(&self.table).set_key(Some(key.into()));
        delete.send().await.expect("an answer");
        if let Some(damage) = damage {
            damage(&mut item);
            let put = self.client.put_item().table_name(&self.table).set_item(Some(item));
            put.send().await.expect("an answer");
        }
    }
}
