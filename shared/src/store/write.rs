//! The one transaction by which money moves.

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
    format::IS_FORMAT,
    key::{Item, ItemKey, new_item, text},
    names,
    read::to_read_record,
    record::{self, MARK_VOID, PACK_BYTES_MAX, void_values},
    repair::Repair,
    wallet::{ITEM_BYTES_MAX, WALLET_BYTES_MAX, to_wallet},
};
use crate::domain::{
    Plan, Record, RecordChange, RecordKey, RecordLookup, Timestamp, TransactionLimits, UserId, Wallet,
};

/// One conditional transaction on one user's items.
#[derive(Clone, Copy, Debug)]
pub struct Transaction<'a> {
    /// Whose items.
    pub user: &'a UserId,
    /// The version of the wallet that the plan began with: it must be unchanged.
    pub version: Option<Timestamp>,
    /// What that wallet has besides: it stays.
    pub unknown: &'a UnknownAttributes,
    /// What changes.
    pub plan: &'a Plan,
}

impl Transaction<'_> {
    /// What one transaction has room for beside a wallet: 100 actions, and 4 MB of items
    /// (Service quotas of DynamoDB).
    pub const ROOM: TransactionLimits =
        TransactionLimits { records: 99, bytes: 4_000_000 - WALLET_BYTES_MAX };
}

/// The most that a charge takes beside its allocations: six identifiers of 255
/// in attributes and keys, a reason of 255 characters of 4 bytes, and the rest.
const CHARGE_BYTES_MAX: usize = 6 * 255 + 255 * 4 + 500;

/// How many allocations the largest charge still has room for, after those of all packs
/// that a wallet can hold: what later changes may take beside the first ones.
const EXTRA_MAX: usize =
    (ITEM_BYTES_MAX - CHARGE_BYTES_MAX - Wallet::PACKS_MAX * PACK_BYTES_MAX) / PACK_BYTES_MAX;

const _: () = assert!(EXTRA_MAX >= 100);
const _: () = assert!(Transaction::ROOM.bytes >= ITEM_BYTES_MAX);

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
    /// A condition failed, and nothing was written. Carries the items that failed it.
    Refused {
        /// The wallet, if its condition failed; an empty one where it has been deleted.
        wallet: Option<StoredWallet>,
        /// The records whose conditions failed.
        records: Vec<RecordLookup>,
    },
    /// Another transaction was changing one of the items, or DynamoDB throttled: nothing was
    /// written, and no item was returned.
    Conflict,
}

const OLD: ReturnValuesOnConditionCheckFailure = ReturnValuesOnConditionCheckFailure::AllOld;

impl Store {
    /// Commits, or returns the items that failed their conditions. While the outcome is
    /// unknown, the same transaction may be resent with the same token, byte for byte; any
    /// other transaction needs a new token.
    ///
    /// # Errors
    /// As [`StoreError`] says; after `Unavailable` it may have been written.
    pub async fn commit(
        &self,
        transaction: &Transaction<'_>,
        token: RequestToken,
    ) -> Result<Commit, StoreError> {
        let keys = transaction.plan.changes.iter().map(|change| change.after().0);
        match self.transact(self.actions(transaction)?, token).await? {
            Ok(()) => Ok(Commit::Done),
            Err(reasons) => refusal(reasons, &keys.collect::<Vec<_>>()),
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
                Cancellation::Condition => Ok(Commit::Refused { wallet: None, records: Vec::new() }),
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

    /// The records in the order of the plan, then the wallet.
    fn actions(&self, transaction: &Transaction<'_>) -> Result<Vec<TransactWriteItem>, StoreError> {
        let Transaction { user, plan, .. } = transaction;
        let mut actions = Vec::with_capacity(plan.changes.len() + 1);
        for change in &plan.changes {
            actions.push(match change {
                RecordChange::Create(key, record) => self.put(user, key, record, None)?,
                RecordChange::Import(key, record, rows) => self.put(user, key, record, Some(rows))?,
                RecordChange::Void(key, record) => self.void(user, key, record)?,
            });
        }
        if let Some(to) = &plan.wallet {
            actions.push(self.update_wallet(transaction, to)?);
        }
        Ok(actions)
    }

    fn put(
        &self,
        user: &UserId,
        key: &RecordKey,
        record: &Record,
        old_rows: Option<&str>,
    ) -> Result<TransactWriteItem, StoreError> {
        let mut item = record::from_record(user, record);
        ItemKey::Record(key.clone()).add_to(&mut item, user);
        if let Some(rows) = old_rows {
            item.insert(names::OLD_ROWS.to_owned(), text(rows));
        }
        let put = Put::builder()
            .table_name(&self.table)
            .set_item(Some(item))
            .condition_expression("attribute_not_exists(sk)")
            .return_values_on_condition_check_failure(OLD);
        Ok(TransactWriteItem::builder().put(put.build()?).build())
    }

    fn void(&self, user: &UserId, key: &RecordKey, record: &Record) -> Result<TransactWriteItem, StoreError> {
        let Record::Charge(crate::domain::Charge { void: Some(void), .. }) = record else {
            return Err(StoreError::Other("a void of what is no voided charge".to_owned()));
        };
        let update = Update::builder()
            .table_name(&self.table)
            .set_key(Some(ItemKey::Record(key.clone()).of(user)))
            .condition_expression(["is_voided = :live AND ", IS_FORMAT].concat())
            .update_expression(MARK_VOID)
            .set_expression_attribute_values(Some(void_values(void)))
            .return_values_on_condition_check_failure(OLD);
        Ok(TransactWriteItem::builder().update(update.build()?).build())
    }

    fn update_wallet(
        &self,
        transaction: &Transaction<'_>,
        to: &Wallet,
    ) -> Result<TransactWriteItem, StoreError> {
        let (condition, mut values) = is_version(transaction.version);
        let mut sets = Vec::new();
        for (name, value) in transaction.unknown.attributes_of(to)? {
            sets.push([name, " = :", name].concat());
            values.insert([":", name].concat(), value);
        }
        let update = Update::builder()
            .table_name(&self.table)
            .set_key(Some(ItemKey::Wallet.of(transaction.user)))
            .condition_expression([condition, " AND ", IS_FORMAT].concat())
            .update_expression(format!("SET {}", sets.join(", ")))
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

/// Why a transaction was cancelled.
enum Cancellation {
    /// Others were at the items, or DynamoDB throttled.
    Conflict,
    /// A condition failed. That says more than contention at another item.
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

/// What the reasons of a cancelled transaction say, in the order of its actions: the
/// records with these keys, then the wallet.
fn refusal(reasons: Vec<CancellationReason>, keys: &[&RecordKey]) -> Result<Commit, StoreError> {
    if let Cancellation::Conflict = cancellation(&reasons)? {
        return Ok(Commit::Conflict);
    }
    let (mut wallet, mut records) = (None, Vec::new());
    for (place, reason) in reasons.into_iter().enumerate() {
        if reason.code() != Some(CONDITION) {
            continue;
        }
        // An engine may return the key of an item that does not exist.
        let is_key = |name: &String| name == names::USER || name == names::SORT;
        let item = reason.item.filter(|item| !item.keys().all(is_key));
        match keys.get(place) {
            Some(key) => records.push(to_read_record((*key).clone(), item)?),
            None => wallet = Some(item.map_or_else(|| Ok(StoredWallet::default()), to_wallet)?),
        }
    }
    Ok(Commit::Refused { wallet, records })
}

impl From<BuildError> for StoreError {
    fn from(error: BuildError) -> StoreError {
        StoreError::Other(error.to_string())
    }
}
