//! Sort keys. `#` separates their parts and cannot occur in one.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;

use crate::domain::{GenerationUuid, RecordKey, TransNo, UserUuid};

/// The partition key of the table.
pub(super) const USER: &str = "user_uuid";
/// The sort key of the table.
pub(super) const SORT: &str = "sk";
/// The sort key of the one wallet of a user.
pub(super) const WALLET: &str = "wallet";

/// An item of the table.
pub(super) type Item = HashMap<String, AttributeValue>;

/// The whole key of one of a user's items.
pub(super) fn of(user: &UserUuid, sort: String) -> Item {
    HashMap::from([(USER.to_owned(), text(user.as_str())), (SORT.to_owned(), AttributeValue::S(sort))])
}

/// A string attribute.
pub(super) fn text(text: impl Into<String>) -> AttributeValue {
    AttributeValue::S(text.into())
}

/// The sort key of a record.
pub(super) fn sort(key: &RecordKey) -> String {
    match key {
        RecordKey::OrderGrant(order_no) => format!("grant#order#{order_no}"),
        RecordKey::NewUserGrant => "grant#new_user#".to_owned(),
        RecordKey::KeyedGrant(key) => format!("grant#key#{key}"),
        RecordKey::UnkeyedGrant(nonce) => format!("grant#unkeyed#{nonce}"),
        RecordKey::Charge { generation, key } => {
            format!("charge#{}#{}", part(generation.as_ref()), part(key.as_ref()))
        }
        RecordKey::UnkeyedCharge(nonce) => format!("charge###{nonce}"),
    }
}

/// What the sort keys of all charges of a generation begin with.
pub(super) fn charges_of(generation: &GenerationUuid) -> String {
    format!("charge#{generation}#")
}

/// A user's place in the generation index: all of a user's charges of one
/// generation stand together there, in the order of time.
pub(super) fn user_trans(user: &UserUuid, trans_no: impl std::fmt::Display) -> String {
    format!("{user}#{trans_no}")
}

/// The identity just before this one, for ranges that end before it; the last
/// of all where absent.
pub(super) fn before(trans_no: Option<TransNo>) -> uuid::Uuid {
    trans_no.map_or(uuid::Uuid::max(), |trans_no| uuid::Uuid::from_u128(trans_no.uuid().as_u128() - 1))
}

fn part<T: ToString>(id: Option<&T>) -> String {
    id.map(ToString::to_string).unwrap_or_default()
}

/// The charge that a sort key stands for.
pub(super) fn charge(sort: &str) -> Option<RecordKey> {
    let (generation, key) = sort.strip_prefix("charge#")?.split_once('#')?;
    let id = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    Some(RecordKey::Charge {
        generation: id(generation).map(TryInto::try_into).transpose().ok()?,
        key: id(key).map(TryInto::try_into).transpose().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Nonce;

    fn id<T: TryFrom<String>>(text: &str) -> Option<T> {
        T::try_from(text.to_owned()).ok()
    }

    #[test]
    fn no_two_keys_share_a_place() {
        let nonce = Nonce::new(uuid::Uuid::from_u128(7));
        let named = nonce.to_string();
        for (key, sort_key) in [
            (RecordKey::OrderGrant(id("o").unwrap()), "grant#order#o".to_owned()),
            (RecordKey::NewUserGrant, "grant#new_user#".to_owned()),
            (RecordKey::KeyedGrant(id("k").unwrap()), "grant#key#k".to_owned()),
            (RecordKey::UnkeyedGrant(nonce), format!("grant#unkeyed#{named}")),
            (RecordKey::Charge { generation: id("g"), key: id("k") }, "charge#g#k".to_owned()),
            (RecordKey::Charge { generation: id("g"), key: None }, "charge#g#".to_owned()),
            (RecordKey::Charge { generation: None, key: id(&named) }, format!("charge##{named}")),
            (RecordKey::UnkeyedCharge(nonce), format!("charge###{named}")),
        ] {
            assert_eq!(sort(&key), sort_key);
            if let RecordKey::Charge { .. } = key {
                assert_eq!(charge(&sort_key), Some(key));
            }
        }
        assert_eq!(charge("charge###x"), None);
    }
}
