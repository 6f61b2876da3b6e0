//! Header and trailer of an export file.

use std::fmt;

use scrip::store::JsonItem;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

/// The format number of the file.
pub(super) const FORMAT: u64 = 1;

/// The first line.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Header {
    /// The format number.
    pub(super) scrip_export: u64,
    /// The exported table.
    pub(super) table: String,
    /// When the export began.
    pub(super) at: String,
}

/// The last line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trailer {
    /// The number of items.
    pub items: u64,
    /// The number of users. Items of a user are consecutive.
    pub users: u64,
    /// The SHA-256 of all lines before this one, with their line breaks.
    pub sha256: String,
}

impl fmt::Display for Trailer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:>12} items", self.items)?;
        writeln!(f, "{:>12} users", self.users)?;
        writeln!(f, "sha256 {}", self.sha256)
    }
}

/// Computes the trailer from the lines before it.
#[derive(Default)]
pub(super) struct TrailerBuilder {
    items: u64,
    users: u64,
    last_user: Option<String>,
    hash: Sha256,
}

impl TrailerBuilder {
    pub(super) fn add_item(&mut self, item: &JsonItem) {
        self.items += 1;
        let user = key_part(item, USER);
        if self.last_user.as_deref() != Some(user) {
            self.last_user = Some(user.to_owned());
            self.users += 1;
        }
    }

    /// Hashes a line with its line break.
    pub(super) fn add_line(&mut self, line: &[u8]) {
        self.hash.update(line);
    }

    /// The trailer after the lines so far.
    pub(super) fn trailer(&self) -> Trailer {
        let sha256 = hex::encode(self.hash.clone().finalize());
        Trailer { items: self.items, users: self.users, sha256 }
    }
}

/// Names of the key attributes.
pub(super) const USER: &str = "user_uuid";
pub(super) const SORT: &str = "sk";

/// The value of a key attribute.
pub(super) fn key_part<'a>(item: &'a JsonItem, name: &str) -> &'a str {
    item.get(name).and_then(Value::as_str).unwrap_or_default()
}
