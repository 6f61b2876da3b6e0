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

/// No line is longer: an item has at most 400 KiB, and JSON makes at most six characters
/// of a byte.
const LINE_BYTES_MAX: u64 = 4 * 1024 * 1024;

const TRUNCATED: &str = "it is cut off; copy it again from where it was whole";
const CHANGED: &str = "it is not as it was written; copy it again from where it was whole";
const FOREIGN: &str = "it is not from scrip-ops export";
const OTHER_FORMAT: &str = "it is from another version of scrip-ops; import it with that one";

/// The items of a file, one after the other. That the file is whole is known at its end.
pub(super) struct Reader<'a> {
    path: &'a Path,
    /// What the first line says.
    pub(super) header: Header,
    lines: Lines,
    trailer_builder: TrailerBuilder,
}

impl<'a> Reader<'a> {
    /// Begins with a file's header.
    pub(super) fn open(path: &'a Path) -> Result<Reader<'a>, CliError> {
        let file = File::open(path).map_err(|error| CliError::from_io(path, &error))?;
        let mut lines = Lines::of(file);
        let header = lines.header().map_err(|why| refused(path, &why))?;
        let mut trailer_builder = TrailerBuilder::default();
        trailer_builder.line(&lines.line);
        Ok(Reader { path, header, lines, trailer_builder })
    }

    /// The next item; none after the trailer, which must be right.
    fn next_item(&mut self) -> Result<Option<JsonItem>, String> {
        if !self.lines.next()? {
            return Err(TRUNCATED.to_owned());
        }
        let line: JsonItem = serde_json::from_slice(&self.lines.line).map_err(|_| CHANGED)?;
        // An item has a key, and the trailer has none.
        if line.contains_key(SORT) {
            self.trailer_builder.line(&self.lines.line);
            self.trailer_builder.item(&line);
            return Ok(Some(line));
        }
        let trailer: Trailer = serde_json::from_value(Value::Object(line)).map_err(|_| CHANGED)?;
        let is_right = trailer == self.trailer_builder.trailer() && !self.lines.next()?;
        if is_right { Ok(None) } else { Err(CHANGED.to_owned()) }
    }

    /// What the trailer of the file says, once all items were read.
    pub(super) fn counted(&self) -> Trailer {
        self.trailer_builder.trailer()
    }
}

impl Iterator for Reader<'_> {
    type Item = Result<JsonItem, CliError>;

    fn next(&mut self) -> Option<Result<JsonItem, CliError>> {
        self.next_item().map_err(|why| refused(self.path, &why)).transpose()
    }
}

/// The lines of a file.
struct Lines {
    text: BufReader<MultiGzDecoder<BufReader<File>>>,
    /// The last one that was read, with its end.
    line: Vec<u8>,
}

impl Lines {
    fn of(file: File) -> Lines {
        Lines { text: BufReader::new(MultiGzDecoder::new(BufReader::new(file))), line: Vec::new() }
    }

    fn header(&mut self) -> Result<Header, String> {
        match self.next() {
            Err(why) if why == CHANGED && self.text.get_ref().header().is_none() => {
                return Err(FOREIGN.to_owned());
            }
            read => read?,
        };
        let header: Header = serde_json::from_slice(&self.line).map_err(|_| FOREIGN)?;
        if header.scrip_export == FORMAT { Ok(header) } else { Err(OTHER_FORMAT.to_owned()) }
    }

    /// Reads the next one; whether there is one.
    fn next(&mut self) -> Result<bool, String> {
        self.line.clear();
        let mut bounded = self.text.by_ref().take(LINE_BYTES_MAX);
        bounded.read_until(b'\n', &mut self.line).map_err(|error| why(&error))?;
        Ok(!self.line.is_empty())
    }
}

fn refused(path: &Path, why: &str) -> CliError {
    CliError(format!("{}: {why}", path.display()))
}

/// The decoder says by the kind what is wrong with the gzip.
fn why(error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::UnexpectedEof => TRUNCATED.to_owned(),
        ErrorKind::InvalidInput | ErrorKind::InvalidData => CHANGED.to_owned(),
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

    /// The items, if the file is whole.
    fn read(path: &Path) -> Option<Vec<JsonItem>> {
        Reader::open(path).ok()?.collect::<Result<_, _>>().ok()
    }

    #[test]
    fn a_file_is_read_as_it_was_written_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let (path, odd) = (folder.path().join("whole"), folder.path().join("odd"));
        let items = vec![item("u", "charge#g#"), item("u", "wallet"), item("v", "wallet")];
        let header = Header { scrip_export: FORMAT, table: "credits".to_owned(), at: String::new() };
        let mut file = Writer::create(&path, &header).unwrap();
        items.iter().for_each(|item| file.item(item).unwrap());
        let (trailer, _) = file.finish().unwrap();
        assert_eq!((trailer.items, trailer.users), (3, 2));
        assert_eq!(read(&path).as_ref(), Some(&items));

        let whole = fs::read(&path).unwrap();
        for length in 0..whole.len() {
            fs::write(&odd, &whole[..length]).unwrap();
            assert_eq!(read(&odd), None, "cut off after {length} bytes");
        }
        for place in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[place] ^= 1 << (place % 8);
            fs::write(&odd, &bytes).unwrap();
            // Some bits of gzip say nothing, or the same.
            assert!(read(&odd).is_none_or(|read| read == items), "byte {place} is another");
        }
        for more in [&b"x"[..], &whole] {
            fs::write(&odd, [&whole, more].concat()).unwrap();
            assert_eq!(read(&odd), None, "goes on after its end");
        }
    }
}
