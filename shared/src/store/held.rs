//! Items as the table holds them, for readers that must know whether each is as it was
//! written.

use super::{
    Held, StoreError,
    key::{Item, ItemKey},
    names,
    record::{self, Place, describe},
    repair,
    wallet::to_wallet,
};
use crate::domain::UserUuid;

/// Classifies one item of a user: the wallet, a record with its key and its old rows, or a
/// part of the report of a repair. The whole item is compared with what a write would
/// make: this finds the attributes that only indexes read, and those that no code reads.
pub(super) fn classify(mut item: Item) -> Held {
    let place = record::place(&item);
    let key = ItemKey::parse(&place.sort);
    if let Some(ItemKey::Repair(repair, part)) = key {
        return match repair::is_part(part, &item) {
            true => Held::Repair(repair),
            false => Held::Unreadable(describe(&place, UNEXPECTED)),
        };
    }
    let is_wallet = key == Some(ItemKey::Wallet);
    let old_rows = item.remove(names::OLD_ROWS).and_then(|rows| rows.as_s().ok().cloned());
    let why = match read(&place, &item, is_wallet, old_rows) {
        Ok(held) => return held,
        Err(StoreError::NewerFormat(why)) => return Held::NewerFormat(why),
        Err(StoreError::Corrupt(why)) => why,
        Err(error) => describe(&place, &format!("{error:?}")),
    };
    if is_wallet { Held::UnreadableWallet(why) } else { Held::Unreadable(why) }
}

const UNEXPECTED: &str = "has other attributes than were written";

fn read(place: &Place, item: &Item, is_wallet: bool, old_rows: Option<String>) -> Result<Held, StoreError> {
    let user = || UserUuid::try_from(place.user.clone()).map_err(|why| record::corrupt(place, why));
    let (held, key, mut again) = if is_wallet {
        let stored = to_wallet(item.clone())?;
        let again = stored.unknown.item_of(&stored.wallet)?;
        (Held::Wallet(stored.wallet), ItemKey::Wallet, again)
    } else {
        let (key, record) = record::to_keyed_record(item.clone())?;
        let again = record::from_record(&user()?, &record);
        (Held::Record { key: key.clone(), record, old_rows }, ItemKey::Record(key), again)
    };
    key.add_to(&mut again, &user()?);
    if again == *item { Ok(held) } else { Err(record::corrupt(place, UNEXPECTED)) }
}
