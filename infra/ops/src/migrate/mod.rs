//! Migrates the users of the old table to the ledger, or quarantines them with a reason.
//!
//! An interrupted run can be repeated: as of the same moment the same rows give the same
//! records, and existing records are never overwritten.

mod compensation;
mod folder;
mod report;
mod rules;
mod unknown_types;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use clap::{ArgAction, Args};
use futures_util::{StreamExt, TryStreamExt, stream};
use scrip::{
    domain::{Block, ImportOutcome, ImportedHistory, ImportedRecord, LedgerError, Timestamp, UserId, Wallet},
    ledger::Ledger,
    store::StoredItem,
};
use serde_json::value::RawValue;

pub use folder::moment_and_rules;
pub(crate) use folder::{QUARANTINE, REPORT};
pub use report::Report;
pub use rules::{RuleOptions, Rules};

use crate::{
    cli_error::{CliError, deadline, invocation},
    legacy::{LegacyDatabase, Snapshot, TableNames, UserRows},
    plan::{OldRow, PlanRules, PlannedRecord, Rejection, UserPlan, expected_balances, plan},
    progress::Progress,
};
use compensation::{Compensation, Part, compensate, granted_before};
use folder::MigrationDir;

/// Users that are written concurrently.
const CONCURRENT_USERS: usize = 16;

/// Options of the command `migrate`.
#[derive(Clone, Debug, Args)]
pub struct Settings {
    /// Users that are written before they are read back
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..))]
    pub batch: u16,
    /// Write nothing to the ledger
    #[arg(long)]
    pub dry_run: bool,
    /// Grant users the credits that expired because a charge was one row, once for each user
    #[arg(long = "mend")]
    pub compensate: bool,
    /// Only users with a row created since then, as in 2026-08-01T00:00:00Z
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    pub since: Option<Timestamp>,
    /// Block users in quarantine, so that no gift or order is granted to them a second time;
    /// false leaves them without a wallet
    #[arg(long, value_name = "BOOL", default_value_t = true, action = ArgAction::Set)]
    pub block_quarantined: bool,
    /// How rows are read.
    #[command(flatten)]
    pub rules: RuleOptions,
    /// Folder for the moment of the migration, its rules, the quarantine and the report
    #[arg(long, value_name = "DIR", default_value = DEFAULT_DIR)]
    pub folder: PathBuf,
}

/// The default of `--folder`.
pub const DEFAULT_DIR: &str = "scrip-migration";

/// Parses a time of the command line.
///
/// # Errors
/// The text is no RFC 3339 time in UTC.
pub fn parse_time(text: &str) -> Result<Timestamp, String> {
    Timestamp::parse(text).ok_or_else(|| "must be a time such as 2026-08-01T00:00:00Z".to_owned())
}

/// Migrates all users.
///
/// # Errors
/// The database, the ledger or the folder failed. The next run continues.
pub async fn migrate(
    database: &mut LegacyDatabase,
    names: &TableNames,
    ledger: &Ledger,
    settings: &Settings,
) -> Result<Report, CliError> {
    let mut folder = MigrationDir::open(ledger.now(), settings)?;
    let (rules, reading) = (folder.rules.plan(folder.as_of), folder.rules.read_rules());
    let mut snapshot = database.snapshot(names, &reading, settings.since).await?;
    let (users, rows) = snapshot.count();
    eprintln!("{users} users, {rows} rows");
    let mut progress = Progress::start(Some(rows), "rows");
    let mut report = Report::new(&rules, &reading, snapshot.without_expiry());
    loop {
        let batch = next_batch(&mut snapshot, settings.batch.into()).await?;
        if batch.is_empty() {
            break;
        }
        let migrations = stream::iter(&batch).map(|user| migrate_user(user, ledger, &rules, settings));
        let outcomes: Vec<_> = migrations.buffered(CONCURRENT_USERS).try_collect().await?;
        for (user, outcome) in batch.iter().zip(&outcomes) {
            report.count(user, outcome, &rules);
            folder.write_user(user, outcome)?;
            progress.advance(user.rows.len());
        }
    }
    progress.finish();
    folder.finish(&report)?;
    Ok(report)
}

/// The next `size` users or fewer; none at the end.
async fn next_batch(snapshot: &mut Snapshot<'_>, size: usize) -> Result<Vec<UserRows>, CliError> {
    let mut batch = Vec::new();
    while batch.len() < size
        && let Some(user) = snapshot.next_user().await?
    {
        batch.push(user);
    }
    Ok(batch)
}

enum UserOutcome {
    LeftBehind(Quarantined, BlockState),
    Planned(Box<UserPlan>, ImportState, Compensation),
}

/// Why a user was not migrated.
enum Quarantined {
    Rejected(Rejection),
    /// The plan would change the balance: a bug.
    BalanceDiffers(String),
}

/// Whether a user in quarantine is blocked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum BlockState {
    Blocked,
    /// The user has a wallet, or no valid id, or nothing was to be blocked.
    NotBlocked,
}

/// The state of a planned user in the ledger after the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum ImportState {
    DryRun,
    /// This run wrote the user.
    Written,
    /// An earlier run wrote the user.
    AlreadyPresent,
    /// The user has other records in the ledger and is not overwritten.
    UsedSince,
}

async fn migrate_user(
    user: &UserRows,
    ledger: &Ledger,
    rules: &PlanRules,
    settings: &Settings,
) -> Result<UserOutcome, CliError> {
    let as_of = rules.as_of;
    let rows: Vec<OldRow> = user.rows.iter().map(|(row, _)| row.clone()).collect();
    let user_plan = match plan(&user.user, &rows, rules) {
        Ok(user_plan) => user_plan,
        Err(rejection) => {
            return leave_behind(user, Quarantined::Rejected(rejection), ledger, settings).await;
        }
    };
    let Some(wallet) = user_plan.wallet.clone() else {
        return Ok(without_compensation(user_plan, ImportState::AlreadyPresent));
    };
    if let Some(difference) = balance_difference(&rows, &wallet, as_of) {
        return leave_behind(user, Quarantined::BalanceDiffers(difference), ledger, settings).await;
    }
    if settings.dry_run {
        return Ok(without_compensation(user_plan, ImportState::DryRun));
    }
    let (state, earlier) = import(&user_plan, wallet, user, ledger).await?;
    let compensation = if settings.compensate && state != ImportState::UsedSince {
        compensate(&user_plan, &earlier, ledger, as_of).await?
    } else {
        Compensation::None
    };
    Ok(UserOutcome::Planned(Box::new(user_plan), state, compensation))
}

/// Blocks a user who is not migrated.
async fn leave_behind(
    user: &UserRows,
    reason: Quarantined,
    ledger: &Ledger,
    settings: &Settings,
) -> Result<UserOutcome, CliError> {
    let mut state = BlockState::NotBlocked;
    if settings.block_quarantined
        && !settings.dry_run
        && let Ok(user) = UserId::try_from(user.user.clone())
    {
        let blocked = ledger.execute(&Block { user: user.clone() }, &invocation(ledger)).await;
        if blocked.map_err(|error| ledger_error(&user, &error))? {
            state = BlockState::Blocked;
        }
    }
    Ok(UserOutcome::LeftBehind(reason, state))
}

fn without_compensation(user_plan: UserPlan, state: ImportState) -> UserOutcome {
    UserOutcome::Planned(Box::new(user_plan), state, Compensation::None)
}

/// Writes a user and reads everything back, with the credits that earlier runs granted for a
/// shortfall.
async fn import(
    user_plan: &UserPlan,
    wallet: Wallet,
    user: &UserRows,
    ledger: &Ledger,
) -> Result<(ImportState, Vec<Part>), CliError> {
    let failed = |error| ledger_error(&user_plan.user, &error);
    let history =
        ImportedHistory { user: user_plan.user.clone(), records: with_rows(user_plan, user), wallet };
    let outcome = ledger.execute(&history, &invocation(ledger)).await.map_err(failed)?;
    let all = ledger.all_items(&history.user, deadline(ledger)).await.map_err(failed)?;
    let planned: BTreeMap<_, _> =
        history.records.iter().map(|imported| (&imported.key, (&imported.record, &imported.rows))).collect();
    let rows: BTreeMap<_, _> = all.iter().flat_map(StoredItem::old_rows).collect();
    if outcome == ImportOutcome::Conflict {
        let is_complete = has_all_rows(user, &all);
        return Ok((
            if is_complete { ImportState::AlreadyPresent } else { ImportState::UsedSince },
            granted_before(&all),
        ));
    }
    let is_planned = |item: &StoredItem| match item {
        StoredItem::Wallet(wallet) => *wallet == history.wallet,
        StoredItem::Record { key, record, .. } => planned.get(key).is_some_and(|planned| planned.0 == record),
        StoredItem::OldRows(_) => true,
        StoredItem::Repair(_)
        | StoredItem::Unreadable(_)
        | StoredItem::UnreadableWallet(_)
        | StoredItem::NewerFormat(_) => false,
    };
    let planned_rows = planned.iter().map(|(key, (_, rows))| (*key, *rows)).collect();
    let count = all.iter().filter(|item| !matches!(item, StoredItem::OldRows(_))).count();
    if count != planned.len() + 1 || rows != planned_rows || !all.iter().all(is_planned) {
        return Err(CliError(format!(
            "user {}: the items that were read back differ from the written ones",
            history.user
        )));
    }
    let state =
        if outcome == ImportOutcome::Written { ImportState::Written } else { ImportState::AlreadyPresent };
    Ok((state, Vec::new()))
}

/// Whether the ledger has every old row of a user, so that an earlier run wrote the user. As
/// of another moment it may have made other records of them.
fn has_all_rows(user: &UserRows, items: &[StoredItem]) -> bool {
    let stored = items.iter().flat_map(StoredItem::old_rows);
    let stored = stored.filter_map(|(_, rows)| serde_json::from_str::<Vec<&RawValue>>(rows).ok());
    let stored: BTreeSet<_> = stored.flatten().map(RawValue::get).collect();
    user.rows.iter().all(|(_, text)| stored.contains(text.as_str()))
}

/// The records, each with its rows; rows without a record are stored with the first one.
pub(crate) fn with_rows(user_plan: &UserPlan, user: &UserRows) -> Vec<ImportedRecord> {
    let mut texts: BTreeMap<_, _> = user.rows.iter().map(|(row, text)| (row.id, text.as_str())).collect();
    let mut records: Vec<_> = user_plan
        .records
        .iter()
        .map(|planned| (planned, planned.rows.iter().filter_map(|id| texts.remove(id)).collect::<Vec<_>>()))
        .collect();
    if let Some((_, rows)) = records.iter_mut().find(|(planned, _)| !planned.rows.is_empty()) {
        rows.extend(texts.into_values());
    }
    let text = |rows: Vec<&str>| format!("[{}]", rows.join(","));
    let imported = |(planned, rows): (&PlannedRecord, _)| ImportedRecord {
        key: planned.key.clone(),
        record: planned.record.clone(),
        rows: text(rows),
    };
    records.into_iter().map(imported).collect()
}

/// The first moment at which the new balance differs from the expected one, with both: as of
/// the migration or at a later expiry.
fn balance_difference(rows: &[OldRow], wallet: &Wallet, as_of: Timestamp) -> Option<String> {
    expected_balances(rows, as_of).into_iter().find_map(|(at, expected)| {
        let new = wallet.balance(at);
        (i128::from(new.as_u64()) != expected)
            .then(|| format!("at {at} the balance must be {expected} and would be {new}"))
    })
}

fn ledger_error(user: &UserId, error: &LedgerError) -> CliError {
    CliError::from_ledger(&format!("user {user}"), error)
}

#[cfg(test)]
mod tests {
    use scrip::domain::Credits;

    use super::*;
    use crate::plan::ReferenceOwner;

    #[test]
    fn balance_difference_names_the_moment_and_both_balances() {
        let at = |text| Timestamp::parse(text).unwrap();
        let (now, expiry) = (at("2026-01-01T00:00:00Z"), at("2026-03-01T00:00:00Z"));
        let row = |id: i64, credits, expired_at| OldRow {
            id,
            trans_no: format!("t{id}"),
            created_at: at("2025-01-01T00:00:00Z"),
            user_uuid: "u".to_owned(),
            trans_type: "system_add".to_owned(),
            credits,
            order_no: None,
            expired_at,
            order_owner: ReferenceOwner::Missing,
            generation_owner: ReferenceOwner::Missing,
            lot: None,
        };
        let rows = [row(1, 5, Some(expiry)), row(2, 9, None)];
        let planned = plan("u", &rows, &PlanRules::as_of(now)).unwrap().wallet.unwrap();
        assert_eq!(balance_difference(&rows, &planned, now), None);
        for (remaining, expected) in [
            ([4, 9], "at 2026-01-01T00:00:00.000Z the balance must be 14 and would be 13"),
            ([6, 8], "at 2026-03-01T00:00:00.000Z the balance must be 9 and would be 8"),
        ] {
            let mut wallet = planned.clone();
            for (pack, remaining) in wallet.packs.iter_mut().zip(remaining) {
                pack.remaining = Credits::try_from(remaining).unwrap();
            }
            assert_eq!(balance_difference(&rows, &wallet, now).as_deref(), Some(expected));
        }
    }
}
