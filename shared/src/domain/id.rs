use std::marker::PhantomData;

use serde::{Deserialize, Serialize};

/// An identifier that a caller gave: 1 to 255 of `A-Z a-z 0-9 . _ : -`.
///
/// `#` is outside that form, so it can separate the parts of a sort key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String", bound = "Kind: Clone")]
pub struct Id<Kind> {
    text: String,
    kind: PhantomData<Kind>,
}

/// Whose wallet it is.
pub type UserId = Id<kind::User>;
/// The generation, or chat session, that a charge pays for.
pub type GenerationId = Id<kind::Generation>;
/// The order that paid for a grant.
pub type OrderNo = Id<kind::Order>;
/// What makes a repeated request the same request.
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
}

impl<Kind> Id<Kind> {
    /// The longest that an identifier may be, in bytes and in characters.
    pub const LEN_MAX: usize = 255;

    /// The identifier as given.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl<Kind> TryFrom<String> for Id<Kind> {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, &'static str> {
        let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._:-".contains(&byte);
        if (1..=Self::LEN_MAX).contains(&text.len()) && text.bytes().all(is_allowed) {
            Ok(Id { text, kind: PhantomData })
        } else {
            Err("must be 1 to 255 of A-Z a-z 0-9 . _ : -")
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
    fn the_form_of_an_identifier() {
        let longest = "a".repeat(255);
        let too_long = "a".repeat(256);
        for (text, taken) in [
            ("u", true),
            ("Az09._:-", true),
            (longest.as_str(), true),
            (too_long.as_str(), false),
            ("", false),
            ("a b", false),
            ("a#b", false),
            ("ü", false),
            ("a\n", false),
        ] {
            assert_eq!(UserId::try_from(text.to_owned()).is_ok(), taken, "{text:?}");
        }
    }
}
