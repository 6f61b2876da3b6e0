//! Parses CloudWatch's embedded metric format in a function's log, and validates it by the
//! specification ("Embedded Metric Format Specification" in the CloudWatch
//! User Guide).

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// Units of a metric (API reference of `MetricDatum`) that are used here.
const UNITS: [&str; 3] = ["Count", "Percent", "Seconds"];
/// Most dimensions of a metric: each combination of values is billed as a metric.
const DIMENSIONS_MAX: usize = 3;
/// Most values of a metric in one line.
const VALUES_MAX: usize = 100;

/// A valid metric.
#[derive(Clone, Debug, PartialEq)]
pub struct Metric {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its unit.
    pub unit: String,
    /// Its dimensions.
    pub dimensions: BTreeMap<String, String>,
    /// Its values.
    pub values: Vec<f64>,
}

/// All metrics in these lines.
///
/// # Panics
/// If a line violates the specification.
pub fn parse_metrics(lines: &str) -> Vec<Metric> {
    let lines = lines.lines().filter_map(|line| serde_json::from_str::<Map<String, Value>>(line).ok());
    lines.filter(|line| line.contains_key("_aws")).flat_map(|line| line_metrics(&line)).collect()
}

/// The sum of all values of a metric with at least these dimensions.
pub fn sum(metrics: &[Metric], name: &str, dimensions: &[(&str, &str)]) -> f64 {
    let has = |metric: &&Metric| {
        metric.name == name
            && dimensions
                .iter()
                .all(|(key, value)| metric.dimensions.get(*key).is_some_and(|own| own == value))
    };
    metrics.iter().filter(has).flat_map(|metric| &metric.values).sum()
}

fn line_metrics(line: &Map<String, Value>) -> Vec<Metric> {
    let aws = &line["_aws"];
    assert!(aws["Timestamp"].as_u64().is_some_and(|at| at > 1_600_000_000_000), "milliseconds: {aws}");
    let directives = aws["CloudWatchMetrics"].as_array().expect("directives");
    directives.iter().flat_map(|directive| directive_metrics(line, directive)).collect()
}

fn directive_metrics(line: &Map<String, Value>, directive: &Value) -> Vec<Metric> {
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    let namespace = text(&directive["Namespace"]);
    let sets = directive["Dimensions"].as_array().expect("sets of dimensions");
    let [set] = &sets[..] else { panic!("one set: {directive}") };
    let set = set.as_array().expect("a set");
    assert!(set.len() <= DIMENSIONS_MAX, "too many dimensions: {directive}");
    let dimensions: BTreeMap<_, _> = set
        .iter()
        .map(|name| (text(name), text(line.get(name.as_str().expect("a name")).expect("its value"))))
        .collect();
    assert!(dimensions.values().all(|value| (1..=1_024).contains(&value.len())), "{dimensions:?}");
    let metrics = directive["Metrics"].as_array().expect("metrics");
    assert!((1..=100).contains(&metrics.len()), "{directive}");
    let parse = |metric: &Value| {
        let (name, unit) = (text(&metric["Name"]), text(&metric["Unit"]));
        assert!(UNITS.contains(&&*unit), "{unit}");
        let values = values(&line[&name]);
        assert!((1..=VALUES_MAX).contains(&values.len()), "{name}");
        Metric { namespace: namespace.clone(), name, unit, dimensions: dimensions.clone(), values }
    };
    metrics.iter().map(parse).collect()
}

/// The values of a number or of a list of numbers.
fn values(value: &Value) -> Vec<f64> {
    let number = |value: &Value| value.as_f64().filter(|number| number.is_finite()).expect("a number");
    value.as_array().map_or_else(|| vec![number(value)], |list| list.iter().map(number).collect())
}
