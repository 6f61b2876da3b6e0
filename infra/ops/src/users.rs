//! Who has anything in the table.

use scrip::{
    ledger::{self, Ledger},
    store::ScanSegment,
};

use crate::cli_error::{CliError, deadline};

/// The users of the table, one after the other.
pub struct Users<'a> {
    ledger: &'a Ledger,
    users: ledger::UserScan<'a>,
}

impl Users<'_> {
    /// All of them.
    pub fn of(ledger: &Ledger) -> Users<'_> {
        Users { ledger, users: ledger.users(ScanSegment::WHOLE, None) }
    }

    /// The next one.
    ///
    /// # Errors
    /// The table cannot be read.
    pub async fn next(&mut self) -> Result<Option<String>, CliError> {
        let next = self.users.next(deadline(self.ledger)).await;
        next.map_err(|error| CliError::from_ledger("the table", &error))
    }
}
