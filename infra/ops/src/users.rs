//! Iterates over the users of the ledger's table.

use scrip::{
    domain::UserId,
    ledger::{self, Ledger},
    store::ScanSegment,
};

use crate::cli_error::{CliError, deadline};

/// Parses a user of the command line.
///
/// # Errors
/// The text has the form of no `user_uuid`.
pub fn parse_user(text: &str) -> Result<UserId, &'static str> {
    UserId::try_from(text.to_owned())
}

/// A scan of the table, user by user.
pub struct Users<'a> {
    ledger: &'a Ledger,
    scan: ledger::UserScan<'a>,
}

impl Users<'_> {
    /// Starts a scan of the whole table.
    pub fn scan(ledger: &Ledger) -> Users<'_> {
        Users { ledger, scan: ledger.users(ScanSegment::WHOLE, None) }
    }

    /// The next user, or `None` at the end.
    ///
    /// # Errors
    /// The table cannot be read.
    pub async fn next(&mut self) -> Result<Option<String>, CliError> {
        let next = self.scan.next(deadline(self.ledger)).await;
        next.map_err(|error| CliError::from_ledger("the table", &error))
    }
}
