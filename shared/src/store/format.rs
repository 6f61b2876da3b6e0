//! The format number of an item. A version that meets a newer format than it reads
//! refuses, because it might misread the item, and lose what it does not know.

use aws_sdk_dynamodb::types::AttributeValue;

use super::{
    StoreError,
    key::Item,
    names,
    record::{ItemLocation, describe},
};

/// The newest format that this version reads. Items of the first format carry no number.
const NEWEST: u64 = 1;

/// Holds while an item is of the format that this version writes: an older version must
/// not change what a newer one has written since it was read.
pub(super) const IS_FORMAT: &str = "attribute_not_exists(item_format)";

/// Refuses an item of a newer format.
pub(super) fn check(place: &ItemLocation, item: &Item) -> Result<(), StoreError> {
    let format = match item.get(names::FORMAT) {
        None => return Ok(()),
        Some(AttributeValue::N(number)) => number.parse::<u64>().ok(),
        Some(_) => None,
    };
    match format {
        Some(newer @ 2..) => {
            Err(StoreError::NewerFormat(describe(place, &format!("is of format {newer}, not {NEWEST}"))))
        }
        Some(0 | 1) | None => Err(StoreError::Corrupt(describe(place, "its format is no number from 2"))),
    }
}
