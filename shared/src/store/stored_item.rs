//! Classifies items of the table: readable ones, and those that differ from what the code
//! writes.

use super::{
    StoreError, StoredItem,
    key::{Item, ItemKey},
    names,
    record::{self, ItemLocation, describe},
    repair,
    wallet::to_wallet,
};
use crate::domain::UserId;

/// Classifies one item of a user: the wallet, a record with its key and its old rows, or a
/// part of a repair's report. Compares the whole item with what a write would produce, which
/// covers the attributes that only indexes read, and those that no code reads.
pub(super) fn classify(mut item: Item) -> StoredItem {
    let place = record::place(&item);
    let key = ItemKey::parse(&place.sort);
    if let Some(ItemKey::Repair(repair, part)) = key {
        return match repair::is_part(part, &item) {
            true => StoredItem::Repair(repair),
            false => StoredItem::Unreadable(describe(&place, UNEXPECTED)),
        };
    }
    let is_wallet = key == Some(ItemKey::Wallet);
    let old_rows = item.remove(names::OLD_ROWS).and_then(|rows| rows.as_s().ok().cloned());
    let why = match read(&place, &item, is_wallet, old_rows) {
        Ok(stored_item) => return stored_item,
        Err(StoreError::NewerFormat(why)) => return StoredItem::NewerFormat(why),
        Err(StoreError::Corrupt(why)) => why,
        Err(error) => describe(&place, &format!("{error:?}")),
    };
    if is_wallet { StoredItem::UnreadableWallet(why) } else { StoredItem::Unreadable(why) }
}

const UNEXPECTED: &str = "has other attributes than were written";

fn read(
    place: &ItemLocation,
    item: &Item,
    is_wallet: bool,
    old_rows: Option<String>,
) -> Result<StoredItem, StoreError> {
    let user = || UserId::try_from(place.user.clone()).map_err(|why| record::corrupt(place, why));
    let (stored_item, key, mut again) = if is_wallet {
        let stored = to_wallet(item.clone())?;
        let again = stored.unknown.item_of(&stored.wallet)?;
        (StoredItem::Wallet(stored.wallet), ItemKey::Wallet, again)
    } else {
        let (key, record) = record::to_keyed_record(item.clone())?;
        let again = record::from_record(&user()?, &record);
        (StoredItem::Record { key: key.clone(), record, old_rows }, ItemKey::Record(key), again)
    };
    key.add_to(&mut again, &user()?);
    if again == *item { Ok(stored_item) } else { Err(record::corrupt(place, UNEXPECTED)) }
}
