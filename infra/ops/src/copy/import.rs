//! Imports the items of a file without overwriting any.
//!
//! The file is read three times: to validate it, for the records, and for the wallets, so
//! that no user has credits before all records are written.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use clap::Args;
use futures_util::{StreamExt, TryStreamExt, stream};
use scrip::{
    ledger::Ledger,
    store::{JsonItem, PutOutcome},
};

use super::{
    Trailer,
    format::{SORT, USER, key_part},
    reader::Reader,
};
use crate::{
    cli_error::{CliError, deadline},
    progress::Progress,
};

/// Items that are written concurrently.
const CONCURRENT_ITEMS: usize = 32;
/// The `sk` of a wallet.
const WALLET: &str = "wallet";

/// Options of the command `import`.
#[derive(Clone, Debug, Args)]
pub struct Settings {
    /// The file, written by scrip-ops export
    #[arg(long)]
    pub file: PathBuf,
    /// Validate the file and write nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// The result of an import.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The exported table and the start of the export, as text.
    pub origin: String,
    /// The last line of the file.
    pub trailer: Trailer,
    /// Items that were written, and equal items that already existed, such as those of a
    /// call whose response was lost. `None` in a dry run.
    pub counts: Option<(u64, u64)>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n{}", self.origin, self.trailer)?;
        match self.counts {
            Some((written, present)) => {
                write!(f, "{written:>12} items written\n{present:>12} items already present\n")
            }
            None => Ok(()),
        }
    }
}

/// Writes all items of a file to the table.
///
/// # Errors
/// The file is invalid, and nothing was written. Or the ledger failed or has a different item
/// under the same key; the next run continues.
pub async fn import(ledger: &Ledger, settings: &Settings) -> Result<Report, CliError> {
    let mut report = validate(&settings.file)?;
    if settings.dry_run {
        return Ok(report);
    }
    let (mut written, mut present) = (0, 0);
    let mut progress = Progress::start(Some(report.trailer.items), "items");
    for are_wallets in [false, true] {
        // Items of the other kind are mapped to `None`, not filtered out: a filter would scan
        // past them without polling the writes in flight.
        let mut puts = stream::iter(Reader::open(&settings.file)?)
            .map(|item| async { put_item(are_wallets, ledger, &item?).await })
            .buffer_unordered(CONCURRENT_ITEMS);
        while let Some(put) = puts.try_next().await? {
            written += u64::from(put == Some(PutOutcome::Now));
            present += u64::from(put == Some(PutOutcome::Before));
            progress.advance(usize::from(put.is_some()));
        }
    }
    progress.finish();
    report.counts = Some((written, present));
    Ok(report)
}

/// Reads the file to its end and checks the trailer.
fn validate(file: &Path) -> Result<Report, CliError> {
    let mut items = Reader::open(file)?;
    let mut progress = Progress::start(None, "items validated");
    for item in items.by_ref() {
        item?;
        progress.advance(1);
    }
    progress.finish();
    let origin = format!("table {}, export started at {}", items.header.table, items.header.at);
    Ok(Report { origin, trailer: items.trailer(), counts: None })
}

/// Writes an item if it is a wallet or a record, as requested; `None` otherwise.
async fn put_item(
    are_wallets: bool,
    ledger: &Ledger,
    item: &JsonItem,
) -> Result<Option<PutOutcome>, CliError> {
    if (key_part(item, SORT) == WALLET) != are_wallets {
        return Ok(None);
    }
    let describe = || format!("item user_uuid={:?} sk={:?}", key_part(item, USER), key_part(item, SORT));
    match ledger.put_new(item, deadline(ledger)).await {
        Ok(PutOutcome::Refused) => Err(CliError(format!(
            "{}: the table has a different item under this key; import into an empty table",
            describe()
        ))),
        Ok(put) => Ok(Some(put)),
        Err(error) => Err(CliError::from_ledger(&describe(), &error)),
    }
}
