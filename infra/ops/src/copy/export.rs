//! Exports the whole table to a file.

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

/// Options of the command `export`.
#[derive(Clone, Debug, Args)]
pub struct Settings {
    /// A new file: gzip of JSON lines
    #[arg(long)]
    pub file: PathBuf,
}

/// The result of an export.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The last line of the file.
    pub trailer: Trailer,
    /// The size of the file.
    pub bytes: u64,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>12} bytes\n{}", self.bytes, self.trailer)
    }
}

/// Writes every item of the table to a file. The file is no snapshot: an item that changes
/// during the export is in it as before or after the change.
///
/// # Errors
/// The ledger or the file failed. Then there is no file.
pub async fn export(ledger: &Ledger, table: &str, settings: &Settings) -> Result<Report, CliError> {
    let header = Header { scrip_export: FORMAT, table: table.to_owned(), at: ledger.now().to_string() };
    let mut file = Writer::create(&settings.file, &header)?;
    let mut progress = Progress::start(None, "items");
    let mut start = None;
    loop {
        let page = ledger.items(start, deadline(ledger)).await;
        let (items, next) = page.map_err(|error| CliError::from_ledger(&format!("table {table}"), &error))?;
        for item in &items {
            file.add_item(item)?;
        }
        progress.advance(items.len());
        start = next;
        if start.is_none() {
            break;
        }
    }
    progress.finish();
    let (trailer, bytes) = file.finish()?;
    Ok(Report { trailer, bytes })
}
