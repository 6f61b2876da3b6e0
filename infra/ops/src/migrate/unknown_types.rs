//! Rows of types that the ledger does not have, with a proposal for each type.

use std::fmt;

use scrip::domain::TransType;
use serde::Serialize;

use crate::plan::OldRow;

/// Rows that are named as examples.
const EXAMPLES_MAX: usize = 3;

/// Parts of names that propose the type `chat`.
const CHAT_NAMES: [&str; 5] = ["chat", "message", "ping", "talk", "conversation"];

/// The rows of an unknown type.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct UnknownType {
    /// Number of rows above zero.
    pub positive: u64,
    /// Number of rows below zero.
    pub negative: u64,
    /// `trans_no` of the first rows.
    pub examples: Vec<String>,
    /// The option `--type` that fits, or none if the signs differ.
    pub proposal: Option<String>,
}

impl UnknownType {
    pub(super) fn add(&mut self, row: &OldRow) {
        self.positive += u64::from(row.credits > 0);
        self.negative += u64::from(row.credits < 0);
        if self.examples.len() < EXAMPLES_MAX {
            self.examples.push(row.trans_no.clone());
        }
        let proposed = match (self.positive, self.negative) {
            (1.., 0) => proposed_grant(&row.trans_type),
            (0, 1..) => proposed_charge(&row.trans_type),
            _ => None,
        };
        self.proposal = proposed.map(|new| format!("--type {}={new}", row.trans_type));
    }
}

impl fmt::Display for UnknownType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let UnknownType { positive, negative, examples, proposal } = self;
        write!(f, "{positive} rows above zero, {negative} below, such as {}; ", examples.join(", "))?;
        match proposal {
            Some(proposal) => write!(f, "proposed: {proposal}"),
            None => f.write_str("no proposal: choose a type by --type"),
        }
    }
}

fn proposed_grant(old: &str) -> Option<String> {
    let new = match old.to_ascii_lowercase().strip_suffix("_refund") {
        Some(charge) => format!("{}_refund", proposed_charge(charge)?),
        None => "system_add".to_owned(),
    };
    is_type(new)
}

fn proposed_charge(old: &str) -> Option<String> {
    let name = snake_case(old);
    if CHAT_NAMES.iter().any(|part| name.contains(part)) {
        return is_type("chat".to_owned());
    }
    let stem = ["_generation", "_generate", "_gen"].iter().find_map(|suffix| name.strip_suffix(suffix));
    is_type(format!("{}_generation", stem.unwrap_or(&name)))
}

fn is_type(text: String) -> Option<String> {
    TransType::try_from(text.clone()).is_ok().then_some(text)
}

/// Lower case with `_` between words, and without other characters.
fn snake_case(text: &str) -> String {
    let mut name = String::new();
    for letter in text.chars() {
        let is_separator = !letter.is_ascii_alphanumeric();
        let is_after_word = name.ends_with(|last: char| last.is_ascii_lowercase() || last.is_ascii_digit());
        if (is_separator || letter.is_ascii_uppercase()) && is_after_word {
            name.push('_');
        }
        name.extend((!is_separator).then(|| letter.to_ascii_lowercase()));
    }
    name.trim_end_matches('_').to_owned()
}

#[cfg(test)]
mod tests {
    use scrip::domain::Timestamp;

    use super::*;
    use crate::plan::ReferenceOwner;

    fn row(trans_type: &str, credits: i64) -> OldRow {
        OldRow {
            id: 1,
            trans_no: "t1".to_owned(),
            created_at: Timestamp::from_millis(0).unwrap(),
            user_uuid: "u".to_owned(),
            trans_type: trans_type.to_owned(),
            credits,
            order_no: None,
            expired_at: None,
            order_owner: ReferenceOwner::Missing,
            generation_owner: ReferenceOwner::Missing,
            lot: None,
        }
    }

    #[test]
    fn proposal_fits_the_sign_and_the_name() {
        for (trans_type, credits, expected) in [
            ("ping", &[-1, -1][..], Some("chat")),
            ("flux_generate", &[-2], Some("flux_generation")),
            ("NanoBanana_generate", &[-2], Some("nano_banana_generation")),
            ("Text-To-Video", &[-5], Some("text_to_video_generation")),
            ("share_reward", &[5], Some("system_add")),
            ("flux_gen_refund", &[2], Some("flux_generation_refund")),
            ("transfer", &[2, -2], None),
            ("???", &[-1], None),
        ] {
            let mut unknown = UnknownType::default();
            credits.iter().for_each(|credits| unknown.add(&row(trans_type, *credits)));
            let expected = expected.map(|new| format!("--type {trans_type}={new}"));
            assert_eq!(unknown.proposal, expected, "{trans_type}");
        }
    }
}
