//! Items <-> domain. What cannot be read is an error that names the key.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::types::AttributeValue;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{
    StoreError,
    key::{self, Item},
};
use crate::domain::{
    Allocation, Charge, ChargeType, Credits, Entry, GenerationUuid, Grant, Id, Nonce, OrderNo, Pack, Reason,
    Record, RecordKey, Tally, Timestamp, Totals, TransNo, TransType, UserUuid, Void, Wallet,
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

#[derive(Serialize, Deserialize)]
struct WalletItem {
    version: Millis,
    packs: Vec<PackItem>,
    totals: BTreeMap<TransType, TotalsItem>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    keyed: bool,
    #[serde(default, skip_serializing_if = "is_zero")]
    fences: u64,
}

/// A pack in the wallet. One-letter names: a wallet may hold a thousand.
#[derive(Serialize, Deserialize)]
struct PackItem {
    #[serde(rename = "i")]
    trans_no: TransNo,
    #[serde(rename = "t")]
    trans_type: GrantedFor,
    #[serde(rename = "o", default, skip_serializing_if = "Option::is_none")]
    order_no: Option<OrderNo>,
    #[serde(rename = "c")]
    granted: Credits,
    #[serde(rename = "e", default, skip_serializing_if = "Option::is_none")]
    expired_at: Option<Millis>,
    /// In a wallet what remains, in an allocation what was taken.
    #[serde(rename = "n")]
    credits: Credits,
}

#[derive(Serialize, Deserialize)]
struct TotalsItem {
    #[serde(rename = "c")]
    credits: Credits,
    #[serde(rename = "n")]
    count: u64,
    #[serde(rename = "vc", default, skip_serializing_if = "is_zero")]
    voided_credits: u64,
    #[serde(rename = "vn", default, skip_serializing_if = "is_zero")]
    voided_count: u64,
}

#[derive(Serialize, Deserialize)]
struct GrantItem {
    trans_no: TransNo,
    trans_type: GrantedFor,
    credits: Credits,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    order_no: Option<OrderNo>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expired_at: Option<Millis>,
    is_voided: bool,
}

#[derive(Serialize, Deserialize)]
struct ChargeItem {
    trans_no: TransNo,
    trans_type: TransType,
    credits: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    generation_uuid: Option<GenerationUuid>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    user_trans: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    order_no: Option<OrderNo>,
    allocations: Vec<PackItem>,
    is_voided: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    voided_at: Option<Millis>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    voided_reason: Option<Reason>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    voided_by: Option<Nonce>,
}

#[derive(Serialize, Deserialize)]
struct FenceItem {
    credits: i64,
    is_voided: bool,
    voided_at: Millis,
    voided_reason: Reason,
    voided_by: Nonce,
}

/// What the timeline index carries of a record.
#[derive(Deserialize)]
struct EntryItem {
    trans_no: TransNo,
    trans_type: TransType,
    credits: i64,
    order_no: Option<OrderNo>,
    generation_uuid: Option<GenerationUuid>,
    expired_at: Option<Millis>,
    is_voided: bool,
    voided_at: Option<Millis>,
    voided_reason: Option<Reason>,
}

/// What credits may have been granted for: no charge.
#[derive(Clone, Serialize, Deserialize)]
#[serde(try_from = "TransType", into = "TransType")]
struct GrantedFor(TransType);

impl TryFrom<TransType> for GrantedFor {
    type Error = &'static str;

    fn try_from(trans_type: TransType) -> Result<GrantedFor, &'static str> {
        if let TransType::Charge(_) = trans_type {
            Err("is a charge's trans_type")
        } else {
            Ok(GrantedFor(trans_type))
        }
    }
}

impl From<GrantedFor> for TransType {
    fn from(granted: GrantedFor) -> TransType {
        granted.0
    }
}

/// A moment as the table holds it: a number of milliseconds.
#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(try_from = "i64", into = "i64")]
struct Millis(Timestamp);

impl TryFrom<i64> for Millis {
    type Error = &'static str;

    fn try_from(millis: i64) -> Result<Millis, &'static str> {
        Timestamp::from_millis(millis).map(Millis).ok_or("is no moment")
    }
}

impl From<Millis> for i64 {
    fn from(millis: Millis) -> i64 {
        millis.0.millis()
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// The attributes of a wallet, without its key.
pub fn from_wallet(wallet: &Wallet) -> Result<Item, StoreError> {
    let version = wallet.version.ok_or_else(|| StoreError::Other("a wallet without a version".to_owned()))?;
    let totals = |(of, totals): (&TransType, &Totals)| (of.clone(), TotalsItem::from(totals));
    write(&WalletItem {
        version: Millis(version),
        packs: wallet.packs.iter().map(|pack| PackItem::new(&pack.grant, pack.remaining)).collect(),
        totals: wallet.totals.iter().map(totals).collect(),
        keyed: wallet.has_keyed_charges,
        fences: wallet.fences,
    })
}

/// The wallet that an item holds.
pub fn to_wallet(item: Item) -> Result<Wallet, StoreError> {
    let place = place(&item);
    let item: WalletItem = read(&place, item)?;
    let totals = |(of, totals): (TransType, TotalsItem)| Ok((of, totals.try_into()?));
    let totals: Result<_, &str> = item.totals.into_iter().map(totals).collect();
    let wallet = Wallet {
        version: Some(item.version.0),
        packs: item
            .packs
            .into_iter()
            .map(PackItem::split)
            .map(|(grant, remaining)| Pack { grant, remaining })
            .collect(),
        totals: totals.map_err(|why| corrupt(&place, why))?,
        has_keyed_charges: item.keyed,
        fences: item.fences,
    };
    wallet.fault().map_or(Ok(wallet), |why| Err(corrupt(&place, why)))
}

/// The attributes of a record, without its key.
pub fn from_record(user: &UserUuid, record: &Record) -> Result<Item, StoreError> {
    match record {
        Record::Grant(grant) => write(&GrantItem {
            trans_no: grant.trans_no,
            trans_type: GrantedFor(grant.trans_type.clone()),
            credits: grant.credits,
            order_no: grant.order_no.clone(),
            expired_at: grant.expired_at.map(Millis),
            is_voided: false,
        }),
        Record::Charge(charge) => write(&ChargeItem {
            trans_no: charge.trans_no,
            trans_type: TransType::Charge(charge.trans_type.clone()),
            credits: charge.credits.negated(),
            user_trans: charge.generation.as_ref().map(|_| key::user_trans(user, charge.trans_no)),
            generation_uuid: charge.generation.clone(),
            order_no: charge.order_no.clone(),
            allocations: charge
                .allocations
                .iter()
                .map(|part| PackItem::new(&part.grant, part.credits))
                .collect(),
            is_voided: charge.void.is_some(),
            voided_at: charge.void.as_ref().map(|void| Millis(void.at)),
            voided_reason: charge.void.as_ref().map(|void| void.reason.clone()),
            voided_by: charge.void.as_ref().map(|void| void.by),
        }),
        Record::Fence(void) => write(&FenceItem {
            credits: 0,
            is_voided: true,
            voided_at: Millis(void.at),
            voided_reason: void.reason.clone(),
            voided_by: void.by,
        }),
    }
}

/// The values of an update that voids.
pub(super) fn from_void(void: &Void) -> Item {
    Item::from([
        (":live".to_owned(), AttributeValue::Bool(false)),
        (":voided".to_owned(), AttributeValue::Bool(true)),
        (":at".to_owned(), millis(void.at)),
        (":reason".to_owned(), key::text(void.reason.clone())),
        (":by".to_owned(), key::text(void.by.to_string())),
    ])
}

/// A moment as an attribute.
pub(super) fn millis(at: Timestamp) -> AttributeValue {
    AttributeValue::N(at.millis().to_string())
}

/// The record, or fence, that an item holds.
pub fn to_record(item: Item) -> Result<Record, StoreError> {
    let place = place(&item);
    if place.sort.starts_with("grant#") {
        let item: GrantItem = read(&place, item)?;
        if item.is_voided {
            return Err(corrupt(&place, "a grant with a void mark"));
        }
        return Ok(Record::Grant(Grant {
            trans_no: item.trans_no,
            trans_type: item.trans_type.0,
            credits: item.credits,
            order_no: item.order_no,
            expired_at: item.expired_at.map(|at| at.0),
        }));
    }
    if !item.contains_key("trans_no") {
        let item: FenceItem = read(&place, item)?;
        if item.credits != 0 || !item.is_voided {
            return Err(corrupt(&place, "neither a charge nor a fence"));
        }
        return Ok(Record::Fence(Void {
            at: item.voided_at.0,
            reason: item.voided_reason,
            by: item.voided_by,
        }));
    }
    let item: ChargeItem = read(&place, item)?;
    item.try_into().map(Record::Charge).map_err(|why| corrupt(&place, why))
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
    let place = place(&item);
    let item: EntryItem = read(&place, item)?;
    let is_charge = matches!(item.trans_type, TransType::Charge(_));
    let void = match (item.is_voided, item.voided_at, item.voided_reason) {
        (false, None, None) => None,
        (true, Some(at), Some(reason)) if is_charge => Some((at.0, reason)),
        _ => return Err(corrupt(&place, "its void mark is half written, or a grant's")),
    };
    if is_charge != (item.credits < 0) {
        return Err(corrupt(&place, "its sign is not its trans_type's"));
    }
    Ok(Entry {
        trans_no: item.trans_no,
        trans_type: item.trans_type,
        credits: item.credits.unsigned_abs().try_into().map_err(|why| corrupt(&place, why))?,
        order_no: item.order_no,
        generation: item.generation_uuid,
        expired_at: item.expired_at.map(|at| at.0),
        void,
    })
}

impl PackItem {
    fn new(grant: &Grant, credits: Credits) -> PackItem {
        PackItem {
            trans_no: grant.trans_no,
            trans_type: GrantedFor(grant.trans_type.clone()),
            order_no: grant.order_no.clone(),
            granted: grant.credits,
            expired_at: grant.expired_at.map(Millis),
            credits,
        }
    }

    fn split(self) -> (Grant, Credits) {
        let grant = Grant {
            trans_no: self.trans_no,
            trans_type: self.trans_type.0,
            credits: self.granted,
            order_no: self.order_no,
            expired_at: self.expired_at.map(|at| at.0),
        };
        (grant, self.credits)
    }
}

impl From<&Totals> for TotalsItem {
    fn from(totals: &Totals) -> TotalsItem {
        TotalsItem {
            credits: totals.made.credits,
            count: totals.made.count,
            voided_credits: totals.voided.credits.get(),
            voided_count: totals.voided.count,
        }
    }
}

impl TryFrom<TotalsItem> for Totals {
    type Error = &'static str;

    fn try_from(item: TotalsItem) -> Result<Totals, &'static str> {
        let voided = Tally { credits: item.voided_credits.try_into()?, count: item.voided_count };
        Ok(Totals { made: Tally { credits: item.credits, count: item.count }, voided })
    }
}

impl TryFrom<ChargeItem> for Charge {
    type Error = &'static str;

    fn try_from(item: ChargeItem) -> Result<Charge, &'static str> {
        let void = match (item.is_voided, item.voided_at, item.voided_reason, item.voided_by) {
            (false, None, None, None) => None,
            (true, Some(at), Some(reason), Some(by)) => Some(Void { at: at.0, reason, by }),
            _ => return Err("its void mark is half written"),
        };
        let charge = Charge {
            trans_no: item.trans_no,
            trans_type: charge_type(item.trans_type).ok_or("its trans_type is no charge's")?,
            credits: item
                .credits
                .checked_neg()
                .filter(|credits| *credits > 0)
                .and_then(|credits| u64::try_from(credits).ok())
                .ok_or("its sign")?
                .try_into()?,
            generation: item.generation_uuid,
            order_no: item.order_no,
            allocations: item
                .allocations
                .into_iter()
                .map(PackItem::split)
                .map(|(grant, credits)| Allocation { grant, credits })
                .collect(),
            void,
        };
        // A refund gives back what stands here, and a pack holds no more than it did.
        let is_taken = |part: &Allocation| !part.credits.is_zero() && part.credits <= part.grant.credits;
        if !charge.allocations.iter().all(is_taken) {
            return Err("an allocation of nothing or of more than its pack");
        }
        let allocated: u128 = charge.allocations.iter().map(|part| u128::from(part.credits.get())).sum();
        if allocated == u128::from(charge.credits.get()) {
            Ok(charge)
        } else {
            Err("its allocations are not its credits")
        }
    }
}

fn charge_type(trans_type: TransType) -> Option<ChargeType> {
    if let TransType::Charge(charge) = trans_type { Some(charge) } else { None }
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

pub(super) fn read<T: DeserializeOwned>(place: &Place, item: Item) -> Result<T, StoreError> {
    serde_dynamo::aws_sdk_dynamodb_1::from_item(item).map_err(|error| corrupt(place, &error.to_string()))
}

pub(super) fn write(item: &impl Serialize) -> Result<Item, StoreError> {
    serde_dynamo::aws_sdk_dynamodb_1::to_item(item).map_err(|error| StoreError::Other(error.to_string()))
}
