//! Reads the report and the quarantine of a migration's folder, and writes the report of the
//! rollback.

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

/// The report of the rollback.
const ROLLBACK: &str = "rollback.json";

/// The folder of a finished migration.
pub(super) struct MigrationDir {
    path: PathBuf,
    /// Rows that the migration read.
    pub(super) rows: u64,
}

/// A line of the quarantine.
#[derive(Debug, Deserialize)]
struct QuarantinedUser {
    rows: Vec<Box<RawValue>>,
}

/// The report of the migration.
#[derive(Debug, Deserialize)]
struct MigrationReport {
    rows: BTreeMap<String, u64>,
}

impl MigrationDir {
    pub(super) fn open(path: &Path) -> Result<MigrationDir, CliError> {
        let report = path.join(REPORT);
        let text = fs::read(&report).map_err(|error| invalid_dir(&report, &error))?;
        let migrated: MigrationReport =
            serde_json::from_slice(&text).map_err(|error| invalid_dir(&report, &error))?;
        Ok(MigrationDir { path: path.to_owned(), rows: migrated.rows.values().sum() })
    }

    /// Opens the quarantine.
    pub(super) fn quarantine(&self) -> Result<QuarantineReader, CliError> {
        let path = self.path.join(QUARANTINE);
        let file = File::open(&path).map_err(|error| invalid_dir(&path, &error))?;
        Ok(QuarantineReader { users: Deserializer::from_reader(BufReader::new(file)).into_iter(), path })
    }

    pub(super) fn write_report(&self, report: &Report) -> Result<(), CliError> {
        let path = self.path.join(ROLLBACK);
        let text = serde_json::to_string_pretty(report).map_err(|error| CliError(error.to_string()))?;
        fs::write(&path, text + "\n").map_err(|error| {
            CliError(format!("the rollback is committed, but {} cannot be written: {error}", path.display()))
        })
    }
}

/// Reads the quarantine user by user. A row may contain line breaks, so it is read as a
/// stream of JSON values, not of lines.
pub(super) struct QuarantineReader {
    users: StreamDeserializer<'static, IoRead<BufReader<File>>, QuarantinedUser>,
    path: PathBuf,
}

impl QuarantineReader {
    /// The rows of the next user, byte for byte.
    pub(super) fn next(&mut self) -> Result<Option<Vec<String>>, CliError> {
        let user = self.users.next().transpose().map_err(|error| invalid_dir(&self.path, &error))?;
        Ok(user.map(|user| user.rows.iter().map(|row| row.get().to_owned()).collect()))
    }
}

fn invalid_dir(path: &Path, error: &dyn std::error::Error) -> CliError {
    CliError(format!("{}: {error}; --folder must be the folder of a finished migration", path.display()))
}
