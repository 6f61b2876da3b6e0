//! Rolls a migration restore: restores the old rows in PostgreSQL byte for byte, and writes all
//! later changes of the ledger to a new table.
//!
//! Everything is one transaction, so an interrupted rollback changes nothing.

mod migration_dir;
mod query;
mod recent_changes;
mod record_json;
mod report;
mod restore_rows;

use std::{collections::BTreeSet, path::PathBuf};

use clap::Args;
use futures_util::{StreamExt, TryStreamExt, stream};
use scrip::{
    domain::{Timestamp, UserId},
    ledger::Ledger,
    store::StoredItem,
};
use serde_json::value::RawValue;

pub use recent_changes::ChangeKind;
pub use report::Report;

use crate::{
    cli_error::{CliError, deadline},
    legacy::{LegacyDatabase, TableNames},
    migrate::{DEFAULT_DIR, moment_and_rules},
    progress::Progress,
    users::Users,
};
use migration_dir::{MigrationDir, QuarantineReader};
use recent_changes::{ChangeRow, change_rows};
use restore_rows::RestoreTransaction;

/// Users of the ledger in memory.
const BATCH_USERS: usize = 100;
/// Users that are read concurrently.
const CONCURRENT_USERS: usize = 16;
/// Rows of quarantined users in memory, unless one user has more.
const BATCH_ROWS: usize = 500;

/// Options of the command `rollback`.
#[derive(Clone, Debug, Args)]
pub struct Settings {
    /// New table for changes since the migration; by default in the schema of credits
    #[arg(long, value_name = "NAME", default_value = "credits_since")]
    pub since_table: String,
    /// Do everything, then abort the transaction
    #[arg(long)]
    pub dry_run: bool,
    /// Folder of the migration
    #[arg(long, value_name = "DIR", default_value = DEFAULT_DIR)]
    pub folder: PathBuf,
}

/// Restores the old rows and writes the changes since the migration.
///
/// # Errors
/// The database, the ledger or the folder failed, or rows differ. Nothing was changed then.
pub async fn rollback(
    database: &mut LegacyDatabase,
    names: &TableNames,
    ledger: &Ledger,
    settings: &Settings,
) -> Result<Report, CliError> {
    let folder = MigrationDir::open(&settings.folder)?;
    let (as_of, rules) = moment_and_rules(&settings.folder)?;
    let quarantine = folder.quarantine()?;
    let reading = rules.read_rules();
    let names = &names.with_layout(reading.layout);
    let since_table = names.in_schema_of_credits(&settings.since_table)?;
    let transaction = database.write_transaction(names, reading.layout).await?;
    let mut restore = RestoreTransaction::begin(transaction, names, reading, since_table.clone()).await?;
    let mut report = Report { since_table, dry_run: settings.dry_run, ..Report::default() };
    let mut progress = Progress::start(Some(folder.rows), "rows");
    restore_ledger_users(&mut restore, ledger, as_of, &mut report, &mut progress).await?;
    restore_quarantined_users(&mut restore, quarantine, &mut report, &mut progress).await?;
    progress.finish();
    let (given, read) = (restore.given, folder.rows);
    if given < read {
        return Err(CliError(format!(
            "the migration read {read} rows, and the ledger and the quarantine have {given}; --folder and \
             --dynamodb-table must belong to one finished migration"
        )));
    }
    report.rows_restored = restore.inserted;
    report.rows_present = given.saturating_sub(restore.inserted);
    report.rows_others = restore.existing.saturating_sub(report.rows_present);
    restore.finish(settings.dry_run).await?;
    if !settings.dry_run {
        folder.write_report(&report)?;
    }
    Ok(report)
}

async fn restore_ledger_users(
    restore: &mut RestoreTransaction<'_>,
    ledger: &Ledger,
    as_of: Timestamp,
    report: &mut Report,
    progress: &mut Progress,
) -> Result<(), CliError> {
    let (mut users, now) = (Users::scan(ledger), ledger.now());
    loop {
        let batch = next_batch(&mut users).await?;
        if batch.is_empty() {
            return Ok(());
        }
        let histories = stream::iter(&batch).map(|user| UserHistory::read(user, ledger, now));
        let all: Vec<_> = histories.buffered(CONCURRENT_USERS).try_collect().await?;
        let old_rows: Vec<_> = all.iter().flat_map(UserHistory::old_rows).collect();
        let changes: Vec<_> = all.iter().flat_map(|user| &user.changes).collect();
        // Old sums are offset for users with changes only.
        let active: Vec<_> =
            all.iter().filter(|user| !user.changes.is_empty()).flat_map(UserHistory::old_rows).collect();
        report.users += all.len() as u64;
        report.balance += all.iter().map(|user| u128::from(user.balance)).sum::<u128>();
        report.count(&changes);
        restore.restore(&old_rows).await?;
        restore.add_changes(&changes).await?;
        report.count_balance_offsets(restore.offset_old_sums(&active, as_of, now).await?);
        progress.advance(old_rows.len());
    }
}

async fn next_batch(users: &mut Users<'_>) -> Result<Vec<String>, CliError> {
    let mut batch = Vec::new();
    while batch.len() < BATCH_USERS
        && let Some(user) = users.next().await?
    {
        batch.push(user);
    }
    Ok(batch)
}

async fn restore_quarantined_users(
    restore: &mut RestoreTransaction<'_>,
    mut quarantine: QuarantineReader,
    report: &mut Report,
    progress: &mut Progress,
) -> Result<(), CliError> {
    let mut next = quarantine.next()?;
    while next.is_some() {
        let mut old_rows = Vec::new();
        while old_rows.len() < BATCH_ROWS
            && let Some(user) = next.take()
        {
            report.quarantined += 1;
            old_rows.extend(user);
            next = quarantine.next()?;
        }
        report.rows_quarantined += old_rows.len() as u64;
        restore.restore(&old_rows.iter().map(String::as_str).collect::<Vec<_>>()).await?;
        progress.advance(old_rows.len());
    }
    Ok(())
}

struct UserHistory {
    old_rows: Vec<String>,
    /// In the order of time.
    changes: Vec<ChangeRow>,
    balance: u64,
}

impl UserHistory {
    fn old_rows(&self) -> impl Iterator<Item = &str> {
        self.old_rows.iter().map(String::as_str)
    }

    async fn read(user: &str, ledger: &Ledger, now: Timestamp) -> Result<UserHistory, CliError> {
        let unreadable =
            |reason: &str| CliError(format!("user {user}: {reason}; repair the item, and run again"));
        let user = UserId::try_from(user.to_owned()).map_err(unreadable)?;
        let all = ledger.all_items(&user, deadline(ledger)).await;
        let all = all.map_err(|error| CliError::from_ledger(&format!("user {user}"), &error))?;
        let mut history = UserHistory { old_rows: vec![], changes: vec![], balance: 0 };
        let mut migrated = BTreeSet::new();
        for (key, rows) in all.iter().flat_map(StoredItem::old_rows) {
            migrated.insert(key);
            let rows: Vec<&RawValue> =
                serde_json::from_str(rows).map_err(|error| unreadable(&format!("old_rows: {error}")))?;
            history.old_rows.extend(rows.into_iter().map(|row| row.get().to_owned()));
        }
        for item in &all {
            match item {
                StoredItem::Wallet(wallet) => history.balance = wallet.balance(now).as_u64(),
                StoredItem::Record { key, record, .. } => {
                    history.changes.extend(change_rows(&user, key, record, migrated.contains(key)));
                }
                StoredItem::Unreadable(reason)
                | StoredItem::UnreadableWallet(reason)
                | StoredItem::NewerFormat(reason) => {
                    return Err(unreadable(reason));
                }
                StoredItem::OldRows(_) | StoredItem::Repair(_) => {}
            }
        }
        history.changes.sort_by_key(|row| row.created_at);
        Ok(history)
    }
}
