//! Import: writes a user's history from before the ledger, if the user has none.

use super::{Command, Plan, ReadRequest, RecordChange, Step, TransactionLimits, View};
use crate::domain::{LedgerError, Record, RecordKey, Timestamp, UserId, Wallet};

/// What an allocation takes in an item, at most. Names and keys are not counted: a part
/// is planned with a quarter of what a transaction may have.
const ALLOCATION_BYTES: usize = 400;

/// A user's history, as it was before the ledger.
#[derive(Clone, Debug)]
pub struct ImportedHistory {
    /// Whose.
    pub user: UserId,
    /// The records, each with its key.
    pub records: Vec<ImportedRecord>,
    /// What they give.
    pub wallet: Wallet,
}

/// A record of such a history.
#[derive(Clone, Debug)]
pub struct ImportedRecord {
    /// Its place.
    pub key: RecordKey,
    /// The record.
    pub record: Record,
    /// The rows of the old table that it was made of, as text.
    pub rows: String,
}

/// How an import ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImportOutcome {
    /// This call wrote it.
    Written,
    /// It was there already, the same.
    AlreadyPresent,
    /// Other items are there: the user has begun anew, or is being moved as of another
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

    /// The wallet comes with the last of the records, so that the user has no credits
    /// before all of it is there; an import that stopped is finished by a repeat.
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
    /// The records among which the next part is. All before it are written: parts are
    /// written in order, so that only the last one can be written in part.
    fn next_records(&self, view: &View) -> &[ImportedRecord] {
        let written = view.records().count();
        let begin = written.saturating_sub(view.limits.records);
        let end = self.records.len().min(written + view.limits.records);
        &self.records[begin.min(end)..end]
    }
}

/// Whether another record has the place of one of these.
fn has_conflict(records: &[ImportedRecord], view: &View) -> bool {
    let differs = |imported: &ImportedRecord| {
        view.record(&imported.key).is_some_and(|record| *record != imported.record)
    };
    records.iter().any(differs)
}

/// How many of these records one transaction takes; at least one, where there is one.
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
