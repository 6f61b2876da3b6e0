//! The rows of the old table that the records of one import transaction were made of, in an
//! item of their own: so nothing that reads or changes a record pays for them.

use aws_sdk_dynamodb::types::AttributeValue;

use super::{
    StoreError,
    attribute::DecodeError,
    key::{Item, ItemKey, RECORD_SORT_BYTES_MAX, new_item, text},
    names,
    record::{self, place},
    wallet::ITEM_BYTES_MAX,
};
use crate::domain::{ImportedHistory, OldRows, RecordKey};

/// More than the names, the partition key and the sort key take.
const KEY_BYTES_MAX: usize = 1_000;

/// What a record takes beside its rows: its sort key, and three bytes of the map's.
const ENTRY_BYTES_MAX: usize = RECORD_SORT_BYTES_MAX + 3;

const _: () = assert!(
    ImportedHistory::OLD_ROWS_BYTES_MAX + ImportedHistory::PART_RECORDS_MAX * ENTRY_BYTES_MAX + KEY_BYTES_MAX
        <= ITEM_BYTES_MAX
);

/// The attributes of these rows, without the key.
pub(super) fn from_old_rows(old_rows: &OldRows) -> Item {
    let mut map = new_item(old_rows.len());
    map.extend(old_rows.iter().map(|(key, rows)| (ItemKey::Record(key.clone()).sort(), text(rows))));
    let mut item = new_item(3);
    item.insert(names::OLD_ROWS.to_owned(), AttributeValue::M(map));
    item
}

/// The rows that an item holds.
pub(super) fn to_old_rows(item: Item) -> Result<OldRows, StoreError> {
    let first = match ItemKey::parse(&place(&item).sort) {
        Some(ItemKey::OldRows(first)) => first,
        _ => return Err(record::corrupt(&place(&item), "is no key of old rows")),
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
        _ => Err(format!("{}: is no text by the key of a record", names::OLD_ROWS)),
    }
}
