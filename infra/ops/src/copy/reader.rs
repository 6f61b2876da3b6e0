use std::{
    fs::File,
    io::{self, BufRead, BufReader, ErrorKind, Read},
    path::Path,
};

use flate2::bufread::MultiGzDecoder;
use scrip::store::JsonItem;
use serde_json::Value;

use super::file::{CreditSum, FORM, Foot, Head, SORT};
use crate::problem::Problem;

/// No line is longer: an item has at most 400 KiB, and JSON makes at most six characters
/// of a byte.
const LINE_BYTES_MAX: u64 = 4 * 1024 * 1024;

const CUT_OFF: &str = "it is cut off; copy it again from where it was whole";
const CHANGED: &str = "it is not as it was written; copy it again from where it was whole";
const FOREIGN: &str = "it is not from scrip-ops export";
const OTHER_FORM: &str = "it is from another version of scrip-ops; import it with that one";

/// The items of a file, one after the other. That the file is whole is known at its end.
pub(super) struct Reader<'a> {
    path: &'a Path,
    /// What the first line says.
    pub(super) head: Head,
    lines: Lines,
    tally: CreditSum,
}

impl<'a> Reader<'a> {
    /// Begins with a file's head.
    pub(super) fn open(path: &'a Path) -> Result<Reader<'a>, Problem> {
        let file = File::open(path).map_err(|error| Problem::of_file(path, &error))?;
        let mut lines = Lines::of(file);
        let head = lines.head().map_err(|why| refused(path, &why))?;
        let mut tally = CreditSum::default();
        tally.line(&lines.line);
        Ok(Reader { path, head, lines, tally })
    }

    /// The next item; none after the foot, which must be right.
    fn next_item(&mut self) -> Result<Option<JsonItem>, String> {
        if !self.lines.next()? {
            return Err(CUT_OFF.to_owned());
        }
        let line: JsonItem = serde_json::from_slice(&self.lines.line).map_err(|_| CHANGED)?;
        // An item has a key, and the foot has none.
        if line.contains_key(SORT) {
            self.tally.line(&self.lines.line);
            self.tally.item(&line);
            return Ok(Some(line));
        }
        let foot: Foot = serde_json::from_value(Value::Object(line)).map_err(|_| CHANGED)?;
        let is_right = foot == self.tally.foot() && !self.lines.next()?;
        if is_right { Ok(None) } else { Err(CHANGED.to_owned()) }
    }

    /// What the foot of the file says, once all items were read.
    pub(super) fn counted(&self) -> Foot {
        self.tally.foot()
    }
}

impl Iterator for Reader<'_> {
    type Item = Result<JsonItem, Problem>;

    fn next(&mut self) -> Option<Result<JsonItem, Problem>> {
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

    fn head(&mut self) -> Result<Head, String> {
        match self.next() {
            Err(why) if why == CHANGED && self.text.get_ref().header().is_none() => {
                return Err(FOREIGN.to_owned());
            }
            read => read?,
        };
        let head: Head = serde_json::from_slice(&self.line).map_err(|_| FOREIGN)?;
        if head.scrip_export == FORM { Ok(head) } else { Err(OTHER_FORM.to_owned()) }
    }

    /// Reads the next one; whether there is one.
    fn next(&mut self) -> Result<bool, String> {
        self.line.clear();
        let mut bounded = self.text.by_ref().take(LINE_BYTES_MAX);
        bounded.read_until(b'\n', &mut self.line).map_err(|error| why(&error))?;
        Ok(!self.line.is_empty())
    }
}

fn refused(path: &Path, why: &str) -> Problem {
    Problem(format!("{}: {why}", path.display()))
}

/// The decoder says by the kind what is wrong with the gzip.
fn why(error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::UnexpectedEof => CUT_OFF.to_owned(),
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
        let head = Head { scrip_export: FORM, table: "credits".to_owned(), at: String::new() };
        let mut file = Writer::create(&path, &head).unwrap();
        items.iter().for_each(|item| file.item(item).unwrap());
        let (foot, _) = file.finish().unwrap();
        assert_eq!((foot.items, foot.users), (3, 2));
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
