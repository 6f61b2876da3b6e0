//! Items <-> domain. What cannot be read is an error that names the key.

use aws_sdk_dynamodb::types::AttributeValue;

use super::{
    StoreError,
    attribute::{Attributes, Value, Why},
    key::{self, Item},
};
use crate::domain::{
    Allocation, Charge, Credits, Entry, Grant, Id, Pack, Record, RecordKey, Tally, Totals, TransNo,
    TransType, UserUuid, Void, Wallet,
};

/// The size that no item may pass (Service quotas of DynamoDB: 400 KB).
pub(super) const ITEM_BYTES_MAX: usize = 400 * 1024;

/// The most that a pack or an allocation takes: by the rules of "DynamoDB item
/// sizes and formats" 3 for the map, 1 for its place in the list, and for each
/// of six attributes a name of 1, an overhead of 1 and the value: a UUID of 36,
/// `system_add`, an order number, and three numbers of at most 16 digits.
pub(super) const PACK_BYTES_MAX: usize = 3 + 1 + 6 * 2 + 36 + 10 + Id::<()>::LEN_MAX + 3 * 9;

/// The most that all totals and everything else in a wallet take: a trans_type
/// of 75 for each, and four numbers of at most 16 digits.
const REST_BYTES_MAX: usize = (Wallet::CHARGE_TYPES_MAX + 3) * (75 + 1 + 3 + 4 * (2 + 1 + 9)) + 1_000;

/// The most that a wallet takes.
pub(super) const WALLET_BYTES_MAX: usize = Wallet::PACKS_MAX * PACK_BYTES_MAX + REST_BYTES_MAX;

const _: () = assert!(Wallet::GRANTED_PACKS_MAX * PACK_BYTES_MAX <= ITEM_BYTES_MAX / 2);
const _: () = assert!(WALLET_BYTES_MAX <= ITEM_BYTES_MAX);

/// The attributes of a wallet, without its key.
pub fn from_wallet(wallet: &Wallet) -> Result<Item, StoreError> {
    Ok(wallet_attributes(wallet)?.map(|(name, value)| (name.to_owned(), value)).collect())
}

/// The same by their names, for who does not write an item.
pub(super) fn wallet_attributes(
    wallet: &Wallet,
) -> Result<impl Iterator<Item = (&'static str, AttributeValue)>, StoreError> {
    let version = wallet.version.ok_or_else(|| StoreError::Other("a wallet without a version".to_owned()))?;
    let attributes = [
        ("fences", some(&wallet.fences).map(u64::to_attribute)),
        ("keyed", wallet.has_keyed_charges.then(|| true.to_attribute())),
        ("packs", Some(wallet.packs.to_attribute())),
        ("totals", Some(wallet.totals.to_attribute())),
        ("version", Some(version.to_attribute())),
    ];
    Ok(attributes.into_iter().filter_map(|(name, value)| Some((name, value?))))
}

/// The wallet that an item holds.
pub fn to_wallet(item: Item) -> Result<Wallet, StoreError> {
    read(item, |item| {
        let wallet = Wallet {
            version: Some(item.one("version")?),
            packs: item.one("packs")?,
            totals: item.one("totals")?,
            has_keyed_charges: item.any("keyed")?.unwrap_or_default(),
            fences: item.any("fences")?.unwrap_or_default(),
        };
        wallet.fault().map_or(Ok(wallet), |why| Err(why.to_owned()))
    })
}

/// The attributes of a record, without its key, for which there is room.
pub fn from_record(user: &UserUuid, record: &Record) -> Item {
    let item = Attributes::with_room(14);
    let item = match record {
        Record::Grant(grant) => item
            .with("trans_no", &grant.trans_no)
            .with("trans_type", &grant.trans_type)
            .with("credits", &grant.credits)
            .with_any("order_no", grant.order_no.as_ref())
            .with_any("expired_at", grant.expired_at.as_ref())
            .with("is_voided", &false),
        Record::Charge(charge) => {
            let user_trans = charge.generation.as_ref().map(|_| key::user_trans(user, charge.trans_no));
            let item = item
                .with("trans_no", &charge.trans_no)
                .with("trans_type", &charge.trans_type)
                .with("credits", &charge.credits.negated())
                .with_any("generation_uuid", charge.generation.as_ref())
                .with_any("user_trans", user_trans.as_ref())
                .with_any("order_no", charge.order_no.as_ref())
                .with("allocations", &charge.allocations);
            with_void(item, charge.void.as_ref())
        }
        Record::Fence(void) => with_void(item.with("credits", &0_i64), Some(void)),
    };
    item.0
}

fn with_void(item: Attributes, void: Option<&Void>) -> Attributes {
    item.with("is_voided", &void.is_some())
        .with_any("voided_at", void.map(|void| &void.at))
        .with_any("voided_reason", void.map(|void| &void.reason))
        .with_any("voided_by", void.map(|void| &void.by))
}

/// The values of an update that voids.
pub(super) fn from_void(void: &Void) -> Item {
    let values = Attributes::with_room(5)
        .with(":live", &false)
        .with(":voided", &true)
        .with(":at", &void.at)
        .with(":reason", &void.reason)
        .with(":by", &void.by);
    values.0
}

/// The record, or fence, that an item holds.
pub fn to_record(item: Item) -> Result<Record, StoreError> {
    read(item, |item| {
        let sort: String = item.one(key::SORT)?;
        if sort.starts_with("grant#") {
            to_grant(item).map(Record::Grant)
        } else if let Some(trans_no) = item.any("trans_no")? {
            to_charge_of(trans_no, item).map(Record::Charge)
        } else {
            to_fence(item).map(Record::Fence)
        }
    })
}

fn to_grant(item: &mut Attributes) -> Result<Grant, Why> {
    if item.one("is_voided")? {
        return Err("a grant with a void mark".to_owned());
    }
    Ok(Grant {
        trans_no: item.one("trans_no")?,
        trans_type: granted_for(item.one("trans_type")?)?,
        credits: item.one("credits")?,
        order_no: item.any("order_no")?,
        expired_at: item.any("expired_at")?,
    })
}

fn to_fence(item: &mut Attributes) -> Result<Void, Why> {
    let credits: i64 = item.one("credits")?;
    to_void(item)?.filter(|_| credits == 0).ok_or_else(|| "neither a charge nor a fence".to_owned())
}

fn to_charge_of(trans_no: TransNo, item: &mut Attributes) -> Result<Charge, Why> {
    let credits: i64 = item.one("credits")?;
    let charge = Charge {
        trans_no,
        trans_type: item.one("trans_type")?,
        credits: u64::try_from(-i128::from(credits)).map_err(|_| "its sign")?.try_into()?,
        generation: item.any("generation_uuid")?,
        order_no: item.any("order_no")?,
        allocations: item.one("allocations")?,
        void: to_void(item)?,
    };
    // A refund gives back what stands here, and a pack holds no more than it did.
    let is_taken = |part: &Allocation| !part.credits.is_zero() && part.credits <= part.grant.credits;
    let allocated: u128 = charge.allocations.iter().map(|part| u128::from(part.credits.get())).sum();
    if !charge.allocations.iter().all(is_taken) {
        Err("an allocation of nothing or of more than its pack".to_owned())
    } else if charge.credits.is_zero() || allocated != u128::from(charge.credits.get()) {
        Err("its allocations are not its credits".to_owned())
    } else {
        Ok(charge)
    }
}

/// The void mark, whole or not at all.
fn to_void(item: &mut Attributes) -> Result<Option<Void>, Why> {
    match (item.one("is_voided")?, item.any("voided_at")?, item.any("voided_reason")?, item.any("voided_by")?)
    {
        (false, None, None, None) => Ok(None),
        (true, Some(at), Some(reason), Some(by)) => Ok(Some(Void { at, reason, by })),
        _ => Err("its void mark is half written".to_owned()),
    }
}

/// The record, or fence, that an item holds, and the key that it stands at.
pub(super) fn to_placed(item: Item) -> Result<(RecordKey, Record), StoreError> {
    let place = place(&item);
    let key = key::record(&place.sort).ok_or_else(|| corrupt(&place, "is no key of a record"))?;
    Ok((key, to_record(item)?))
}

/// The charge that an item holds.
pub(super) fn to_charge(item: Item) -> Result<Charge, StoreError> {
    let place = place(&item);
    match to_record(item)? {
        Record::Charge(charge) => Ok(charge),
        Record::Grant(_) | Record::Fence(_) => Err(corrupt(&place, "is no charge")),
    }
}

/// Whose item it is.
pub(super) fn user(item: Item) -> Result<UserUuid, StoreError> {
    let place = place(&item);
    UserUuid::try_from(place.user.clone()).map_err(|why| corrupt(&place, why))
}

/// The timeline entry that an item of the index holds.
pub(super) fn to_entry(item: Item) -> Result<Entry, StoreError> {
    read(item, |item| {
        let trans_type: TransType = item.one("trans_type")?;
        let is_charge = matches!(trans_type, TransType::Charge(_));
        let void = match (item.one("is_voided")?, item.any("voided_at")?, item.any("voided_reason")?) {
            (false, None, None) => None,
            (true, Some(at), Some(reason)) if is_charge => Some((at, reason)),
            _ => return Err("its void mark is half written, or a grant's".to_owned()),
        };
        let credits: i64 = item.one("credits")?;
        if is_charge != (credits < 0) {
            return Err("its sign is not its trans_type's".to_owned());
        }
        Ok(Entry {
            trans_no: item.one("trans_no")?,
            trans_type,
            credits: credits.unsigned_abs().try_into()?,
            order_no: item.any("order_no")?,
            generation: item.any("generation_uuid")?,
            expired_at: item.any("expired_at")?,
            void,
        })
    })
}

impl Value for Pack {
    fn to_attribute(&self) -> AttributeValue {
        part(&self.grant, self.remaining)
    }

    fn of_attribute(attribute: AttributeValue) -> Result<Pack, Why> {
        to_part(attribute).map(|(grant, remaining)| Pack { grant, remaining })
    }
}

impl Value for Allocation {
    fn to_attribute(&self) -> AttributeValue {
        part(&self.grant, self.credits)
    }

    fn of_attribute(attribute: AttributeValue) -> Result<Allocation, Why> {
        to_part(attribute).map(|(grant, credits)| Allocation { grant, credits })
    }
}

/// A grant, and credits of it: those that remain in a wallet, those that were taken in an
/// allocation. One-letter names: a wallet may hold a thousand.
fn part(grant: &Grant, credits: Credits) -> AttributeValue {
    Attributes::with_room(6)
        .with("i", &grant.trans_no)
        .with("t", &grant.trans_type)
        .with_any("o", grant.order_no.as_ref())
        .with("c", &grant.credits)
        .with_any("e", grant.expired_at.as_ref())
        .with("n", &credits)
        .into_map()
}

fn to_part(attribute: AttributeValue) -> Result<(Grant, Credits), Why> {
    let mut part = Attributes::of_map(attribute)?;
    let grant = Grant {
        trans_no: part.one("i")?,
        trans_type: granted_for(part.one("t")?)?,
        credits: part.one("c")?,
        order_no: part.any("o")?,
        expired_at: part.any("e")?,
    };
    Ok((grant, part.one("n")?))
}

impl Value for Totals {
    fn to_attribute(&self) -> AttributeValue {
        Attributes::with_room(4)
            .with("c", &self.made.credits)
            .with("n", &self.made.count)
            .with_any("vc", some(&self.voided.credits))
            .with_any("vn", some(&self.voided.count))
            .into_map()
    }

    fn of_attribute(attribute: AttributeValue) -> Result<Totals, Why> {
        let mut totals = Attributes::of_map(attribute)?;
        let made = Tally { credits: totals.one("c")?, count: totals.one("n")? };
        let voided = Tally {
            credits: totals.any("vc")?.unwrap_or_default(),
            count: totals.any("vn")?.unwrap_or_default(),
        };
        Ok(Totals { made, voided })
    }
}

/// What is not nothing: a zero is not written.
fn some<T: Default + PartialEq>(value: &T) -> Option<&T> {
    (*value != T::default()).then_some(value)
}

/// What credits may have been granted for: no charge.
fn granted_for(trans_type: TransType) -> Result<TransType, Why> {
    match trans_type {
        TransType::Charge(_) => Err("a charge's trans_type".to_owned()),
        granted => Ok(granted),
    }
}

/// Which item it is, for the message.
pub(super) struct Place {
    pub(super) user: String,
    pub(super) sort: String,
}

pub(super) fn place(item: &Item) -> Place {
    let part = |name| item.get(name).and_then(|value| value.as_s().ok()).cloned().unwrap_or_default();
    Place { user: part(key::USER), sort: part(key::SORT) }
}

pub(super) fn corrupt(place: &Place, why: &str) -> StoreError {
    StoreError::Corrupt(told(place, why))
}

pub(super) fn told(place: &Place, why: &str) -> String {
    format!("item user_uuid={:?} sk={:?}: {why}", place.user, place.sort)
}

fn read<T>(item: Item, read: impl FnOnce(&mut Attributes) -> Result<T, Why>) -> Result<T, StoreError> {
    let place = place(&item);
    read(&mut Attributes(item)).map_err(|why| corrupt(&place, &why))
}
