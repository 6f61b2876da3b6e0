use std::fmt;

use scrip::store::JsonItem;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

/// The form of the file, as its header says it.
pub(super) const FORMAT: u64 = 1;

/// The first line.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Header {
    /// The form of all that follows.
    pub(super) scrip_export: u64,
    /// The table that the items are of.
    pub(super) table: String,
    /// When the export began.
    pub(super) at: String,
}

/// The last line: what came before it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trailer {
    /// How many items there are.
    pub items: u64,
    /// How many users they are of: one user's come one after the other.
    pub users: u64,
    /// The SHA-256 of all lines before this one, each with its end.
    pub sha256: String,
}

impl fmt::Display for Trailer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:>12} items", self.items)?;
        writeln!(f, "{:>12} users", self.users)?;
        writeln!(f, "sha256 {}", self.sha256)
    }
}

/// What the trailer will say of the lines that have passed.
#[derive(Default)]
pub(super) struct TrailerBuilder {
    items: u64,
    users: u64,
    last: Option<String>,
    hash: Sha256,
}

impl TrailerBuilder {
    /// Counts an item in.
    pub(super) fn item(&mut self, item: &JsonItem) {
        self.items += 1;
        let user = text(item, USER);
        if self.last.as_deref() != Some(user) {
            self.last = Some(user.to_owned());
            self.users += 1;
        }
    }

    /// Takes in a line, with its end.
    pub(super) fn line(&mut self, line: &[u8]) {
        self.hash.update(line);
    }

    /// The trailer, if it came now.
    pub(super) fn trailer(&self) -> Trailer {
        let sha256 = hex::encode(self.hash.clone().finalize());
        Trailer { items: self.items, users: self.users, sha256 }
    }
}

/// The parts of an item's key.
pub(super) const USER: &str = "user_uuid";
pub(super) const SORT: &str = "sk";

/// A part of an item's key.
pub(super) fn text<'a>(item: &'a JsonItem, part: &str) -> &'a str {
    item.get(part).and_then(Value::as_str).unwrap_or_default()
}
