//! What CloudWatch reads in the lines of a function: its embedded metric format, held
//! against the specification ("Embedded Metric Format Specification" in the CloudWatch
//! User Guide).

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// Units of a metric (API reference of `MetricDatum`) that are used here.
const UNITS: [&str; 3] = ["Count", "Percent", "Seconds"];
/// No metric may have more dimensions: each value of one makes another metric to pay.
const DIMENSIONS_MAX: usize = 3;
/// How many values one metric may have in one line.
const VALUES_MAX: usize = 100;

/// A metric that CloudWatch would take.
#[derive(Clone, Debug, PartialEq)]
pub struct Metric {
    /// In which namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// In what it is measured.
    pub unit: String,
    /// Its dimensions.
    pub dimensions: BTreeMap<String, String>,
    /// Its values.
    pub values: Vec<f64>,
}

/// All metrics in these lines; panics where one is not as the specification has it.
pub fn embedded(lines: &str) -> Vec<Metric> {
    let lines = lines.lines().filter_map(|line| serde_json::from_str::<Map<String, Value>>(line).ok());
    lines.filter(|line| line.contains_key("_aws")).flat_map(|line| metrics(&line)).collect()
}

/// The sum of all values of a metric with at least these dimensions.
pub fn sum(metrics: &[Metric], name: &str, dimensions: &[(&str, &str)]) -> f64 {
    let has = |metric: &&Metric| {
        metric.name == name
            && dimensions.iter().all(|(key, value)| metric.dimensions.get(*key).is_some_and(|of| of == value))
    };
    metrics.iter().filter(has).flat_map(|metric| &metric.values).sum()
}

fn metrics(line: &Map<String, Value>) -> Vec<Metric> {
    let aws = &line["_aws"];
    assert!(aws["Timestamp"].as_u64().is_some_and(|at| at > 1_600_000_000_000), "milliseconds: {aws}");
    let directives = aws["CloudWatchMetrics"].as_array().expect("directives");
    directives.iter().flat_map(|directive| of_directive(line, directive)).collect()
}

fn of_directive(line: &Map<String, Value>, directive: &Value) -> Vec<Metric> {
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
    let of = |metric: &Value| {
        let (name, unit) = (text(&metric["Name"]), text(&metric["Unit"]));
        assert!(UNITS.contains(&&*unit), "{unit}");
        let values = values(&line[&name]);
        assert!((1..=VALUES_MAX).contains(&values.len()), "{name}");
        Metric { namespace: namespace.clone(), name, unit, dimensions: dimensions.clone(), values }
    };
    metrics.iter().map(of).collect()
}

/// A number, or a list of some.
fn values(value: &Value) -> Vec<f64> {
    let number = |value: &Value| value.as_f64().filter(|number| number.is_finite()).expect("a number");
    value.as_array().map_or_else(|| vec![number(value)], |list| list.iter().map(number).collect())
}
