//! The items of orders. Their partition key cannot be a user's, because a user id has no `#`.

use aws_sdk_dynamodb::types::AttributeValue;

use super::{
    StoreError,
    attribute::{AttributeCodec, Attributes, DecodeError},
    format,
    key::{Item, new_item, text},
    names,
    record::{self, ItemLocation, non_empty},
};
use crate::domain::{Credits, Order, OrderNo, RevokeStatement, RevokedAmount, StatementKey};

/// The prefix of the partition keys of orders.
pub(super) const PARTITION: &str = "order#";

/// The sort key of an order.
const SORT: &str = "order";

/// The item of an order, classified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoredOrder {
    /// The order.
    Order(Order),
    /// An item that the ledger did not write in this form: its key, and the reason.
    Unreadable(String),
    /// An item of a newer format: its key, and the format.
    NewerFormat(String),
}

/// The key of an order.
pub(super) fn key_of(order_no: &OrderNo) -> Item {
    let mut key = new_item(2);
    key.insert(names::USER.to_owned(), text([PARTITION, order_no.as_str()].concat()));
    key.insert(names::SORT.to_owned(), text(SORT));
    key
}

/// Encodes an order with its key. An order that only a grant wrote has the first format.
pub(super) fn from_order(order_no: &OrderNo, order: &Order) -> Item {
    let mut attributes = Attributes::with_capacity(7).put_optional(names::OWNER, order.user.as_ref());
    if order.revision > 0 {
        let statements: Vec<_> =
            order.statements.iter().map(|(key, statement)| Stated(key.clone(), statement.clone())).collect();
        attributes = attributes
            .put(names::FORMAT, &format::SECOND)
            .put(names::REVISION, &order.revision)
            .put_optional(names::ALIAS_OF, order.alias_of.as_ref())
            .put(names::STATEMENTS, &statements);
    }
    let mut item = attributes.0;
    item.extend(key_of(order_no));
    item
}

/// The condition that an order has this revision, and its values; absent for an order that does
/// not exist.
pub(super) fn is_revision(revision: Option<u64>) -> (&'static str, Item) {
    match revision {
        None => ("attribute_not_exists(sk)", new_item(0)),
        Some(0) => ("attribute_exists(sk) AND attribute_not_exists(item_format)", new_item(0)),
        Some(revision) => {
            let values =
                Attributes::with_capacity(2).put(":revision", &revision).put(":format", &format::SECOND);
            ("revision = :revision AND item_format = :format", values.0)
        }
    }
}

/// Decodes an order and its number.
pub(super) fn to_order(item: Item) -> Result<(OrderNo, Order), StoreError> {
    let location = record::location(&item);
    let order_no =
        order_no(&location).ok_or_else(|| record::corrupt(&location, "not the key of an order"))?;
    record::read(item, |item| {
        let statements: Vec<Stated> = item.take_optional(names::STATEMENTS)?.unwrap_or_default();
        let order = Order {
            user: item.take_optional(names::OWNER)?,
            alias_of: item.take_optional(names::ALIAS_OF)?,
            statements: statements.into_iter().map(|Stated(key, statement)| (key, statement)).collect(),
            revision: item.take_optional(names::REVISION)?.unwrap_or_default(),
        };
        let is_changed = order.revision > 0;
        if item.take_optional(names::FORMAT)? != is_changed.then_some(format::SECOND) {
            return Err("not the format of its attributes".to_owned());
        }
        let is_only_granted = order.user.clone().map(Order::of).as_ref() == Some(&order);
        if !is_changed && !is_only_granted {
            return Err("neither a grant nor a change".to_owned());
        }
        Ok((order_no, order))
    })
}

/// Classifies the item of an order. Compares the whole item with what a write would produce.
pub(super) fn classify(item: Item) -> StoredOrder {
    let location = record::location(&item);
    match to_order(item.clone()) {
        Ok((order_no, order)) if from_order(&order_no, &order) == item => StoredOrder::Order(order),
        Ok(_) => {
            StoredOrder::Unreadable(record::describe(&location, "has other attributes than were written"))
        }
        Err(StoreError::NewerFormat(reason)) => StoredOrder::NewerFormat(reason),
        Err(StoreError::Corrupt(reason)) => StoredOrder::Unreadable(reason),
        Err(error) => StoredOrder::Unreadable(record::describe(&location, &format!("{error:?}"))),
    }
}

/// One statement about an order.
struct Stated(StatementKey, RevokeStatement);

impl AttributeCodec for Stated {
    fn to_attribute(&self) -> AttributeValue {
        let Stated(StatementKey { source, alias }, statement) = self;
        let map = Attributes::with_capacity(7)
            .put(names::STATEMENT_SOURCE, source)
            .put_optional(names::STATEMENT_ALIAS, alias.as_ref())
            .put(names::STATEMENT_AS_OF, &statement.as_of)
            .put(names::STATEMENT_REASON, &statement.reason)
            .put_optional(names::STATEMENT_METADATA, non_empty(&statement.metadata));
        let map = match statement.amount {
            RevokedAmount::Credits(credits) => map.put(names::STATEMENT_CREDITS, &credits),
            RevokedAmount::Share { part, of } => {
                map.put(names::STATEMENT_PART, &part).put(names::STATEMENT_OF, &of)
            }
        };
        map.into_map()
    }

    fn from_attribute(attribute: AttributeValue) -> Result<Stated, DecodeError> {
        let mut map = Attributes::from_map(attribute)?;
        let credits: Option<Credits> = map.take_optional(names::STATEMENT_CREDITS)?;
        let part = map.take_optional(names::STATEMENT_PART)?.zip(map.take_optional(names::STATEMENT_OF)?);
        let amount = match (credits, part) {
            (Some(credits), None) => RevokedAmount::Credits(credits),
            (None, Some((part, of))) => RevokedAmount::Share { part, of },
            _ => return Err("neither credits nor a share".to_owned()),
        };
        let key = StatementKey {
            source: map.take_required(names::STATEMENT_SOURCE)?,
            alias: map.take_optional(names::STATEMENT_ALIAS)?,
        };
        let statement = RevokeStatement {
            as_of: map.take_required(names::STATEMENT_AS_OF)?,
            amount,
            reason: map.take_required(names::STATEMENT_REASON)?,
            metadata: map.take_optional(names::STATEMENT_METADATA)?.unwrap_or_default(),
        };
        Ok(Stated(key, statement))
    }
}

/// Whether the item is in the partition of an order.
pub(super) fn is_order(location: &ItemLocation) -> bool {
    location.user.starts_with(PARTITION)
}

fn order_no(location: &ItemLocation) -> Option<OrderNo> {
    let order_no = location.user.strip_prefix(PARTITION).filter(|_| location.sort == SORT)?;
    order_no.to_owned().try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_is_read_as_it_was_written() {
        let order_no: OrderNo = "o/1".to_owned().try_into().unwrap();
        let order = Order::of("u".to_owned().try_into().unwrap());
        let item = from_order(&order_no, &order);
        assert_eq!(to_order(item.clone()).unwrap(), (order_no, order));
        for (name, value) in [("sk", "wallet"), ("user_uuid", "u"), ("user_uuid", "order#"), ("owner", "")] {
            let mut item = item.clone();
            item.insert(name.to_owned(), text(value));
            assert!(matches!(to_order(item), Err(StoreError::Corrupt(_))), "{name} {value}");
        }
    }
}
