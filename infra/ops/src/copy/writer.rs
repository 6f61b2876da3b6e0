//! Writes an export file under a temporary name.

use std::{
    ffi::OsStr,
    io::{self, BufWriter, Write},
    path::Path,
};

use flate2::{Compression, write::GzEncoder};
use scrip::store::JsonItem;
use serde::Serialize;
use tempfile::{Builder, NamedTempFile};

use super::format::{Header, Trailer, TrailerBuilder};
use crate::cli_error::CliError;

/// Writes to a temporary file in the folder of the target. `finish` renames it, so the target
/// is always complete; without `finish` the temporary file is deleted.
pub(super) struct Writer<'a> {
    path: &'a Path,
    lines: GzEncoder<BufWriter<NamedTempFile>>,
    trailer_builder: TrailerBuilder,
}

impl<'a> Writer<'a> {
    /// Starts a file whose path does not exist.
    pub(super) fn create(path: &'a Path, header: &Header) -> Result<Writer<'a>, CliError> {
        if path.exists() {
            return Err(CliError(format!("{} already exists; choose another --file", path.display())));
        }
        let failed = |error| cannot_write(path, &error);
        let file = temporary_file(path).map_err(failed)?;
        let lines = GzEncoder::new(BufWriter::new(file), Compression::default());
        let mut writer = Writer { path, lines, trailer_builder: TrailerBuilder::default() };
        writer.write_line(header).map_err(failed)?;
        Ok(writer)
    }

    pub(super) fn add_item(&mut self, item: &JsonItem) -> Result<(), CliError> {
        self.trailer_builder.add_item(item);
        self.write_line(item).map_err(|error| cannot_write(self.path, &error))
    }

    fn write_line(&mut self, line: &impl Serialize) -> io::Result<()> {
        let mut line = serde_json::to_vec(line)?;
        line.push(b'\n');
        self.trailer_builder.add_line(&line);
        self.lines.write_all(&line)
    }

    /// Writes the trailer and renames the file. Returns the trailer and the size in bytes.
    pub(super) fn finish(mut self) -> Result<(Trailer, u64), CliError> {
        let trailer = self.trailer_builder.trailer();
        let path = self.path;
        let size = self.write_line(&trailer).and_then(|()| persist(self.lines, path));
        size.map(|bytes| (trailer, bytes)).map_err(|error| cannot_write(path, &error))
    }
}

/// A new file in the same folder, readable by its owner only.
fn temporary_file(path: &Path) -> io::Result<NamedTempFile> {
    let folder = path.parent().filter(|folder| *folder != Path::new("")).unwrap_or(Path::new("."));
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(OsStr::new("."));
    Builder::new().prefix(&name).suffix(".new").tempfile_in(folder)
}

/// Syncs the file to the disk, then renames it.
fn persist(lines: GzEncoder<BufWriter<NamedTempFile>>, path: &Path) -> io::Result<u64> {
    let file = lines.finish()?.into_inner()?;
    file.as_file().sync_all()?;
    Ok(file.persist_noclobber(path)?.metadata()?.len())
}

fn cannot_write(path: &Path, error: &io::Error) -> CliError {
    CliError(format!(
        "cannot write {}: {error}; free some space or choose another --file, and run again",
        path.display()
    ))
}
