//! The whole table into a file.

use std::{fmt, path::PathBuf};

use clap::Args;
use scrip::ledger::Ledger;

use super::{
    Trailer,
    format::{FORMAT, Header},
    writer::Writer,
};
use crate::{
    cli_error::{CliError, deadline},
    progress::Progress,
};

/// Where it goes.
#[derive(Clone, Debug, Args)]
pub struct Settings {
    /// The file, which must not be there yet: gzip of lines of JSON
    #[arg(long)]
    pub file: PathBuf,
}

/// What was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// What is in the file.
    pub trailer: Trailer,
    /// How large the file is.
    pub bytes: u64,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>12} bytes\n{}", self.bytes, self.trailer)
    }
}

/// Writes every item of the table into a file. One that is written meanwhile is in it as
/// it was before or after: this is not the table of one moment.
///
/// # Errors
/// What stopped it, in one line; then there is no file.
pub async fn export(ledger: &Ledger, table: &str, settings: &Settings) -> Result<Report, CliError> {
    let header = Header { scrip_export: FORMAT, table: table.to_owned(), at: ledger.now().to_string() };
    let mut file = Writer::create(&settings.file, &header)?;
    let mut progress = Progress::start(None, "items");
    let mut from = None;
    loop {
        let page = ledger.items(from, deadline(ledger)).await;
        let (items, next) = page.map_err(|error| CliError::from_ledger(&format!("table {table}"), &error))?;
        for item in &items {
            file.item(item)?;
        }
        progress.pass(items.len());
        from = next;
        if from.is_none() {
            break;
        }
    }
    progress.end();
    let (trailer, bytes) = file.finish()?;
    Ok(Report { trailer, bytes })
}
