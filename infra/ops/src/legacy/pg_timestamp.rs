//! Conversion of PostgreSQL's times.

use std::error::Error;

use scrip::domain::Timestamp;
use tokio_postgres::types::{FromSql, Type, accepts};

/// From 1970 to 2000, the epoch of PostgreSQL.
const EPOCH_OFFSET_MICROS: i64 = 946_684_800_000_000;

/// The range of a `Timestamp`, in milliseconds since 1970.
const MIN_MILLIS: i64 = -62_167_219_200_000;
const MAX_MILLIS: i64 = 253_402_300_799_999;

/// A `timestamp` or `timestamptz`; one without a time zone is in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PgTimestamp {
    /// `-infinity`, or before the year 0.
    BeforeRange,
    /// Truncated to milliseconds.
    At(Timestamp),
    /// After the year 9999.
    AfterRange,
    /// `infinity`.
    Infinity,
}

impl PgTimestamp {
    /// A time of creation, clamped to the years 0 to 9999. The plan rejects both bounds and `NULL`.
    pub(super) fn created_at(at: Option<PgTimestamp>) -> Timestamp {
        match at {
            None | Some(PgTimestamp::BeforeRange) => bound(MIN_MILLIS),
            Some(PgTimestamp::At(at)) => at,
            Some(PgTimestamp::AfterRange | PgTimestamp::Infinity) => bound(MAX_MILLIS),
        }
    }

    /// An expiry, clamped to the years 0 to 9999; `None` for `NULL` and `infinity`.
    pub(super) fn expired_at(at: Option<PgTimestamp>) -> Option<Timestamp> {
        match at {
            None | Some(PgTimestamp::Infinity) => None,
            Some(at) => Some(PgTimestamp::created_at(Some(at))),
        }
    }

    /// From microseconds since 2000.
    fn from_micros(micros: i64) -> PgTimestamp {
        let millis = micros.saturating_add(EPOCH_OFFSET_MICROS).div_euclid(1_000);
        match (micros, Timestamp::from_millis(millis)) {
            (i64::MAX, _) => PgTimestamp::Infinity,
            (_, Some(at)) => PgTimestamp::At(at),
            (_, None) if micros < 0 => PgTimestamp::BeforeRange,
            (_, None) => PgTimestamp::AfterRange,
        }
    }
}

fn bound(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis).expect("in range")
}

impl FromSql<'_> for PgTimestamp {
    fn from_sql(_: &Type, bytes: &[u8]) -> Result<PgTimestamp, Box<dyn Error + Sync + Send>> {
        Ok(PgTimestamp::from_micros(i64::from_be_bytes(bytes.try_into()?)))
    }

    accepts!(TIMESTAMP, TIMESTAMPTZ);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn postgresql_times_are_clamped_to_the_range_of_a_timestamp() {
        let (first, last) = ("0000-01-01T00:00:00.000Z", "9999-12-31T23:59:59.999Z");
        for (micros, created_at, expired_at) in [
            (0, "2000-01-01T00:00:00.000Z", Some("2000-01-01T00:00:00.000Z")),
            (1_999, "2000-01-01T00:00:00.001Z", Some("2000-01-01T00:00:00.001Z")),
            (-1, "1999-12-31T23:59:59.999Z", Some("1999-12-31T23:59:59.999Z")),
            (MAX_MILLIS * 1_000 + 999 - EPOCH_OFFSET_MICROS, last, Some(last)),
            (MAX_MILLIS * 1_000 + 1_000 - EPOCH_OFFSET_MICROS, last, Some(last)),
            (MIN_MILLIS * 1_000 - EPOCH_OFFSET_MICROS, first, Some(first)),
            (MIN_MILLIS * 1_000 - 1 - EPOCH_OFFSET_MICROS, first, Some(first)),
            (i64::MIN, first, Some(first)),
            (i64::MAX - 1, last, Some(last)),
            (i64::MAX, last, None),
        ] {
            let time = Some(PgTimestamp::from_micros(micros));
            assert_eq!(PgTimestamp::created_at(time).to_string(), created_at, "{micros}");
            assert_eq!(
                PgTimestamp::expired_at(time).map(|at| at.to_string()).as_deref(),
                expired_at,
                "{micros}"
            );
        }
        assert_eq!(
            (PgTimestamp::created_at(None).to_string().as_str(), PgTimestamp::expired_at(None)),
            (first, None)
        );
    }
}
