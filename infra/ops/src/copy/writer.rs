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

/// A file that is being written: beside the place where it will stand, so that a file
/// that stands there is whole. It is gone again if it is not finished.
pub(super) struct Writer<'a> {
    path: &'a Path,
    lines: GzEncoder<BufWriter<NamedTempFile>>,
    trailer_builder: TrailerBuilder,
}

impl<'a> Writer<'a> {
    /// Begins a file where none is.
    pub(super) fn create(path: &'a Path, header: &Header) -> Result<Writer<'a>, CliError> {
        if path.exists() {
            return Err(CliError(format!("{} is there already; name another --file", path.display())));
        }
        let failed = |error| cannot_write(path, &error);
        let file = beside(path).map_err(failed)?;
        let lines = GzEncoder::new(BufWriter::new(file), Compression::default());
        let mut writer = Writer { path, lines, trailer_builder: TrailerBuilder::default() };
        writer.line(header).map_err(failed)?;
        Ok(writer)
    }

    /// Adds an item.
    pub(super) fn item(&mut self, item: &JsonItem) -> Result<(), CliError> {
        self.trailer_builder.item(item);
        self.line(item).map_err(|error| cannot_write(self.path, &error))
    }

    fn line(&mut self, line: &impl Serialize) -> io::Result<()> {
        let mut line = serde_json::to_vec(line)?;
        line.push(b'\n');
        self.trailer_builder.line(&line);
        self.lines.write_all(&line)
    }

    /// Ends the file and puts it in its place: what its trailer says, and how many bytes it is.
    pub(super) fn finish(mut self) -> Result<(Trailer, u64), CliError> {
        let trailer = self.trailer_builder.trailer();
        let path = self.path;
        let ended = self.line(&trailer).and_then(|()| put(self.lines, path));
        ended.map(|bytes| (trailer, bytes)).map_err(|error| cannot_write(path, &error))
    }
}

/// A new file in the same folder, which nobody else may read.
fn beside(path: &Path) -> io::Result<NamedTempFile> {
    let folder = path.parent().filter(|folder| *folder != Path::new("")).unwrap_or(Path::new("."));
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(OsStr::new("."));
    Builder::new().prefix(&name).suffix(".new").tempfile_in(folder)
}

/// All of it onto the disk, and only then to its place.
fn put(lines: GzEncoder<BufWriter<NamedTempFile>>, path: &Path) -> io::Result<u64> {
    let file = lines.finish()?.into_inner()?;
    file.as_file().sync_all()?;
    Ok(file.persist_noclobber(path)?.metadata()?.len())
}

fn cannot_write(path: &Path, error: &io::Error) -> CliError {
    CliError(format!(
        "cannot write {}: {error}; make room or name another --file, and run again",
        path.display()
    ))
}
