use serde::{Deserialize, Serialize};

/// What a record is for.
///
/// New writes are grants and charges; the refund types exist in migrated
/// history only, from a time when a refund was a positive row.
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

/// Why credits were granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum GrantType {
    /// Once for a user.
    NewUser,
    /// Once for an order.
    OrderPay,
    /// By the operator or the system.
    SystemAdd,
}

/// What credits were spent on. A new type of generation needs no code.
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
        grant.map(TransType::Grant).or_else(charge).or_else(refund).ok_or("is no trans_type")
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
    fn every_type_prints_what_it_was_parsed_from() {
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
    fn what_is_no_type_is_refused() {
        let (longest, too_long) = ("a".repeat(64) + "_generation", "a".repeat(65) + "_generation");
        assert!(TransType::try_from(longest).is_ok());
        for text in
            ["", "Chat", "_generation", "generation", "Anime_generation", "new_user_refund", &too_long]
        {
            assert!(TransType::try_from(text.to_owned()).is_err(), "{text}");
        }
    }
}
