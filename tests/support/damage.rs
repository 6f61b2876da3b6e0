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

/// Damages of the user that [`Bench::a_user`] makes: to the item whose sort key begins so,
/// and what an audit says of it.
pub const DAMAGES: [(&str, Damage, &str); 21] = [
    ("wallet", None, "there are records and no wallet"),
    ("wallet", Some(|item| _ = item.remove("packs")), "sk=\"wallet\": missing field `packs`"),
    ("wallet", Some(|item| _ = item.insert("more".to_owned(), number(1))), "other attributes"),
    ("wallet", Some(|item| _ = item.remove("keyed")), "does not know of charges with keys"),
    ("wallet", Some(|item| _ = list(item, "packs").pop()), "has 0 left by the wallet and 4 by the records"),
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
    ("grant", Some(|item| _ = item.insert("order_no".to_owned(), text("another"))), "where another belongs"),
    ("grant", Some(|item| _ = item.insert("is_voided".to_owned(), AttributeValue::Bool(true))), "void mark"),
    ("charge#gen-1#", None, "the sums of anime_generation"),
    ("charge#gen-1#", Some(|item| _ = list(item, "allocations").pop()), "allocations are not its credits"),
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
