//! The reason of a refund.

use serde::{Deserialize, Serialize};

/// The reason of a void, as the caller sent it: 1 to 255 characters.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Reason(String);

impl Reason {
    const CHARS_MAX: usize = 255;

    /// The first 255 characters of a text; `None` for an empty text.
    pub fn truncated(text: &str) -> Option<Reason> {
        text.chars().take(Reason::CHARS_MAX).collect::<String>().try_into().ok()
    }

    /// The text of the reason.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Reason {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Reason, &'static str> {
        if (1..=Reason::CHARS_MAX).contains(&text.chars().count()) {
            Ok(Reason(text))
        } else {
            Err("must be 1 to 255 characters")
        }
    }
}

impl From<Reason> for String {
    fn from(reason: Reason) -> String {
        reason.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reason_length_is_counted_in_characters() {
        for (text, is_valid) in [
            (String::new(), false),
            ("é".repeat(255), true),
            ("é".repeat(256), false),
            (" ".to_owned(), true),
        ] {
            assert_eq!(Reason::try_from(text.clone()).is_ok(), is_valid, "{text:?}");
        }
    }
}
