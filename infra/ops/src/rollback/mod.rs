//! Back into PostgreSQL: the rows exactly as they were, and what has happened in the
//! ledger since as rows of a table of their own.
//!
//! All is one transaction. Killed anywhere it leaves nothing, and can begin again.

mod back;
mod content;
mod kept;
mod query;
mod report;
mod since;

use std::path::PathBuf;

use clap::Args;
use futures_util::{StreamExt, TryStreamExt, stream};
use scrip::{
    domain::{Timestamp, UserId},
    ledger::Ledger,
    store::StoredItem,
};
use serde_json::value::RawValue;

pub use report::Report;

use crate::{
    migrate::FOLDER,
    old::{Names, Old},
    problem::{Problem, deadline},
    progress::Progress,
    users::Users,
};
use back::Back;
use kept::{Folder, Quarantine};
use since::{Row, since};

/// How many users are in memory at once, and how many of them are read at once.
const BATCH: usize = 100;
const AT_ONCE: usize = 16;
/// How many rows of users who were not moved are in memory at once, or one user's.
const ROWS: usize = 500;

/// How it is done.
#[derive(Clone, Debug, Args)]
pub struct Settings {
    /// The new table for what has happened since; beside credits, where it names no schema
    #[arg(long, value_name = "NAME", default_value = "credits_since")]
    pub since_table: String,
    /// Do all of it, and take it back at the end
    #[arg(long)]
    pub dry_run: bool,
    /// Folder of the migration
    #[arg(long, value_name = "DIR", default_value = FOLDER)]
    pub folder: PathBuf,
}

/// Gives all back.
///
/// # Errors
/// What stopped it, in one line. Nothing is changed then.
pub async fn rollback(
    old: &mut Old,
    names: &Names,
    ledger: &Ledger,
    settings: &Settings,
) -> Result<Report, Problem> {
    let folder = Folder::open(&settings.folder)?;
    let quarantine = folder.quarantine()?;
    let since_table = names.beside_credits(&settings.since_table)?;
    let mut back = Back::begin(old.writing(names).await?, names, since_table.clone()).await?;
    let mut report = Report { since_table, dry_run: settings.dry_run, ..Report::default() };
    let mut progress = Progress::start(Some(folder.rows), "rows");
    of_ledger(&mut back, ledger, &mut report, &mut progress).await?;
    of_quarantine(&mut back, quarantine, &mut report, &mut progress).await?;
    progress.end();
    let (given, read) = (back.given, folder.rows);
    if given < read {
        return Err(Problem(format!(
            "the migration read {read} rows, and the ledger and the quarantine have {given}: --folder and \
             --dynamodb-table have to be those of one migration that came to its end"
        )));
    }
    report.rows_back = back.inserted;
    report.rows_there = given.saturating_sub(back.inserted);
    report.rows_others = back.before.saturating_sub(report.rows_there);
    back.end(settings.dry_run).await?;
    if !settings.dry_run {
        folder.finish(&report)?;
    }
    Ok(report)
}

/// Gives back what all users of the ledger have.
async fn of_ledger(
    back: &mut Back<'_>,
    ledger: &Ledger,
    report: &mut Report,
    progress: &mut Progress,
) -> Result<(), Problem> {
    let (mut users, now) = (Users::of(ledger), ledger.now());
    loop {
        let batch = next_batch(&mut users).await?;
        if batch.is_empty() {
            return Ok(());
        }
        let reading = stream::iter(&batch).map(|user| Whole::of(user, ledger, now));
        let all: Vec<_> = reading.buffered(AT_ONCE).try_collect().await?;
        let old: Vec<_> = all.iter().flat_map(Whole::old).collect();
        let since: Vec<_> = all.iter().flat_map(|user| &user.since).collect();
        // Of whom nothing has happened since has no rows of it.
        let used: Vec<_> = all.iter().filter(|user| !user.since.is_empty()).flat_map(Whole::old).collect();
        report.users += all.len() as u64;
        report.balance += all.iter().map(|user| u128::from(user.balance)).sum::<u128>();
        report.count(&since);
        back.give(&old).await?;
        back.add(&since).await?;
        report.count_forgiven(back.forgive(&used, now).await?);
        progress.pass(old.len());
    }
}

async fn next_batch(users: &mut Users<'_>) -> Result<Vec<String>, Problem> {
    let mut batch = Vec::new();
    while batch.len() < BATCH
        && let Some(user) = users.next().await?
    {
        batch.push(user);
    }
    Ok(batch)
}

/// Gives back the rows of who was not moved.
async fn of_quarantine(
    back: &mut Back<'_>,
    mut quarantine: Quarantine,
    report: &mut Report,
    progress: &mut Progress,
) -> Result<(), Problem> {
    let mut next = quarantine.next()?;
    while next.is_some() {
        let mut old = Vec::new();
        while old.len() < ROWS
            && let Some(user) = next.take()
        {
            report.quarantined += 1;
            old.extend(user);
            next = quarantine.next()?;
        }
        report.rows_quarantined += old.len() as u64;
        back.give(&old.iter().map(String::as_str).collect::<Vec<_>>()).await?;
        progress.pass(old.len());
    }
    Ok(())
}

/// All that a user of the ledger has.
struct Whole {
    /// The rows of the old table.
    old: Vec<String>,
    /// What has happened since, in the order of time.
    since: Vec<Row>,
    balance: u64,
}

impl Whole {
    fn old(&self) -> impl Iterator<Item = &str> {
        self.old.iter().map(String::as_str)
    }

    async fn of(user: &str, ledger: &Ledger, now: Timestamp) -> Result<Whole, Problem> {
        let unreadable =
            |why: &str| Problem(format!("user {user}: {why}; mend what stands there, and run again"));
        let user = UserId::try_from(user.to_owned()).map_err(unreadable)?;
        let all = ledger.all_items(&user, deadline(ledger)).await;
        let mut whole = Whole { old: vec![], since: vec![], balance: 0 };
        for held in all.map_err(|error| Problem::of_ledger(&format!("user {user}"), &error))? {
            match held {
                StoredItem::Wallet(wallet) => whole.balance = wallet.balance(now).as_u64(),
                StoredItem::Record { key, record, old_rows } => {
                    whole.since.extend(since(&user, &key, &record, old_rows.is_some()));
                    let rows: Vec<&RawValue> = serde_json::from_str(old_rows.as_deref().unwrap_or("[]"))
                        .map_err(|error| unreadable(&format!("old_rows: {error}")))?;
                    whole.old.extend(rows.into_iter().map(|row| row.get().to_owned()));
                }
                StoredItem::Unreadable(why)
                | StoredItem::UnreadableWallet(why)
                | StoredItem::NewerFormat(why) => {
                    return Err(unreadable(&why));
                }
                StoredItem::Repair(_) => {}
            }
        }
        whole.since.sort_by_key(|row| row.created_at);
        Ok(whole)
    }
}
