//! The baseline of a charge: its two calls of the SDK with the same items, and nothing else.

use std::collections::HashMap;

use aws_sdk_dynamodb::{
    Client,
    types::{
        AttributeValue, Put, ReturnConsumedCapacity, ReturnValuesOnConditionCheckFailure::AllOld,
        TransactWriteItem, Update,
    },
};
use scrip::store::TABLE;
use uuid::Uuid;

pub(crate) type Item = HashMap<String, AttributeValue>;

/// Charges a user one credit for a generation. Returns the record.
pub(crate) async fn charge(client: &Client, user: &str, generation: &str) -> Item {
    let wallet = item(client, user, "wallet").await;
    let version: i64 = wallet["version"].as_n().expect("a number").parse().expect("a number");
    let trans_no = Uuid::now_v7().to_string();
    let text = |text: &str| AttributeValue::S(text.to_owned());
    let number = |number: i64| AttributeValue::N(number.to_string());
    let pack = wallet["packs"].as_l().expect("packs")[0].as_m().expect("a pack");
    let mut allocation = pack.clone();
    allocation.insert("n".to_owned(), number(1));
    let charge: Item = [
        ("user_uuid", text(user)),
        ("sk", text(&format!("charge#{generation}#"))),
        ("trans_no", text(&trans_no)),
        ("trans_type", text("anime_generation")),
        ("credits", number(-1)),
        ("generation_uuid", text(generation)),
        ("user_trans", text(&format!("{}#{trans_no}", user))),
        ("allocations", AttributeValue::L(vec![AttributeValue::M(allocation)])),
        ("is_voided", AttributeValue::Bool(false)),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into();
    let put = Put::builder()
        .table_name(TABLE)
        .set_item(Some(charge.clone()))
        .condition_expression("attribute_not_exists(sk)")
        .return_values_on_condition_check_failure(AllOld);
    let update = Update::builder()
        .table_name(TABLE)
        .key("user_uuid", text(user))
        .key("sk", text("wallet"))
        .condition_expression("version = :from")
        .update_expression("SET packs = :packs, totals = :totals, version = :version")
        .expression_attribute_values(":from", number(version))
        .expression_attribute_values(":version", number(version + 1))
        .expression_attribute_values(":packs", wallet["packs"].clone())
        .expression_attribute_values(":totals", wallet["totals"].clone())
        .return_values_on_condition_check_failure(AllOld);
    let (put, update) = (put.build().expect("a put"), update.build().expect("an update"));
    client
        .transact_write_items()
        .transact_items(TransactWriteItem::builder().put(put).build())
        .transact_items(TransactWriteItem::builder().update(update).build())
        .client_request_token(Uuid::new_v4().to_string())
        .return_consumed_capacity(ReturnConsumedCapacity::Indexes)
        .send()
        .await
        .expect("a transaction");
    charge
}

/// Reads an item, which must exist.
pub(crate) async fn item(client: &Client, user: &str, sort: &str) -> Item {
    let text = |text: &str| AttributeValue::S(text.to_owned());
    let got = client.get_item().table_name(TABLE).key("user_uuid", text(user)).key("sk", text(sort));
    let got = got.consistent_read(true).return_consumed_capacity(ReturnConsumedCapacity::Indexes);
    got.send().await.expect("a response").item.expect("an item")
}
