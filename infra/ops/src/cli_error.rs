//! What the operator is told where something cannot go on.

use std::fmt;

use scrip::{
    domain::{LedgerError, Timestamp},
    ledger::{Invocation, Ledger},
};

/// How long the ledger may try one thing, in milliseconds: beyond what any throttling
/// of a table that grows takes.
pub const CONTENTION_BUDGET_MILLIS: i64 = 120_000;

/// Until when the ledger may try something that begins now.
pub fn deadline(ledger: &Ledger) -> Timestamp {
    ledger.now().plus_millis(CONTENTION_BUDGET_MILLIS)
}

/// A command of the ledger that begins now.
pub fn invocation(ledger: &Ledger) -> Invocation {
    Invocation::until(deadline(ledger))
}

/// Why something cannot go on: one line, which says what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CliError(pub String);

impl CliError {
    /// The ledger could not do something about this user, or whatever it is.
    pub fn from_ledger(subject: &str, error: &LedgerError) -> CliError {
        CliError(match error {
            LedgerError::Busy => {
                format!("{subject}: DynamoDB throttles; run the same command again to go on")
            }
            LedgerError::StoreUnavailable => {
                format!(
                    "{subject}: DynamoDB cannot be reached, or refused the credentials; run again to go on"
                )
            }
            LedgerError::Internal(why) => format!("{subject}: {why}"),
            other => format!("{subject}: {other:?}"),
        })
    }

    /// A file or folder could not be written or read.
    pub fn from_io(path: &std::path::Path, error: &std::io::Error) -> CliError {
        CliError(format!("{}: {error}", path.display()))
    }
}

impl fmt::Display for CliError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
