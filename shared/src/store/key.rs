//! Sort keys. `#` separates their parts and cannot occur in one.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;

use crate::domain::{GenerationUuid, Id, Nonce, RecordKey, TransNo, UserUuid};

/// The partition key of the table.
pub(super) const USER: &str = "user_uuid";
/// The sort key of the table.
pub(super) const SORT: &str = "sk";
/// The sort key of the one wallet of a user.
pub(super) const WALLET: &str = "wallet";

/// An item of the table.
pub(super) type Item = HashMap<String, AttributeValue>;

/// The whole key of one of a user's items.
pub(super) fn of(user: &UserUuid, sort: String) -> Item {
    let mut key = Item::with_capacity(2);
    add(&mut key, user, sort);
    key
}

/// Adds the whole key to the rest of an item.
pub(super) fn add(item: &mut Item, user: &UserUuid, sort: String) {
    item.insert(USER.to_owned(), text(user.as_str()));
    item.insert(SORT.to_owned(), AttributeValue::S(sort));
}

/// The key of no item: no user has this name.
pub(super) fn of_nobody() -> Item {
    HashMap::from([(USER.to_owned(), text("#")), (SORT.to_owned(), text(WALLET))])
}

/// Behind every key of a user's, of damaged items too.
pub(super) fn last_of(user: &str) -> Item {
    HashMap::from([(USER.to_owned(), text(user)), (SORT.to_owned(), text(char::MAX))])
}

/// A string attribute.
pub(super) fn text(text: impl Into<String>) -> AttributeValue {
    AttributeValue::S(text.into())
}

/// The sort key of a record.
pub(super) fn sort(key: &RecordKey) -> String {
    match key {
        RecordKey::OrderGrant(order_no) => format!("grant#order#{order_no}"),
        RecordKey::NewUserGrant => "grant#new_user#".to_owned(),
        RecordKey::KeyedGrant(key) => format!("grant#key#{key}"),
        RecordKey::UnkeyedGrant(nonce) => format!("grant#unkeyed#{nonce}"),
        RecordKey::MigratedGrant(nonce) => format!("grant#migrated#{nonce}"),
        RecordKey::Charge { generation, key } => {
            format!("charge#{}#{}", part(generation.as_ref()), part(key.as_ref()))
        }
        RecordKey::UnkeyedCharge(nonce) => format!("charge###{nonce}"),
    }
}

/// What the sort keys of all charges of a generation begin with.
pub(super) fn charges_of(generation: &GenerationUuid) -> String {
    format!("charge#{generation}#")
}

/// A user's place in the generation index: all of a user's charges of one
/// generation stand together there, in the order of time.
pub(super) fn user_trans(user: &UserUuid, trans_no: impl std::fmt::Display) -> String {
    format!("{user}#{trans_no}")
}

/// The identity just before this one, for ranges that end before it; the last
/// of all where absent.
pub(super) fn before(trans_no: Option<TransNo>) -> uuid::Uuid {
    trans_no.map_or(uuid::Uuid::max(), |trans_no| uuid::Uuid::from_u128(trans_no.uuid().as_u128() - 1))
}

fn part<T: ToString>(id: Option<&T>) -> String {
    id.map(ToString::to_string).unwrap_or_default()
}

/// The record that a sort key stands for.
pub(super) fn record(sort: &str) -> Option<RecordKey> {
    let (kind, rest) = sort.split_once('#')?;
    let (first, second) = rest.split_once('#')?;
    let nonce = || second.trim_start_matches('#').parse().ok().map(Nonce::new);
    match (kind, first) {
        ("grant", "order") => id(second).map(RecordKey::OrderGrant),
        ("grant", "new_user") => second.is_empty().then_some(RecordKey::NewUserGrant),
        ("grant", "key") => id(second).map(RecordKey::KeyedGrant),
        ("grant", "unkeyed") => nonce().map(RecordKey::UnkeyedGrant),
        ("grant", "migrated") => nonce().map(RecordKey::MigratedGrant),
        ("charge", "") if second.starts_with('#') => nonce().map(RecordKey::UnkeyedCharge),
        ("charge", generation) => {
            let part = |text: &str| (!text.is_empty()).then(|| text.to_owned());
            Some(RecordKey::Charge {
                generation: part(generation).map(TryInto::try_into).transpose().ok()?,
                key: part(second).map(TryInto::try_into).transpose().ok()?,
            })
        }
        _ => None,
    }
}

/// The parts of what is kept of a repair, each an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RepairPart {
    /// What was wrong.
    Faults,
    /// The wallet that was there, if one was.
    Before,
    /// The wallet that took its place.
    After,
}

/// The sort key of a part of what is kept of a repair.
pub(super) fn repair_sort(repair: TransNo, part: RepairPart) -> String {
    format!("repair#{repair}#{}", part.name())
}

/// The repair, and the part of what is kept of it, that a sort key stands for.
pub(super) fn repair(sort: &str) -> Option<(TransNo, RepairPart)> {
    let (repair, named) = sort.strip_prefix("repair#")?.split_once('#')?;
    let uuid: uuid::Uuid = repair.parse().ok()?;
    let part = RepairPart::ALL.into_iter().find(|part| part.name() == named)?;
    let repair = TransNo::try_from(uuid).ok()?;
    (repair_sort(repair, part) == sort).then_some((repair, part))
}

impl RepairPart {
    const ALL: [RepairPart; 3] = [RepairPart::Faults, RepairPart::Before, RepairPart::After];

    fn name(self) -> &'static str {
        match self {
            RepairPart::Faults => "faults",
            RepairPart::Before => "before",
            RepairPart::After => "after",
        }
    }
}

fn id<Of>(text: &str) -> Option<Id<Of>> {
    text.to_owned().try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_keys_share_a_place() {
        let nonce = Nonce::new(uuid::Uuid::from_u128(7));
        let named = nonce.to_string();
        for (key, sort_key) in [
            (RecordKey::OrderGrant(id("o").unwrap()), "grant#order#o".to_owned()),
            (RecordKey::NewUserGrant, "grant#new_user#".to_owned()),
            (RecordKey::KeyedGrant(id("k").unwrap()), "grant#key#k".to_owned()),
            (RecordKey::UnkeyedGrant(nonce), format!("grant#unkeyed#{named}")),
            (RecordKey::MigratedGrant(nonce), format!("grant#migrated#{named}")),
            (RecordKey::Charge { generation: id("g"), key: id("k") }, "charge#g#k".to_owned()),
            (RecordKey::Charge { generation: id("g"), key: None }, "charge#g#".to_owned()),
            (RecordKey::Charge { generation: None, key: id(&named) }, format!("charge##{named}")),
            (RecordKey::UnkeyedCharge(nonce), format!("charge###{named}")),
        ] {
            assert_eq!(sort(&key), sort_key);
            assert_eq!(record(&sort_key), Some(key));
        }
        for none in ["wallet", "charge###x", "grant#new_user#x", "grant#order#", "grant#other#x", "charge#g"]
        {
            assert_eq!(record(none), None, "{none}");
        }
    }

    #[test]
    fn what_is_kept_of_a_repair_has_three_places_of_its_own() {
        let repair = TransNo::first_at(crate::domain::Timestamp::parse("2026-01-31T10:20:30Z").unwrap());
        for part in RepairPart::ALL {
            let sort = repair_sort(repair, part);
            assert_eq!((super::repair(&sort), record(&sort)), (Some((repair, part)), None));
            for none in [sort.replace("repair", "charge"), sort.to_uppercase(), format!("{sort}s")] {
                assert_eq!(super::repair(&none), None, "{none}");
            }
        }
        let random = "repair#17ace44c-eeb6-49f0-9d9c-066808c5874f#faults";
        assert_eq!(super::repair(random), None, "a repair has its moment");
    }
}
