//! What the folder of the migration has, and gets.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::BufReader,
    path::{Path, PathBuf},
};

use serde::Deserialize;
use serde_json::{Deserializer, StreamDeserializer, de::IoRead, value::RawValue};

use super::Report;
use crate::{
    cli_error::CliError,
    migrate::{QUARANTINE, REPORT},
};

/// The sums of a rollback.
const ROLLBACK: &str = "rollback.json";

/// The folder of a migration that came to its end.
pub(super) struct MigrationDir {
    path: PathBuf,
    /// How many rows the old table had.
    pub(super) rows: u64,
}

/// A user who was not moved.
#[derive(Debug, Deserialize)]
struct QuarantinedUser {
    rows: Vec<Box<RawValue>>,
}

/// What the migration said of itself at its end.
#[derive(Debug, Deserialize)]
struct MigrationReport {
    rows: BTreeMap<String, u64>,
}

impl MigrationDir {
    pub(super) fn open(path: &Path) -> Result<MigrationDir, CliError> {
        let report = path.join(REPORT);
        let text = fs::read(&report).map_err(|error| no_migration(&report, &error))?;
        let migrated: MigrationReport =
            serde_json::from_slice(&text).map_err(|error| no_migration(&report, &error))?;
        Ok(MigrationDir { path: path.to_owned(), rows: migrated.rows.values().sum() })
    }

    /// The rows of the users who were not moved, user by user.
    pub(super) fn quarantine(&self) -> Result<QuarantineReader, CliError> {
        let path = self.path.join(QUARANTINE);
        let file = File::open(&path).map_err(|error| no_migration(&path, &error))?;
        Ok(QuarantineReader { users: Deserializer::from_reader(BufReader::new(file)).into_iter(), path })
    }

    /// Keeps the sums.
    pub(super) fn finish(&self, report: &Report) -> Result<(), CliError> {
        let path = self.path.join(ROLLBACK);
        let text = serde_json::to_string_pretty(report).map_err(|error| CliError(error.to_string()))?;
        fs::write(&path, text + "\n").map_err(|error| {
            CliError(format!("all is done, but {} cannot be written: {error}", path.display()))
        })
    }
}

/// Users who were not moved, one after the other. A row may have ends of lines in it, so
/// these are not read by lines.
pub(super) struct QuarantineReader {
    users: StreamDeserializer<'static, IoRead<BufReader<File>>, QuarantinedUser>,
    path: PathBuf,
}

impl QuarantineReader {
    /// The rows of the next user, as they were.
    pub(super) fn next(&mut self) -> Result<Option<Vec<String>>, CliError> {
        let user = self.users.next().transpose().map_err(|error| no_migration(&self.path, &error))?;
        Ok(user.map(|user| user.rows.iter().map(|row| row.get().to_owned()).collect()))
    }
}

fn no_migration(path: &Path, error: &dyn std::error::Error) -> CliError {
    CliError(format!(
        "{}: {error}; --folder has to be the folder of a migration that came to its end",
        path.display()
    ))
}
