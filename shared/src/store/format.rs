//! The format number of an item. Newer formats than this version supports are rejected,
//! because it might misread the item and drop attributes.

use aws_sdk_dynamodb::types::AttributeValue;

use super::{
    StoreError,
    key::Item,
    names,
    record::{ItemLocation, describe},
};

/// The newest format that this version supports. Items of the first format have no number.
const NEWEST: u64 = 1;

/// The condition that an item has the format that this version writes: a newer version may
/// have changed the item since it was read.
pub(super) const IS_FORMAT: &str = "attribute_not_exists(item_format)";

/// Rejects an item of a newer format.
pub(super) fn check(location: &ItemLocation, item: &Item) -> Result<(), StoreError> {
    let format = match item.get(names::FORMAT) {
        None => return Ok(()),
        Some(AttributeValue::N(number)) => number.parse::<u64>().ok(),
        Some(_) => None,
    };
    match format {
        Some(newer @ 2..) => {
            Err(StoreError::NewerFormat(describe(location, &format!("is of format {newer}, not {NEWEST}"))))
        }
        Some(0 | 1) | None => Err(StoreError::Corrupt(describe(location, "its format is no number from 2"))),
    }
}
