use aws_sdk_dynamodb::{
    error::{BuildError, SdkError},
    operation::transact_write_items::TransactWriteItemsError,
    types::{
        CancellationReason, Put, ReturnConsumedCapacity, ReturnValuesOnConditionCheckFailure,
        TransactWriteItem, Update,
    },
};

use super::{
    Store, StoreError,
    attribute::Value,
    error::is_contention,
    held,
    item::{self, ITEM_BYTES_MAX, PACK_BYTES_MAX},
    key::{self, Item},
    repair::Repair,
    units,
};
use crate::domain::{Nonce, Record, RecordKey, Timestamp, UserUuid, Void, Wallet};

/// One conditional transaction on one user's items: the only way in which
/// money moves.
#[derive(Clone, Debug)]
pub struct Transaction<'a> {
    /// Whose items.
    pub user: &'a UserUuid,
    /// What happens to the records, each under its own condition.
    pub records: Vec<RecordStep<'a>>,
    /// What happens to the wallet.
    pub wallet: WalletStep<'a>,
}

impl Transaction<'_> {
    /// How many charges one transaction voids at most: 100 actions (Service
    /// quotas of DynamoDB), one of them the wallet's.
    pub const CHARGES_MAX: usize = 99;
    /// How many allocations those charges may have together: all items of a
    /// transaction may hold 4 MB (Service quotas of DynamoDB).
    pub const ALLOCATIONS_MAX: usize = 8_000;
}

const TRANSACTION_BYTES_MAX: usize = 4 * 1024 * 1024;
/// The most that a charge takes beside its allocations: six identifiers of 255
/// in attributes and keys, a reason of 255 characters of 4 bytes, and the rest.
const CHARGE_BYTES_MAX: usize = 6 * 255 + 255 * 4 + 500;

const _: () = assert!(
    Transaction::ALLOCATIONS_MAX * PACK_BYTES_MAX
        + Transaction::CHARGES_MAX * CHARGE_BYTES_MAX
        + ITEM_BYTES_MAX
        <= TRANSACTION_BYTES_MAX
);

/// One record in a transaction.
#[derive(Clone, Debug)]
pub enum RecordStep<'a> {
    /// Written, if nothing stands there.
    Put(&'a RecordKey, &'a Record),
    /// The same of migrated history, with the rows of the old table that it was made
    /// of, as text.
    Move(&'a RecordKey, &'a Record, &'a str),
    /// Voided, if it is live.
    Void(&'a RecordKey, &'a Void),
}

/// The wallet in a transaction.
#[derive(Clone, Copy, Debug)]
pub enum WalletStep<'a> {
    /// Left alone.
    Untouched,
    /// Changed, if the version is still the first one.
    Moved(Option<Timestamp>, &'a Wallet),
    /// Put in the place of one that contradicts the records, if that has its version still.
    Repaired(&'a Repair),
}

/// How a transaction ended, where DynamoDB said so.
#[derive(Clone, Debug)]
pub enum Commit {
    /// All of it was done.
    Done,
    /// A condition failed, and nothing was done: what stood there instead. Of a wallet that
    /// was to be repaired nothing is told: it may be none that can be read.
    Refused {
        /// The wallet, if its condition failed.
        wallet: Option<Wallet>,
        /// The records whose conditions failed, by their place in the
        /// transaction.
        records: Vec<(usize, Record)>,
    },
}

const OLD: ReturnValuesOnConditionCheckFailure = ReturnValuesOnConditionCheckFailure::AllOld;

impl Store {
    /// Commits, or says which condition failed. The same transaction may be sent
    /// again under its `token` when no answer came; a new one takes a new token.
    ///
    /// # Errors
    /// As [`StoreError`] says; after `Unavailable` it may have been done.
    pub async fn commit(&self, transaction: &Transaction<'_>, token: Nonce) -> Result<Commit, StoreError> {
        let sent = self
            .client
            .transact_write_items()
            .set_transact_items(Some(self.actions(transaction)?))
            .client_request_token(token.to_string())
            .return_consumed_capacity(ReturnConsumedCapacity::Indexes)
            .send()
            .await;
        match sent {
            Ok(answer) => {
                units::write(answer.consumed_capacity());
                Ok(Commit::Done)
            }
            Err(SdkError::ServiceError(service)) if service.err().is_transaction_canceled_exception() => {
                let TransactWriteItemsError::TransactionCanceledException(cancelled) = service.into_err()
                else {
                    return Err(StoreError::Other("a cancelled transaction of no kind".to_owned()));
                };
                let tells = !matches!(transaction.wallet, WalletStep::Repaired(_));
                refusal(cancelled.cancellation_reasons.unwrap_or_default(), transaction.records.len(), tells)
            }
            Err(error) => Err(error.into()),
        }
    }

    fn actions(&self, transaction: &Transaction<'_>) -> Result<Vec<TransactWriteItem>, StoreError> {
        let mut actions = Vec::with_capacity(transaction.records.len() + 1);
        for step in &transaction.records {
            actions.push(match step {
                RecordStep::Put(key, record) => self.put(transaction.user, key, record, None)?,
                RecordStep::Move(key, record, rows) => self.put(transaction.user, key, record, Some(rows))?,
                RecordStep::Void(key, void) => self.void(transaction.user, key, void)?,
            });
        }
        match transaction.wallet {
            WalletStep::Untouched => {}
            WalletStep::Moved(from, to) => actions.push(self.update_wallet(transaction.user, from, to)?),
            WalletStep::Repaired(repair) => actions.extend(self.repair_actions(transaction.user, repair)?),
        }
        Ok(actions)
    }

    fn put(
        &self,
        user: &UserUuid,
        key: &RecordKey,
        record: &Record,
        old_rows: Option<&str>,
    ) -> Result<TransactWriteItem, StoreError> {
        let mut item = item::from_record(user, record);
        key::add(&mut item, user, key::sort(key));
        if let Some(rows) = old_rows {
            held::add_old_rows(&mut item, rows);
        }
        let put = Put::builder()
            .table_name(&self.table)
            .set_item(Some(item))
            .condition_expression("attribute_not_exists(sk)")
            .return_values_on_condition_check_failure(OLD);
        Ok(TransactWriteItem::builder().put(put.build()?).build())
    }

    fn void(&self, user: &UserUuid, key: &RecordKey, void: &Void) -> Result<TransactWriteItem, StoreError> {
        let update = Update::builder()
            .table_name(&self.table)
            .set_key(Some(key::of(user, key::sort(key))))
            .condition_expression("is_voided = :live")
            .update_expression(
                "SET is_voided = :voided, voided_at = :at, voided_reason = :reason, voided_by = :by",
            )
            .set_expression_attribute_values(Some(item::from_void(void)))
            .return_values_on_condition_check_failure(OLD);
        Ok(TransactWriteItem::builder().update(update.build()?).build())
    }

    fn update_wallet(
        &self,
        user: &UserUuid,
        from: Option<Timestamp>,
        to: &Wallet,
    ) -> Result<TransactWriteItem, StoreError> {
        let (condition, mut values) = is_version(from);
        let mut sets = Vec::new();
        for (name, value) in item::wallet_attributes(to)? {
            sets.push([name, " = :", name].concat());
            values.insert([":", name].concat(), value);
        }
        let update = Update::builder()
            .table_name(&self.table)
            .set_key(Some(key::of(user, key::WALLET.to_owned())))
            .condition_expression(condition)
            .update_expression(format!("SET {}", sets.join(", ")))
            .set_expression_attribute_values(Some(values))
            .return_values_on_condition_check_failure(OLD);
        Ok(TransactWriteItem::builder().update(update.build()?).build())
    }
}

fn is_version(version: Option<Timestamp>) -> (&'static str, Item) {
    version.map_or_else(
        || ("attribute_not_exists(version)", Item::new()),
        |version| ("version = :from", Item::from([(":from".to_owned(), version.to_attribute())])),
    )
}

/// What the reasons of a cancelled transaction say, in the order of its actions:
/// the records, then the wallet. A failed condition tells more than contention
/// at another item, so it goes first. What stood there comes along, if the action `tells`.
fn refusal(reasons: Vec<CancellationReason>, records: usize, tells: bool) -> Result<Commit, StoreError> {
    let codes: Vec<_> = reasons.iter().map(|reason| reason.code.clone().unwrap_or_default()).collect();
    if !codes.iter().any(|code| code == "ConditionalCheckFailed") {
        let contended = codes.iter().all(|code| code == "None" || is_contention(code));
        return Err(if contended {
            StoreError::Contended
        } else {
            StoreError::Other(format!("cancelled: {codes:?}"))
        });
    }
    let mut refused = (None, Vec::new());
    for (place, reason) in
        reasons.into_iter().enumerate().filter(|(place, _)| codes[*place] == "ConditionalCheckFailed")
    {
        match reason.item {
            Some(item) if place < records => refused.1.push((place, item::to_record(item)?)),
            Some(item) => refused.0 = Some(item::to_wallet(item)?),
            None if !tells => {}
            None => return Err(StoreError::Other("a failed condition on nothing".to_owned())),
        }
    }
    Ok(Commit::Refused { wallet: refused.0, records: refused.1 })
}

impl From<BuildError> for StoreError {
    fn from(error: BuildError) -> StoreError {
        StoreError::Other(error.to_string())
    }
}
