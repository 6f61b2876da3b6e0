//! The result of a run: report, plots and the check of the balances.

use std::{collections::BTreeMap, fmt, path::Path, time::Duration};

use hdrhistogram::Histogram;
use serde::{Serialize, Serializer, ser::SerializeMap};

use super::{mix::Mix, plot::Plot};
use crate::cli_error::CliError;

/// Longer latencies are recorded as this one: ten minutes.
const LATENCY_MAX_MICROS: u64 = 600_000_000;
/// A call that leaves later than this after its arrival is late.
const LATE: Duration = Duration::from_millis(20);
/// Percent of the calls that may be late.
const LATE_PERCENT: u64 = 1;
/// Wrong balances that are stored; all are counted.
const STORED_MAX: usize = 20;

/// The settings of a run.
#[derive(Clone, Debug, Serialize)]
pub struct RunSettings {
    /// URL of the API.
    pub url: String,
    /// Prefix of all names of the run.
    pub run: String,
    /// App whose calls were generated.
    pub mix: Mix,
    /// Arrivals a second.
    pub rate: u32,
    /// Number of wallets.
    pub wallets: u32,
    /// Seed of arrivals and calls.
    pub seed: u64,
    /// Duration in seconds.
    pub seconds: u64,
}

/// The result of a run, as `report.json` has it.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The settings of the run.
    #[serde(rename = "asked")]
    pub settings: RunSettings,
    /// Whether Ctrl-C stopped the run.
    pub interrupted: bool,
    /// Calls that arrived.
    pub arrived: u64,
    /// Those that left more than 20 ms after their arrival.
    pub late: u64,
    /// From the arrival to the response or the timeout, by operation.
    pub latency: BTreeMap<&'static str, Latency>,
    /// Errors by operation and code.
    pub errors: BTreeMap<String, u64>,
    /// Counts of each second since the start.
    pub seconds: Vec<Second>,
    /// The comparison of balances with responses.
    #[serde(rename = "books")]
    pub balance_check: BalanceCheck,
}

/// Counts of one second.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Second {
    /// Calls that arrived.
    pub arrived: u64,
    /// Calls that succeeded.
    pub done: u64,
    /// Calls that failed.
    pub failed: u64,
}

/// The comparison of balances with the expected ones.
#[derive(Clone, Debug, Default, Serialize)]
pub struct BalanceCheck {
    /// Wallets whose balance was read.
    pub wallets: u64,
    /// Writes of unknown outcome: no response arrived, or one that does not show it.
    #[serde(rename = "open")]
    pub unknown_writes: u64,
    /// Balances that could not be read.
    pub unread: u64,
    /// Balances outside of the expected range.
    pub wrong: u64,
    /// Descriptions of the first wrong balances.
    #[serde(rename = "faults")]
    pub wrong_balances: Vec<String>,
}

/// A histogram in microseconds.
#[derive(Clone, Debug)]
pub struct Latency(Histogram<u64>);

impl Report {
    pub(super) fn new(settings: RunSettings) -> Report {
        Report {
            settings,
            interrupted: false,
            arrived: 0,
            late: 0,
            latency: BTreeMap::new(),
            errors: BTreeMap::new(),
            seconds: Vec::new(),
            balance_check: BalanceCheck::default(),
        }
    }

    pub(super) fn record_arrival(&mut self, at: Duration, waited: Duration) {
        self.arrived += 1;
        self.late += u64::from(waited > LATE);
        self.second(at).arrived += 1;
    }

    pub(super) fn record_completion(
        &mut self,
        operation: &'static str,
        arrived_at: Duration,
        latency: Duration,
        error: Option<&str>,
    ) {
        self.latency.entry(operation).or_default().record(latency);
        let second = self.second(arrived_at + latency);
        match error {
            None => second.done += 1,
            Some(error) => {
                second.failed += 1;
                *self.errors.entry(format!("{operation}: {error}")).or_default() += 1;
            }
        }
    }

    fn second(&mut self, at: Duration) -> &mut Second {
        let index = usize::try_from(at.as_secs()).unwrap_or(usize::MAX);
        if self.seconds.len() <= index {
            self.seconds.resize(index + 1, Second::default());
        }
        &mut self.seconds[index]
    }

    /// Latencies of all operations together.
    pub fn total_latency(&self) -> Latency {
        let mut total = Latency::default();
        for latency in self.latency.values() {
            total.0.add(&latency.0).expect("the same bounds");
        }
        total
    }

    /// Whether at most 1 % of the calls were late.
    pub fn keeps_up(&self) -> bool {
        self.late * 100 <= self.arrived * LATE_PERCENT
    }

    /// Writes JSON and plots.
    pub(super) fn write(&self, folder: &Path) -> Result<(), CliError> {
        std::fs::create_dir_all(folder).map_err(|error| CliError::from_io(folder, &error))?;
        let text = serde_json::to_string_pretty(self).map_err(|error| CliError(error.to_string()))?;
        let path = folder.join("report.json");
        std::fs::write(&path, text + "\n").map_err(|error| CliError::from_io(&path, &error))?;
        let lines = self.latency.iter().map(|(name, latency)| ((*name).to_owned(), latency.curve()));
        latency_plot("Latency from arrival", lines.collect()).write(&folder.join("latency.svg"))?;
        self.throughput().write(&folder.join("throughput.svg"))
    }

    #[expect(clippy::cast_precision_loss, reason = "coordinates of a chart")]
    fn throughput(&self) -> Plot<'_> {
        let line = |name: &str, value: fn(&Second) -> u64| {
            let points = self.seconds.iter().enumerate();
            (name.to_owned(), points.map(|(index, second)| (index as f64, value(second) as f64)).collect())
        };
        Plot {
            title: "Calls a second",
            axes: ["second", "calls"],
            logarithmic: [false, false],
            x_label: |second| second.to_string(),
            lines: vec![
                line("arrived", |second| second.arrived),
                line("done", |second| second.done),
                line("failed", |second| second.failed),
            ],
        }
    }
}

/// A chart of latencies by percentile, in milliseconds.
pub fn latency_plot(title: &str, lines: Vec<(String, Vec<(f64, f64)>)>) -> Plot<'_> {
    #[expect(clippy::float_arithmetic, reason = "coordinates of a chart")]
    let x_label = |one_in: f64| format!("{}%", 100.0 - 100.0 / one_in);
    let axes = ["share of the calls with at most this latency", "milliseconds"];
    Plot { title, axes, logarithmic: [true, true], x_label, lines }
}

impl Default for Latency {
    fn default() -> Latency {
        Latency(Histogram::new_with_bounds(1, LATENCY_MAX_MICROS, 3).expect("valid bounds"))
    }
}

impl Latency {
    /// Adds a latency.
    pub fn record(&mut self, latency: Duration) {
        self.0.saturating_record(u64::try_from(latency.as_micros()).unwrap_or(u64::MAX));
    }

    /// The number of recorded latencies.
    pub fn count(&self) -> u64 {
        self.0.len()
    }

    /// The latency of a quantile from 0 to 1, in microseconds.
    pub fn micros(&self, quantile: f64) -> u64 {
        self.0.value_at_quantile(quantile)
    }

    fn quantiles(&self) -> [(&'static str, u64); 5] {
        [("P50", 0.50), ("P90", 0.90), ("P99", 0.99), ("P99.9", 0.999), ("max", 1.0)]
            .map(|(name, quantile)| (name, self.micros(quantile)))
    }

    /// Points of a percentile chart: `n`, and the milliseconds that one call in `n` exceeds.
    #[expect(clippy::float_arithmetic, clippy::cast_precision_loss, reason = "coordinates of a chart")]
    pub fn curve(&self) -> Vec<(f64, f64)> {
        let one_in = (0..).map(|step| 10_f64.powf(f64::from(step) / 20.0));
        let steps = one_in.take_while(|one_in| *one_in <= self.0.len() as f64);
        steps.map(|one_in| (one_in, self.micros(1.0 - 1.0 / one_in) as f64 / 1_000.0)).collect()
    }
}

impl Serialize for Latency {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("calls", &self.0.len())?;
        for (name, micros) in self.quantiles() {
            map.serialize_entry(&format!("{name} in microseconds"), &micros)?;
        }
        map.end()
    }
}

impl fmt::Display for Latency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, micros) in self.quantiles() {
            write!(f, ", {name} {}.{:02} ms", micros / 1_000, micros % 1_000 / 10)?;
        }
        Ok(())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let RunSettings { url, run, mix, rate, wallets, seed, .. } = &self.settings;
        let (mix, seconds_until_last) = (format!("{mix:?}").to_lowercase(), self.seconds.len());
        writeln!(f, "{url}: mix {mix}, {wallets} wallets, --seed {seed}, names begin with {run}")?;
        writeln!(
            f,
            "{:>12} calls arrived, {rate} a second requested, all completed in {seconds_until_last} s",
            self.arrived
        )?;
        if self.interrupted {
            writeln!(f, "             stopped by Ctrl-C")?;
        }
        if !self.keeps_up() {
            writeln!(
                f,
                "             {} of them were late: the service, the network or this machine cannot keep up",
                self.late
            )?;
        }
        for (operation, latency) in &self.latency {
            writeln!(f, "{:>12} {operation}{latency}", latency.count())?;
        }
        writeln!(f, "{:>12} errors", self.errors.values().sum::<u64>())?;
        for (error, count) in &self.errors {
            writeln!(f, "{count:>12} {error}")?;
        }
        write!(f, "{}", self.balance_check)
    }
}

impl BalanceCheck {
    pub(super) fn add_wrong_balance(&mut self, description: String) {
        self.wrong += 1;
        if self.wrong_balances.len() < STORED_MAX {
            self.wrong_balances.push(description);
        }
    }

    /// Whether every balance was read and is as expected.
    pub fn is_sound(&self) -> bool {
        self.wrong == 0 && self.unread == 0
    }
}

impl fmt::Display for BalanceCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let correct = self.wallets - self.wrong - self.unread;
        writeln!(f, "{correct:>12} of {} balances equal grants less live charges", self.wallets)?;
        if self.unknown_writes > 0 {
            writeln!(
                f,
                "{:>12} writes have an unknown outcome; balances with and without them are accepted",
                self.unknown_writes
            )?;
        }
        if self.unread > 0 {
            writeln!(f, "{:>12} balances could not be read", self.unread)?;
        }
        self.wrong_balances.iter().try_for_each(|balance| writeln!(f, "    {balance}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        Report::new(RunSettings {
            url: "http://localhost".to_owned(),
            run: "run".to_owned(),
            mix: Mix::Hot,
            rate: 10,
            wallets: 1,
            seed: 7,
            seconds: 3,
        })
    }

    #[test]
    fn completed_calls_are_counted_in_their_second() {
        let mut report = report();
        for (arrived_at, latency, error) in
            [(100, 200, None), (900, 200, None), (900, 1_500, Some("503 Busy"))]
        {
            let arrived_at = Duration::from_millis(arrived_at);
            report.record_arrival(arrived_at, Duration::ZERO);
            report.record_completion("decrease", arrived_at, Duration::from_millis(latency), error);
        }
        let seconds = report.seconds.iter().map(|second| (second.arrived, second.done, second.failed));
        assert_eq!(seconds.collect::<Vec<_>>(), [(3, 1, 0), (0, 1, 0), (0, 0, 1)]);
        assert_eq!(report.errors, BTreeMap::from([("decrease: 503 Busy".to_owned(), 1)]));
        assert_eq!(report.total_latency().count(), 3);
    }

    #[test]
    fn report_warns_if_calls_are_late() {
        for (late, keeps_up) in [(0, true), (10, true), (11, false)] {
            let mut report = report();
            for call in 0..1_000 {
                let waited = if call < late { LATE * 2 } else { LATE / 2 };
                report.record_arrival(Duration::ZERO, waited);
            }
            assert_eq!(report.keeps_up(), keeps_up, "{late}");
            assert_eq!(report.to_string().contains("cannot keep up"), !keeps_up, "{late}");
        }
    }

    #[test]
    fn latency_curve_ends_at_the_number_of_calls() {
        let mut latency = Latency::default();
        (1..=1_000).for_each(|millis| latency.record(Duration::from_millis(millis)));
        let curve = latency.curve();
        let (first, last) = (curve[0], curve[curve.len() - 1]);
        assert!(first.0 <= 1.0 && last.0 >= 999.0, "{curve:?}");
        assert!((999.0..=1_001.0).contains(&last.1), "{curve:?}");
    }
}
