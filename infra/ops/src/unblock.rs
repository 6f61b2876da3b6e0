//! Unblocks users whom a migration left behind.

use std::fmt;

use clap::Args;
use scrip::{
    domain::{Unblock, UserId},
    ledger::Ledger,
};

use crate::{
    cli_error::{CliError, invocation},
    users,
};

/// Options of the command `unblock`.
#[derive(Clone, Debug, Args)]
pub struct Settings {
    /// A user to unblock; repeatable
    #[arg(long = "user", value_name = "USER_UUID", required = true, value_parser = users::parse_user)]
    pub users: Vec<UserId>,
}

/// The users, each with whether this run removed a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report(Vec<(UserId, bool)>);

/// Removes the block of each user. A user without a block is left unchanged.
///
/// # Errors
/// The ledger failed. Users before the named one are unblocked.
pub async fn unblock(ledger: &Ledger, settings: &Settings) -> Result<Report, CliError> {
    let mut report = Report(Vec::new());
    for user in &settings.users {
        let result = ledger.execute(&Unblock { user: user.clone() }, &invocation(ledger)).await;
        let is_unblocked = result.map_err(|error| CliError::from_ledger(&format!("user {user}"), &error))?;
        report.0.push((user.clone(), is_unblocked));
    }
    Ok(report)
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (user, is_unblocked) in &self.0 {
            writeln!(f, "user {user}: {}", if *is_unblocked { "unblocked" } else { "was not blocked" })?;
        }
        Ok(())
    }
}
