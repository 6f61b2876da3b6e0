//! Moves every user out of the old table, or says why not.
//!
//! Killed anywhere and begun again it goes on: as of the same moment the same rows
//! give the same records, and what is there already is left alone.

mod compensation;
mod folder;
mod report;

use std::{collections::BTreeMap, path::PathBuf};

use clap::Args;
use futures_util::{StreamExt, TryStreamExt, stream};
use scrip::{
    domain::{ImportOutcome, ImportedHistory, ImportedRecord, LedgerError, Timestamp, UserId, Wallet},
    ledger::Ledger,
    store::StoredItem,
};

pub use folder::as_of;
pub(crate) use folder::{QUARANTINE, REPORT};
pub use report::Report;

use crate::{
    old::{Names, Old, Snapshot, UserRows},
    plan::{Moved, OldRow, Placed, Refusal, plan},
    problem::{Problem, deadline, invocation},
    progress::Progress,
};
use compensation::{Compensation, Part, compensate, granted_before};
use folder::Folder;

/// How many users are written at once.
const AT_ONCE: usize = 16;
/// How it is done.
#[derive(Clone, Debug, Args)]
pub struct Settings {
    /// How many users are written before they are read back
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..))]
    pub batch: u16,
    /// Write nothing to the ledger
    #[arg(long)]
    pub dry_run: bool,
    /// Grant what single-row charges cost users too much, once for each user
    #[arg(long)]
    pub mend: bool,
    /// Only users who have a row made since then, as 2026-08-01T00:00:00Z
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub since: Option<Timestamp>,
    /// Folder for the moment as of which all is moved, the quarantine and the report
    #[arg(long, value_name = "DIR", default_value = FOLDER)]
    pub folder: PathBuf,
}

/// The folder of a migration, where none is given.
pub const FOLDER: &str = "scrip-migration";

/// A time on the command line.
///
/// # Errors
/// It is none.
pub fn moment(text: &str) -> Result<Timestamp, String> {
    Timestamp::parse(text).ok_or_else(|| "must be a time as 2026-08-01T00:00:00Z".to_owned())
}

/// Moves all users.
///
/// # Errors
/// What stopped it, in one line. Begun again, it goes on.
pub async fn migrate(
    old: &mut Old,
    names: &Names,
    ledger: &Ledger,
    settings: &Settings,
) -> Result<Report, Problem> {
    let mut folder = Folder::open(&settings.folder, ledger.now(), settings.dry_run)?;
    let as_of = folder.as_of;
    let mut snapshot = old.snapshot(names, settings.since).await?;
    let (users, rows) = snapshot.count();
    eprintln!("{users} users, {rows} rows");
    let mut progress = Progress::start(Some(rows), "rows");
    let mut report = Report::new(as_of);
    loop {
        let batch = next_batch(&mut snapshot, settings.batch.into()).await?;
        if batch.is_empty() {
            break;
        }
        let moving = stream::iter(&batch).map(|user| one(user, ledger, as_of, settings));
        let ended: Vec<_> = moving.buffered(AT_ONCE).try_collect().await?;
        for (user, end) in batch.iter().zip(&ended) {
            report.count(user, end);
            folder.note(user, end)?;
            progress.pass(user.rows.len());
        }
    }
    progress.end();
    folder.finish(&report)?;
    Ok(report)
}

/// The next users, at most so many; none at the end.
async fn next_batch(snapshot: &mut Snapshot<'_>, size: usize) -> Result<Vec<UserRows>, Problem> {
    let mut batch = Vec::new();
    while batch.len() < size
        && let Some(user) = snapshot.next_user().await?
    {
        batch.push(user);
    }
    Ok(batch)
}

/// How a user's move ended.
enum End {
    /// The user was not moved.
    Refused(Refusal),
    /// The user was not moved, because the balance would be another one: a mistake in
    /// the plan.
    Differs(String),
    /// The user is in the ledger, since when, and what was done about a shortfall.
    Moved(Box<Moved>, Since, Compensation),
}

/// Since when a user is in the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Since {
    /// It would be now.
    DryRun,
    /// Now.
    Now,
    /// An earlier run.
    Before,
    /// Without us: the user has begun anew, and is left alone.
    Live,
}

async fn one(
    user: &UserRows,
    ledger: &Ledger,
    as_of: Timestamp,
    settings: &Settings,
) -> Result<End, Problem> {
    let rows: Vec<OldRow> = user.rows.iter().map(|(row, _)| row.clone()).collect();
    let moved = match plan(&user.user, &rows, as_of) {
        Ok(moved) => moved,
        Err(refusal) => return Ok(End::Refused(refusal)),
    };
    let Some(wallet) = moved.wallet.clone() else { return Ok(moved_at(moved, Since::Before)) };
    if let Some(why) = difference(&rows, &wallet, as_of) {
        return Ok(End::Differs(why));
    }
    if settings.dry_run {
        return Ok(moved_at(moved, Since::DryRun));
    }
    let (since, earlier) = import(&moved, wallet, user, ledger).await?;
    let compensation = if settings.mend && since != Since::Live {
        compensate(&moved, &earlier, ledger, as_of).await?
    } else {
        Compensation::None
    };
    Ok(End::Moved(Box::new(moved), since, compensation))
}

fn moved_at(moved: Moved, since: Since) -> End {
    End::Moved(Box::new(moved), since, Compensation::None)
}

/// Writes a user, and reads all of it back, with what earlier runs granted for a shortfall.
async fn import(
    moved: &Moved,
    wallet: Wallet,
    user: &UserRows,
    ledger: &Ledger,
) -> Result<(Since, Vec<Part>), Problem> {
    let failed = |error| stopped(&moved.user, &error);
    let history = ImportedHistory { user: moved.user.clone(), records: with_rows(moved, user), wallet };
    let imported = ledger.execute(&history, &invocation(ledger)).await.map_err(failed)?;
    let all = ledger.all_items(&history.user, deadline(ledger)).await.map_err(failed)?;
    let planned: BTreeMap<_, _> =
        history.records.iter().map(|imported| (&imported.key, (&imported.record, &imported.rows))).collect();
    if imported == ImportOutcome::Conflict {
        // Moved by an earlier run, and used since: every record has its place still.
        let is_ours = |held: &&StoredItem| {
            matches!(held, StoredItem::Record { key, old_rows: Some(rows), .. }
                if planned.get(key).is_some_and(|(_, planned)| *planned == rows))
        };
        let is_all = all.iter().filter(is_ours).count() == planned.len();
        return Ok((if is_all { Since::Before } else { Since::Live }, granted_before(&all)));
    }
    let is_planned = |held: &StoredItem| match held {
        StoredItem::Wallet(wallet) => *wallet == history.wallet,
        StoredItem::Repair(_)
        | StoredItem::Unreadable(_)
        | StoredItem::UnreadableWallet(_)
        | StoredItem::NewerFormat(_) => false,
        StoredItem::Record { key, record, old_rows } => planned
            .get(key)
            .is_some_and(|planned| (planned.0, Some(planned.1)) == (record, old_rows.as_ref())),
    };
    if all.len() != planned.len() + 1 || !all.iter().all(is_planned) {
        return Err(Problem(format!("user {}: what was read back is not what was written", history.user)));
    }
    let since = if imported == ImportOutcome::Written { Since::Now } else { Since::Before };
    Ok((since, Vec::new()))
}

/// The records, each with its rows; a row that is no record goes with the first.
pub(crate) fn with_rows(moved: &Moved, user: &UserRows) -> Vec<ImportedRecord> {
    let mut texts: BTreeMap<_, _> = user.rows.iter().map(|(row, text)| (row.id, text.as_str())).collect();
    let mut records: Vec<_> = moved
        .records
        .iter()
        .map(|placed| (placed, placed.rows.iter().filter_map(|id| texts.remove(id)).collect::<Vec<_>>()))
        .collect();
    if let Some((_, rows)) = records.first_mut() {
        rows.extend(texts.into_values());
    }
    let text = |rows: Vec<&str>| format!("[{}]", rows.join(","));
    let imported = |(placed, rows): (&Placed, _)| ImportedRecord {
        key: placed.key.clone(),
        record: placed.record.clone(),
        rows: text(rows),
    };
    records.into_iter().map(imported).collect()
}

/// When and by how much the new balance is not the old one, if ever: as of now, or
/// whenever something runs out.
fn difference(rows: &[OldRow], wallet: &Wallet, as_of: Timestamp) -> Option<String> {
    let ends = rows.iter().filter_map(|row| row.expired_at).filter(|end| *end > as_of);
    ends.chain([as_of]).find_map(|at| {
        let (old, new) = (old_balance(rows, at), wallet.balance(at));
        (i128::from(new.as_u64()) != old.max(0))
            .then(|| format!("at {at} the balance was {old} and would be {new}"))
    })
}

/// The sum of the rows that have not run out then.
pub(crate) fn old_balance(rows: &[OldRow], then: Timestamp) -> i128 {
    let counts = |row: &&OldRow| row.expired_at.is_none_or(|end| then < end);
    rows.iter().filter(counts).map(|row| i128::from(row.credits)).sum()
}

fn stopped(user: &UserId, error: &LedgerError) -> Problem {
    Problem::of_ledger(&format!("user {user}"), error)
}

#[cfg(test)]
mod tests {
    use scrip::domain::Credits;

    use super::*;
    use crate::plan::Found;

    #[test]
    fn a_balance_that_would_be_another_is_told() {
        let at = |text| Timestamp::parse(text).unwrap();
        let (now, end) = (at("2026-01-01T00:00:00Z"), at("2026-03-01T00:00:00Z"));
        let row = |id: i64, credits, expired_at| OldRow {
            id,
            trans_no: format!("t{id}"),
            created_at: at("2025-01-01T00:00:00Z"),
            user_uuid: "u".to_owned(),
            trans_type: "system_add".to_owned(),
            credits,
            order_no: None,
            expired_at,
            as_order: Found::Nowhere,
            as_generation: Found::Nowhere,
        };
        let rows = [row(1, 5, Some(end)), row(2, 9, None)];
        let planned = plan("u", &rows, now).unwrap().wallet.unwrap();
        assert_eq!(difference(&rows, &planned, now), None);
        for (pack, left, told) in [
            (0, 4, "at 2026-01-01T00:00:00.000Z the balance was 14 and would be 13"),
            (1, 8, "at 2026-03-01T00:00:00.000Z the balance was 9 and would be 8"),
        ] {
            let mut wallet = planned.clone();
            wallet.packs[pack].remaining = Credits::try_from(left).unwrap();
            assert_eq!(difference(&rows, &wallet, now).as_deref(), Some(told));
        }
    }
}
