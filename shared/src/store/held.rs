//! Items as they stand, for whoever has to know whether each is as it was written.

use super::{
    Held, StoreError, item,
    key::{self, Item},
    repair,
};
use crate::domain::UserUuid;

/// The rows of the old table that a record was made of, as text.
const OLD_ROWS: &str = "old_rows";

/// Adds the rows of the old table that a record was made of.
pub(super) fn add_old_rows(item: &mut Item, rows: &str) {
    item.insert(OLD_ROWS.to_owned(), key::text(rows));
}

/// One item of a user's: the wallet, a record with its key and its old rows, or what is
/// kept of a repair. It is judged whole: what the indexes are made of, and attributes that
/// no code here reads.
pub(super) fn judged(mut item: Item) -> Held {
    let place = item::place(&item);
    if let Some((repair, part)) = key::repair(&place.sort) {
        return match repair::is_part(part, &item) {
            true => Held::Repair(repair),
            false => Held::Unreadable(item::told(&place, OTHERWISE)),
        };
    }
    let is_wallet = place.sort == key::WALLET;
    let old_rows = item.remove(OLD_ROWS).and_then(|rows| rows.as_s().ok().cloned());
    let held = if is_wallet {
        item::to_wallet(item.clone()).map(Held::Wallet)
    } else {
        item::to_placed(item.clone()).map(|(key, record)| Held::Record { key, record, old_rows })
    };
    let is_whole = |held: &Held| match rewritten(&place, held) {
        Ok(again) => again == item,
        Err(_) => false,
    };
    let why = match held {
        Ok(held) if is_whole(&held) => return held,
        Ok(_) => item::told(&place, OTHERWISE),
        Err(StoreError::Corrupt(why)) => why,
        Err(error) => item::told(&place, &format!("{error:?}")),
    };
    if is_wallet { Held::UnreadableWallet(why) } else { Held::Unreadable(why) }
}

const OTHERWISE: &str = "has other attributes than were written";

/// The item as it is written.
fn rewritten(place: &item::Place, held: &Held) -> Result<Item, StoreError> {
    let user = UserUuid::try_from(place.user.clone()).map_err(|why| item::corrupt(place, why))?;
    let mut item = match held {
        Held::Wallet(wallet) => item::from_wallet(wallet)?,
        Held::Record { record, .. } => item::from_record(&user, record),
        Held::Repair(_) | Held::Unreadable(_) | Held::UnreadableWallet(_) => Item::new(),
    };
    key::add(&mut item, &user, place.sort.clone());
    Ok(item)
}
