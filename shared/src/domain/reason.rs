use serde::{Deserialize, Serialize};

/// Why a charge was voided, in the caller's words: 1 to 255 characters.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Reason(String);

impl Reason {
    /// The longest that a reason may be, in characters.
    const CHARS_MAX: usize = 255;

    /// The beginning of a text, as much as a reason may be; none of an empty one.
    pub fn truncated(text: &str) -> Option<Reason> {
        text.chars().take(Reason::CHARS_MAX).collect::<String>().try_into().ok()
    }

    /// The reason as given.
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
    fn a_reason_is_counted_in_characters() {
        for (text, taken) in [
            (String::new(), false),
            ("é".repeat(255), true),
            ("é".repeat(256), false),
            (" ".to_owned(), true),
        ] {
            assert_eq!(Reason::try_from(text.clone()).is_ok(), taken, "{text:?}");
        }
    }
}
