//! Counts and sums of a rollback.

use std::{collections::BTreeMap, fmt};

use serde::Serialize;

use super::recent_changes::{ChangeKind, ChangeRow};

/// Counts and sums of a rollback, as `rollback.json` has them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The quoted name of the table of changes.
    pub since_table: String,
    /// Whether the transaction was aborted on purpose.
    pub dry_run: bool,
    /// Users of the ledger.
    pub users: u64,
    /// Users in quarantine.
    pub quarantined: u64,
    /// Old rows that existed unchanged.
    #[serde(rename = "rows_there")]
    pub rows_present: u64,
    /// Old rows that were missing and were inserted.
    #[serde(rename = "rows_back")]
    pub rows_restored: u64,
    /// Those of both that belong to users in quarantine.
    pub rows_quarantined: u64,
    /// Rows of the old table that the migration did not read.
    pub rows_others: u64,
    /// Rows of the table of changes, by kind.
    #[serde(rename = "since")]
    pub changes: BTreeMap<ChangeKind, u64>,
    /// The sum of their credits.
    #[serde(rename = "since_credits")]
    pub changed_credits: i128,
    /// The sum of all balances of the ledger, as of the rollback.
    pub balance: u128,
}

impl Report {
    pub(super) fn count(&mut self, rows: &[&ChangeRow]) {
        for row in rows {
            *self.changes.entry(row.kind).or_default() += 1;
            self.changed_credits += i128::from(row.credits);
        }
    }

    pub(super) fn count_balance_offsets(&mut self, (rows, credits): (u64, i64)) {
        if rows > 0 {
            *self.changes.entry(ChangeKind::OldSumOffset).or_default() += rows;
            self.changed_credits += i128::from(credits);
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let table = &self.since_table;
        for (count, label) in [
            (self.users, "users of the ledger"),
            (self.quarantined, "users in quarantine"),
            (self.rows_present, "old rows were present"),
            (self.rows_restored, "old rows were restored"),
            (self.rows_quarantined, "of both belong to users in quarantine"),
            (self.rows_others, "other rows of the old table were left unchanged"),
        ] {
            writeln!(f, "{count:>12} {label}")?;
        }
        for (kind, count) in &self.changes {
            writeln!(f, "{count:>12} rows of {kind} in {table}")?;
        }
        writeln!(f, "{:>12} credits are the sum of {table}", self.changed_credits)?;
        writeln!(f, "{:>12} credits are the balance of all users of the ledger", self.balance)?;
        if self.dry_run { writeln!(f, "dry run: nothing was changed") } else { Ok(()) }
    }
}
