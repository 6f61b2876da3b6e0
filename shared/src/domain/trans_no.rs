use serde::{Deserialize, Serialize};
use uuid::{Builder, Uuid};

use super::Timestamp;

/// The identity of a record: a UUID version 7 (RFC 9562), whose first 48 bits
/// are the record's `created_at`, so that the order of the text is the order in
/// time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "Uuid")]
pub struct TransNo(Uuid);

/// The random part of every identity that one invocation makes. A planned
/// record is stamped anew whenever the wallet moved, but keeps its invocation_id: by it
/// an invocation knows its own write again when the answer was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct InvocationId(Uuid);

impl InvocationId {
    /// From a random UUID version 4.
    pub fn new(random: Uuid) -> InvocationId {
        InvocationId(random)
    }

    /// Whether it was made of a name, as those of migrated history are, and not drawn.
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
    /// The identity of a record made at this moment by the invocation of `invocation_id`.
    pub fn new(created_at: Timestamp, invocation_id: InvocationId) -> TransNo {
        TransNo::with_tail(created_at, invocation_id.bytes())
    }

    /// The least identity that a record of this moment can have. Moments
    /// before 1970 are held at 1970.
    pub fn first_at(moment: Timestamp) -> TransNo {
        TransNo::with_tail(moment, [0; 10])
    }

    fn with_tail(moment: Timestamp, tail: [u8; 10]) -> TransNo {
        let millis = u64::try_from(moment.millis()).unwrap_or(0);
        TransNo(Builder::from_unix_timestamp_millis(millis, &tail).into_uuid())
    }

    /// When the record was made.
    pub fn created_at(self) -> Timestamp {
        moment_of(self.0).expect("new and try_from let no other moment in")
    }

    /// Whether the invocation of `invocation_id` made it.
    pub fn is_from(self, invocation_id: InvocationId) -> bool {
        self == TransNo::new(self.created_at(), invocation_id)
    }

    /// The identity as a UUID.
    pub fn uuid(self) -> Uuid {
        self.0
    }
}

fn moment_of(uuid: Uuid) -> Option<Timestamp> {
    let millis = uuid.as_bytes()[..6].iter().fold(0, |millis, &byte| millis << 8 | i64::from(byte));
    Timestamp::from_millis(millis)
}

impl TryFrom<Uuid> for TransNo {
    type Error = &'static str;

    fn try_from(uuid: Uuid) -> Result<TransNo, &'static str> {
        if uuid.get_version_num() == 7 && moment_of(uuid).is_some() {
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
    fn it_holds_its_moment_and_knows_its_maker() {
        let moment = Timestamp::parse("2026-01-31T10:20:30.456Z").unwrap();
        let (ours, theirs) = (InvocationId::new(Uuid::from_u128(7)), InvocationId::new(Uuid::from_u128(8)));
        let trans_no = TransNo::new(moment, ours);
        assert_eq!(trans_no.created_at(), moment);
        assert!(trans_no.is_from(ours) && !trans_no.is_from(theirs));
        assert!(TransNo::new(moment.plus_millis(1), ours).is_from(ours));
        assert!(TransNo::first_at(moment) <= trans_no && trans_no < TransNo::first_at(moment.plus_millis(1)));
        assert_eq!(TransNo::try_from(trans_no.uuid()), Ok(trans_no));
        assert!(TransNo::try_from(Uuid::from_u128(7)).is_err());
    }
}
