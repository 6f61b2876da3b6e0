//! The result of a verification.

use std::{collections::BTreeMap, fmt, time::Duration};

use hdrhistogram::Histogram;
use serde::{Serialize, Serializer, ser::SerializeMap};

/// Users whose discrepancies are stored; all are counted.
const STORED_MAX: usize = 1_000;
/// Users whose discrepancies are printed, and discrepancies of each.
const PRINTED_MAX: usize = 20;

/// Longer latencies are recorded as this one: an hour.
const LATENCY_MAX_MICROS: u64 = 3_600_000_000;

/// The result of a verification, as `--report` writes it.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// The seed of the first sample, if there was one.
    pub seed: Option<u64>,
    /// Users of the old tables by outcome; empty without a URL.
    #[serde(rename = "old")]
    pub legacy_users: BTreeMap<&'static str, u64>,
    /// Checks of users; a user counts once for each repetition.
    pub users: u64,
    /// Their records.
    pub records: u64,
    /// Those that are voided.
    pub voided: u64,
    /// Checks of orders and aliases.
    pub orders: u64,
    /// Orders with discrepancies.
    pub orders_with_discrepancies: u64,
    /// Users with discrepancies.
    #[serde(rename = "faulty")]
    pub users_with_discrepancies: u64,
    /// Discrepancies by user, or by order, for the first 1,000 of them.
    #[serde(rename = "faults")]
    pub discrepancies: BTreeMap<String, Vec<String>>,
    /// Latency by read operation.
    pub latency: BTreeMap<&'static str, Latency>,
}

/// A histogram in microseconds.
#[derive(Clone, Debug)]
pub struct Latency(Histogram<u64>);

impl Report {
    pub(super) fn add_discrepancies(&mut self, user: &str, discrepancies: Vec<String>) {
        if discrepancies.is_empty() {
            return;
        }
        self.users_with_discrepancies += 1;
        self.store(user, discrepancies);
    }

    /// Adds the discrepancies of an order under its user, who may have them already.
    pub(super) fn add_order(&mut self, owner: &str, discrepancies: Vec<String>) {
        if discrepancies.is_empty() {
            return;
        }
        self.orders_with_discrepancies += 1;
        self.store(owner, discrepancies);
    }

    fn store(&mut self, owner: &str, discrepancies: Vec<String>) {
        if self.discrepancies.len() < STORED_MAX || self.discrepancies.contains_key(owner) {
            let stored = self.discrepancies.entry(owner.to_owned()).or_default();
            for discrepancy in discrepancies {
                if !stored.contains(&discrepancy) {
                    stored.push(discrepancy);
                }
            }
        }
    }

    pub(super) fn record_latency(&mut self, read: &'static str, latency: Duration) {
        let micros = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        self.latency.entry(read).or_default().0.saturating_record(micros);
    }

    /// Whether no user and no order has a discrepancy.
    pub fn is_sound(&self) -> bool {
        self.users_with_discrepancies == 0 && self.orders_with_discrepancies == 0
    }
}

impl Default for Latency {
    fn default() -> Latency {
        Latency(Histogram::new_with_bounds(1, LATENCY_MAX_MICROS, 3).expect("valid bounds"))
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
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("reads", &self.0.len())?;
        for (name, micros) in self.quantiles() {
            map.serialize_entry(&format!("{name} in microseconds"), &micros)?;
        }
        map.end()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (outcome, count) in &self.legacy_users {
            writeln!(f, "{count:>12} users of the old table {outcome}")?;
        }
        let sample = self.seed.map_or_else(String::new, |seed| format!(", selected by --seed {seed}"));
        writeln!(f, "{:>12} users of the ledger checked{sample}", self.users)?;
        writeln!(f, "{:>12} records, {} of them voided", self.records, self.voided)?;
        writeln!(f, "{:>12} orders and aliases checked", self.orders)?;
        writeln!(f, "{:>12} users with discrepancies", self.users_with_discrepancies)?;
        writeln!(f, "{:>12} orders with discrepancies", self.orders_with_discrepancies)?;
        for (user, discrepancies) in self.discrepancies.iter().take(PRINTED_MAX) {
            writeln!(f, "{user}:")?;
            for discrepancy in discrepancies.iter().take(PRINTED_MAX) {
                writeln!(f, "    {discrepancy}")?;
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
    fn latency_quantiles_match_the_recorded_values() {
        let mut report = Report::default();
        (1..=1_000).for_each(|millis| report.record_latency("balance", Duration::from_millis(millis)));
        report.record_latency("balance", Duration::from_secs(100_000));
        let found = report.latency["balance"].quantiles().map(|(_, micros)| micros);
        for (found, expected) in found.into_iter().zip([501_000, 951_000, 991_000, LATENCY_MAX_MICROS]) {
            assert!(found.abs_diff(expected) <= expected / 1_000, "{found} is not {expected}");
        }
    }
}
