//! Measures how many charges one wallet takes, by the function and by its rivals, on
//! simulated time, and writes the tables of `docs/scale.md`. The same seed gives the
//! same figures. With rates as arguments it measures the function at these alone, and
//! writes no document.

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

use scrip_tests::hot::{Figures, GRANTED, Load, Pace, Way, one_trip::Guard, run};

/// Charges a second.
const RATES: [u64; 8] = [10, 20, 40, 60, 100, 200, 500, 1_000];
/// How long an invocation may take, in milliseconds: `Timeout` of `template.yaml`.
const LIMIT: i64 = 29_000;
/// How long callers come, in seconds: longer than an invocation may take, so that the
/// number in flight stops growing.
const WINDOW: u64 = 40;
/// Above 100 a second fewer seconds suffice, because the wallet is full at once.
const CALLERS: u64 = 4_000;
const SEED: u64 = 7;

const FUNCTION: &str = "the function";
/// Each way with the highest rate that it is asked for: the rivals are long full there.
const WAYS: [(&str, Way, u64); 6] = [
    (FUNCTION, Way::Function(1), 1_000),
    ("transaction, conditions on packs", Way::Prototype(Guard::PacksAndRecord, 0), 200),
    ("one trip, version, 1 s", Way::Prototype(Guard::Version, 1_000), 100),
    ("one trip, packs, 1 s", Way::Prototype(Guard::Packs, 1_000), 100),
    ("one trip, packs, 5 s", Way::Prototype(Guard::Packs, 5_000), 100),
    ("the function, 8 wallets", Way::Function(8), 1_000),
];

fn main() {
    let only: Vec<u64> = env::args().filter_map(|argument| argument.parse().ok()).collect();
    let is_asked = |way: Way, rate: u64| only.is_empty() || (way == WAYS[0].1 && only.contains(&rate));
    let cells: Vec<_> = RATES.iter().flat_map(|rate| WAYS.map(|(_, way, most)| (way, *rate, most))).collect();
    let (next, figures) = (AtomicUsize::new(0), Mutex::new(vec![None; cells.len()]));
    let workers = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while let Some((way, rate, most)) = cells.get(next.fetch_add(1, Ordering::SeqCst)) {
                    if rate > most || !is_asked(*way, *rate) {
                        continue;
                    }
                    let ended = run(*way, load(*rate));
                    eprintln!("{way:?} at {rate}: {}", row(&ended, *rate));
                    assert_eq!(
                        ended.credits.0 + ended.credits.1,
                        GRANTED * wallets(*way),
                        "credits are lost"
                    );
                    let at = cells.iter().position(|cell| *cell == (*way, *rate, *most)).expect("its cell");
                    figures.lock().expect("no panic")[at] = Some(ended);
                }
            });
        }
    });
    let figures = figures.into_inner().expect("no panic");
    if only.is_empty() {
        let tables = tables(&figures);
        println!("{tables}");
        write(&tables);
    } else {
        println!("{}", table_of_function(&figures).join("\n"));
    }
}

fn load(rate: u64) -> Load {
    let seconds = (CALLERS / rate).min(WINDOW);
    Load { rate, seconds, limit: LIMIT, seed: SEED, pace: Pace::USUAL }
}

fn wallets(way: Way) -> u64 {
    if let Way::Function(wallets) = way { wallets } else { 1 }
}

fn of(figures: &[Option<Figures>], way: usize, at: usize) -> Option<&Figures> {
    figures[at * WAYS.len() + way].as_ref()
}

fn table_of_function(figures: &[Option<Figures>]) -> Vec<String> {
    let mut lines = vec![
        "| asked a second | charged a second | `Busy` | p50 | p99 | most in flight | writes sent, a charge | write units, a charge |"
            .to_owned(),
        "| --- | --- | --- | --- | --- | --- | --- | --- |".to_owned(),
    ];
    lines.extend(RATES.iter().enumerate().filter_map(|(at, rate)| Some(row(of(figures, 0, at)?, *rate))));
    lines
}

fn tables(figures: &[Option<Figures>]) -> String {
    let mut lines = vec![
        format!(
            "An invocation may take {} s. Callers come for {WINDOW} s; at more than {} a second, for as long as \
            {CALLERS} of them take.",
            LIMIT / 1_000,
            CALLERS / WINDOW,
        ),
        String::new(),
    ];
    lines.extend(table_of_function(figures));
    for (title, cell) in [
        ("charged a second", charged_a_second as fn(&Figures, u64) -> String),
        ("p99", |figures, _| millis(figures, 99)),
        ("most in flight", |figures, _| figures.in_flight.to_string()),
        ("write units of the table, a charge", |figures, _| write_units(figures)),
    ] {
        lines.push(String::new());
        let names: Vec<_> = WAYS.iter().map(|(name, ..)| *name).collect();
        lines.push(format!("| {title}, at | {} |", names.join(" | ")));
        lines.push("| --- ".repeat(WAYS.len() + 1) + "|");
        for (at, rate) in RATES.into_iter().enumerate() {
            let cell = |way| of(figures, way, at).map_or(String::new(), |figures| cell(figures, rate));
            let cells: Vec<_> = (0..WAYS.len()).map(cell).collect();
            lines.push(format!("| {rate} | {} |", cells.join(" | ")));
        }
    }
    lines.join("\n")
}

fn row(figures: &Figures, rate: u64) -> String {
    let sent = ["TransactWriteItems", "UpdateItem"].map(|operation| figures.traffic.of(operation));
    format!(
        "| {rate} | {} | {} % | {} | {} | {} | {} | {} |",
        charged_a_second(figures, rate),
        tenths(100 * (figures.busy + figures.failed), figures.asked),
        millis(figures, 50),
        millis(figures, 99),
        figures.in_flight,
        tenths(sent.iter().sum(), done(figures)),
        write_units(figures),
    )
}

/// Counts what was done while others still came: the end of a run is not under full load.
fn charged_a_second(figures: &Figures, rate: u64) -> String {
    tenths(figures.in_time, load(rate).seconds)
}

fn write_units(figures: &Figures) -> String {
    tenths(figures.traffic.write_units, done(figures))
}

fn done(figures: &Figures) -> u64 {
    u64::try_from(figures.millis.len()).expect("some")
}

fn millis(figures: &Figures, percent: usize) -> String {
    let at = (figures.millis.len() * percent).div_ceil(100).max(1) - 1;
    figures.millis.get(at).map_or("none".to_owned(), |millis| format!("{millis} ms"))
}

fn tenths(sum: u64, count: u64) -> String {
    let tenths = (10 * sum + count / 2) / count.max(1);
    format!("{}.{}", tenths / 10, tenths % 10)
}

/// Replaces the tables of the document.
fn write(tables: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/scale.md");
    let text = fs::read_to_string(&path).expect("the document");
    let (head, rest) = text.split_once("<!-- hot wallet -->\n").expect("where the tables begin");
    let (_, foot) = rest.split_once("<!-- end of hot wallet -->").expect("where they end");
    let text = format!("{head}<!-- hot wallet -->\n{tables}\n<!-- end of hot wallet -->{foot}");
    fs::write(&path, text).expect("the document");
}
