use std::{collections::BTreeMap, fmt};

use serde::Serialize;

use super::recent_changes::{ChangeKind, ChangeRow};

/// The sums of a rollback.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The new table, as SQL has it.
    pub since_table: String,
    /// Whether nothing was done.
    pub dry_run: bool,
    /// Users of the ledger.
    pub users: u64,
    /// Users who were not moved.
    pub quarantined: u64,
    /// Old rows that were there, the same.
    pub rows_there: u64,
    /// Old rows that were not, and are again.
    pub rows_back: u64,
    /// How many of both are of users who were not moved.
    pub rows_quarantined: u64,
    /// Other rows that are there: the migration did not read them.
    pub rows_others: u64,
    /// Rows of what has happened since, by what it was.
    pub since: BTreeMap<&'static str, u64>,
    /// The sum of their credits.
    pub since_credits: i128,
    /// The sum of all balances of the ledger, now.
    pub balance: u128,
}

impl Report {
    /// Counts rows of what has happened since.
    pub(super) fn count(&mut self, rows: &[&ChangeRow]) {
        for row in rows {
            *self.since.entry(name(row.kind)).or_default() += 1;
            self.since_credits += i128::from(row.credits);
        }
    }

    /// Counts rows that lift old sums to zero.
    pub(super) fn count_balance_offsets(&mut self, (rows, credits): (u64, i64)) {
        if rows > 0 {
            *self.since.entry("what was forgiven").or_default() += rows;
            self.since_credits += i128::from(credits);
        }
    }
}

fn name(kind: ChangeKind) -> &'static str {
    match kind {
        ChangeKind::Grant => "grants",
        ChangeKind::Charge => "charges",
        ChangeKind::Refund => "refunds",
        ChangeKind::Fence => "fences",
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let table = &self.since_table;
        for (count, what) in [
            (self.users, "users of the ledger"),
            (self.quarantined, "users who were not moved"),
            (self.rows_there, "rows were there"),
            (self.rows_back, "rows were put back"),
            (self.rows_quarantined, "of both are of users who were not moved"),
            (self.rows_others, "other rows are there, and left alone"),
        ] {
            writeln!(f, "{count:>12} {what}")?;
        }
        for (what, count) in &self.since {
            writeln!(f, "{count:>12} rows of {what} in {table}")?;
        }
        writeln!(f, "{:>12} credits are the sum of {table}", self.since_credits)?;
        writeln!(f, "{:>12} credits are the balance of all users of the ledger", self.balance)?;
        if self.dry_run { writeln!(f, "a dry run: nothing was changed") } else { Ok(()) }
    }
}
