//! The command of a migration: writes the history of a user who has no items.

use super::{Command, Plan, ReadRequest, RecordChange, Step, TransactionLimits, View};
use crate::domain::{LedgerError, Record, RecordKey, Timestamp, UserId, Wallet};

/// The size of an allocation in an item, at most, in bytes. Names and keys are not counted,
/// so a plan uses a quarter of the bytes of a transaction.
const ALLOCATION_BYTES: usize = 400;

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

    /// Writes the wallet with the last records, so that the user has no credits before the
    /// history is complete. A repeat completes an import that stopped.
    fn next(&self, view: &View, _: Timestamp) -> Result<Step, LedgerError> {
        let records = self.next_records(view);
        if view.wallet().version.is_some() || has_conflict(records, view) {
            return Ok(Step::Done);
        }
        let missing: Vec<_> =
            records.iter().filter(|imported| view.record(&imported.key).is_none()).collect();
        let part = &missing[..records_per_transaction(&missing, view.limits)];
        let change = |imported: &&ImportedRecord| {
            let ImportedRecord { key, record, rows } = *imported;
            RecordChange::Import(key.clone(), record.clone(), rows.clone())
        };
        let is_last = view.records().count() + part.len() == self.records.len();
        Ok(Step::Commit(Plan {
            wallet: is_last.then(|| self.wallet.clone()),
            changes: part.iter().map(change).collect(),
        }))
    }

    fn answer(&self, view: View, _: Timestamp) -> Result<ImportOutcome, LedgerError> {
        Ok(if has_conflict(&self.records, &view) || *view.wallet() != self.wallet {
            ImportOutcome::Conflict
        } else if view.has_committed() {
            ImportOutcome::Written
        } else {
            ImportOutcome::AlreadyPresent
        })
    }
}

impl ImportedHistory {
    /// A range of records that contains the next transaction's. All earlier records are
    /// written, because transactions write them in order.
    fn next_records(&self, view: &View) -> &[ImportedRecord] {
        let written = view.records().count();
        let begin = written.saturating_sub(view.limits.records);
        let end = self.records.len().min(written + view.limits.records);
        &self.records[begin.min(end)..end]
    }
}

/// Whether the view has another record at the key of one of these.
fn has_conflict(records: &[ImportedRecord], view: &View) -> bool {
    let differs = |imported: &ImportedRecord| {
        view.record(&imported.key).is_some_and(|record| *record != imported.record)
    };
    records.iter().any(differs)
}

/// The number of these records that fit into one transaction, but at least one of them.
fn records_per_transaction(missing: &[&ImportedRecord], limits: TransactionLimits) -> usize {
    let mut bytes = 0;
    let fits = |imported: &&&ImportedRecord| {
        let allocations = match &imported.record {
            Record::Charge(charge) => charge.allocations.len(),
            Record::Grant(_) | Record::Fence(_) => 0,
        };
        bytes += imported.rows.len() + ALLOCATION_BYTES * allocations;
        bytes <= limits.bytes / 4
    };
    missing.iter().take(limits.records).take_while(fits).count().max(1).min(missing.len())
}
