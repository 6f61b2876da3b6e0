use std::error::Error;

use scrip::domain::Timestamp;
use tokio_postgres::types::{FromSql, Type, accepts};

/// From 1970 to 2000, where PostgreSQL begins to count.
const MICROS_TO_2000: i64 = 946_684_800_000_000;

/// The first and the last millisecond that a `Timestamp` can be.
const FIRST: i64 = -62_167_219_200_000;
const LAST: i64 = 253_402_300_799_999;

/// A time of PostgreSQL, of either type: one without a time zone is in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PgTimestamp {
    /// `-infinity`, or before the year 0.
    Before,
    /// A time, to the millisecond.
    At(Timestamp),
    /// After the year 9999.
    After,
    /// `infinity`.
    Never,
}

impl PgTimestamp {
    /// When something was made. A time that nothing is made at is one that the plan
    /// refuses.
    pub(super) fn made(at: Option<PgTimestamp>) -> Timestamp {
        match at {
            None | Some(PgTimestamp::Before) => bound(FIRST),
            Some(PgTimestamp::At(at)) => at,
            Some(PgTimestamp::After | PgTimestamp::Never) => bound(LAST),
        }
    }

    /// When something runs out; never, where absent.
    pub(super) fn end(at: Option<PgTimestamp>) -> Option<Timestamp> {
        match at {
            None | Some(PgTimestamp::Never) => None,
            Some(at) => Some(PgTimestamp::made(Some(at))),
        }
    }

    /// From what PostgreSQL sends: microseconds since 2000.
    fn of(micros: i64) -> PgTimestamp {
        let millis = micros.saturating_add(MICROS_TO_2000).div_euclid(1_000);
        match (micros, Timestamp::from_millis(millis)) {
            (i64::MAX, _) => PgTimestamp::Never,
            (_, Some(at)) => PgTimestamp::At(at),
            (_, None) if micros < 0 => PgTimestamp::Before,
            (_, None) => PgTimestamp::After,
        }
    }
}

fn bound(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis).expect("a time that can be written")
}

impl FromSql<'_> for PgTimestamp {
    fn from_sql(_: &Type, bytes: &[u8]) -> Result<PgTimestamp, Box<dyn Error + Sync + Send>> {
        Ok(PgTimestamp::of(i64::from_be_bytes(bytes.try_into()?)))
    }

    accepts!(TIMESTAMP, TIMESTAMPTZ);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_time_of_postgresql_is_one_of_ours() {
        let (first, last) = ("0000-01-01T00:00:00.000Z", "9999-12-31T23:59:59.999Z");
        for (micros, made, end) in [
            (0, "2000-01-01T00:00:00.000Z", Some("2000-01-01T00:00:00.000Z")),
            (1_999, "2000-01-01T00:00:00.001Z", Some("2000-01-01T00:00:00.001Z")),
            (-1, "1999-12-31T23:59:59.999Z", Some("1999-12-31T23:59:59.999Z")),
            (LAST * 1_000 + 999 - MICROS_TO_2000, last, Some(last)),
            (LAST * 1_000 + 1_000 - MICROS_TO_2000, last, Some(last)),
            (FIRST * 1_000 - MICROS_TO_2000, first, Some(first)),
            (FIRST * 1_000 - 1 - MICROS_TO_2000, first, Some(first)),
            (i64::MIN, first, Some(first)),
            (i64::MAX - 1, last, Some(last)),
            (i64::MAX, last, None),
        ] {
            let moment = Some(PgTimestamp::of(micros));
            assert_eq!(PgTimestamp::made(moment).to_string(), made, "{micros}");
            assert_eq!(PgTimestamp::end(moment).map(|at| at.to_string()).as_deref(), end, "{micros}");
        }
        assert_eq!((PgTimestamp::made(None).to_string().as_str(), PgTimestamp::end(None)), (first, None));
    }
}
