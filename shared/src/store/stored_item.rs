//! Classifies items of the table: readable ones, and those that differ from what the code
//! writes.

use super::{
    StoreError, StoredItem,
    key::{Item, ItemKey},
    names, old_rows,
    record::{self, ItemLocation, describe},
    repair,
    wallet::to_wallet,
};
use crate::domain::UserId;

/// Classifies one item of a user: the wallet, a record with its key, old rows, or a part of a
/// repair's report. Compares the whole item with what a write would produce, which
/// covers the attributes that only indexes read, and those that no code reads.
pub(super) fn classify(item: Item) -> StoredItem {
    let location = record::location(&item);
    let key = ItemKey::parse(&location.sort);
    let is_wallet = key == Some(ItemKey::Wallet);
    let why = match read(&location, item, key) {
        Ok(stored_item) => return stored_item,
        Err(StoreError::NewerFormat(why)) => return StoredItem::NewerFormat(why),
        Err(StoreError::Corrupt(why)) => why,
        Err(error) => describe(&location, &format!("{error:?}")),
    };
    if is_wallet { StoredItem::UnreadableWallet(why) } else { StoredItem::Unreadable(why) }
}

fn read(location: &ItemLocation, mut item: Item, key: Option<ItemKey>) -> Result<StoredItem, StoreError> {
    let unexpected = || record::corrupt(location, "has other attributes than were written");
    let user = UserId::try_from(location.user.clone()).map_err(|why| record::corrupt(location, why))?;
    let key = key.ok_or_else(|| record::corrupt(location, "not the key of an item"))?;
    let (stored_item, mut again) = match &key {
        ItemKey::Wallet => {
            let stored = to_wallet(item.clone())?;
            let again = stored.unknown.item_of(&stored.wallet)?;
            (StoredItem::Wallet(stored.wallet), again)
        }
        ItemKey::Record(key) => {
            let old_rows = take_old_rows(&mut item);
            let record = record::to_record(item.clone())?;
            let again = record::from_record(&user, &record);
            (StoredItem::Record { key: key.clone(), record, old_rows }, again)
        }
        ItemKey::OldRows(_) => {
            let rows = old_rows::to_old_rows(item.clone())?;
            let again = old_rows::from_old_rows(&rows);
            (StoredItem::OldRows(rows), again)
        }
        ItemKey::Repair(repair, part) if repair::is_part(*part, &item) => {
            return Ok(StoredItem::Repair(*repair));
        }
        ItemKey::Repair(..) => return Err(unexpected()),
    };
    key.add_to(&mut again, &user);
    if again == item { Ok(stored_item) } else { Err(unexpected()) }
}

/// The rows that an earlier version imported as an attribute of the record.
fn take_old_rows(item: &mut Item) -> Option<String> {
    let rows = item.get(names::OLD_ROWS)?.as_s().ok()?.clone();
    item.remove(names::OLD_ROWS);
    Some(rows)
}
