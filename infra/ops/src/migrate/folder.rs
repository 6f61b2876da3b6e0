//! The folder of a migration: its moment and rules, the quarantine, the adjustments, the
//! shortfalls and the report.

use std::{
    fs::{self, File},
    io::{BufWriter, Write},
    path::{Path, PathBuf},
};

use scrip::domain::Timestamp;
use serde_json::{json, value::RawValue};

use super::{ImportState, Quarantined, Report, Rules, Settings, UserOutcome};
use crate::{cli_error::CliError, legacy::UserRows, plan::UserPlan};

/// The moment of the migration; written once, before anything else.
const AS_OF: &str = "as_of";
/// The rules of the migration; written before anything else, and extended by later runs.
const RULES: &str = "rules.json";
/// Users who were not migrated, with their rows: one a line.
pub(crate) const QUARANTINE: &str = "quarantine.jsonl";
/// Users who lack credits, by expiry: one a line.
const SHORTFALL: &str = "shortfall.jsonl";
/// Differences between old sums and grants: one a line.
const ADJUSTMENTS: &str = "adjustments.jsonl";
/// Counts and sums of the run.
pub(crate) const REPORT: &str = "report.json";

pub(super) struct MigrationDir {
    pub(super) as_of: Timestamp,
    pub(super) rules: Rules,
    path: PathBuf,
    quarantine: BufWriter<File>,
    shortfall: BufWriter<File>,
    adjustments: BufWriter<File>,
}

impl MigrationDir {
    /// Opens the folder of an earlier run, or creates one as of now. A dry run stores neither
    /// its moment nor its rules.
    pub(super) fn open(now: Timestamp, settings: &Settings) -> Result<MigrationDir, CliError> {
        let path = &settings.folder;
        fs::create_dir_all(path).map_err(|error| cannot_write(path, &error))?;
        let rules = Rules::read(&path.join(RULES))?.with(&settings.rules)?;
        let moment = read_moment(&path.join(AS_OF))?;
        if !settings.dry_run {
            let text = serde_json::to_string_pretty(&rules).map_err(|error| CliError(error.to_string()))?;
            write_file(&path.join(RULES), &(text + "\n"))?;
            if moment.is_none() {
                write_file(&path.join(AS_OF), &format!("{now}\n"))?;
            }
        }
        let open = |name: &str| {
            let path = path.join(name);
            File::create(&path).map(BufWriter::new).map_err(|error| cannot_write(&path, &error))
        };
        Ok(MigrationDir {
            as_of: moment.unwrap_or(now),
            rules,
            quarantine: open(QUARANTINE)?,
            shortfall: open(SHORTFALL)?,
            adjustments: open(ADJUSTMENTS)?,
            path: path.to_owned(),
        })
    }

    /// Adds a user to the quarantine, or to the adjustments and shortfalls.
    pub(super) fn write_user(&mut self, user: &UserRows, outcome: &UserOutcome) -> Result<(), CliError> {
        match outcome {
            UserOutcome::LeftBehind(Quarantined::Rejected(rejection), _) => {
                self.quarantine(user, &rejection.to_string())
            }
            UserOutcome::LeftBehind(Quarantined::BalanceDiffers(difference), _) => {
                self.quarantine(user, difference)
            }
            UserOutcome::Planned(_, ImportState::UsedSince, _) => {
                self.quarantine(user, "the user already has other records in the ledger")
            }
            UserOutcome::Planned(user_plan, ..) if user_plan.wallet.is_none() => {
                self.quarantine(user, "no row has credits")
            }
            UserOutcome::Planned(user_plan, ..) => self.write_differences(user, user_plan),
        }
    }

    fn write_differences(&mut self, user: &UserRows, user_plan: &UserPlan) -> Result<(), CliError> {
        for adjustment in &user_plan.adjustments {
            let (reason, credits) = (adjustment.reason, adjustment.credits);
            let line = json!({ "user_uuid": &user.user, "credits": credits, "reason": reason });
            writeln!(self.adjustments, "{line}")
                .map_err(|error| cannot_write(&self.path.join(ADJUSTMENTS), &error))?;
        }
        if user_plan.shortfall.is_empty() {
            return Ok(());
        }
        let parts = user_plan.shortfall.iter().map(
            |(at, credits)| json!({ "credits": credits.as_u64(), "expired_at": at.map(|at| at.to_string()) }),
        );
        let line = json!({ "user_uuid": &user.user, "short": parts.collect::<Vec<_>>() });
        writeln!(self.shortfall, "{line}").map_err(|error| cannot_write(&self.path.join(SHORTFALL), &error))
    }

    fn quarantine(&mut self, user: &UserRows, why: &str) -> Result<(), CliError> {
        let path = self.path.join(QUARANTINE);
        let rows: Vec<_> =
            user.rows.iter().filter_map(|(_, text)| RawValue::from_string(text.clone()).ok()).collect();
        let line = serde_json::to_string(&QuarantineLine { user_uuid: &user.user, why, rows });
        let line = line.map_err(|error| CliError(format!("{}: {error}", path.display())))?;
        writeln!(self.quarantine, "{line}").map_err(|error| cannot_write(&path, &error))
    }

    /// Flushes all files and writes the report last.
    pub(super) fn finish(mut self, report: &Report) -> Result<(), CliError> {
        for (file, name) in [
            (&mut self.quarantine, QUARANTINE),
            (&mut self.shortfall, SHORTFALL),
            (&mut self.adjustments, ADJUSTMENTS),
        ] {
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

/// The moment and the rules of the migration of a folder.
///
/// # Errors
/// No migration was started with this folder.
pub fn moment_and_rules(folder: &Path) -> Result<(Timestamp, Rules), CliError> {
    let not_found = || CliError(format!("{} is no folder of a migration; set --folder", folder.display()));
    let as_of = read_moment(&folder.join(AS_OF))?.ok_or_else(not_found)?;
    Ok((as_of, Rules::read(&folder.join(RULES))?))
}

fn read_moment(file: &Path) -> Result<Option<Timestamp>, CliError> {
    let Ok(text) = fs::read_to_string(file) else { return Ok(None) };
    let moment = Timestamp::parse(text.trim());
    moment.map(Some).ok_or_else(|| {
        CliError(format!("{} must contain a time such as 2026-08-01T00:00:00Z", file.display()))
    })
}

/// Writes a file atomically, by a rename.
fn write_file(file: &Path, text: &str) -> Result<(), CliError> {
    let temporary = file.with_extension("new");
    let written = fs::write(&temporary, text).and_then(|()| fs::rename(&temporary, file));
    written.map_err(|error| cannot_write(file, &error))
}

fn cannot_write(path: &Path, error: &std::io::Error) -> CliError {
    CliError(format!(
        "cannot write {}: {error}; free some space or choose another --folder, and run again",
        path.display()
    ))
}
