//! Holds the old table against the ledger, and the ledger against itself.

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
    progress::Progress,
    users::Users,
};
use check_user::check_user;
use compare::compare;
use sample::{Sample, select_users};

/// How many users are looked at at once.
const AT_ONCE: usize = 8;

/// What is looked at, and how often.
#[derive(Clone, Debug, Args)]
pub struct Settings {
    /// Also compare with the old tables: postgres://user:password@host/database
    #[arg(long, value_name = "URL", env = "SCRIP_OLD_URL", hide_env_values = true)]
    pub from: Option<String>,
    /// What they are called.
    #[command(flatten)]
    pub called: NameOverrides,
    /// The migration's folder
    #[arg(long, value_name = "DIR", default_value = migrate::FOLDER)]
    pub folder: PathBuf,
    /// Of the old tables, only users who have a row made since then
    #[arg(long, value_name = "TIME", value_parser = migrate::moment)]
    pub since: Option<Timestamp>,
    /// Only so many users, by chance; all where absent
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub sample: Option<u32>,
    /// What the chance is made of, to look at the same users again
    #[arg(long, value_name = "NUMBER")]
    pub seed: Option<u64>,
    /// Look at the table again and again for so long, as 48h, and end with the first fault
    #[arg(long = "for", value_name = "TIME", value_parser = humantime::parse_duration)]
    pub lasting: Option<Duration>,
    /// How long to wait between
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = humantime::parse_duration)]
    pub every: Duration,
    /// Also write what was found to this file, as JSON
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
}

/// Looks at what the settings say.
///
/// # Errors
/// What stopped it, in one line. What it finds is in the report.
pub async fn verify(ledger: &Ledger, settings: &Settings) -> Result<Report, CliError> {
    let seed = settings.seed.unwrap_or_else(|| Uuid::new_v4().as_u64_pair().0 >> 32);
    let mut report = Report { seed: settings.sample.map(|_| seed), ..Report::default() };
    let mut sample =
        settings.sample.map(|size| Sample { size: usize::try_from(size).unwrap_or(usize::MAX), seed });
    if let Some(url) = &settings.from {
        compare_all(url, ledger, settings, sample, &mut report).await?;
    }
    let (end, is_quiet) = (Instant::now() + settings.lasting.unwrap_or_default(), settings.lasting.is_some());
    loop {
        check_all(ledger, sample, is_quiet, &mut report).await?;
        if !report.is_sound() || Instant::now() + settings.every > end {
            break;
        }
        eprintln!(
            "no fault in {} users; again in {}",
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

/// Holds the old tables against the ledger.
async fn compare_all(
    url: &str,
    ledger: &Ledger,
    settings: &Settings,
    sample: Option<Sample>,
    report: &mut Report,
) -> Result<(), CliError> {
    let (names, as_of) = (settings.called.names()?, migrate::as_of(&settings.folder)?);
    let mut old = LegacyDatabase::connect(url).await?;
    let snapshot = old.snapshot(&names, settings.since).await?;
    let mut progress = Progress::start(Some(snapshot.count().0), "old users");
    let users = stream::try_unfold(snapshot, |mut snapshot| async move {
        Ok::<_, CliError>(snapshot.next_user().await?.map(|user| (user, snapshot)))
    });
    let users = select_users(users, |user| &user.user, sample).await?;
    let mut compared = users.map_ok(|user| compare(ledger, user, as_of)).try_buffer_unordered(AT_ONCE);
    while let Some(compared) = compared.try_next().await? {
        progress.pass(1);
        *report.old.entry(compared.became).or_default() += 1;
        report.note(&compared.user, compared.faults);
    }
    progress.end();
    Ok(())
}

/// Holds the table against itself.
async fn check_all(
    ledger: &Ledger,
    sample: Option<Sample>,
    is_quiet: bool,
    report: &mut Report,
) -> Result<(), CliError> {
    let mut progress = (!is_quiet).then(|| Progress::start(None, "users"));
    let users = stream::try_unfold(Users::of(ledger), |mut users| async move {
        Ok::<_, CliError>(users.next().await?.map(|user| (user, users)))
    });
    let users = select_users(users, String::as_str, sample).await?;
    let mut looks = users.map_ok(|user| check_user(ledger, user)).try_buffer_unordered(AT_ONCE);
    while let Some(look) = looks.try_next().await? {
        progress.iter_mut().for_each(|progress| progress.pass(1));
        report.users += 1;
        report.records += look.records;
        report.voided += look.voided;
        report.note(&look.user, look.faults);
        look.times.into_iter().for_each(|(read, took)| report.clock(read, took));
    }
    progress.iter().for_each(Progress::end);
    Ok(())
}
