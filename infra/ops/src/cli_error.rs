//! Errors that end a command, and the deadlines of its calls to the ledger.

use std::{fmt, io, path::Path};

use scrip::{
    domain::{LedgerError, Timestamp},
    ledger::{Invocation, Ledger},
};

/// Milliseconds for which the ledger may retry one operation. Longer than the throttling of
/// a table that grows.
pub const CONTENTION_BUDGET_MILLIS: i64 = 120_000;

/// The deadline of an operation that begins now.
pub fn deadline(ledger: &Ledger) -> Timestamp {
    ledger.now().plus_millis(CONTENTION_BUDGET_MILLIS)
}

/// An invocation with the deadline of an operation that begins now.
pub fn invocation(ledger: &Ledger) -> Invocation {
    Invocation::until(deadline(ledger))
}

/// The error of a command: one line that says what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CliError(pub String);

impl CliError {
    /// An operation of the ledger failed. `subject` names the user, item or table.
    pub fn from_ledger(subject: &str, error: &LedgerError) -> CliError {
        CliError(match error {
            LedgerError::Busy => {
                format!("{subject}: DynamoDB throttles; run the same command again to continue")
            }
            LedgerError::StoreUnavailable => {
                format!(
                    "{subject}: DynamoDB is unreachable or rejected the credentials; run again to continue"
                )
            }
            LedgerError::Internal(reason) => format!("{subject}: {reason}"),
            other => format!("{subject}: {other:?}"),
        })
    }

    /// A file or folder cannot be read or written.
    pub fn from_io(path: &Path, error: &io::Error) -> CliError {
        CliError(format!("{}: {error}", path.display()))
    }
}

impl fmt::Display for CliError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
