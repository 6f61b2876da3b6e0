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
use crate::domain::{CreditSum, Credits, Debt, Debtor, Id, Pack, Totals, TransNo, TransType, Wallet};

/// The size limit of an item (DynamoDB service quotas: 400 KB).
pub(super) const ITEM_BYTES_MAX: usize = 400 * 1024;

/// The largest size of the totals and everything else beside packs: for each trans_type 75
/// bytes of name and four numbers of at most 16 digits.
const REST_BYTES_MAX: usize = (Wallet::CHARGE_TYPES_MAX + 3) * (75 + 1 + 3 + 4 * (2 + 1 + 9)) + 1_000;

/// The largest size of a debt: 4 for the map in the list, and for each of six attributes a name
/// of 1, an overhead of 1 and the value: a UUID of 36, two identifiers, and three numbers.
const DEBT_BYTES_MAX: usize = 4 + 6 * 2 + 36 + 2 * Id::<()>::LEN_MAX + 3 * 9;

/// The largest size of a shortfall: a UUID as name, an overhead of 1 and a number.
const SHORTFALL_BYTES_MAX: usize = 36 + 1 + 9;

/// The largest size of a wallet.
pub(super) const WALLET_BYTES_MAX: usize = Wallet::PACKS_MAX * PACK_BYTES_MAX
    + Wallet::DEBTS_MAX * DEBT_BYTES_MAX
    + Wallet::SHORTFALLS_MAX * SHORTFALL_BYTES_MAX
    + REST_BYTES_MAX;

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
        let mut item = new_item(10);
        item.extend(self.attributes_of(wallet)?.map(|(name, value)| (name.to_owned(), value)));
        Ok(item)
    }
}

/// The attributes that a wallet may lack.
fn optional_attributes(wallet: &Wallet) -> [(&'static str, Option<AttributeValue>); 7] {
    let debts = Some(&wallet.debts).filter(|debts| !debts.is_empty());
    [
        (names::DEBTS, debts.map(Vec::to_attribute)),
        (names::FENCES, non_zero(&wallet.fences).map(u64::to_attribute)),
        (names::BLOCKED, wallet.is_blocked.then(|| true.to_attribute())),
        (names::FORMAT, format_of(wallet).as_ref().map(u64::to_attribute)),
        (names::WALLET_REVOKED, non_zero(&wallet.revoked).map(Credits::to_attribute)),
        (names::SHORTFALLS, shortfalls_attribute(wallet)),
        (names::KEYED, wallet.has_keyed_charges.then(|| true.to_attribute())),
    ]
}

/// The attributes that a change removes.
pub(super) fn removed_attributes(from: &Wallet, to: &Wallet) -> impl Iterator<Item = &'static str> {
    let pairs = optional_attributes(from).into_iter().zip(optional_attributes(to));
    pairs.filter(|(from, to)| from.1.is_some() && to.1.is_none()).map(|(from, _)| from.0)
}

/// The format of a wallet's item; absent for the first one. Earlier versions ignore a block,
/// debts, and what is revoked, so a wallet with these has a format that they reject.
pub(super) fn format_of(wallet: &Wallet) -> Option<u64> {
    let is_order = |debt: &Debt| matches!(debt.debtor, Debtor::Order(_));
    if !wallet.revoked.is_zero() || !wallet.shortfalls.is_empty() || wallet.debts.iter().any(is_order) {
        Some(format::THIRD)
    } else {
        (wallet.is_blocked || !wallet.debts.is_empty()).then_some(format::SECOND)
    }
}

fn shortfalls_attribute(wallet: &Wallet) -> Option<AttributeValue> {
    let mut map = new_item(wallet.shortfalls.len());
    map.extend(wallet.shortfalls.iter().map(|(grant, credits)| (grant.to_string(), credits.to_attribute())));
    (!map.is_empty()).then_some(AttributeValue::M(map))
}

fn take_shortfalls(item: &mut Attributes) -> Result<BTreeMap<TransNo, Credits>, DecodeError> {
    if !item.0.contains_key(names::SHORTFALLS) {
        return Ok(BTreeMap::new());
    }
    let shortfall = |(grant, credits)| {
        Ok((TransNo::from_attribute(AttributeValue::S(grant))?, Credits::from_attribute(credits)?))
    };
    item.take_map(names::SHORTFALLS)?.into_iter().map(shortfall).collect()
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
            revoked: item.take_optional(names::WALLET_REVOKED)?.unwrap_or_default(),
            shortfalls: take_shortfalls(item)?,
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
        let (generation, key, order_no) = match &self.debtor {
            Debtor::Charge { generation, key } => (Some(generation), key.as_ref(), None),
            Debtor::Order(order_no) => (None, None, Some(order_no)),
        };
        Attributes::with_capacity(6)
            .put(names::DEBT_SINCE, &self.since)
            .put(names::DEBT_CHARGE, &self.trans_no)
            .put_optional(names::DEBT_GENERATION, generation)
            .put_optional(names::DEBT_KEY, key)
            .put_optional(names::DEBT_ORDER, order_no)
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
            debtor: take_debtor(&mut map)?,
            credits: map.take_required(names::DEBT_CREDITS)?,
            parts: usize::try_from(parts).map_err(|_| "too many parts")?,
        })
    }
}

fn take_debtor(map: &mut Attributes) -> Result<Debtor, DecodeError> {
    let key = map.take_optional(names::DEBT_KEY)?;
    match (map.take_optional(names::DEBT_GENERATION)?, map.take_optional(names::DEBT_ORDER)?) {
        (Some(generation), None) => Ok(Debtor::Charge { generation, key }),
        (None, Some(order_no)) if key.is_none() => Ok(Debtor::Order(order_no)),
        _ => Err("neither the debt of a charge nor of an order".to_owned()),
    }
}
