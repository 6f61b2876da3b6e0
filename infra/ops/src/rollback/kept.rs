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
    migrate::{QUARANTINE, REPORT},
    problem::Problem,
};

/// The sums of a rollback.
const ROLLBACK: &str = "rollback.json";

/// The folder of a migration that came to its end.
pub(super) struct Folder {
    path: PathBuf,
    /// How many rows the old table had.
    pub(super) rows: u64,
}

/// A user who was not moved.
#[derive(Debug, Deserialize)]
struct Quarantined {
    rows: Vec<Box<RawValue>>,
}

/// What the migration said of itself at its end.
#[derive(Debug, Deserialize)]
struct Migrated {
    rows: BTreeMap<String, u64>,
}

impl Folder {
    pub(super) fn open(path: &Path) -> Result<Folder, Problem> {
        let report = path.join(REPORT);
        let text = fs::read(&report).map_err(|error| no_migration(&report, &error))?;
        let migrated: Migrated =
            serde_json::from_slice(&text).map_err(|error| no_migration(&report, &error))?;
        Ok(Folder { path: path.to_owned(), rows: migrated.rows.values().sum() })
    }

    /// The rows of the users who were not moved, user by user.
    pub(super) fn quarantine(&self) -> Result<Quarantine, Problem> {
        let path = self.path.join(QUARANTINE);
        let file = File::open(&path).map_err(|error| no_migration(&path, &error))?;
        Ok(Quarantine { users: Deserializer::from_reader(BufReader::new(file)).into_iter(), path })
    }

    /// Keeps the sums.
    pub(super) fn finish(&self, report: &Report) -> Result<(), Problem> {
        let path = self.path.join(ROLLBACK);
        let text = serde_json::to_string_pretty(report).map_err(|error| Problem(error.to_string()))?;
        fs::write(&path, text + "\n").map_err(|error| {
            Problem(format!("all is done, but {} cannot be written: {error}", path.display()))
        })
    }
}

/// Users who were not moved, one after the other. A row may have ends of lines in it, so
/// these are not read by lines.
pub(super) struct Quarantine {
    users: StreamDeserializer<'static, IoRead<BufReader<File>>, Quarantined>,
    path: PathBuf,
}

impl Quarantine {
    /// The rows of the next user, as they were.
    pub(super) fn next(&mut self) -> Result<Option<Vec<String>>, Problem> {
        let user = self.users.next().transpose().map_err(|error| no_migration(&self.path, &error))?;
        Ok(user.map(|user| user.rows.iter().map(|row| row.get().to_owned()).collect()))
    }
}

fn no_migration(path: &Path, error: &dyn std::error::Error) -> Problem {
    Problem(format!(
        "{}: {error}; --folder has to be the folder of a migration that came to its end",
        path.display()
    ))
}
