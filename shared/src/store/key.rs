//! Keys of items. `#` separates the parts of a sort key and cannot occur in one.

use std::{collections::HashMap, hash::RandomState, sync::LazyLock};

use aws_sdk_dynamodb::types::AttributeValue;

use super::names;
use crate::domain::{GenerationId, Id, InvocationId, RecordKey, TransNo, UserId};

/// The sort key of the one wallet of a user.
const WALLET: &str = "wallet";

/// The prefix of the sort keys of old rows.
const OLD_ROWS: &str = "rows#";

/// The longest sort key of a record: a charge with a generation and a key.
pub(super) const RECORD_SORT_BYTES_MAX: usize = "charge##".len() + 2 * GenerationId::LEN_MAX;

/// An item of the table.
pub(super) type Item = HashMap<String, AttributeValue>;

/// One hasher for all items of the process: the order of a map depends on its hasher, and a
/// transaction that is built twice must have the same bytes.
static HASHER: LazyLock<RandomState> = LazyLock::new(RandomState::new);

/// An empty item with capacity for this many attributes.
pub(super) fn new_item(attributes: usize) -> Item {
    Item::with_capacity_and_hasher(attributes, HASHER.clone())
}

/// The key of an item within its user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ItemKey {
    /// The wallet.
    Wallet,
    /// A record, or a fence.
    Record(RecordKey),
    /// The old rows of the records of one import transaction, by the first record's key.
    OldRows(RecordKey),
    /// One part of a repair's report.
    Repair(TransNo, RepairPart),
}

impl ItemKey {
    pub(super) fn sort(&self) -> String {
        match self {
            ItemKey::Wallet => WALLET.to_owned(),
            ItemKey::Record(key) => record_sort(key),
            ItemKey::OldRows(first) => [OLD_ROWS, &record_sort(first)].concat(),
            ItemKey::Repair(repair, part) => format!("repair#{repair}#{}", part.name()),
        }
    }

    /// Parses a sort key.
    pub(super) fn parse(sort: &str) -> Option<ItemKey> {
        if sort == WALLET {
            return Some(ItemKey::Wallet);
        }
        if let Some(first) = sort.strip_prefix(OLD_ROWS) {
            return parse_record(first).map(ItemKey::OldRows);
        }
        let repair = || parse_repair(sort).map(|(repair, part)| ItemKey::Repair(repair, part));
        parse_record(sort).map(ItemKey::Record).or_else(repair)
    }

    /// Both key attributes.
    pub(super) fn of(&self, user: &UserId) -> Item {
        let mut key = new_item(2);
        self.add_to(&mut key, user);
        key
    }

    /// Adds both key attributes to an item.
    pub(super) fn add_to(&self, item: &mut Item, user: &UserId) {
        item.insert(names::USER.to_owned(), text(user.as_str()));
        item.insert(names::SORT.to_owned(), AttributeValue::S(self.sort()));
    }
}

/// A key that no item can have, because `#` is not allowed in a user id.
pub(super) fn probe_key() -> Item {
    Item::from([(names::USER.to_owned(), text("#")), (names::SORT.to_owned(), text(WALLET))])
}

/// A key after every item of a user, damaged items included.
pub(super) fn last_of(user: &str) -> Item {
    Item::from([(names::USER.to_owned(), text(user)), (names::SORT.to_owned(), text(char::MAX))])
}

/// A string attribute.
pub(super) fn text(text: impl Into<String>) -> AttributeValue {
    AttributeValue::S(text.into())
}

/// The number of shards of the index of holds.
pub(super) const HOLD_SHARDS: u64 = 16;

/// The partition key of a shard of the index of holds.
pub(super) fn hold_shard(shard: u64) -> String {
    format!("hold#{shard}")
}

fn record_sort(key: &RecordKey) -> String {
    match key {
        RecordKey::OrderGrant(order_no) => format!("grant#order#{order_no}"),
        RecordKey::NewUserGrant => "grant#new_user#".to_owned(),
        RecordKey::KeyedGrant(key) => format!("grant#key#{key}"),
        RecordKey::UnkeyedGrant(invocation_id) => format!("grant#unkeyed#{invocation_id}"),
        RecordKey::MigratedGrant(invocation_id) => format!("grant#migrated#{invocation_id}"),
        RecordKey::Charge { generation, key } => {
            format!("charge#{}#{}", part(generation.as_ref()), part(key.as_ref()))
        }
        RecordKey::UnkeyedCharge(invocation_id) => format!("charge###{invocation_id}"),
    }
}

/// The prefix of the sort keys of all charges of a generation.
pub(super) fn charges_of(generation: &GenerationId) -> String {
    format!("charge#{generation}#")
}

/// The sort key of the generation index: it groups the charges of a generation by user, in
/// the order of time.
pub(super) fn user_trans(user: &UserId, trans_no: impl std::fmt::Display) -> String {
    format!("{user}#{trans_no}")
}

/// The inclusive end of a range that excludes `trans_no`; the highest UUID without one.
pub(super) fn before(trans_no: Option<TransNo>) -> uuid::Uuid {
    trans_no.map_or(uuid::Uuid::max(), |trans_no| uuid::Uuid::from_u128(trans_no.uuid().as_u128() - 1))
}

fn part<T: ToString>(id: Option<&T>) -> String {
    id.map(ToString::to_string).unwrap_or_default()
}

fn parse_record(sort: &str) -> Option<RecordKey> {
    let (kind, rest) = sort.split_once('#')?;
    let (first, second) = rest.split_once('#')?;
    let invocation_id = || second.trim_start_matches('#').parse().ok().map(InvocationId::new);
    match (kind, first) {
        ("grant", "order") => id(second).map(RecordKey::OrderGrant),
        ("grant", "new_user") => second.is_empty().then_some(RecordKey::NewUserGrant),
        ("grant", "key") => id(second).map(RecordKey::KeyedGrant),
        ("grant", "unkeyed") => invocation_id().map(RecordKey::UnkeyedGrant),
        ("grant", "migrated") => invocation_id().map(RecordKey::MigratedGrant),
        ("charge", "") if second.starts_with('#') => invocation_id().map(RecordKey::UnkeyedCharge),
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

/// The parts of a repair's report, each in an item of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RepairPart {
    /// The discrepancies.
    Faults,
    /// The wallet before the repair, if there was one.
    Before,
    /// The wallet after the repair.
    After,
}

fn parse_repair(sort: &str) -> Option<(TransNo, RepairPart)> {
    let (repair, named) = sort.strip_prefix("repair#")?.split_once('#')?;
    let uuid: uuid::Uuid = repair.parse().ok()?;
    let part = RepairPart::ALL.into_iter().find(|part| part.name() == named)?;
    let repair = TransNo::try_from(uuid).ok()?;
    (ItemKey::Repair(repair, part).sort() == sort).then_some((repair, part))
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
    fn every_item_has_a_key_of_its_own() {
        let invocation_id = InvocationId::new(uuid::Uuid::from_u128(7));
        let named = invocation_id.to_string();
        for (key, sort) in [
            (RecordKey::OrderGrant(id("o").unwrap()), "grant#order#o".to_owned()),
            (RecordKey::NewUserGrant, "grant#new_user#".to_owned()),
            (RecordKey::KeyedGrant(id("k").unwrap()), "grant#key#k".to_owned()),
            (RecordKey::UnkeyedGrant(invocation_id), format!("grant#unkeyed#{named}")),
            (RecordKey::MigratedGrant(invocation_id), format!("grant#migrated#{named}")),
            (RecordKey::Charge { generation: id("g"), key: id("k") }, "charge#g#k".to_owned()),
            (RecordKey::Charge { generation: id("g"), key: None }, "charge#g#".to_owned()),
            (RecordKey::Charge { generation: None, key: id(&named) }, format!("charge##{named}")),
            (RecordKey::UnkeyedCharge(invocation_id), format!("charge###{named}")),
        ] {
            assert!(sort.len() <= RECORD_SORT_BYTES_MAX);
            for (key, sort) in [
                (ItemKey::Record(key.clone()), sort.clone()),
                (ItemKey::OldRows(key), format!("rows#{sort}")),
            ] {
                assert_eq!(key.sort(), sort);
                assert_eq!(ItemKey::parse(&sort), Some(key));
            }
        }
        assert_eq!(ItemKey::parse("wallet"), Some(ItemKey::Wallet));
        for none in [
            "charge###x",
            "grant#new_user#x",
            "grant#order#",
            "grant#other#x",
            "charge#g",
            "rows#",
            "rows#wallet",
            "",
        ] {
            assert_eq!(ItemKey::parse(none), None, "{none}");
        }
    }

    #[test]
    fn report_of_a_repair_has_three_keys() {
        let repair = TransNo::first_at(crate::domain::Timestamp::parse("2026-01-31T10:20:30Z").unwrap());
        for part in RepairPart::ALL {
            let key = ItemKey::Repair(repair, part);
            let sort = key.sort();
            assert_eq!(ItemKey::parse(&sort), Some(key));
            for other in [sort.replace("repair", "charge"), sort.to_uppercase(), format!("{sort}s")] {
                let parsed = ItemKey::parse(&other);
                assert!(!matches!(parsed, Some(ItemKey::Repair(..))), "{other}");
            }
        }
        let random = "repair#17ace44c-eeb6-49f0-9d9c-066808c5874f#faults";
        assert_eq!(ItemKey::parse(random), None, "a repair's identity has its time");
    }
}
