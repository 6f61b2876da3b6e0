//! Reads and validates an export file.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, ErrorKind, Read},
    path::Path,
};

use flate2::bufread::MultiGzDecoder;
use scrip::store::JsonItem;
use serde_json::Value;

use super::format::{FORMAT, Header, SORT, Trailer, TrailerBuilder};
use crate::cli_error::CliError;

/// The limit of a line. An item has at most 400 KiB, and JSON writes a byte as at most six.
const LINE_BYTES_MAX: u64 = 4 * 1024 * 1024;

const TRUNCATED: &str = "the file is truncated; copy it again from the original";
const CORRUPT: &str = "the file has changed since it was written; copy it again from the original";
const FOREIGN: &str = "the file was not written by scrip-ops export";
const OTHER_FORMAT: &str =
    "the file was written by another version of scrip-ops; import it with that version";

/// Iterates over the items of a file. The trailer is checked at the end.
pub(super) struct Reader<'a> {
    path: &'a Path,
    pub(super) header: Header,
    lines: Lines,
    trailer_builder: TrailerBuilder,
}

impl<'a> Reader<'a> {
    /// Opens a file and reads its header.
    pub(super) fn open(path: &'a Path) -> Result<Reader<'a>, CliError> {
        let file = File::open(path).map_err(|error| CliError::from_io(path, &error))?;
        let mut lines = Lines::new(file);
        let header = lines.header().map_err(|reason| file_error(path, &reason))?;
        let mut trailer_builder = TrailerBuilder::default();
        trailer_builder.add_line(&lines.line);
        Ok(Reader { path, header, lines, trailer_builder })
    }

    /// The next item, or `None` after a correct trailer.
    fn next_item(&mut self) -> Result<Option<JsonItem>, String> {
        if !self.lines.next()? {
            return Err(TRUNCATED.to_owned());
        }
        let line: JsonItem = serde_json::from_slice(&self.lines.line).map_err(|_| CORRUPT)?;
        // Only items have a sort key.
        if line.contains_key(SORT) {
            self.trailer_builder.add_line(&self.lines.line);
            self.trailer_builder.add_item(&line);
            return Ok(Some(line));
        }
        let trailer: Trailer = serde_json::from_value(Value::Object(line)).map_err(|_| CORRUPT)?;
        let is_correct = trailer == self.trailer_builder.trailer() && !self.lines.next()?;
        if is_correct { Ok(None) } else { Err(CORRUPT.to_owned()) }
    }

    /// The trailer, after all items were read.
    pub(super) fn trailer(&self) -> Trailer {
        self.trailer_builder.trailer()
    }
}

impl Iterator for Reader<'_> {
    type Item = Result<JsonItem, CliError>;

    fn next(&mut self) -> Option<Result<JsonItem, CliError>> {
        self.next_item().map_err(|reason| file_error(self.path, &reason)).transpose()
    }
}

struct Lines {
    text: BufReader<MultiGzDecoder<BufReader<File>>>,
    /// The last line that was read, with its line break.
    line: Vec<u8>,
}

impl Lines {
    fn new(file: File) -> Lines {
        Lines { text: BufReader::new(MultiGzDecoder::new(BufReader::new(file))), line: Vec::new() }
    }

    fn header(&mut self) -> Result<Header, String> {
        match self.next() {
            Err(reason) if reason == CORRUPT && self.text.get_ref().header().is_none() => {
                return Err(FOREIGN.to_owned());
            }
            read => read?,
        };
        let header: Header = serde_json::from_slice(&self.line).map_err(|_| FOREIGN)?;
        if header.scrip_export == FORMAT { Ok(header) } else { Err(OTHER_FORMAT.to_owned()) }
    }

    /// Reads the next line. Returns whether there was one.
    fn next(&mut self) -> Result<bool, String> {
        self.line.clear();
        let mut bounded = self.text.by_ref().take(LINE_BYTES_MAX);
        bounded.read_until(b'\n', &mut self.line).map_err(|error| describe(&error))?;
        Ok(!self.line.is_empty())
    }
}

fn file_error(path: &Path, reason: &str) -> CliError {
    CliError(format!("{}: {reason}", path.display()))
}

/// The decoder reports invalid gzip by the kind of the error.
fn describe(error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::UnexpectedEof => TRUNCATED.to_owned(),
        ErrorKind::InvalidInput | ErrorKind::InvalidData => CORRUPT.to_owned(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use serde_json::json;

    use super::{super::writer::Writer, *};

    fn item(user: &str, sort: &str) -> JsonItem {
        let item =
            json!({ "user_uuid": user, "sk": sort, "price": 31.245270191439438, "old_rows": "é\n\u{1}\"" });
        item.as_object().cloned().unwrap()
    }

    /// The items, if the file is valid.
    fn read(path: &Path) -> Option<Vec<JsonItem>> {
        Reader::open(path).ok()?.collect::<Result<_, _>>().ok()
    }

    #[test]
    fn file_with_any_truncation_or_changed_bit_is_rejected() {
        let folder = tempfile::tempdir().unwrap();
        let (path, changed) = (folder.path().join("whole"), folder.path().join("changed"));
        let items = vec![item("u", "charge#g#"), item("u", "wallet"), item("v", "wallet")];
        let header = Header { scrip_export: FORMAT, table: "credits".to_owned(), at: String::new() };
        let mut file = Writer::create(&path, &header).unwrap();
        items.iter().for_each(|item| file.add_item(item).unwrap());
        let (trailer, _) = file.finish().unwrap();
        assert_eq!((trailer.items, trailer.users), (3, 2));
        assert_eq!(read(&path).as_ref(), Some(&items));

        let whole = fs::read(&path).unwrap();
        for length in 0..whole.len() {
            fs::write(&changed, &whole[..length]).unwrap();
            assert_eq!(read(&changed), None, "truncated after {length} bytes");
        }
        for index in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[index] ^= 1 << (index % 8);
            fs::write(&changed, &bytes).unwrap();
            // Some bits of gzip have no effect.
            assert!(read(&changed).is_none_or(|read| read == items), "changed byte {index}");
        }
        for suffix in [&b"x"[..], &whole] {
            fs::write(&changed, [&whole, suffix].concat()).unwrap();
            assert_eq!(read(&changed), None, "bytes after the end");
        }
    }
}
