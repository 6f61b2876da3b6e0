//! Compares the old table with the ledger, and each wallet of the ledger with its records.

mod check_order;
mod check_user;
mod compare;
mod report;
mod sample;

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use clap::Args;
use futures_util::{TryStreamExt, stream};
use scrip::{domain::Timestamp, ledger::Ledger};
use tokio::time::sleep;
use uuid::Uuid;

pub use report::Report;

use crate::{
    cli_error::CliError,
    legacy::{LegacyDatabase, NameOverrides},
    migrate,
    order_numbers::order_numbers,
    progress::Progress,
    users::Users,
};
use check_order::check_order;
use check_user::check_user;
use compare::compare;
use sample::{Sample, select_users};

/// Users that are checked concurrently.
const CONCURRENT_USERS: usize = 8;
/// Orders that are checked concurrently.
const CONCURRENT_ORDERS: usize = 16;

/// Options of the command `verify`.
#[derive(Clone, Debug, Args)]
pub struct Settings {
    /// URL of the old tables, to compare them too: postgres://user:password@host/database
    #[arg(long, value_name = "URL", env = "SCRIP_OLD_URL", hide_env_values = true)]
    pub from: Option<String>,
    /// Names of the old tables and columns.
    #[command(flatten)]
    pub names: NameOverrides,
    /// Folder of the migration
    #[arg(long, value_name = "DIR", default_value = migrate::DEFAULT_DIR)]
    pub folder: PathBuf,
    /// Of the old tables, only users with a row created since then
    #[arg(long, value_name = "TIME", value_parser = migrate::parse_time)]
    pub since: Option<Timestamp>,
    /// Only that many random users, and no order without them; all by default
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub sample: Option<u32>,
    /// Seed of the sample, to select the same users again
    #[arg(long, value_name = "NUMBER")]
    pub seed: Option<u64>,
    /// Repeat for that long, such as 48h, and end at the first discrepancy
    #[arg(long = "for", value_name = "TIME", value_parser = humantime::parse_duration)]
    pub duration: Option<Duration>,
    /// Pause between two repetitions
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = humantime::parse_duration)]
    pub every: Duration,
    /// Also write the report to this file, as JSON
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
}

/// Checks the users of the ledger, and of the old tables if the settings have a URL.
///
/// # Errors
/// The ledger, the database or a file failed. Discrepancies are in the report.
pub async fn verify(ledger: &Ledger, settings: &Settings) -> Result<Report, CliError> {
    let seed = settings.seed.unwrap_or_else(|| Uuid::new_v4().as_u64_pair().0 >> 32);
    let mut report = Report { seed: settings.sample.map(|_| seed), ..Report::default() };
    let mut sample =
        settings.sample.map(|size| Sample { size: usize::try_from(size).unwrap_or(usize::MAX), seed });
    if let Some(url) = &settings.from {
        compare_legacy_users(url, ledger, settings, sample, &mut report).await?;
    }
    let (ends_at, is_quiet) =
        (Instant::now() + settings.duration.unwrap_or_default(), settings.duration.is_some());
    loop {
        check_all(ledger, sample, is_quiet, &mut report).await?;
        if sample.is_none() {
            check_orders(ledger, is_quiet, &mut report).await?;
        }
        if !report.is_sound() || Instant::now() + settings.every > ends_at {
            break;
        }
        eprintln!(
            "no discrepancy in {} users; next check in {}",
            report.users,
            humantime::format_duration(settings.every)
        );
        sleep(settings.every).await;
        sample = sample.map(|sample| Sample { seed: sample.seed.wrapping_add(1), ..sample });
    }
    if let Some(path) = &settings.report {
        let text = serde_json::to_string_pretty(&report).map_err(|error| CliError(error.to_string()))?;
        std::fs::write(path, text + "\n").map_err(|error| CliError::from_io(path, &error))?;
    }
    Ok(report)
}

async fn compare_legacy_users(
    url: &str,
    ledger: &Ledger,
    settings: &Settings,
    sample: Option<Sample>,
    report: &mut Report,
) -> Result<(), CliError> {
    let names = settings.names.resolve()?;
    let (as_of, rules) = migrate::moment_and_rules(&settings.folder)?;
    let plan_rules = rules.plan(as_of);
    let mut database = LegacyDatabase::connect(url).await?;
    let snapshot = database.snapshot(&names, &rules.read_rules(), settings.since).await?;
    let mut progress = Progress::start(Some(snapshot.count().0), "old users");
    let users = stream::try_unfold(snapshot, |mut snapshot| async move {
        Ok::<_, CliError>(snapshot.next_user().await?.map(|user| (user, snapshot)))
    });
    let users = select_users(users, |user| &user.user, sample).await?;
    let mut comparisons =
        users.map_ok(|user| compare(ledger, user, &plan_rules)).try_buffer_unordered(CONCURRENT_USERS);
    while let Some(comparison) = comparisons.try_next().await? {
        progress.advance(1);
        *report.legacy_users.entry(comparison.outcome).or_default() += 1;
        report.add_discrepancies(&comparison.user, comparison.discrepancies);
    }
    progress.finish();
    Ok(())
}

async fn check_all(
    ledger: &Ledger,
    sample: Option<Sample>,
    is_quiet: bool,
    report: &mut Report,
) -> Result<(), CliError> {
    let mut progress = (!is_quiet).then(|| Progress::start(None, "users"));
    let users = stream::try_unfold(Users::scan(ledger), |mut users| async move {
        Ok::<_, CliError>(users.next().await?.map(|user| (user, users)))
    });
    let users = select_users(users, String::as_str, sample).await?;
    let mut checks = users.map_ok(|user| check_user(ledger, user)).try_buffer_unordered(CONCURRENT_USERS);
    while let Some(check) = checks.try_next().await? {
        progress.iter_mut().for_each(|progress| progress.advance(1));
        report.users += 1;
        report.records += check.records;
        report.voided += check.voided;
        report.add_discrepancies(&check.user, check.discrepancies);
        check.latencies.into_iter().for_each(|(read, latency)| report.record_latency(read, latency));
    }
    progress.iter().for_each(Progress::finish);
    Ok(())
}

/// Looks for orders without a grant, which the audit of a user cannot find.
async fn check_orders(ledger: &Ledger, is_quiet: bool, report: &mut Report) -> Result<(), CliError> {
    let mut progress = (!is_quiet).then(|| Progress::start(None, "orders"));
    let checks = order_numbers(ledger).map_ok(|number| check_order(ledger, number));
    let mut checks = std::pin::pin!(checks.try_buffer_unordered(CONCURRENT_ORDERS));
    while let Some(check) = checks.try_next().await? {
        progress.iter_mut().for_each(|progress| progress.advance(1));
        report.orders += 1;
        report.add_order(&check.owner, check.discrepancies);
    }
    progress.iter().for_each(Progress::finish);
    Ok(())
}
