//! The local stack under load: two programs, the stack and the driver.

use std::{
    fs,
    process::{Command, Stdio},
};

use scrip_ops::cli_error::CliError;
use serde_json::Value;

use crate::{
    local_stack::{self, LocalStack},
    report::{self, Table},
};

/// Mix and calls a second of each run, and the duration.
const RUNS: [(&str, &str); 4] =
    [("generation", "100"), ("generation", "200"), ("chat", "100"), ("hot", "25")];
const DURATION: &str = "20s";

/// Measures every run, and saves the plots of the first.
///
/// # Errors
/// If the stack does not start or a file cannot be written.
pub(crate) fn table() -> Result<Table, CliError> {
    let programs = local_stack::build(&["scrip-local", "scrip-ops"]);
    let mut table = Table::new(&[
        "mix",
        "calls a second",
        "operation",
        "calls",
        "P50",
        "P90",
        "P99",
        "errors",
        "balances",
    ]);
    for (nth, (mix, rate)) in RUNS.into_iter().enumerate() {
        let folder = tempfile::tempdir().expect("a folder");
        let stack = LocalStack::start(&programs.join("scrip-local"), &folder.path().join("data"))?;
        let mut driver = Command::new(programs.join("scrip-ops"));
        driver.args([
            "bench", "--url", &stack.url, "--mix", mix, "--rate", rate, "--for", DURATION, "--seed", "7",
        ]);
        driver.arg("--folder").arg(folder.path().join("report")).stdin(Stdio::null());
        let ran = driver.output().expect("the driver");
        eprintln!("{}", String::from_utf8_lossy(&ran.stdout));
        let report = fs::read(folder.path().join("report/report.json")).expect("a report");
        add(&mut table, mix, rate, &serde_json::from_slice(&report).expect("JSON"));
        if nth == 0 {
            for plot in ["latency.svg", "throughput.svg"] {
                let to = report::plots()?.join(plot);
                fs::copy(folder.path().join("report").join(plot), &to)
                    .map_err(|error| CliError::from_io(&to, &error))?;
            }
        }
    }
    Ok(table)
}

fn add(table: &mut Table, mix: &str, rate: &str, report: &Value) {
    let number = |value: &Value| value.as_u64().unwrap_or_default();
    let errors: u64 = report["errors"].as_object().expect("errors").values().map(number).sum();
    let books = &report["books"];
    let (wallets, wrong) = (number(&books["wallets"]), number(&books["wrong"]) + number(&books["unread"]));
    for (nth, (operation, latency)) in report["latency"].as_object().expect("latencies").iter().enumerate() {
        let millis = |name: &str| {
            let micros = number(&latency[format!("{name} in microseconds")]);
            report::time(report::float(micros) * 1_000.0)
        };
        let first = |text: String| if nth == 0 { text } else { String::new() };
        table.row([
            first(mix.to_owned()),
            first(rate.to_owned()),
            operation.clone(),
            number(&latency["calls"]).to_string(),
            millis("P50"),
            millis("P90"),
            millis("P99"),
            first(errors.to_string()),
            first(format!("{} of {wallets} right", wallets - wrong)),
        ]);
    }
}
