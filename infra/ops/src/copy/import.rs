//! A file's items into a table, over none that is there.
//!
//! The file is read three times: to check it before anything is written, then for the
//! records, and then for the wallets, so that nobody has credits before the records are
//! there.

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
    format::{SORT, USER, text},
    reader::Reader,
};
use crate::{
    cli_error::{CliError, deadline},
    progress::Progress,
};

/// How many items are put at once.
const AT_ONCE: usize = 32;
/// The `sk` of a wallet.
const WALLET: &str = "wallet";

/// What is imported, and how.
#[derive(Clone, Debug, Args)]
pub struct Settings {
    /// The file, as scrip-ops export wrote it
    #[arg(long)]
    pub file: PathBuf,
    /// Check the file, and write nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// What became of a file's items.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Which table the file is of, and when the export began.
    pub of: String,
    /// What is in the file.
    pub trailer: Trailer,
    /// How many items were put, and how many were there already, the same, as is one that
    /// was put by a call whose answer was lost; nothing of a dry run.
    pub put: Option<(u64, u64)>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n{}", self.of, self.trailer)?;
        match self.put {
            Some((now, before)) => write!(f, "{now:>12} items put\n{before:>12} items there before\n"),
            None => Ok(()),
        }
    }
}

/// Puts all items of a file into the table.
///
/// # Errors
/// What stopped it, in one line: with a file that is not whole nothing was written; begun
/// again after anything else, it goes on.
pub async fn import(ledger: &Ledger, settings: &Settings) -> Result<Report, CliError> {
    let mut report = check(&settings.file)?;
    if settings.dry_run {
        return Ok(report);
    }
    let (mut now, mut before) = (0, 0);
    let mut progress = Progress::start(Some(report.trailer.items), "items");
    for are_wallets in [false, true] {
        // An item of the other kind is passed on, not filtered out: so the puts under way
        // are looked after while there are only such.
        let mut puts = stream::iter(Reader::open(&settings.file)?)
            .map(|item| async { put_if(are_wallets, ledger, &item?).await })
            .buffer_unordered(AT_ONCE);
        while let Some(put) = puts.try_next().await? {
            now += u64::from(put == Some(PutOutcome::Now));
            before += u64::from(put == Some(PutOutcome::Before));
            progress.pass(usize::from(put.is_some()));
        }
    }
    progress.end();
    report.put = Some((now, before));
    Ok(report)
}

/// Reads the file to its end, which says whether it is whole.
fn check(file: &Path) -> Result<Report, CliError> {
    let mut items = Reader::open(file)?;
    let mut progress = Progress::start(None, "items checked");
    for item in items.by_ref() {
        item?;
        progress.pass(1);
    }
    progress.end();
    let of = format!("table {}, exported from {} on", items.header.table, items.header.at);
    Ok(Report { of, trailer: items.counted(), put: None })
}

/// Puts an item, if it is a wallet or if it is none.
async fn put_if(is_wallet: bool, ledger: &Ledger, item: &JsonItem) -> Result<Option<PutOutcome>, CliError> {
    if (text(item, SORT) == WALLET) != is_wallet {
        return Ok(None);
    }
    let named = || format!("item user_uuid={:?} sk={:?}", text(item, USER), text(item, SORT));
    match ledger.put_new(item, deadline(ledger)).await {
        Ok(PutOutcome::Refused) => {
            Err(CliError(format!("{}: the table has another one there; import into an empty table", named())))
        }
        Ok(put) => Ok(Some(put)),
        Err(error) => Err(CliError::from_ledger(&named(), &error)),
    }
}
