//! The items of orders. Their partition key cannot be a user's, because a user id has no `#`.

use super::{
    StoreError,
    attribute::Attributes,
    key::{Item, text},
    names,
    record::{self, ItemLocation},
};
use crate::domain::{Order, OrderNo};

/// The prefix of the partition keys of orders.
const PARTITION: &str = "order#";

/// The sort key of an order.
const SORT: &str = "order";

/// Encodes an order with its key.
pub(super) fn from_order(order_no: &OrderNo, order: &Order) -> Item {
    let mut item = Attributes::with_capacity(3).put(names::OWNER, &order.user).0;
    item.insert(names::USER.to_owned(), text([PARTITION, order_no.as_str()].concat()));
    item.insert(names::SORT.to_owned(), text(SORT));
    item
}

/// Decodes an order and its number.
pub(super) fn to_order(item: Item) -> Result<(OrderNo, Order), StoreError> {
    let location = record::location(&item);
    let order_no =
        order_no(&location).ok_or_else(|| record::corrupt(&location, "not the key of an order"))?;
    record::read(item, |item| Ok((order_no, Order { user: item.take_required(names::OWNER)? })))
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
        let order = Order { user: "u".to_owned().try_into().unwrap() };
        let item = from_order(&order_no, &order);
        assert_eq!(to_order(item.clone()).unwrap(), (order_no, order));
        for (name, value) in [("sk", "wallet"), ("user_uuid", "u"), ("user_uuid", "order#"), ("owner", "")] {
            let mut item = item.clone();
            item.insert(name.to_owned(), text(value));
            assert!(matches!(to_order(item), Err(StoreError::Corrupt(_))), "{name} {value}");
        }
    }
}
