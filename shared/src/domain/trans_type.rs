//! The types of records.

use serde::{Deserialize, Serialize};

/// The type of a record.
///
/// The ledger writes grants and charges. Refund types exist only in migrated history, where
/// a refund was a row with positive credits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum TransType {
    /// `new_user`, `order_pay`, `system_add`.
    Grant(GrantType),
    /// `chat`, `<gen>_generation`.
    Charge(ChargeType),
    /// `chat_refund`, `<gen>_generation_refund`.
    Refund(ChargeType),
}

/// The type of a grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum GrantType {
    /// The first grant of a user: one in a lifetime.
    NewUser,
    /// A paid order: one grant for each order.
    OrderPay,
    /// A grant by an operator or a program.
    SystemAdd,
}

/// The type of a charge. New types of generations need no change of the code.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ChargeType {
    /// A message of a chat session.
    Chat,
    /// `<gen>_generation`, with this `<gen>`: 1 to 64 of `a-z 0-9 _`.
    Generation(String),
}

impl TryFrom<String> for TransType {
    type Error = &'static str;

    fn try_from(text: String) -> Result<TransType, &'static str> {
        let grant = match text.as_str() {
            "new_user" => Some(GrantType::NewUser),
            "order_pay" => Some(GrantType::OrderPay),
            "system_add" => Some(GrantType::SystemAdd),
            _ => None,
        };
        let charge = || ChargeType::parse(&text).map(TransType::Charge);
        let refund = || text.strip_suffix("_refund").and_then(ChargeType::parse).map(TransType::Refund);
        grant.map(TransType::Grant).or_else(charge).or_else(refund).ok_or("must be a `trans_type`")
    }
}

impl ChargeType {
    fn parse(text: &str) -> Option<ChargeType> {
        if text == "chat" {
            return Some(ChargeType::Chat);
        }
        let is_allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        text.strip_suffix("_generation")
            .filter(|kind| (1..=64).contains(&kind.len()) && kind.bytes().all(is_allowed))
            .map(|kind| ChargeType::Generation(kind.to_owned()))
    }
}

impl std::fmt::Display for TransType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            TransType::Grant(GrantType::NewUser) => f.write_str("new_user"),
            TransType::Grant(GrantType::OrderPay) => f.write_str("order_pay"),
            TransType::Grant(GrantType::SystemAdd) => f.write_str("system_add"),
            TransType::Charge(charge) => charge.fmt(f),
            TransType::Refund(charge) => write!(f, "{charge}_refund"),
        }
    }
}

impl std::fmt::Display for ChargeType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ChargeType::Chat => f.write_str("chat"),
            ChargeType::Generation(kind) => write!(f, "{kind}_generation"),
        }
    }
}

impl From<TransType> for String {
    fn from(trans_type: TransType) -> String {
        trans_type.to_string()
    }
}

impl From<GrantType> for TransType {
    fn from(grant: GrantType) -> TransType {
        TransType::Grant(grant)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trans_type_prints_the_text_that_it_was_parsed_from() {
        for text in [
            "new_user",
            "order_pay",
            "system_add",
            "chat",
            "anime_generation",
            "4k_video_generation",
            "__generation",
            "chat_refund",
            "anime_generation_refund",
        ] {
            assert_eq!(TransType::try_from(text.to_owned()).map(String::from).as_deref(), Ok(text));
        }
    }

    #[test]
    fn trans_type_rejects_other_texts() {
        let (longest, too_long) = ("a".repeat(64) + "_generation", "a".repeat(65) + "_generation");
        assert!(TransType::try_from(longest).is_ok());
        for text in
            ["", "Chat", "_generation", "generation", "Anime_generation", "new_user_refund", &too_long]
        {
            assert!(TransType::try_from(text.to_owned()).is_err(), "{text}");
        }
    }
}
