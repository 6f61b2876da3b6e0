//! The identities of records and of invocations.

use serde::{Deserialize, Serialize};
use uuid::{Builder, Uuid};

use super::Timestamp;

/// The identity of a record: a UUID version 7 (RFC 9562). Its first 48 bits are the record's
/// `created_at`, so that identities sort by time.
///
/// ```
/// use scrip::domain::{InvocationId, Timestamp, TransNo};
/// # use uuid::Uuid;
///
/// let created_at = Timestamp::parse("2026-01-31T00:00:00Z").expect("a valid time");
/// let invocation = InvocationId::new(Uuid::from_u128(7));
/// let trans_no = TransNo::new(created_at, invocation);
/// assert_eq!(trans_no.created_at(), created_at);
/// assert!(trans_no.is_from(invocation));
/// assert!(trans_no < TransNo::new(created_at.plus_millis(1), invocation));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "Uuid")]
pub struct TransNo(Uuid);

/// The random part of all identities that one invocation creates. Each retry plans its
/// record with a new time and the same `InvocationId`. So an invocation whose response of
/// DynamoDB was lost recognizes its own write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct InvocationId(Uuid);

impl InvocationId {
    /// From a random UUID version 4.
    pub fn new(random: Uuid) -> InvocationId {
        InvocationId(random)
    }

    /// Whether it was derived from a name, as in migrated history, and is not random.
    pub fn is_named(self) -> bool {
        self.0.get_version_num() == 5
    }

    fn bytes(self) -> [u8; 10] {
        let mut bytes = [0; 10];
        bytes.copy_from_slice(&self.0.as_bytes()[6..]);
        bytes
    }
}

impl TransNo {
    /// The identity of a record that this invocation creates at this time.
    pub fn new(created_at: Timestamp, invocation_id: InvocationId) -> TransNo {
        TransNo::with_tail(created_at, invocation_id.bytes())
    }

    /// The least identity of a record of this time, or of 1970 for earlier times.
    pub fn first_at(time: Timestamp) -> TransNo {
        TransNo::with_tail(time, [0; 10])
    }

    fn with_tail(time: Timestamp, tail: [u8; 10]) -> TransNo {
        let millis = u64::try_from(time.millis()).unwrap_or(0);
        TransNo(Builder::from_unix_timestamp_millis(millis, &tail).into_uuid())
    }

    /// The creation time of the record.
    pub fn created_at(self) -> Timestamp {
        time_of(self.0).expect("new and try_from accept valid times only")
    }

    /// Whether this invocation created it.
    pub fn is_from(self, invocation_id: InvocationId) -> bool {
        self == TransNo::new(self.created_at(), invocation_id)
    }

    /// The identity as a UUID.
    pub fn uuid(self) -> Uuid {
        self.0
    }
}

fn time_of(uuid: Uuid) -> Option<Timestamp> {
    let millis = uuid.as_bytes()[..6].iter().fold(0, |millis, &byte| millis << 8 | i64::from(byte));
    Timestamp::from_millis(millis)
}

impl TryFrom<Uuid> for TransNo {
    type Error = &'static str;

    fn try_from(uuid: Uuid) -> Result<TransNo, &'static str> {
        if uuid.get_version_num() == 7 && time_of(uuid).is_some() {
            Ok(TransNo(uuid))
        } else {
            Err("must be a UUID version 7")
        }
    }
}

impl std::fmt::Display for InvocationId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl std::fmt::Display for TransNo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trans_no_contains_its_time_and_its_invocation() {
        let time = Timestamp::parse("2026-01-31T10:20:30.456Z").unwrap();
        let (own, other) = (InvocationId::new(Uuid::from_u128(7)), InvocationId::new(Uuid::from_u128(8)));
        let trans_no = TransNo::new(time, own);
        assert_eq!(trans_no.created_at(), time);
        assert!(trans_no.is_from(own) && !trans_no.is_from(other));
        assert!(TransNo::new(time.plus_millis(1), own).is_from(own));
        assert!(TransNo::first_at(time) <= trans_no && trans_no < TransNo::first_at(time.plus_millis(1)));
        assert_eq!(TransNo::try_from(trans_no.uuid()), Ok(trans_no));
        assert!(TransNo::try_from(Uuid::from_u128(7)).is_err());
    }
}
