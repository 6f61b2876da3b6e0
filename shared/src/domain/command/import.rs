//! Import: writes a user's history from before the ledger, if the user has none.

use std::collections::BTreeMap;

use super::{Command, Plan, Read, RecordChange, Room, Step, View};
use crate::domain::{LedgerError, Record, RecordKey, Timestamp, UserId, Wallet};

/// What an allocation takes in an item, at most. Names and keys are not counted: a part
/// is planned with a quarter of what a transaction may have.
const ALLOCATION_BYTES: usize = 400;

/// Rows of the old table as text, by the records that were made of them.
pub type OldRows = BTreeMap<RecordKey, String>;

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

    fn first_read(&self, _: &View) -> Read {
        Read::Wallet
    }

    /// The wallet comes with the last of the records, so that the user has no credits
    /// before all of it is there; an import that stopped is finished by a repeat.
    ///
    /// Rows are written with their records. Where rows were found and a record of theirs was
    /// not, an earlier run wrote a larger part. A record that is missing as of one moment is
    /// a contradiction.
    fn next(&self, view: &View, _: Timestamp) -> Result<Step, LedgerError> {
        let window = self.window(view);
        if view.wallet().version.is_some() || has_conflict(window, view) {
            return Ok(Step::Done);
        }
        let missing: Vec<_> = window.iter().filter(|imported| view.record(&imported.key).is_none()).collect();
        let with_rows =
            missing.iter().map(|imported| &imported.key).filter(|key| view.old_rows(key).is_some());
        let with_rows: Vec<_> = with_rows.cloned().collect();
        if !with_rows.is_empty() {
            let is_decided = view.is_snapshot_of(&with_rows);
            return Ok(if is_decided { Step::Done } else { Step::Read(Read::Snapshot(with_rows)) });
        }
        let part = &missing[..part_len(&missing, view.room)];
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
    /// The most records of one transaction: it also writes their rows and the wallet.
    pub const PART_RECORDS_MAX: usize = 98;

    /// The most bytes of rows of one transaction, which are in one item, unless a single
    /// record has more.
    pub const OLD_ROWS_BYTES_MAX: usize = 300_000;

    /// The most bytes of rows and allocations that a part is planned with.
    pub const fn part_bytes(room: Room) -> usize {
        room.bytes / 4
    }

    /// The records among which the next part is. All before it are known: parts are
    /// written in order, so that only the last one can be known in part.
    fn window(&self, view: &View) -> &[ImportedRecord] {
        let known = view.records().count();
        let begin = known.saturating_sub(ImportedHistory::PART_RECORDS_MAX);
        let end = self.records.len().min(known + ImportedHistory::PART_RECORDS_MAX);
        &self.records[begin.min(end)..end]
    }
}

/// Whether another record, or one of other rows, has the place of one of these.
fn has_conflict(records: &[ImportedRecord], view: &View) -> bool {
    let differs = |imported: &ImportedRecord| {
        view.record(&imported.key).is_some_and(|found| *found != imported.record)
            || view.old_rows(&imported.key).is_some_and(|found| *found != imported.rows)
    };
    records.iter().any(differs)
}

/// How many of these records one transaction takes; at least one, where there is one.
fn part_len(missing: &[&ImportedRecord], room: Room) -> usize {
    let (mut rows, mut allocations) = (0, 0);
    let fits = |imported: &&&ImportedRecord| {
        rows += imported.rows.len();
        if let Record::Charge(charge) = &imported.record {
            allocations += charge.allocations.len();
        }
        rows <= ImportedHistory::OLD_ROWS_BYTES_MAX
            && rows + ALLOCATION_BYTES * allocations <= ImportedHistory::part_bytes(room)
    };
    let records = ImportedHistory::PART_RECORDS_MAX.min(room.records);
    missing.iter().take(records).take_while(fits).count().max(1).min(missing.len())
}
