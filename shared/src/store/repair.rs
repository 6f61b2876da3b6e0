//! A repair's transaction: the new wallet and the report. The report has the discrepancies and
//! the wallet before and after, each in an item of its own, because two wallets may exceed
//! the size of one item.

use aws_sdk_dynamodb::types::{AttributeValue, Put, TransactWriteItem};

use super::{
    RawWallet, Store, StoreError,
    attribute::AttributeCodec,
    format::is_format,
    key::{Item, ItemKey, RepairPart, text},
    names,
    wallet::{ITEM_BYTES_MAX, WALLET_BYTES_MAX, from_wallet},
};
use crate::domain::{TransNo, UserId, Wallet};

/// The replacement of a wallet, with its report.
#[derive(Clone, Debug)]
pub struct Repair {
    /// The identity of the repair. Its time is the version of the new wallet.
    pub trans_no: TransNo,
    /// The discrepancies, as texts.
    pub faults: Vec<String>,
    /// The item under the wallet's key, if there is one.
    pub before: Option<RawWallet>,
    /// The new wallet.
    pub after: Wallet,
}

/// Limits of the stored discrepancies; the two wallets show the rest.
const FAULTS_MAX: usize = 300;
const FAULT_CHARS_MAX: usize = 250;

/// An upper bound for keys and names.
const KEY_BYTES_MAX: usize = 1_000;

const _: () = assert!(FAULTS_MAX * (4 * FAULT_CHARS_MAX + 1) + KEY_BYTES_MAX <= ITEM_BYTES_MAX);
const _: () = assert!(WALLET_BYTES_MAX + KEY_BYTES_MAX <= ITEM_BYTES_MAX);

impl Store {
    /// Puts the wallet, if its version is unchanged, and the report.
    pub(super) fn repair_actions(
        &self,
        user: &UserId,
        repair: &Repair,
    ) -> Result<Vec<TransactWriteItem>, StoreError> {
        let wallet = from_wallet(&repair.after)?;
        let before = repair.before.as_ref().map(|raw| (RepairPart::Before, wallet_part(raw.0.clone())));
        let parts =
            [(RepairPart::Faults, faults_part(repair)), (RepairPart::After, wallet_part(wallet.clone()))];
        let mut actions = vec![self.put_wallet(user, wallet, repair.before.as_ref())?];
        for (part, mut item) in parts.into_iter().chain(before) {
            ItemKey::Repair(repair.trans_no, part).add_to(&mut item, user);
            let put = self.put_of(item).condition_expression("attribute_not_exists(sk)").build()?;
            actions.push(TransactWriteItem::builder().put(put).build());
        }
        Ok(actions)
    }

    /// Replaces the whole item, so that attributes that no code writes disappear. A damaged
    /// item without a version must still have none.
    fn put_wallet(
        &self,
        user: &UserId,
        mut wallet: Item,
        before: Option<&RawWallet>,
    ) -> Result<TransactWriteItem, StoreError> {
        ItemKey::Wallet.add_to(&mut wallet, user);
        let attribute = |name| before.and_then(|raw| raw.0.get(name)).cloned();
        let (is_format, format) = is_format(attribute(names::FORMAT));
        let version = attribute(names::VERSION);
        let is_version = if version.is_some() { "version = :from" } else { "attribute_not_exists(version)" };
        let values: Item = version.map(|at| (":from".to_owned(), at)).into_iter().chain(format).collect();
        let put = self
            .put_of(wallet)
            .condition_expression([is_version, " AND ", is_format].concat())
            .set_expression_attribute_values((!values.is_empty()).then_some(values));
        Ok(TransactWriteItem::builder().put(put.build()?).build())
    }

    fn put_of(&self, item: Item) -> aws_sdk_dynamodb::types::builders::PutBuilder {
        Put::builder().table_name(&self.table).set_item(Some(item))
    }
}

/// Whether an item has exactly the attributes of this part.
pub(super) fn is_part(part: RepairPart, item: &Item) -> bool {
    let others = item.keys().filter(|name| !matches!(name.as_str(), names::USER | names::SORT)).count();
    match part {
        RepairPart::Faults => {
            let is_text = |fault: &AttributeValue| fault.is_s();
            others == 2
                && item.get(names::REPAIRED_AT).is_some_and(AttributeValue::is_n)
                && item
                    .get(names::FAULTS)
                    .and_then(|faults| faults.as_l().ok())
                    .is_some_and(|all| all.iter().all(is_text))
        }
        RepairPart::Before | RepairPart::After => {
            others == 1 && item.get(names::REPAIRED_WALLET).is_some_and(AttributeValue::is_m)
        }
    }
}

fn faults_part(repair: &Repair) -> Item {
    let fault = |fault: &String| text(fault.chars().take(FAULT_CHARS_MAX).collect::<String>());
    let faults = repair.faults.iter().take(FAULTS_MAX).map(fault).collect();
    Item::from([
        (names::REPAIRED_AT.to_owned(), repair.trans_no.created_at().to_attribute()),
        (names::FAULTS.to_owned(), AttributeValue::L(faults)),
    ])
}

/// Wraps a wallet without its key into one attribute.
fn wallet_part(mut wallet: Item) -> Item {
    wallet.retain(|name, _| name != names::USER && name != names::SORT);
    Item::from([(names::REPAIRED_WALLET.to_owned(), AttributeValue::M(wallet))])
}
