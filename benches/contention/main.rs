//! Measures the charges that one wallet takes, with the function and with prototypes, on
//! simulated time, and writes the tables of `docs/scale.md`. The same seed gives the same
//! results. With rates as arguments it measures the function at these rates only, and writes
//! no document.

#![allow(clippy::expect_used, reason = "a benchmark ends by panicking")]

use std::{
    env, fs,
    path::Path,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use scrip_tests::{
    contention::{GRANTED, Implementation, Load, LoadResult, ServiceModel, run},
    single_round_trip::WriteCondition,
};

/// Charges a second.
const RATES: [u64; 8] = [10, 20, 40, 60, 100, 200, 500, 1_000];
/// Time limit of an invocation of the function, in milliseconds: `Timeout` of `template.yaml`.
const TIME_LIMIT: i64 = 29_000;
/// Duration of the arrivals, in seconds: longer than an invocation may take, so that the
/// number in flight stops growing.
const WINDOW: u64 = 40;
/// The same for prototypes. They have no contention budget, so the time limit replaces it.
const PROTOTYPE_TIME_LIMIT: i64 = 3_500;
const PROTOTYPE_WINDOW: u64 = 10;
/// Above 100 a second a shorter time suffices, because the wallet is at its limit at once.
const CALLERS: u64 = 4_000;
const SEED: u64 = 7;

const FUNCTION: &str = "the function";
/// Each implementation with its highest rate. The prototypes reach their limit below it.
const IMPLEMENTATIONS: [(&str, Implementation, u64); 6] = [
    (FUNCTION, Implementation::Function(1), 1_000),
    ("transaction, conditions on packs", Implementation::Prototype(WriteCondition::PacksAndRecord, 0), 200),
    ("single round trip, version, 1 s", Implementation::Prototype(WriteCondition::Version, 1_000), 100),
    ("single round trip, packs, 1 s", Implementation::Prototype(WriteCondition::Packs, 1_000), 100),
    ("single round trip, packs, 5 s", Implementation::Prototype(WriteCondition::Packs, 5_000), 100),
    ("the function, 8 wallets", Implementation::Function(8), 1_000),
];

fn main() {
    let only: Vec<u64> = env::args().filter_map(|argument| argument.parse().ok()).collect();
    let is_selected = |implementation: Implementation, rate: u64| {
        only.is_empty() || (implementation == IMPLEMENTATIONS[0].1 && only.contains(&rate))
    };
    let cells: Vec<_> = RATES
        .iter()
        .flat_map(|rate| {
            IMPLEMENTATIONS.map(|(_, implementation, rate_max)| (implementation, *rate, rate_max))
        })
        .collect();
    let (next, results) = (AtomicUsize::new(0), Mutex::new(vec![None; cells.len()]));
    let workers = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while let Some((implementation, rate, rate_max)) =
                    cells.get(next.fetch_add(1, Ordering::SeqCst))
                {
                    if rate > rate_max || !is_selected(*implementation, *rate) {
                        continue;
                    }
                    let result = run(*implementation, load(*implementation, *rate));
                    eprintln!("{implementation:?} at {rate}: {}", row(&result, *rate));
                    assert_eq!(
                        result.credits.0 + result.credits.1,
                        GRANTED * wallets(*implementation),
                        "credits are lost"
                    );
                    let at = cells
                        .iter()
                        .position(|cell| *cell == (*implementation, *rate, *rate_max))
                        .expect("its cell");
                    results.lock().expect("no panic")[at] = Some(result);
                }
            });
        }
    });
    let results = results.into_inner().expect("no panic");
    if only.is_empty() {
        let tables = tables(&results);
        println!("{tables}");
        write(&tables);
    } else {
        println!("{}", function_table(&results).join("\n"));
    }
}

fn load(implementation: Implementation, rate: u64) -> Load {
    let (time_limit, window) = match implementation {
        Implementation::Function(_) => (TIME_LIMIT, WINDOW),
        Implementation::Prototype(..) => (PROTOTYPE_TIME_LIMIT, PROTOTYPE_WINDOW),
    };
    let seconds = (CALLERS / rate).min(window);
    Load { rate, seconds, time_limit, seed: SEED, model: ServiceModel::TYPICAL }
}

fn wallets(implementation: Implementation) -> u64 {
    if let Implementation::Function(wallets) = implementation { wallets } else { 1 }
}

/// The result of an implementation and a rate, by their indexes.
fn result(results: &[Option<LoadResult>], implementation: usize, rate: usize) -> Option<&LoadResult> {
    results[rate * IMPLEMENTATIONS.len() + implementation].as_ref()
}

fn function_table(results: &[Option<LoadResult>]) -> Vec<String> {
    let mut lines = vec![
        "| requested a second | charged a second | `Busy` | p50 | p99 | most in flight | writes sent, a charge | write units, a charge |"
            .to_owned(),
        "| --- | --- | --- | --- | --- | --- | --- | --- |".to_owned(),
    ];
    lines.extend(RATES.iter().enumerate().filter_map(|(at, rate)| Some(row(result(results, 0, at)?, *rate))));
    lines
}

fn tables(results: &[Option<LoadResult>]) -> String {
    let mut lines = vec![
        format!(
            "An invocation of the function may take {} s, and callers arrive for {WINDOW} s, at most \
            {CALLERS} of them. A prototype has no contention budget: its invocations may take \
            {PROTOTYPE_TIME_LIMIT} ms, and callers arrive for {PROTOTYPE_WINDOW} s.",
            TIME_LIMIT / 1_000,
        ),
        String::new(),
    ];
    lines.extend(function_table(results));
    for (title, cell) in [
        ("charged a second", charged_a_second as fn(&LoadResult, u64) -> String),
        ("p99", |result, _| percentile(result, 99)),
        ("most in flight", |result, _| result.in_flight_max.to_string()),
        ("write units of the table, a charge", |result, _| write_units(result)),
    ] {
        lines.push(String::new());
        let names: Vec<_> = IMPLEMENTATIONS.iter().map(|(name, ..)| *name).collect();
        lines.push(format!("| {title}, at | {} |", names.join(" | ")));
        lines.push("| --- ".repeat(IMPLEMENTATIONS.len() + 1) + "|");
        for (at, rate) in RATES.into_iter().enumerate() {
            let cell = |implementation| {
                result(results, implementation, at).map_or(String::new(), |result| cell(result, rate))
            };
            let cells: Vec<_> = (0..IMPLEMENTATIONS.len()).map(cell).collect();
            lines.push(format!("| {rate} | {} |", cells.join(" | ")));
        }
    }
    lines.join("\n")
}

fn row(result: &LoadResult, rate: u64) -> String {
    let sent = ["TransactWriteItems", "UpdateItem"].map(|operation| result.traffic.requests_of(operation));
    format!(
        "| {rate} | {} | {} % | {} | {} | {} | {} | {} |",
        charged_a_second(result, rate),
        tenths(100 * (result.busy + result.failed), result.requested),
        percentile(result, 50),
        percentile(result, 99),
        result.in_flight_max,
        tenths(sent.iter().sum(), succeeded(result)),
        write_units(result),
    )
}

/// Counts the charges before the last arrival: the end of a run is not under full load.
fn charged_a_second(result: &LoadResult, rate: u64) -> String {
    tenths(result.completed_in_window, result.requested / rate)
}

fn write_units(result: &LoadResult) -> String {
    tenths(result.traffic.write_units, succeeded(result))
}

fn succeeded(result: &LoadResult) -> u64 {
    u64::try_from(result.latencies.len()).expect("a u64")
}

fn percentile(result: &LoadResult, percent: usize) -> String {
    let at = (result.latencies.len() * percent).div_ceil(100).max(1) - 1;
    result.latencies.get(at).map_or("none".to_owned(), |millis| format!("{millis} ms"))
}

fn tenths(sum: u64, count: u64) -> String {
    let tenths = (10 * sum + count / 2) / count.max(1);
    format!("{}.{}", tenths / 10, tenths % 10)
}

/// Replaces the tables of the document.
fn write(tables: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/scale.md");
    let text = fs::read_to_string(&path).expect("the document");
    let (head, rest) = text.split_once("<!-- contention -->\n").expect("the mark before the tables");
    let (_, foot) = rest.split_once("<!-- end of contention -->").expect("the mark after the tables");
    let text = format!("{head}<!-- contention -->\n{tables}\n<!-- end of contention -->{foot}");
    fs::write(&path, text).expect("the document");
}
