//! The codec of old rows: the rows of the old table for the records of one import
//! transaction, in an item of their own, so that reads and writes of records do not pay for
//! them.

use aws_sdk_dynamodb::types::AttributeValue;

use super::{
    StoreError,
    attribute::DecodeError,
    key::{Item, ItemKey, RECORD_SORT_BYTES_MAX, new_item, text},
    names,
    record::{self, location},
    wallet::ITEM_BYTES_MAX,
};
use crate::domain::{ImportedHistory, OldRows, RecordKey};

/// An upper bound for names, partition key and sort key.
const KEY_BYTES_MAX: usize = 1_000;

/// The size of an entry without its rows: the sort key, and three bytes of the map.
const ENTRY_BYTES_MAX: usize = RECORD_SORT_BYTES_MAX + 3;

const _: () = assert!(
    ImportedHistory::OLD_ROWS_BYTES_MAX + ImportedHistory::PART_RECORDS_MAX * ENTRY_BYTES_MAX + KEY_BYTES_MAX
        <= ITEM_BYTES_MAX
);

/// Encodes old rows without the key.
pub(super) fn from_old_rows(old_rows: &OldRows) -> Item {
    let mut map = new_item(old_rows.len());
    map.extend(old_rows.iter().map(|(key, rows)| (ItemKey::Record(key.clone()).sort(), text(rows))));
    let mut item = new_item(3);
    item.insert(names::OLD_ROWS.to_owned(), AttributeValue::M(map));
    item
}

/// Decodes old rows.
pub(super) fn to_old_rows(item: Item) -> Result<OldRows, StoreError> {
    let first = match ItemKey::parse(&location(&item).sort) {
        Some(ItemKey::OldRows(first)) => first,
        _ => return Err(record::corrupt(&location(&item), "not the key of old rows")),
    };
    record::read(item, |item| {
        let rows: OldRows =
            item.take_map(names::OLD_ROWS)?.into_iter().map(entry).collect::<Result<_, _>>()?;
        if rows.contains_key(&first) { Ok(rows) } else { Err("has no rows of its first record".to_owned()) }
    })
}

fn entry((sort, rows): (String, AttributeValue)) -> Result<(RecordKey, String), DecodeError> {
    match (ItemKey::parse(&sort), rows) {
        (Some(ItemKey::Record(key)), AttributeValue::S(rows)) => Ok((key, rows)),
        _ => Err(format!("{}: not a string under the key of a record", names::OLD_ROWS)),
    }
}
