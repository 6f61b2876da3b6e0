//! Cursors: positions in the pages of a query.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde_json::Value;
use uuid::Uuid;

use crate::domain::TransNo;

/// The cursors of one query. Each contains a hash of the query, and is invalid for others.
///
/// The hash prevents mistakes, not forgery: a query returns only what its caller may read.
pub(super) struct Cursors {
    query_hash: Uuid,
}

impl Cursors {
    /// The cursors of this query.
    pub(super) fn of(query: &[&str]) -> Cursors {
        // No identifier contains the separator.
        Cursors { query_hash: Uuid::new_v5(&Uuid::NAMESPACE_URL, query.join("#").as_bytes()) }
    }

    /// The cursor of the page before this record.
    pub(super) fn write(&self, before: TransNo) -> String {
        BASE64_URL_SAFE_NO_PAD.encode([self.query_hash.into_bytes(), before.uuid().into_bytes()].concat())
    }

    /// Parses a cursor of [`Cursors::write`].
    pub(super) fn read(&self, value: &Value) -> Result<TransNo, &'static str> {
        let bytes = value.as_str().and_then(|text| BASE64_URL_SAFE_NO_PAD.decode(text).ok());
        let before = bytes.and_then(|bytes| {
            let before = bytes.strip_prefix(self.query_hash.as_bytes())?;
            TransNo::try_from(Uuid::from_slice(before).ok()?).ok()
        });
        before.ok_or("is not a cursor of this query")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{InvocationId, Timestamp};

    #[test]
    fn cursor_is_valid_for_its_own_query_only() {
        let before = TransNo::new(Timestamp::from_millis(1).unwrap(), InvocationId::new(Uuid::max()));
        let cursors = Cursors::of(&["timeline", "u1"]);
        let cursor = cursors.write(before);
        assert_eq!(cursors.read(&Value::from(cursor.clone())), Ok(before));
        for (query, cursor) in [
            (["timeline", "u2"], Value::from(cursor.clone())),
            (["generation", "u1"], Value::from(cursor.clone())),
            (["timeline", "u1"], Value::from(format!("{cursor}AAAA"))),
            (["timeline", "u1"], Value::from("!")),
            (["timeline", "u1"], Value::from(1)),
        ] {
            assert!(Cursors::of(&query).read(&cursor).is_err(), "{query:?} {cursor}");
        }
    }
}
