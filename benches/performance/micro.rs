//! Micro-benchmarks: time, instructions and allocations of each case.

use std::{
    env, fs,
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use criterion::Criterion;
use serde_json::Value;

use crate::{
    cases::{self, PACKS},
    report::{self, Table},
};

/// Repetitions under valgrind: the difference gives the cost of one.
const TIMES: [u64; 2] = [5, 25];

/// The table of the rules and of the mapping of items.
pub(crate) fn rules() -> Table {
    let head = ["", "packs", "time", "instructions", "allocations", "bytes"];
    let mut table = Table::new(&head);
    for name in cases::RULES {
        for packs in PACKS {
            add(&mut table, name, packs);
        }
    }
    table
}

/// Measures a case, and adds its row.
pub(crate) fn add(table: &mut Table, name: &str, packs: u64) {
    eprintln!("{name}, {packs} packs");
    let time = report::time(nanos(name, packs));
    let instructions = valgrind("callgrind", "Collected :", name, packs)[0];
    let heap = valgrind("dhat", "Total:", name, packs);
    let [instructions, blocks, bytes] = [instructions, heap[1], heap[0]].map(report::count);
    table.row([name.to_owned(), packs.to_string(), time, instructions, blocks, bytes]);
}

/// Median time by criterion, in nanoseconds.
fn nanos(name: &str, packs: u64) -> f64 {
    let folder = tempfile::tempdir().expect("a folder");
    let mut criterion = Criterion::default()
        .output_directory(folder.path())
        .sample_size(20)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(600));
    let mut work = cases::work(name, packs);
    criterion.bench_function("work", |bencher| bencher.iter(&mut work));
    let estimates = fs::read(folder.path().join("work/new/estimates.json")).expect("criterion's estimates");
    let estimates: Value = serde_json::from_slice(&estimates).expect("JSON");
    estimates["median"]["point_estimate"].as_f64().expect("a median")
}

/// The numbers in one line of valgrind's output, for one repetition.
fn valgrind(tool: &str, line: &str, name: &str, packs: u64) -> Vec<f64> {
    let [few, many] = TIMES.map(|times| valgrind_numbers(tool, line, name, packs, times));
    let span = report::float(TIMES[1] - TIMES[0]);
    few.iter().zip(many).map(|(few, many)| (many - few) / span).collect()
}

fn valgrind_numbers(tool: &str, line: &str, name: &str, packs: u64, times: u64) -> Vec<f64> {
    let this = env::current_exe().expect("this program");
    let out = Path::new("/dev/null").display();
    let ran = Command::new("valgrind")
        .arg(format!("--tool={tool}"))
        .arg(format!("--{tool}-out-file={out}"))
        .arg(this)
        .args(["--work", name, "--packs", &packs.to_string(), "--times", &times.to_string()])
        .stdin(Stdio::null())
        .output()
        .expect("valgrind, a package of every Linux");
    let output = String::from_utf8_lossy(&ran.stderr);
    let found = output.lines().filter_map(|output| output.split_once(line)).next_back();
    let (_, numbers) = found.unwrap_or_else(|| panic!("{tool} prints no {line}: {output}"));
    let digits = numbers.split_whitespace().map(|word| word.replace(',', ""));
    digits.filter_map(|word| word.parse().ok()).collect()
}

/// Repeats a case under valgrind.
pub(crate) fn work(name: &str, packs: u64, times: u64) {
    let mut work = cases::work(name, packs);
    (0..times).for_each(|_| work());
}
