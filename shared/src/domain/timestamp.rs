//! Points in time.

use chrono::{DateTime, Datelike, SecondsFormat, Utc};
use serde::{Serialize, Serializer};

/// A point in time in UTC, in whole milliseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(DateTime<Utc>);

impl Timestamp {
    /// From milliseconds since 1970; `None` outside the years 0 to 9999 of RFC 3339.
    pub fn from_millis(millis: i64) -> Option<Timestamp> {
        DateTime::from_timestamp_millis(millis)
            .filter(|time| (0..=9999).contains(&time.year()))
            .map(Timestamp)
    }

    /// Milliseconds since 1970.
    pub fn millis(self) -> i64 {
        self.0.timestamp_millis()
    }

    /// Parses any form of RFC 3339, and truncates to milliseconds.
    pub fn parse(text: &str) -> Option<Timestamp> {
        DateTime::parse_from_rfc3339(text)
            .ok()
            .and_then(|time| Timestamp::from_millis(time.timestamp_millis()))
    }

    fn text(self) -> String {
        self.0.to_rfc3339_opts(SecondsFormat::Millis, true)
    }

    /// The time this many milliseconds later; unchanged if that is after the year 9999.
    pub fn plus_millis(self, millis: i64) -> Timestamp {
        Timestamp::from_millis(self.millis().saturating_add(millis)).unwrap_or(self)
    }
}

impl std::fmt::Display for Timestamp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text())
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parse_reads_every_rfc_3339_form_and_display_writes_one() {
        for (text, written) in [
            ("2026-01-31T00:00:00Z", Some("2026-01-31T00:00:00.000Z")),
            ("2026-01-31t00:00:00.5z", Some("2026-01-31T00:00:00.500Z")),
            ("2026-01-31 00:00:00Z", Some("2026-01-31T00:00:00.000Z")),
            ("2026-01-31T02:00:00.123987+02:00", Some("2026-01-31T00:00:00.123Z")),
            ("2026-01-31T00:00:00-00:00", Some("2026-01-31T00:00:00.000Z")),
            ("2016-12-31T23:59:60Z", Some("2017-01-01T00:00:00.000Z")),
            ("9999-12-31T23:59:59.999Z", Some("9999-12-31T23:59:59.999Z")),
            ("9999-12-31T23:59:59-01:00", None),
            ("2026-01-31", None),
            ("2026-02-30T00:00:00Z", None),
            ("2026-01-31T00:00:00", None),
            ("", None),
        ] {
            assert_eq!(Timestamp::parse(text).map(|time| time.to_string()).as_deref(), written, "{text}");
        }
    }
}
