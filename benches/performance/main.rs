//! Measures Scrip, and writes the results into docs/performance.md with plots.

#![allow(clippy::expect_used, reason = "a benchmark ends by panicking")]
#![allow(clippy::float_arithmetic, reason = "times, never credits")]

mod cases;
mod engine;
mod growth;
mod hot_path;
mod instant_dynamodb;
mod load;
mod local_stack;
mod metrics_sink;
mod micro;
#[path = "../../tests/peers/mod.rs"]
mod peers;
mod report;
mod sdk_baseline;

use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use scrip_ops::cli_error::CliError;
use tokio::runtime::Builder;

use crate::growth::Axis;

/// Measures Scrip, and writes the results into docs/performance.md.
#[derive(Debug, Parser)]
struct Options {
    /// The benchmarks to run; all by default
    #[arg(value_enum)]
    parts: Vec<Benchmark>,
    /// Users of the largest table
    #[arg(long, default_value_t = 1_000_000)]
    users: u64,
    #[command(flatten)]
    peers: peers::PeerOptions,
    /// Cargo passes this to every benchmark
    #[arg(long, hide = true)]
    bench: bool,
    /// A case to run under valgrind, with its number of packs and of repetitions
    #[arg(long, hide = true)]
    work: Option<String>,
    #[arg(long, hide = true, default_value_t = 1)]
    packs: u64,
    #[arg(long, hide = true, default_value_t = 1)]
    times: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Benchmark {
    /// The rules, and the mapping of items
    Rules,
    /// The whole of decrease
    HotPath,
    /// Every operation with little and with much
    Growth,
    /// The local stack under load
    Load,
    /// The local stack beside PostgreSQL
    Peers,
}

fn main() -> ExitCode {
    let options = Options::parse();
    if let Some(name) = &options.work {
        micro::work(name, options.packs, options.times);
        return ExitCode::SUCCESS;
    }
    let parts = if options.parts.is_empty() { Benchmark::value_variants() } else { &options.parts };
    for part in parts {
        if let Err(problem) = measure(*part, &options) {
            eprintln!("error: {problem}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

fn measure(part: Benchmark, options: &Options) -> Result<(), CliError> {
    // The functions' runtime.
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    match part {
        Benchmark::Rules => report::put("rules", &[micro::rules()]),
        Benchmark::HotPath => {
            let alone = hot_path::alone();
            report::put("hot path", &[alone, runtime.block_on(hot_path::against_baseline())])
        }
        Benchmark::Growth => {
            let mut tables = Vec::new();
            for axis in [Axis::Records, Axis::Packs, Axis::Users] {
                let (table, lines) = runtime.block_on(growth::grow(axis, options.users));
                report::plot(&format!("{}.svg", axis.name()), &growth::plot(axis, lines))?;
                tables.push(table);
            }
            report::put("growth", &tables)
        }
        Benchmark::Load => report::put("load", &[load::table()?]),
        Benchmark::Peers => peers::measure(&options.peers),
    }
}
