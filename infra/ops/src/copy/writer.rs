use std::{
    ffi::OsStr,
    io::{self, BufWriter, Write},
    path::Path,
};

use flate2::{Compression, write::GzEncoder};
use scrip::store::JsonItem;
use serde::Serialize;
use tempfile::{Builder, NamedTempFile};

use super::file::{CreditSum, Foot, Head};
use crate::problem::Problem;

/// A file that is being written: beside the place where it will stand, so that a file
/// that stands there is whole. It is gone again if it is not finished.
pub(super) struct Writer<'a> {
    path: &'a Path,
    lines: GzEncoder<BufWriter<NamedTempFile>>,
    tally: CreditSum,
}

impl<'a> Writer<'a> {
    /// Begins a file where none is.
    pub(super) fn create(path: &'a Path, head: &Head) -> Result<Writer<'a>, Problem> {
        if path.exists() {
            return Err(Problem(format!("{} is there already; name another --file", path.display())));
        }
        let failed = |error| cannot_write(path, &error);
        let file = beside(path).map_err(failed)?;
        let lines = GzEncoder::new(BufWriter::new(file), Compression::default());
        let mut writer = Writer { path, lines, tally: CreditSum::default() };
        writer.line(head).map_err(failed)?;
        Ok(writer)
    }

    /// Adds an item.
    pub(super) fn item(&mut self, item: &JsonItem) -> Result<(), Problem> {
        self.tally.item(item);
        self.line(item).map_err(|error| cannot_write(self.path, &error))
    }

    fn line(&mut self, line: &impl Serialize) -> io::Result<()> {
        let mut line = serde_json::to_vec(line)?;
        line.push(b'\n');
        self.tally.line(&line);
        self.lines.write_all(&line)
    }

    /// Ends the file and puts it in its place: what its foot says, and how many bytes it is.
    pub(super) fn finish(mut self) -> Result<(Foot, u64), Problem> {
        let foot = self.tally.foot();
        let path = self.path;
        let ended = self.line(&foot).and_then(|()| put(self.lines, path));
        ended.map(|bytes| (foot, bytes)).map_err(|error| cannot_write(path, &error))
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

fn cannot_write(path: &Path, error: &io::Error) -> Problem {
    Problem(format!(
        "cannot write {}: {error}; make room or name another --file, and run again",
        path.display()
    ))
}
