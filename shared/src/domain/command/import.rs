//! The command of a migration: writes the history of a user who has no items.

use std::collections::BTreeMap;

use super::{Command, Plan, ReadRequest, RecordChange, Step, TransactionLimits, View};
use crate::domain::{LedgerError, OrderChange, Record, RecordKey, Timestamp, UserId, Wallet};

/// The size of an allocation in an item, at most, in bytes. Names and keys are not counted,
/// so a plan uses a quarter of the bytes of a transaction.
const ALLOCATION_BYTES: usize = 400;

/// Rows of the old table as text, by the keys of their records.
pub type OldRows = BTreeMap<RecordKey, String>;

/// The history of a user from an old table.
#[derive(Clone, Debug)]
pub struct ImportedHistory {
    /// The owner of the wallet.
    pub user: UserId,
    /// All records.
    pub records: Vec<ImportedRecord>,
    /// The wallet that the records give.
    pub wallet: Wallet,
}

/// A record of an imported history.
#[derive(Clone, Debug)]
pub struct ImportedRecord {
    /// The key of the record.
    pub key: RecordKey,
    /// The record.
    pub record: Record,
    /// The rows of the old table that it comes from, as text.
    pub rows: String,
}

/// The outcome of an import.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImportOutcome {
    /// This call wrote the history.
    Written,
    /// The same history was already present.
    AlreadyPresent,
    /// Other items are present: new ones of the user, or those of a migration as of another
    /// time. Nothing was overwritten.
    Conflict,
}

impl Command for ImportedHistory {
    type Answer = ImportOutcome;

    fn user(&self) -> &UserId {
        &self.user
    }

    fn first_read(&self, _: &View) -> ReadRequest {
        ReadRequest::Wallet
    }

    /// Replaces the wallet of a blocked user, and writes it with the last records, so that the user has no credits before the
    /// history is complete. A repeat completes an import that stopped.
    ///
    /// Rows are written with their records. Where rows were found and a record of theirs was
    /// not, an earlier run wrote a larger part. A record that is missing as of one moment is
    /// a contradiction.
    fn next(&self, view: &View, _: Timestamp) -> Result<Step, LedgerError> {
        let records = self.next_records(view);
        if !view.wallet().is_before_history() || self.has_conflict(records, view) {
            return Ok(Step::Done);
        }
        let missing: Vec<_> =
            records.iter().filter(|imported| view.record(&imported.key).is_none()).collect();
        let with_rows =
            missing.iter().map(|imported| &imported.key).filter(|key| view.old_rows(key).is_some());
        let with_rows: Vec<_> = with_rows.cloned().collect();
        if !with_rows.is_empty() {
            let is_decided = view.is_snapshot_of(&with_rows);
            return Ok(if is_decided { Step::Done } else { Step::Read(ReadRequest::Snapshot(with_rows)) });
        }
        let part = &missing[..records_per_transaction(&missing, view.limits)];
        let change = |imported: &&ImportedRecord| {
            let ImportedRecord { key, record, rows } = *imported;
            RecordChange::Import(key.clone(), record.clone(), rows.clone())
        };
        let is_last = view.records().count() + part.len() == self.records.len();
        Ok(Step::Commit(Plan {
            wallet: is_last.then(|| self.wallet.clone()),
            changes: part.iter().map(change).collect(),
            orders: part.iter().filter_map(|imported| self.order_of(imported)).collect(),
        }))
    }

    fn answer(&self, view: View, _: Timestamp) -> Result<ImportOutcome, LedgerError> {
        Ok(if self.has_conflict(&self.records, &view) || *view.wallet() != self.wallet {
            ImportOutcome::Conflict
        } else if view.has_committed() {
            ImportOutcome::Written
        } else {
            ImportOutcome::AlreadyPresent
        })
    }
}

impl ImportedHistory {
    /// The most records and orders of one transaction: it also writes the rows and the wallet.
    pub const PART_RECORDS_MAX: usize = 98;

    /// The most bytes of rows of one transaction, which are in one item, unless a single
    /// record has more.
    pub const OLD_ROWS_BYTES_MAX: usize = 300_000;

    /// The most bytes of rows and allocations that a part is planned with.
    pub const fn part_bytes(limits: TransactionLimits) -> usize {
        limits.bytes / 4
    }

    /// A range of records that contains the next transaction's. All earlier records are
    /// written, because transactions write them in order.
    fn next_records(&self, view: &View) -> &[ImportedRecord] {
        let written = view.records().count();
        let begin = written.saturating_sub(ImportedHistory::PART_RECORDS_MAX);
        let end = self.records.len().min(written + ImportedHistory::PART_RECORDS_MAX);
        &self.records[begin.min(end)..end]
    }

    /// Whether the view has another record, or one of other rows, at the key of one of these,
    /// or an order of another user.
    fn has_conflict(&self, records: &[ImportedRecord], view: &View) -> bool {
        let differs = |imported: &ImportedRecord| {
            let order = self.order_of(imported).and_then(|change| view.order(&change.order_no));
            view.record(&imported.key).is_some_and(|record| *record != imported.record)
                || view.old_rows(&imported.key).is_some_and(|found| *found != imported.rows)
                || order.is_some_and(|order| order.user.as_ref() != Some(&self.user))
        };
        records.iter().any(differs)
    }

    /// The order that a grant was paid by.
    fn order_of(&self, imported: &ImportedRecord) -> Option<OrderChange> {
        let RecordKey::OrderGrant(order_no) = &imported.key else { return None };
        Some(OrderChange::create(order_no.clone(), self.user.clone()))
    }
}

/// The number of these records that fit into one transaction, but at least one of them.
fn records_per_transaction(missing: &[&ImportedRecord], limits: TransactionLimits) -> usize {
    let (mut rows, mut allocations, mut items) = (0, 0, 0);
    let records_max = ImportedHistory::PART_RECORDS_MAX.min(limits.records);
    let fits = |imported: &&&ImportedRecord| {
        rows += imported.rows.len();
        items += 1 + usize::from(matches!(imported.key, RecordKey::OrderGrant(_)));
        if let Record::Charge(charge) = &imported.record {
            allocations += charge.allocations.len();
        }
        items <= records_max
            && rows <= ImportedHistory::OLD_ROWS_BYTES_MAX
            && rows + ALLOCATION_BYTES * allocations <= ImportedHistory::part_bytes(limits)
    };
    missing.iter().take_while(fits).count().max(1).min(missing.len())
}
