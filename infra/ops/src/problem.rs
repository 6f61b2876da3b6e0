//! What the operator is told where something cannot go on.

use std::fmt;

use scrip::{
    domain::{LedgerError, Timestamp},
    ledger::{Invocation, Ledger},
};

/// How long the ledger may try one thing, in milliseconds: beyond what any throttling
/// of a table that grows takes.
pub const PATIENCE_MILLIS: i64 = 120_000;

/// Until when the ledger may try something that begins now.
pub fn deadline(ledger: &Ledger) -> Timestamp {
    ledger.now().plus_millis(PATIENCE_MILLIS)
}

/// A command of the ledger that begins now.
pub fn invocation(ledger: &Ledger) -> Invocation {
    Invocation::until(deadline(ledger))
}

/// Why something cannot go on: one line, which says what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem(pub String);

impl Problem {
    /// The ledger could not do something about this user, or whatever it is.
    pub fn of_ledger(what: &str, error: &LedgerError) -> Problem {
        Problem(match error {
            LedgerError::Busy => format!("{what}: DynamoDB throttles; run the same command again to go on"),
            LedgerError::StoreUnavailable => {
                format!("{what}: DynamoDB cannot be reached, or refused the credentials; run again to go on")
            }
            LedgerError::Internal(why) => format!("{what}: {why}"),
            other => format!("{what}: {other:?}"),
        })
    }

    /// A file or folder could not be written or read.
    pub fn of_file(path: &std::path::Path, error: &std::io::Error) -> Problem {
        Problem(format!("{}: {error}", path.display()))
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
