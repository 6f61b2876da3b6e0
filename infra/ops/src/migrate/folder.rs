use std::{
    fs::{self, File},
    io::{BufWriter, Write},
    path::{Path, PathBuf},
};

use scrip::domain::Timestamp;
use serde_json::{json, value::RawValue};

use super::{ImportState, Report, UserOutcome};
use crate::{cli_error::CliError, legacy::UserRows};

/// The moment as of which all is moved; written once, before anything else.
const AS_OF: &str = "as_of";
/// Users who were not moved, with their rows: one a line.
pub(crate) const QUARANTINE: &str = "quarantine.jsonl";
/// Users whom the old charges cost too much: one a line.
const SHORTFALL: &str = "shortfall.jsonl";
/// The sums.
pub(crate) const REPORT: &str = "report.json";

/// What a migration keeps on disk.
pub(super) struct MigrationDir {
    /// The moment as of which all is moved.
    pub(super) as_of: Timestamp,
    path: PathBuf,
    quarantine: BufWriter<File>,
    shortfall: BufWriter<File>,
}

impl MigrationDir {
    /// The folder of an earlier run, or a new one as of now. A dry run does not say as
    /// of when the others will be.
    pub(super) fn open(path: &Path, now: Timestamp, is_dry_run: bool) -> Result<MigrationDir, CliError> {
        fs::create_dir_all(path).map_err(|error| cannot_write(path, &error))?;
        let file = path.join(AS_OF);
        let as_of = match kept(&file)? {
            Some(as_of) => as_of,
            None if is_dry_run => now,
            None => keep(&file, now)?,
        };
        let open = |name: &str| {
            let path = path.join(name);
            File::create(&path).map(BufWriter::new).map_err(|error| cannot_write(&path, &error))
        };
        Ok(MigrationDir {
            as_of,
            quarantine: open(QUARANTINE)?,
            shortfall: open(SHORTFALL)?,
            path: path.to_owned(),
        })
    }

    /// InvocationMetrics a user who was not moved, or has a shortfall.
    pub(super) fn note(&mut self, user: &UserRows, end: &UserOutcome) -> Result<(), CliError> {
        let name = &user.user;
        match end {
            UserOutcome::Rejected(refusal) => self.keep(user, &refusal.to_string()),
            UserOutcome::BalanceDiffers(why) => self.keep(user, why),
            UserOutcome::Moved(_, ImportState::UsedSince, _) => {
                self.keep(user, "the user has records in the ledger already")
            }
            UserOutcome::Moved(moved, ..) if moved.wallet.is_none() => {
                self.keep(user, "no row has any credits")
            }
            UserOutcome::Moved(moved, ..) if moved.shortfall.is_empty() => Ok(()),
            UserOutcome::Moved(moved, ..) => {
                let parts = moved.shortfall.iter().map(|(at, credits)| {
                    json!({ "credits": credits.as_u64(), "expired_at": at.map(|at| at.to_string()) })
                });
                let line = json!({ "user_uuid": name, "short": parts.collect::<Vec<_>>() });
                writeln!(self.shortfall, "{line}")
                    .map_err(|error| cannot_write(&self.path.join(SHORTFALL), &error))
            }
        }
    }

    fn keep(&mut self, user: &UserRows, why: &str) -> Result<(), CliError> {
        let path = self.path.join(QUARANTINE);
        let rows: Vec<_> =
            user.rows.iter().filter_map(|(_, text)| RawValue::from_string(text.clone()).ok()).collect();
        let line = serde_json::to_string(&QuarantineLine { user_uuid: &user.user, why, rows });
        let line = line.map_err(|error| CliError(format!("{}: {error}", path.display())))?;
        writeln!(self.quarantine, "{line}").map_err(|error| cannot_write(&path, &error))
    }

    /// Writes all out, and the report last.
    pub(super) fn finish(mut self, report: &Report) -> Result<(), CliError> {
        for (file, name) in [(&mut self.quarantine, QUARANTINE), (&mut self.shortfall, SHORTFALL)] {
            file.flush().map_err(|error| cannot_write(&self.path.join(name), &error))?;
        }
        let path = self.path.join(REPORT);
        let text = serde_json::to_string_pretty(report).map_err(|error| CliError(error.to_string()))?;
        fs::write(&path, text + "\n").map_err(|error| cannot_write(&path, &error))
    }
}

#[derive(serde::Serialize)]
struct QuarantineLine<'a> {
    user_uuid: &'a str,
    why: &'a str,
    rows: Vec<Box<RawValue>>,
}

/// The moment as of which the migration of this folder is.
///
/// # Errors
/// It was not begun.
pub fn as_of(folder: &Path) -> Result<Timestamp, CliError> {
    let none = || CliError(format!("{} is no folder of a migration: --folder names it", folder.display()));
    kept(&folder.join(AS_OF))?.ok_or_else(none)
}

/// The moment that an earlier run has kept.
fn kept(file: &Path) -> Result<Option<Timestamp>, CliError> {
    let Ok(text) = fs::read_to_string(file) else { return Ok(None) };
    let moment = Timestamp::parse(text.trim());
    moment.map(Some).ok_or_else(|| CliError(format!("{} holds no moment; was it changed?", file.display())))
}

/// Keeps a moment, in one step: a file that is there is whole.
fn keep(file: &Path, moment: Timestamp) -> Result<Timestamp, CliError> {
    let whole = file.with_extension("new");
    let written = fs::write(&whole, format!("{moment}\n")).and_then(|()| fs::rename(&whole, file));
    written.map(|()| moment).map_err(|error| cannot_write(file, &error))
}

fn cannot_write(path: &Path, error: &std::io::Error) -> CliError {
    CliError(format!(
        "cannot write {}: {error}; make room or choose another --folder, and run again",
        path.display()
    ))
}
