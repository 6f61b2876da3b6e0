//! The only transaction that moves money.

use aws_sdk_dynamodb::{
    error::{BuildError, SdkError},
    operation::transact_write_items::TransactWriteItemsError,
    types::{
        CancellationReason, Put, ReturnConsumedCapacity, ReturnValuesOnConditionCheckFailure,
        TransactWriteItem, Update,
    },
};
use uuid::Uuid;

use super::{
    Store, StoreError, StoredWallet, UnknownAttributes,
    attribute::AttributeCodec,
    capacity,
    error::{is_conflict, is_contention},
    format::is_format,
    key::{Item, ItemKey, new_item},
    names,
    old_rows::{from_old_rows, to_old_rows},
    order::{from_order, is_revision, to_order},
    read::to_read_record,
    record::{self, PACK_BYTES_MAX, RecordUpdate},
    repair::Repair,
    wallet::{ITEM_BYTES_MAX, WALLET_BYTES_MAX, format_of, removed_attributes, to_wallet},
};
use crate::domain::{
    GrantRecord, ImportedHistory, Metadata, OldRows, Order, OrderChange, OrderNo, Plan, RecordChange,
    RecordKey, RecordLookup, Timestamp, TransactionLimits, UserId, Wallet,
};

/// One conditional transaction on one user's items.
#[derive(Clone, Copy, Debug)]
pub struct Transaction<'a> {
    /// The owner of the items.
    pub user: &'a UserId,
    /// The wallet on which the plan is based; its version must be unchanged.
    pub from: &'a Wallet,
    /// Unknown attributes of that wallet, which are written again.
    pub unknown: &'a UnknownAttributes,
    /// The changes.
    pub plan: &'a Plan,
}

impl Transaction<'_> {
    /// The limits of a transaction beside the wallet: 100 actions and 4 MB of items (DynamoDB
    /// service quotas).
    pub const ROOM: TransactionLimits =
        TransactionLimits { records: 99, bytes: 4_000_000 - WALLET_BYTES_MAX };
}

/// The largest size of a charge without allocations: six identifiers of 255 bytes in
/// attributes and keys, a reason of 255 characters of 4 bytes, metadata, and the rest.
const CHARGE_BYTES_MAX: usize = 6 * 255 + 255 * 4 + Metadata::BYTES_MAX + 500;

/// The largest size of an adjustment without its allocations: a map of eight attributes, and the
/// entry of an output that it returns.
const ADJUSTMENT_BYTES_MAX: usize = 4 + 8 * 3 + 36 + 8 + 4 * 9 + 20;

/// The largest size of a fill of a shortfall: 4 for the map in the list, two attributes, a UUID
/// and a number.
const FILL_BYTES_MAX: usize = 4 + 2 * 2 + 36 + 9;

/// The most fills of one charge. What is returned is cut from the end, so two returns share one
/// pack at most, and a pack occurs at most twice in a charge.
const FILLS_MAX: usize = 2 * Wallet::SHORTFALLS_MAX + 101;

/// The largest size of a revocation without the parts that paid: a map of eight attributes, and
/// the entry of the revoked credits.
const REVOCATION_BYTES_MAX: usize = 4 + 8 * 3 + 36 + 8 + 5 * 9 + Wallet::SHORTFALLS_MAX * FILL_BYTES_MAX + 25;

// Each output is returned once, and each part repays once.
const _: () = assert!(
    CHARGE_BYTES_MAX
        + Wallet::CHARGE_PARTS_MAX * PACK_BYTES_MAX
        + 101 * ADJUSTMENT_BYTES_MAX
        + FILLS_MAX * FILL_BYTES_MAX
        <= ITEM_BYTES_MAX
);
const _: () = assert!(
    CHARGE_BYTES_MAX
        + GrantRecord::REVOCATIONS_MAX * REVOCATION_BYTES_MAX
        + Wallet::DEBTOR_PARTS_MAX * PACK_BYTES_MAX
        <= ITEM_BYTES_MAX
);
const _: () = assert!(
    CHARGE_BYTES_MAX + Wallet::DEBTOR_PARTS_MAX * (PACK_BYTES_MAX + ADJUSTMENT_BYTES_MAX)
        <= Wallet::DEBTOR_BYTES_MAX
);
// A grant repays every charge in debt in one transaction.
const _: () =
    assert!(Wallet::DEBTS_MAX * Wallet::DEBTOR_BYTES_MAX + ITEM_BYTES_MAX <= Transaction::ROOM.bytes);
const _: () = assert!(Transaction::ROOM.bytes >= ITEM_BYTES_MAX);
const _: () = assert!(ImportedHistory::PART_RECORDS_MAX < Transaction::ROOM.records);
// An import plans by allocations and rows, and exceeds its plan by at most one record. The
// other attributes of each record come on top.
const _: () = assert!(
    ImportedHistory::part_bytes(Transaction::ROOM)
        + ITEM_BYTES_MAX
        + ImportedHistory::PART_RECORDS_MAX * CHARGE_BYTES_MAX
        <= Transaction::ROOM.bytes
);

/// The token under which DynamoDB commits a transaction at most once, for ten minutes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestToken(Uuid);

impl RequestToken {
    /// From a random UUID.
    pub fn new(random: Uuid) -> RequestToken {
        RequestToken(random)
    }
}

/// The outcome of a transaction, where DynamoDB returned one.
#[derive(Clone, Debug)]
pub enum Commit {
    /// Everything was written.
    Done,
    /// A condition failed, and nothing was written.
    Refused(Box<Refusal>),
    /// Another transaction was changing one of the items, or DynamoDB throttled: nothing was
    /// written, and no item was returned.
    Conflict,
}

/// The items whose conditions failed.
#[derive(Clone, Debug, Default)]
pub struct Refusal {
    /// The wallet, if its condition failed; an empty one if it has been deleted.
    pub wallet: Option<StoredWallet>,
    /// The records.
    pub records: Vec<RecordLookup>,
    /// The old rows of an import.
    pub old_rows: OldRows,
    /// The orders.
    pub orders: Vec<(OrderNo, Order)>,
}

const OLD: ReturnValuesOnConditionCheckFailure = ReturnValuesOnConditionCheckFailure::AllOld;

impl Store {
    /// Commits, or returns the items that failed their conditions. While the outcome is
    /// unknown, the same transaction may be resent with the same token, byte for byte; any
    /// other transaction needs a new token.
    ///
    /// # Errors
    /// Any [`StoreError`]. After `Unavailable` and `TokenMismatch` the outcome is unknown.
    pub async fn commit(
        &self,
        transaction: &Transaction<'_>,
        token: RequestToken,
    ) -> Result<Commit, StoreError> {
        match self.transact(self.actions(transaction)?, token).await? {
            Ok(()) => Ok(Commit::Done),
            Err(reasons) => refusal(reasons, targets(transaction.plan)),
        }
    }

    /// Commits changes of orders without a grant, which move no credits.
    ///
    /// # Errors
    /// As for [`Store::commit`].
    pub async fn commit_orders(
        &self,
        changes: &[OrderChange],
        token: RequestToken,
    ) -> Result<Commit, StoreError> {
        let actions = changes.iter().map(|change| self.put_order(change)).collect::<Result<_, _>>()?;
        match self.transact(actions, token).await? {
            Ok(()) => Ok(Commit::Done),
            Err(reasons) => refusal(reasons, changes.iter().map(|_| Target::Order)),
        }
    }

    /// Replaces a wallet that contradicts the records. A refusal carries no wallet, because
    /// the stored one may be unreadable.
    ///
    /// # Errors
    /// As for [`Store::commit`].
    pub async fn commit_repair(
        &self,
        user: &UserId,
        repair: &Repair,
        token: RequestToken,
    ) -> Result<Commit, StoreError> {
        match self.transact(self.repair_actions(user, repair)?, token).await? {
            Ok(()) => Ok(Commit::Done),
            Err(reasons) => match cancellation(&reasons)? {
                Cancellation::Conflict => Ok(Commit::Conflict),
                Cancellation::Condition => Ok(Commit::Refused(Box::default())),
            },
        }
    }

    /// Sends a transaction; returns the cancellation reasons where it was cancelled.
    async fn transact(
        &self,
        actions: Vec<TransactWriteItem>,
        token: RequestToken,
    ) -> Result<Result<(), Vec<CancellationReason>>, StoreError> {
        let sent = self
            .client
            .transact_write_items()
            .set_transact_items(Some(actions))
            .client_request_token(token.0.to_string())
            .return_consumed_capacity(ReturnConsumedCapacity::Indexes)
            .send()
            .await;
        match sent {
            Ok(answer) => {
                capacity::record_write(answer.consumed_capacity());
                Ok(Ok(()))
            }
            Err(SdkError::ServiceError(service)) if service.err().is_transaction_canceled_exception() => {
                match service.into_err() {
                    TransactWriteItemsError::TransactionCanceledException(cancelled) => {
                        Ok(Err(cancelled.cancellation_reasons.unwrap_or_default()))
                    }
                    _ => Err(StoreError::Other("a cancelled transaction without reasons".to_owned())),
                }
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The actions, in the order of [`targets`].
    fn actions(&self, transaction: &Transaction<'_>) -> Result<Vec<TransactWriteItem>, StoreError> {
        let Transaction { user, plan, .. } = transaction;
        let mut actions = Vec::with_capacity(plan.changes.len() + plan.orders.len() + 2);
        for change in &plan.changes {
            actions.push(match change {
                RecordChange::Create(key, record) | RecordChange::Import(key, record, _) => {
                    let mut item = record::from_record(user, record);
                    ItemKey::Record(key.clone()).add_to(&mut item, user);
                    self.put_new_item(item)?
                }
                RecordChange::Adjust(key, version, adjustment) => {
                    self.update_record(user, key, record::adjust(*version, adjustment))?
                }
                RecordChange::Void(key, version, void) => {
                    self.update_record(user, key, record::void(*version, void))?
                }
                RecordChange::Revoke(key, version, revocation, total) => {
                    self.update_record(user, key, record::revoke(*version, revocation, *total))?
                }
                RecordChange::NoteSuccess(key, at) => {
                    self.update_record(user, key, record::note_success(*at))?
                }
            });
        }
        let imported = plan.changes.iter().filter_map(RecordChange::old_rows);
        if let Some(key) = old_rows_key(plan) {
            let rows = imported.map(|(key, rows)| (key.clone(), rows.to_owned())).collect();
            let mut item = from_old_rows(&rows);
            key.add_to(&mut item, user);
            actions.push(self.put_new_item(item)?);
        }
        for change in &plan.orders {
            actions.push(self.put_order(change)?);
        }
        if let Some(to) = &plan.wallet {
            actions.push(self.update_wallet(transaction, to)?);
        }
        Ok(actions)
    }

    fn put_order(&self, change: &OrderChange) -> Result<TransactWriteItem, StoreError> {
        self.put_item(from_order(&change.order_no, &change.order), is_revision(change.from))
    }

    /// Puts an item, if its key is free.
    fn put_new_item(&self, item: Item) -> Result<TransactWriteItem, StoreError> {
        self.put_item(item, is_revision(None))
    }

    fn put_item(
        &self,
        item: Item,
        (condition, values): (&str, Item),
    ) -> Result<TransactWriteItem, StoreError> {
        let put = Put::builder()
            .table_name(&self.table)
            .set_item(Some(item))
            .condition_expression(condition)
            .set_expression_attribute_values(Some(values).filter(|values| !values.is_empty()))
            .return_values_on_condition_check_failure(OLD);
        Ok(TransactWriteItem::builder().put(put.build()?).build())
    }

    fn update_record(
        &self,
        user: &UserId,
        key: &RecordKey,
        change: RecordUpdate,
    ) -> Result<TransactWriteItem, StoreError> {
        let update = Update::builder()
            .table_name(&self.table)
            .set_key(Some(ItemKey::Record(key.clone()).of(user)))
            .condition_expression(change.condition)
            .update_expression(change.expression)
            .set_expression_attribute_values(Some(change.values))
            .return_values_on_condition_check_failure(OLD);
        Ok(TransactWriteItem::builder().update(update.build()?).build())
    }

    fn update_wallet(
        &self,
        transaction: &Transaction<'_>,
        to: &Wallet,
    ) -> Result<TransactWriteItem, StoreError> {
        let Transaction { from, .. } = transaction;
        let (is_version, mut values) = is_version(from.version);
        let (is_format, format) = is_format(format_of(from).as_ref().map(u64::to_attribute));
        values.extend(format);
        let mut sets = Vec::new();
        for (name, value) in transaction.unknown.attributes_of(to)? {
            sets.push([name, " = :", name].concat());
            values.insert([":", name].concat(), value);
        }
        let mut expression = format!("SET {}", sets.join(", "));
        let removed: Vec<_> = removed_attributes(from, to).collect();
        if !removed.is_empty() {
            expression += &format!(" REMOVE {}", removed.join(", "));
        }
        let update = Update::builder()
            .table_name(&self.table)
            .set_key(Some(ItemKey::Wallet.of(transaction.user)))
            .condition_expression([is_version, " AND ", is_format].concat())
            .update_expression(expression)
            .set_expression_attribute_values(Some(values))
            .return_values_on_condition_check_failure(OLD);
        Ok(TransactWriteItem::builder().update(update.build()?).build())
    }
}

fn is_version(version: Option<Timestamp>) -> (&'static str, Item) {
    let mut values = new_item(6);
    let Some(version) = version else { return ("attribute_not_exists(version)", values) };
    values.insert(":from".to_owned(), version.to_attribute());
    ("version = :from", values)
}

/// The reason for which a transaction was cancelled.
enum Cancellation {
    /// Another transaction held an item, or DynamoDB throttled.
    Conflict,
    /// A condition failed, which takes precedence over contention at another item.
    Condition,
}

const CONDITION: &str = "ConditionalCheckFailed";

fn cancellation(reasons: &[CancellationReason]) -> Result<Cancellation, StoreError> {
    let codes: Vec<_> = reasons.iter().map(|reason| reason.code().unwrap_or_default()).collect();
    if codes.contains(&CONDITION) {
        Ok(Cancellation::Condition)
    } else if codes.iter().all(|code| *code == "None" || is_conflict(code) || is_contention(code)) {
        Ok(Cancellation::Conflict)
    } else {
        Err(StoreError::Other(format!("cancelled: {codes:?}")))
    }
}

/// An item that a plan writes.
enum Target {
    Record(RecordKey),
    OldRows,
    Order,
    Wallet,
}

/// The items that a plan writes: the records in order, their old rows, the orders, the wallet.
fn targets(plan: &Plan) -> impl Iterator<Item = Target> {
    let records = plan.changes.iter().map(|change| Target::Record(change.key().clone()));
    let old_rows = old_rows_key(plan).map(|_| Target::OldRows);
    let orders = plan.orders.iter().map(|_| Target::Order);
    records.chain(old_rows).chain(orders).chain(plan.wallet.as_ref().map(|_| Target::Wallet))
}

/// The old rows of a transaction are stored under the key of its first imported record.
fn old_rows_key(plan: &Plan) -> Option<ItemKey> {
    let (first, _) = plan.changes.iter().find_map(RecordChange::old_rows)?;
    Some(ItemKey::OldRows(first.clone()))
}

/// Decodes the reasons of a cancelled transaction, which are in the order of its items.
fn refusal(
    reasons: Vec<CancellationReason>,
    targets: impl Iterator<Item = Target>,
) -> Result<Commit, StoreError> {
    if let Cancellation::Conflict = cancellation(&reasons)? {
        return Ok(Commit::Conflict);
    }
    let mut refusal = Refusal::default();
    for (target, reason) in targets.zip(reasons).filter(|(_, reason)| reason.code() == Some(CONDITION)) {
        // An engine may return the key of an item that does not exist.
        let is_key = |name: &String| name == names::USER || name == names::SORT;
        let item = reason.item.filter(|item| !item.keys().all(is_key));
        match target {
            Target::Record(key) => refusal.records.push(to_read_record(key, item)?),
            Target::OldRows => refusal.old_rows = item.map(to_old_rows).transpose()?.unwrap_or_default(),
            Target::Order => refusal.orders.extend(item.map(to_order).transpose()?),
            Target::Wallet => {
                refusal.wallet = Some(item.map_or_else(|| Ok(StoredWallet::default()), to_wallet)?);
            }
        }
    }
    Ok(Commit::Refused(Box::new(refusal)))
}

impl From<BuildError> for StoreError {
    fn from(error: BuildError) -> StoreError {
        StoreError::Other(error.to_string())
    }
}
