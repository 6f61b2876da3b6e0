//! The codec of wallets.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::types::AttributeValue;

use super::{
    StoreError,
    attribute::{AttributeCodec, Attributes, DecodeError},
    format,
    key::{Item, new_item},
    names,
    record::{PACK_BYTES_MAX, pack_attributes, read, to_pack},
};
use crate::domain::{CreditSum, Debt, Id, Pack, Totals, TransNo, TransType, Wallet};

/// The size limit of an item (DynamoDB service quotas: 400 KB).
pub(super) const ITEM_BYTES_MAX: usize = 400 * 1024;

/// The largest size of the totals and everything else beside packs: for each trans_type 75
/// bytes of name and four numbers of at most 16 digits.
const REST_BYTES_MAX: usize = (Wallet::CHARGE_TYPES_MAX + 3) * (75 + 1 + 3 + 4 * (2 + 1 + 9)) + 1_000;

/// The largest size of a debt: 4 for the map in the list, and for each of six attributes a name
/// of 1, an overhead of 1 and the value: a UUID of 36, two identifiers, and three numbers.
const DEBT_BYTES_MAX: usize = 4 + 6 * 2 + 36 + 2 * Id::<()>::LEN_MAX + 3 * 9;

/// The largest size of a wallet.
pub(super) const WALLET_BYTES_MAX: usize =
    Wallet::PACKS_MAX * PACK_BYTES_MAX + Wallet::DEBTS_MAX * DEBT_BYTES_MAX + REST_BYTES_MAX;

const _: () = assert!(Wallet::GIFT_PACKS_MAX * PACK_BYTES_MAX <= ITEM_BYTES_MAX / 2);
const _: () = assert!(Wallet::PAID_PACKS_MAX < Wallet::PACKS_MAX);
const _: () = assert!(WALLET_BYTES_MAX <= ITEM_BYTES_MAX);

/// A wallet and the attributes that this version does not support.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StoredWallet {
    /// The decoded wallet.
    pub wallet: Wallet,
    /// Its unknown attributes.
    pub unknown: UnknownAttributes,
}

/// Unknown attributes of packs and totals, which a newer version wrote. Every write keeps them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct UnknownAttributes {
    packs: BTreeMap<TransNo, Item>,
    totals: BTreeMap<TransType, Item>,
}

impl UnknownAttributes {
    /// Encodes a wallet together with the unknown attributes.
    pub(super) fn attributes_of(
        &self,
        wallet: &Wallet,
    ) -> Result<impl Iterator<Item = (&'static str, AttributeValue)>, StoreError> {
        let version =
            wallet.version.ok_or_else(|| StoreError::Other("a wallet without a version".to_owned()))?;
        let attributes = [
            (names::PACKS, Some(self.packs_attribute(&wallet.packs))),
            (names::TOTALS, Some(self.totals_attribute(&wallet.totals))),
            (names::VERSION, Some(version.to_attribute())),
        ];
        let attributes = optional_attributes(wallet).into_iter().chain(attributes);
        Ok(attributes.filter_map(|(name, value)| Some((name, value?))))
    }

    /// Encodes a wallet as an item without its key.
    pub(super) fn item_of(&self, wallet: &Wallet) -> Result<Item, StoreError> {
        let mut item = new_item(8);
        item.extend(self.attributes_of(wallet)?.map(|(name, value)| (name.to_owned(), value)));
        Ok(item)
    }
}

/// The attributes that a wallet may lack.
fn optional_attributes(wallet: &Wallet) -> [(&'static str, Option<AttributeValue>); 5] {
    let debts = Some(&wallet.debts).filter(|debts| !debts.is_empty());
    [
        (names::DEBTS, debts.map(Vec::to_attribute)),
        (names::FENCES, non_zero(&wallet.fences).map(u64::to_attribute)),
        (names::BLOCKED, wallet.is_blocked.then(|| true.to_attribute())),
        (names::FORMAT, format_of(wallet).as_ref().map(u64::to_attribute)),
        (names::KEYED, wallet.has_keyed_charges.then(|| true.to_attribute())),
    ]
}

/// The attributes that a change removes.
pub(super) fn removed_attributes(from: &Wallet, to: &Wallet) -> impl Iterator<Item = &'static str> {
    let pairs = optional_attributes(from).into_iter().zip(optional_attributes(to));
    pairs.filter(|(from, to)| from.1.is_some() && to.1.is_none()).map(|(from, _)| from.0)
}

/// The format of a wallet's item; absent for the first one. Earlier versions ignore a block and
/// debts, so a wallet with these has a format that they reject.
pub(super) fn format_of(wallet: &Wallet) -> Option<u64> {
    (wallet.is_blocked || !wallet.debts.is_empty()).then_some(format::SECOND)
}

/// Encodes a wallet without its key.
pub fn from_wallet(wallet: &Wallet) -> Result<Item, StoreError> {
    UnknownAttributes::default().item_of(wallet)
}

/// Decodes a wallet.
pub fn to_wallet(item: Item) -> Result<StoredWallet, StoreError> {
    read(item, |item| {
        let mut unknown = UnknownAttributes::default();
        let wallet = Wallet {
            version: Some(item.take_required(names::VERSION)?),
            packs: unknown.take_packs(item)?,
            totals: unknown.take_totals(item)?,
            has_keyed_charges: item.take_optional(names::KEYED)?.unwrap_or_default(),
            fences: item.take_optional(names::FENCES)?.unwrap_or_default(),
            debts: item.take_optional(names::DEBTS)?.unwrap_or_default(),
            is_blocked: item.take_optional(names::BLOCKED)?.unwrap_or_default(),
        };
        if item.take_optional(names::FORMAT)? != format_of(&wallet) {
            return Err(format!("{}: not the format of its attributes", names::FORMAT));
        }
        wallet.validate()?;
        Ok(StoredWallet { wallet, unknown })
    })
}

impl UnknownAttributes {
    fn take_packs(&mut self, item: &mut Attributes) -> Result<Vec<Pack>, DecodeError> {
        let list = item.take_list(names::PACKS)?;
        let pack = |(nth, attribute)| {
            let (pack, rest) =
                take_pack(attribute).map_err(|why: DecodeError| format!("{}: {nth}: {why}", names::PACKS))?;
            if !rest.is_empty() {
                self.packs.insert(pack.grant.trans_no, rest);
            }
            Ok(pack)
        };
        list.into_iter().enumerate().map(pack).collect()
    }

    fn take_totals(&mut self, item: &mut Attributes) -> Result<BTreeMap<TransType, Totals>, DecodeError> {
        let totals = |(name, attribute)| {
            // Without the name, which a caller chose.
            let trans_type = TransType::try_from(name).map_err(|why| format!("{}: {why}", names::TOTALS))?;
            let (totals, rest) = take_totals(attribute).map_err(|why| format!("{}: {why}", names::TOTALS))?;
            if !rest.is_empty() {
                self.totals.insert(trans_type.clone(), rest);
            }
            Ok((trans_type, totals))
        };
        item.take_map(names::TOTALS)?.into_iter().map(totals).collect()
    }

    fn packs_attribute(&self, packs: &[Pack]) -> AttributeValue {
        let pack = |pack: &Pack| {
            let map = pack_attributes(&pack.grant, pack.remaining);
            map.with_unknown(self.packs.get(&pack.grant.trans_no)).into_map()
        };
        AttributeValue::L(packs.iter().map(pack).collect())
    }

    fn totals_attribute(&self, totals: &BTreeMap<TransType, Totals>) -> AttributeValue {
        let mut map = new_item(totals.len());
        map.extend(totals.iter().map(|(of, totals)| {
            let attributes = totals_attributes(totals).with_unknown(self.totals.get(of));
            (of.to_string(), attributes.into_map())
        }));
        AttributeValue::M(map)
    }
}

fn take_pack(attribute: AttributeValue) -> Result<(Pack, Item), DecodeError> {
    let mut map = Attributes::from_map(attribute)?;
    let (grant, remaining) = to_pack(&mut map)?;
    Ok((Pack { grant, remaining }, map.0))
}

fn totals_attributes(totals: &Totals) -> Attributes {
    Attributes::with_capacity(4)
        .put(names::TOTAL_CREDITS, &totals.created.credits)
        .put(names::TOTAL_COUNT, &totals.created.count)
        .put_optional(names::TOTAL_VOIDED_CREDITS, non_zero(&totals.voided.credits))
        .put_optional(names::TOTAL_VOIDED_COUNT, non_zero(&totals.voided.count))
}

fn take_totals(attribute: AttributeValue) -> Result<(Totals, Item), DecodeError> {
    let mut map = Attributes::from_map(attribute)?;
    let created = CreditSum {
        credits: map.take_required(names::TOTAL_CREDITS)?,
        count: map.take_required(names::TOTAL_COUNT)?,
    };
    let voided = CreditSum {
        credits: map.take_optional(names::TOTAL_VOIDED_CREDITS)?.unwrap_or_default(),
        count: map.take_optional(names::TOTAL_VOIDED_COUNT)?.unwrap_or_default(),
    };
    Ok((Totals { created, voided }, map.0))
}

/// Zero is not stored.
fn non_zero<T: Default + PartialEq>(value: &T) -> Option<&T> {
    (*value != T::default()).then_some(value)
}

impl AttributeCodec for Debt {
    fn to_attribute(&self) -> AttributeValue {
        Attributes::with_capacity(6)
            .put(names::DEBT_SINCE, &self.since)
            .put(names::DEBT_CHARGE, &self.trans_no)
            .put(names::DEBT_GENERATION, &self.generation)
            .put_optional(names::DEBT_KEY, self.key.as_ref())
            .put(names::DEBT_CREDITS, &self.credits)
            .put(names::DEBT_PARTS, &(self.parts as u64))
            .into_map()
    }

    fn from_attribute(attribute: AttributeValue) -> Result<Debt, DecodeError> {
        let mut map = Attributes::from_map(attribute)?;
        let parts: u64 = map.take_required(names::DEBT_PARTS)?;
        Ok(Debt {
            since: map.take_required(names::DEBT_SINCE)?,
            trans_no: map.take_required(names::DEBT_CHARGE)?,
            generation: map.take_required(names::DEBT_GENERATION)?,
            key: map.take_optional(names::DEBT_KEY)?,
            credits: map.take_required(names::DEBT_CREDITS)?,
            parts: usize::try_from(parts).map_err(|_| "too many parts")?,
        })
    }
}
