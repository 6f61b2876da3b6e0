//! Codecs of records, one file for each kind. An unreadable item is an error that names its
//! key.

mod adjustment;
mod charge;
mod entry;
mod grant;
mod pack;
mod revocation;

use adjustment::{non_empty_list, non_zero, take_fills};

use super::{
    StoreError,
    attribute::{AttributeCodec, Attributes, DecodeError},
    format,
    key::{Item, ItemKey},
    names,
};
use crate::domain::{
    Charge, Credits, InvocationId, Metadata, Record, RecordKey, RecordVersion, Timestamp, UserId, Void,
};

pub(super) use charge::{adjust, note_success, void};
pub(super) use entry::to_entry;
pub(super) use pack::{PACK_BYTES_MAX, pack_attributes, to_pack};
pub(super) use revocation::revoke;

/// The change of a record: condition, update expression and values.
pub(super) struct RecordUpdate {
    pub(super) condition: &'static str,
    pub(super) expression: String,
    pub(super) values: Item,
}

const IS_FIRST: &str = "is_voided = :live AND attribute_not_exists(item_format)";
const IS_CHANGED_AT: &str = "is_voided = :live AND item_format = :format AND changed_at = :from";
const IS_SECOND: &str = "is_voided = :live AND item_format = :format";

impl RecordUpdate {
    /// Changes a record of this version that is not voided.
    fn of_live(version: RecordVersion, expression: String, values: Attributes) -> RecordUpdate {
        let values = values.put(":live", &false);
        let (condition, values) = match version {
            RecordVersion::First => (IS_FIRST, values),
            RecordVersion::ChangedAt(from) => {
                (IS_CHANGED_AT, values.put(":format", &format::SECOND).put(":from", &from))
            }
            RecordVersion::InDebt => (IS_SECOND, values.put(":format", &format::SECOND)),
        };
        RecordUpdate { condition, expression, values: values.0 }
    }
}

/// The expression that adds a change to a list of a record, which then has the second format,
/// and its values.
fn append_change(list: &str, change: &(impl AttributeCodec + Clone), at: Timestamp) -> (String, Attributes) {
    let values = Attributes::with_capacity(9)
        .put(":none", &Vec::<Credits>::new())
        .put(":change", &vec![change.clone()])
        .put(":at", &at)
        .put(":format", &format::SECOND);
    let expression = format!(
        "SET {list} = list_append(if_not_exists({list}, :none), :change), \
         changed_at = :at, item_format = :format"
    );
    (expression, values)
}

/// The attributes that every change has: its time, its invocation, and its kind.
fn change_attributes(at: &Timestamp, invocation: &InvocationId, kind: &str) -> Attributes {
    Attributes::with_capacity(8)
        .put(names::CHANGE_AT, at)
        .put(names::CHANGE_BY, invocation)
        .put(names::CHANGE_KIND, &kind.to_owned())
}

/// Encodes a record without its key; the map has capacity for the key.
pub fn from_record(user: &UserId, record: &Record) -> Item {
    let item = Attributes::with_capacity(18);
    let item = match record {
        Record::Grant(record) => grant::put(item, record),
        Record::Charge(charge) => charge::put(item, user, charge),
        Record::Fence(fence) => put_void(item.put(names::CREDITS, &0_i64), Some(fence)),
    };
    item.0
}

/// Decodes a record or fence and its key.
pub(super) fn to_keyed_record(item: Item) -> Result<(RecordKey, Record), StoreError> {
    let location = location(&item);
    match ItemKey::parse(&location.sort) {
        Some(ItemKey::Record(key)) => Ok((key, to_record(item)?)),
        _ => Err(corrupt(&location, "not the key of a record")),
    }
}

/// Decodes a record or fence.
pub fn to_record(item: Item) -> Result<Record, StoreError> {
    read(item, |item| {
        let sort: String = item.take_required(names::SORT)?;
        match ItemKey::parse(&sort) {
            Some(ItemKey::Record(key @ (RecordKey::Charge { .. } | RecordKey::UnkeyedCharge(_)))) => {
                match item.take_optional(names::TRANS_NO)? {
                    Some(trans_no) => charge::take(item, trans_no, &key).map(Record::Charge),
                    None => take_fence(item).map(Record::Fence),
                }
            }
            Some(ItemKey::Record(_)) => grant::take(item).map(Record::Grant),
            _ => Err("not the key of a record".to_owned()),
        }
    })
}

/// Decodes a charge.
pub(super) fn to_charge(item: Item) -> Result<Charge, StoreError> {
    let location = location(&item);
    match to_record(item)? {
        Record::Charge(charge) => Ok(charge),
        Record::Grant(_) | Record::Fence(_) => Err(corrupt(&location, "not a charge")),
    }
}

/// Metadata without members is not stored.
pub(super) fn non_empty(metadata: &Metadata) -> Option<&Metadata> {
    Some(metadata).filter(|metadata| !metadata.is_empty())
}

fn take_fence(item: &mut Attributes) -> Result<Void, DecodeError> {
    let credits: i64 = item.take_required(names::CREDITS)?;
    take_void(item)?.filter(|_| credits == 0).ok_or_else(|| "neither a charge nor a fence".to_owned())
}

fn put_void(item: Attributes, void: Option<&Void>) -> Attributes {
    item.put(names::IS_VOIDED, &void.is_some())
        .put_optional(names::VOIDED_AT, void.map(|void| &void.at))
        .put_optional(names::VOIDED_REASON, void.map(|void| &void.reason))
        .put_optional(names::VOIDED_BY, void.map(|void| &void.invocation))
        .put_optional(names::REPAID, void.and_then(|void| non_zero(&void.repaid)))
        .put_optional(names::FILLS, void.and_then(|void| non_empty_list(&void.fills)))
}

/// Takes the void mark, which is complete or absent.
fn take_void(item: &mut Attributes) -> Result<Option<Void>, DecodeError> {
    let is_voided = item.take_required(names::IS_VOIDED)?;
    let (at, reason) = (item.take_optional(names::VOIDED_AT)?, item.take_optional(names::VOIDED_REASON)?);
    let repaid = item.take_optional(names::REPAID)?;
    let fills = take_fills(item, names::FILLS)?;
    match (is_voided, at, reason, item.take_optional(names::VOIDED_BY)?) {
        (false, None, None, None) if repaid.is_none() && fills.is_empty() => Ok(None),
        (true, Some(at), Some(reason), Some(invocation)) => {
            Ok(Some(Void { at, reason, invocation, repaid: repaid.unwrap_or_default(), fills }))
        }
        _ => Err("its void mark is incomplete".to_owned()),
    }
}

/// The key of an item that may be damaged, for messages.
pub(super) struct ItemLocation {
    pub(super) user: String,
    pub(super) sort: String,
}

pub(super) fn location(item: &Item) -> ItemLocation {
    let part = |name| item.get(name).and_then(|value| value.as_s().ok()).cloned().unwrap_or_default();
    ItemLocation { user: part(names::USER), sort: part(names::SORT) }
}

/// Decodes the user of an item.
pub(super) fn user(item: Item) -> Result<UserId, StoreError> {
    let location = location(&item);
    UserId::try_from(location.user.clone()).map_err(|why| corrupt(&location, why))
}

pub(super) fn corrupt(location: &ItemLocation, why: &str) -> StoreError {
    StoreError::Corrupt(describe(location, why))
}

pub(super) fn describe(location: &ItemLocation, why: &str) -> String {
    format!("item user_uuid={:?} sk={:?}: {why}", location.user, location.sort)
}

/// Decodes an item, unless its format is newer than this version supports.
pub(super) fn read<T>(
    item: Item,
    read: impl FnOnce(&mut Attributes) -> Result<T, DecodeError>,
) -> Result<T, StoreError> {
    let location = location(&item);
    format::check(&location, &item)?;
    read(&mut Attributes(item)).map_err(|why| corrupt(&location, &why))
}
