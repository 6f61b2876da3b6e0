//! The format number of an item. Newer formats than this version supports are rejected,
//! because it might misread the item and drop attributes.

use aws_sdk_dynamodb::types::AttributeValue;

use super::{
    StoreError,
    key::{Item, ItemKey},
    names, order,
    record::{ItemLocation, describe},
};

/// The format of a wallet that is blocked or has debts, of a charge with outputs, a hold or
/// adjustments, of a grant with revocations, and of an order that was changed. Items of the first
/// format have no number.
pub(super) const SECOND: u64 = 2;

/// The format of a wallet with revoked orders.
pub(super) const THIRD: u64 = 3;

/// The newest format of an item that this version supports.
fn newest(location: &ItemLocation) -> u64 {
    match ItemKey::parse(&location.sort) {
        Some(ItemKey::Wallet) => THIRD,
        Some(ItemKey::Record(_)) => SECOND,
        _ if order::is_order(location) => SECOND,
        _ => 1,
    }
}

/// The condition that an item has the first format: a newer version may have changed the item
/// since it was read.
pub(super) const IS_FORMAT: &str = "attribute_not_exists(item_format)";

/// The condition that a wallet has this format, and its value.
pub(super) fn is_format(format: Option<AttributeValue>) -> (&'static str, Option<(String, AttributeValue)>) {
    match format {
        None => (IS_FORMAT, None),
        Some(format) => ("item_format = :from_format", Some((":from_format".to_owned(), format))),
    }
}

/// Rejects an item of a newer format.
pub(super) fn check(location: &ItemLocation, item: &Item) -> Result<(), StoreError> {
    let format = match item.get(names::FORMAT) {
        None => return Ok(()),
        Some(AttributeValue::N(number)) => number.parse::<u64>().ok(),
        Some(_) => None,
    };
    let newest = newest(location);
    match format {
        Some(newer) if newer > newest => {
            Err(StoreError::NewerFormat(describe(location, &format!("is of format {newer}, not {newest}"))))
        }
        Some(2..) => Ok(()),
        Some(0 | 1) | None => Err(StoreError::Corrupt(describe(location, "its format is no number from 2"))),
    }
}
