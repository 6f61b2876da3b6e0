use std::{collections::BTreeMap, fmt, time::Duration};

use hdrhistogram::Histogram;
use serde::{Serialize, Serializer, ser::SerializeMap};

/// How many users with faults are named; all are counted.
const NAMED_MAX: usize = 1_000;
/// How many of them are printed.
const PRINTED_MAX: usize = 20;

/// A read that takes longer counts as this long: an hour.
const LONGEST_MICROS: u64 = 3_600_000_000;

/// What was found.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// By which the sample was chosen, if there was one.
    pub seed: Option<u64>,
    /// What became of the users of the old table; nothing without it.
    pub old: BTreeMap<&'static str, u64>,
    /// How many users of the table were looked at, each as often as it was.
    pub users: u64,
    /// How many records they have.
    pub records: u64,
    /// How many of those are voided.
    pub voided: u64,
    /// How many users something is wrong with.
    pub faulty: u64,
    /// What is wrong with them, user by user; of very many, the first.
    pub faults: BTreeMap<String, Vec<String>>,
    /// How long reads took.
    pub latency: BTreeMap<&'static str, Latency>,
}

/// How long a read took, again and again.
#[derive(Clone, Debug)]
pub struct Latency(Histogram<u64>);

impl Report {
    /// InvocationMetrics what is wrong with a user, if anything is.
    pub(super) fn note(&mut self, user: &str, faults: Vec<String>) {
        if faults.is_empty() {
            return;
        }
        self.faulty += 1;
        if self.faults.len() < NAMED_MAX {
            self.faults.entry(user.to_owned()).or_default().extend(faults);
        }
    }

    /// InvocationMetrics how long a read took.
    pub(super) fn clock(&mut self, read: &'static str, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.latency.entry(read).or_default().0.saturating_record(micros);
    }

    /// Whether nothing is wrong.
    pub fn is_sound(&self) -> bool {
        self.faulty == 0
    }
}

impl Default for Latency {
    fn default() -> Latency {
        Latency(Histogram::new_with_bounds(1, LONGEST_MICROS, 3).expect("bounds and digits that there are"))
    }
}

impl Latency {
    /// In microseconds.
    fn quantiles(&self) -> [(&'static str, u64); 4] {
        [("P50", 0.50), ("P95", 0.95), ("P99", 0.99), ("max", 1.0)]
            .map(|(name, quantile)| (name, self.0.value_at_quantile(quantile)))
    }
}

impl Serialize for Latency {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut map = to.serialize_map(None)?;
        map.serialize_entry("reads", &self.0.len())?;
        for (name, micros) in self.quantiles() {
            map.serialize_entry(&format!("{name} in microseconds"), &micros)?;
        }
        map.end()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (what, count) in &self.old {
            writeln!(f, "{count:>12} users of the old table {what}")?;
        }
        let by_chance = self.seed.map_or_else(String::new, |seed| format!(", chosen by --seed {seed}"));
        writeln!(f, "{:>12} users of the table looked at{by_chance}", self.users)?;
        writeln!(f, "{:>12} records, {} of them voided", self.records, self.voided)?;
        writeln!(f, "{:>12} users with faults", self.faulty)?;
        for (user, faults) in self.faults.iter().take(PRINTED_MAX) {
            writeln!(f, "user {user}:")?;
            for fault in faults.iter().take(PRINTED_MAX) {
                writeln!(f, "    {fault}")?;
            }
        }
        for (read, latency) in &self.latency {
            write!(f, "{read:>12}: {} reads", latency.0.len())?;
            for (name, micros) in latency.quantiles() {
                write!(f, ", {name} {}.{:02} ms", micros / 1_000, micros % 1_000 / 10)?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_latency_is_what_was_clocked() {
        let mut report = Report::default();
        (1..=1_000).for_each(|millis| report.clock("balance", Duration::from_millis(millis)));
        report.clock("balance", Duration::from_secs(100_000));
        let found = report.latency["balance"].quantiles().map(|(_, micros)| micros);
        for (found, expected) in found.into_iter().zip([501_000, 951_000, 991_000, LONGEST_MICROS]) {
            assert!(found.abs_diff(expected) <= expected / 1_000, "{found} is not {expected}");
        }
    }
}
