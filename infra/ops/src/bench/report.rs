//! What a run has found.

use std::{collections::BTreeMap, fmt, path::Path, time::Duration};

use hdrhistogram::Histogram;
use serde::{Serialize, Serializer, ser::SerializeMap};

use super::{mix::Mix, plot::Plot};
use crate::cli_error::CliError;

/// An answer that takes longer counts as this long: ten minutes.
const LONGEST_MICROS: u64 = 600_000_000;
/// A call that leaves later than this after it arrived was kept waiting here.
const LATE: Duration = Duration::from_millis(20);
/// Of a hundred calls, how many may leave late.
const LATE_PERCENT: u64 = 1;
/// How many users whose balance is wrong are named; all are counted.
const NAMED_MAX: usize = 20;

/// What was asked for.
#[derive(Clone, Debug, Serialize)]
pub struct RunSettings {
    /// Where.
    pub url: String,
    /// What the run's users begin with.
    pub run: String,
    /// Which calls.
    pub mix: Mix,
    /// How many a second.
    pub rate: u32,
    /// How many wallets.
    pub wallets: u32,
    /// By which all was drawn.
    pub seed: u64,
    /// For how long, in seconds.
    pub seconds: u64,
}

/// What was found.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// What was asked for.
    pub asked: RunSettings,
    /// Whether it was ended before its time.
    pub interrupted: bool,
    /// How many calls arrived, and how many of them left late.
    pub arrived: u64,
    /// See there.
    pub late: u64,
    /// From the moment of arrival to the answer or to giving up, by operation.
    pub latency: BTreeMap<&'static str, Latency>,
    /// What was no success, by operation and code.
    pub errors: BTreeMap<String, u64>,
    /// Second by second.
    pub seconds: Vec<Second>,
    /// Whether balances are what the answers say.
    pub books: BalanceCheck,
}

/// What happened in one second.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Second {
    /// Calls that arrived.
    pub arrived: u64,
    /// Calls that were answered with success.
    pub done: u64,
    /// Calls that ended otherwise.
    pub failed: u64,
}

/// What the books show.
#[derive(Clone, Debug, Default, Serialize)]
pub struct BalanceCheck {
    /// Wallets whose balance was looked at.
    pub wallets: u64,
    /// Writes whose outcome is not known: no answer came, or one that leaves it open.
    pub open: u64,
    /// Balances that could not be read.
    pub unread: u64,
    /// Those that are wrong.
    pub wrong: u64,
    /// What is wrong; of very many the first.
    pub faults: Vec<String>,
}

/// How long calls took.
#[derive(Clone, Debug)]
pub struct Latency(Histogram<u64>);

impl Report {
    pub(super) fn new(asked: RunSettings) -> Report {
        Report {
            asked,
            interrupted: false,
            arrived: 0,
            late: 0,
            latency: BTreeMap::new(),
            errors: BTreeMap::new(),
            seconds: Vec::new(),
            books: BalanceCheck::default(),
        }
    }

    /// InvocationMetrics a call that arrived at a moment and left so much later.
    pub(super) fn arrive(&mut self, at: Duration, waited: Duration) {
        self.arrived += 1;
        self.late += u64::from(waited > LATE);
        self.second(at).arrived += 1;
    }

    /// InvocationMetrics how a call ended that arrived at a moment and took so long from then on.
    pub(super) fn end(&mut self, operation: &'static str, at: Duration, took: Duration, error: Option<&str>) {
        self.latency.entry(operation).or_default().record(took);
        let second = self.second(at + took);
        match error {
            None => second.done += 1,
            Some(error) => {
                second.failed += 1;
                *self.errors.entry(format!("{operation}: {error}")).or_default() += 1;
            }
        }
    }

    fn second(&mut self, at: Duration) -> &mut Second {
        let place = usize::try_from(at.as_secs()).unwrap_or(usize::MAX);
        if self.seconds.len() <= place {
            self.seconds.resize(place + 1, Second::default());
        }
        &mut self.seconds[place]
    }

    /// All calls together.
    pub fn all(&self) -> Latency {
        let mut all = Latency::default();
        for latency in self.latency.values() {
            all.0.add(&latency.0).expect("the same bounds");
        }
        all
    }

    /// Whether calls left when they arrived.
    pub fn keeps_up(&self) -> bool {
        self.late * 100 <= self.arrived * LATE_PERCENT
    }

    /// Writes it as JSON and as plots.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub(super) fn write(&self, folder: &Path) -> Result<(), CliError> {
        std::fs::create_dir_all(folder).map_err(|error| CliError::from_io(folder, &error))?;
        let text = serde_json::to_string_pretty(self).map_err(|error| CliError(error.to_string()))?;
        let path = folder.join("report.json");
        std::fs::write(&path, text + "\n").map_err(|error| CliError::from_io(&path, &error))?;
        let lines = self.latency.iter().map(|(name, latency)| ((*name).to_owned(), latency.curve()));
        latency_plot("Latency from the moment of arrival", lines.collect())
            .write(&folder.join("latency.svg"))?;
        self.throughput().write(&folder.join("throughput.svg"))
    }

    #[expect(clippy::cast_precision_loss, reason = "places on paper")]
    fn throughput(&self) -> Plot<'_> {
        let line = |name: &str, of: fn(&Second) -> u64| {
            let points = self.seconds.iter().enumerate();
            (name.to_owned(), points.map(|(second, found)| (second as f64, of(found) as f64)).collect())
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

/// Latencies by percentile, in milliseconds.
pub fn latency_plot(title: &str, lines: Vec<(String, Vec<(f64, f64)>)>) -> Plot<'_> {
    #[expect(clippy::float_arithmetic, reason = "places on paper")]
    let x_label = |one_in: f64| format!("{}%", 100.0 - 100.0 / one_in);
    let axes = ["share of the calls that took no longer", "milliseconds"];
    Plot { title, axes, logarithmic: [true, true], x_label, lines }
}

impl Default for Latency {
    fn default() -> Latency {
        Latency(Histogram::new_with_bounds(1, LONGEST_MICROS, 3).expect("bounds and digits that there are"))
    }
}

impl Latency {
    /// InvocationMetrics how long one took.
    pub fn record(&mut self, took: Duration) {
        self.0.saturating_record(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
    }

    /// How many there were.
    pub fn count(&self) -> u64 {
        self.0.len()
    }

    /// What so many of all took at most, in microseconds.
    pub fn micros(&self, quantile: f64) -> u64 {
        self.0.value_at_quantile(quantile)
    }

    fn quantiles(&self) -> [(&'static str, u64); 5] {
        [("P50", 0.50), ("P90", 0.90), ("P99", 0.99), ("P99.9", 0.999), ("max", 1.0)]
            .map(|(name, quantile)| (name, self.micros(quantile)))
    }

    /// For each "one in so many takes longer", from which milliseconds on.
    #[expect(clippy::float_arithmetic, clippy::cast_precision_loss, reason = "places on paper")]
    pub fn curve(&self) -> Vec<(f64, f64)> {
        let one_in = (0..).map(|step| 10_f64.powf(f64::from(step) / 20.0));
        let told = one_in.take_while(|one_in| *one_in <= self.0.len() as f64);
        told.map(|one_in| (one_in, self.micros(1.0 - 1.0 / one_in) as f64 / 1_000.0)).collect()
    }
}

impl Serialize for Latency {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut map = to.serialize_map(None)?;
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
        let RunSettings { url, run, mix, rate, wallets, seed, .. } = &self.asked;
        let (mix, took) = (format!("{mix:?}").to_lowercase(), self.seconds.len());
        writeln!(f, "{url}: the mix {mix} on {wallets} wallets, --seed {seed}; its users begin with {run}")?;
        writeln!(
            f,
            "{:>12} calls arrived, {rate} a second were asked for, all ended in {took} s",
            self.arrived
        )?;
        if self.interrupted {
            writeln!(f, "             ended by Ctrl-C")?;
        }
        if !self.keeps_up() {
            writeln!(
                f,
                "             {} of them left late: the endpoint or this machine cannot keep up with the arrivals",
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
        write!(f, "{}", self.books)
    }
}

impl BalanceCheck {
    /// InvocationMetrics a balance that is wrong.
    pub(super) fn wrong(&mut self, fault: String) {
        self.wrong += 1;
        if self.faults.len() < NAMED_MAX {
            self.faults.push(fault);
        }
    }

    /// Whether every balance was read and is right.
    pub fn is_sound(&self) -> bool {
        self.wrong == 0 && self.unread == 0
    }
}

impl fmt::Display for BalanceCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let right = self.wallets - self.wrong - self.unread;
        writeln!(f, "{right:>12} of {} balances are what was granted less live charges", self.wallets)?;
        if self.open > 0 {
            writeln!(f, "{:>12} writes of which nobody knows: balances may have them or not", self.open)?;
        }
        if self.unread > 0 {
            writeln!(f, "{:>12} balances could not be read", self.unread)?;
        }
        self.faults.iter().try_for_each(|fault| writeln!(f, "    {fault}"))
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
    fn what_ends_is_counted_in_the_second_in_which_it_does() {
        let mut report = report();
        for (at, took, error) in [(100, 200, None), (900, 200, None), (900, 1_500, Some("503 Busy"))] {
            let at = Duration::from_millis(at);
            report.arrive(at, Duration::ZERO);
            report.end("decrease", at, Duration::from_millis(took), error);
        }
        let seconds = report.seconds.iter().map(|second| (second.arrived, second.done, second.failed));
        assert_eq!(seconds.collect::<Vec<_>>(), [(3, 1, 0), (0, 1, 0), (0, 0, 1)]);
        assert_eq!(report.errors, BTreeMap::from([("decrease: 503 Busy".to_owned(), 1)]));
        assert_eq!(report.all().count(), 3);
    }

    #[test]
    fn it_says_when_it_cannot_keep_up() {
        for (late, keeps_up) in [(0, true), (10, true), (11, false)] {
            let mut report = report();
            for call in 0..1_000 {
                let waited = if call < late { LATE * 2 } else { LATE / 2 };
                report.arrive(Duration::ZERO, waited);
            }
            assert_eq!(report.keeps_up(), keeps_up, "{late}");
            assert_eq!(report.to_string().contains("cannot keep up"), !keeps_up, "{late}");
        }
    }

    #[test]
    fn a_curve_goes_as_far_as_there_are_calls() {
        let mut latency = Latency::default();
        (1..=1_000).for_each(|millis| latency.record(Duration::from_millis(millis)));
        let curve = latency.curve();
        let (first, last) = (curve[0], curve[curve.len() - 1]);
        assert!(first.0 <= 1.0 && last.0 >= 999.0, "{curve:?}");
        assert!((999.0..=1_001.0).contains(&last.1), "{curve:?}");
    }
}
