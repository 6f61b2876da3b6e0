//! Tables and plot of the medians.

use std::collections::BTreeMap;

use scrip_ops::{bench::plot::Plot, cli_error::CliError};

use super::{
    Measured,
    consistency::{CHARGES, CREDITS},
    loads::{LOADS, LoadRun},
    subject::Subject,
};
use crate::report::{self, Table, count, float, median};

/// Writes the tables and the plot of the document.
///
/// # Errors
/// If they cannot be written.
pub(super) fn write(measured: &[Measured]) -> Result<(), CliError> {
    report::plot("peers.svg", &plot(measured))?;
    let tables = [loads(measured), histories(measured), consistency(measured), start_ups(measured)];
    report::put("peers", &tables)
}

/// Heads of the ratios to each stack.
fn ratio_heads(measured: &[Measured]) -> impl Iterator<Item = String> {
    stacks(measured).map(|stack| format!("rate / {}", stack.subject.name()))
}

fn stacks(measured: &[Measured]) -> impl Iterator<Item = &Measured> {
    measured.iter().filter(|measured| matches!(measured.subject, Subject::Stack(_)))
}

fn table(head: impl IntoIterator<Item = String>) -> Table {
    let head: Vec<_> = head.into_iter().collect();
    Table::new(&head.iter().map(String::as_str).collect::<Vec<_>>())
}

fn loads(measured: &[Measured]) -> Table {
    let head = ["load", "subject", "charges a second"].map(str::to_owned).into_iter();
    let rest =
        ["P50", "P99", "longest", "errors", "processor time a charge", "peak memory"].map(str::to_owned);
    let mut table = table(head.chain(ratio_heads(measured)).chain(rest));
    for (nth, load) in LOADS.iter().enumerate() {
        let rate = |of: &Measured| median_of(&of.loads[nth], |run| run.rate);
        for (row, of) in measured.iter().enumerate() {
            let runs = &of.loads[nth];
            let name = if row == 0 { load.name() } else { String::new() };
            let mut cells = vec![name, of.subject.name().to_owned(), count(rate(of))];
            cells.extend(stacks(measured).map(|stack| format!("{:.2}", rate(of) / rate(stack))));
            cells.extend(answer_cells(runs));
            table.row(cells);
        }
    }
    table
}

/// Latencies, errors and costs of a load.
fn answer_cells(runs: &[LoadRun]) -> [String; 6] {
    let latency = |nth: usize| report::time(median_of(runs, |run| float(run.latency[nth])) * 1e3);
    let longest = runs.iter().map(|run| run.latency[2]).max().unwrap_or_default();
    let memory: Option<Vec<_>> = runs.iter().map(|run| run.memory.map(float)).collect();
    [
        latency(0),
        latency(1),
        report::time(float(longest) * 1e3),
        errors(runs.iter().map(|run| &run.errors)),
        report::time(median_of(runs, |run| run.processor) * 1e3),
        memory.map_or_else(|| "–".to_owned(), |memory| mebibytes(median(memory))),
    ]
}

fn histories(measured: &[Measured]) -> Table {
    let charges = measured[0].histories[0].part * 10;
    let first = format!("subject, {} charges", count(float(charges)));
    let head = ["charges a second, first tenth", "last tenth", "last / first"].map(str::to_owned);
    let mut table = table([first].into_iter().chain(head));
    for of in measured {
        let (_, rates) = history_line(of);
        let [first, last] = [rates[0].1, rates[rates.len() - 1].1];
        let ratio = format!("{:.2}", last / first);
        table.row([of.subject.name().to_owned(), count(first), count(last), ratio]);
    }
    table
}

fn consistency(measured: &[Measured]) -> Table {
    let credits = format!("subject, {CREDITS} credits");
    let head = [
        "charges written, most",
        "credits overdrawn, most",
        "other answers",
        "credits for a repeated charge",
    ];
    let head = head.map(str::to_owned);
    let mut table = table([credits].into_iter().chain(head));
    for of in measured {
        let runs = &of.consistency;
        let written = runs.iter().map(|run| run.written).max().unwrap_or_default();
        let overdraft = runs.iter().map(|run| run.overdraft).max().unwrap_or_default();
        let repeated = runs.iter().map(|run| run.repeated).max().unwrap_or_default();
        table.row([
            of.subject.name().to_owned(),
            format!("{written} of {CHARGES}"),
            overdraft.to_string(),
            errors(runs.iter().map(|run| &run.errors)),
            repeated.to_string(),
        ]);
    }
    table
}

fn start_ups(measured: &[Measured]) -> Table {
    let mut table = Table::new(&["stack", "start to the first answer", "peak memory then"]);
    for of in stacks(measured) {
        let time = median_of(&of.start_ups, |start_up| start_up.time.as_secs_f64());
        let memory = median_of(&of.start_ups, |start_up| float(start_up.memory));
        table.row([of.subject.name().to_owned(), report::time(time * 1e9), mebibytes(memory)]);
    }
    table
}

fn plot(measured: &[Measured]) -> Plot<'static> {
    Plot {
        title: "Charges a second while records accumulate",
        axes: ["charges written", "charges a second"],
        logarithmic: [false, false],
        x_label: count,
        lines: measured.iter().map(history_line).collect(),
    }
}

/// The median rate of each part of the history.
fn history_line(of: &Measured) -> (String, Vec<(f64, f64)>) {
    let histories = &of.histories;
    let parts = 0..histories[0].rates.len();
    let point = |(nth, part): (u64, usize)| {
        (float(nth * histories[0].part), median_of(histories, |history| history.rates[part]))
    };
    (of.subject.name().to_owned(), (1..).zip(parts).map(point).collect())
}

fn median_of<T>(runs: &[T], value: impl Fn(&T) -> f64) -> f64 {
    median(runs.iter().map(value).collect())
}

/// Sums of the rounds by code.
fn errors<'a>(rounds: impl Iterator<Item = &'a BTreeMap<String, u64>>) -> String {
    let mut sums = BTreeMap::<_, u64>::new();
    for (code, number) in rounds.flatten() {
        *sums.entry(code).or_default() += number;
    }
    if sums.is_empty() {
        return "0".to_owned();
    }
    sums.iter().map(|(code, sum)| format!("{sum} {code}")).collect::<Vec<_>>().join(", ")
}

fn mebibytes(kibibytes: f64) -> String {
    format!("{:.0} MiB", kibibytes / 1_024.0)
}
