//! The identifiers that callers send.

use std::marker::PhantomData;

use serde::{Deserialize, Serialize};

/// An identifier that a caller sends: 1 to 255 characters of
/// `A-Z a-z 0-9 . _ : - | @ + = ~ /`.
///
/// It never contains `#`, so `#` can separate the parts of a sort key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String", bound = "Kind: Clone")]
pub struct Id<Kind> {
    text: String,
    kind: PhantomData<Kind>,
}

/// The owner of a wallet.
pub type UserId = Id<kind::User>;
/// The generation, or chat session, that a charge pays for.
pub type GenerationId = Id<kind::Generation>;
/// The order that paid for a grant.
pub type OrderNo = Id<kind::Order>;
/// Who revokes credits of an order, such as `refund` or `dispute:1`.
pub type RevokeSource = Id<kind::Source>;
/// The caller's idempotency key.
pub type IdempotencyKey = Id<kind::Key>;

mod kind {
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
    pub enum User {}
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
    pub enum Generation {}
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
    pub enum Order {}
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
    pub enum Key {}
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
    pub enum Source {}
}

impl<Kind> Id<Kind> {
    /// The largest length, in bytes and in characters.
    pub const LEN_MAX: usize = 255;

    /// The text of the identifier.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl<Kind> TryFrom<String> for Id<Kind> {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, &'static str> {
        let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._:-|@+=~/".contains(&byte);
        if (1..=Self::LEN_MAX).contains(&text.len()) && text.bytes().all(is_allowed) {
            Ok(Id { text, kind: PhantomData })
        } else {
            Err("must be 1 to 255 characters of `A-Z a-z 0-9 . _ : - | @ + = ~ /`")
        }
    }
}

impl<Kind> From<Id<Kind>> for String {
    fn from(id: Id<Kind>) -> String {
        id.text
    }
}

impl<Kind> std::fmt::Display for Id<Kind> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn id_accepts_1_to_255_allowed_characters() {
        let longest = "a".repeat(255);
        let too_long = "a".repeat(256);
        for (text, is_valid) in [
            ("u", true),
            ("Az09._:-|@+=~/", true),
            (longest.as_str(), true),
            (too_long.as_str(), false),
            ("", false),
            ("a b", false),
            ("a#b", false),
            ("ü", false),
            ("a\n", false),
        ] {
            assert_eq!(UserId::try_from(text.to_owned()).is_ok(), is_valid, "{text:?}");
        }
    }
}
