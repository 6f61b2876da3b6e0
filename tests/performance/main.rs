//! What Scrip costs, measured, and written into docs/performance.md with its plots.

#![allow(clippy::expect_used, reason = "what is not there cannot be measured")]
#![allow(clippy::float_arithmetic, reason = "times, never credits")]

mod bare;
mod canned;
mod cases;
mod document;
mod engine;
mod growth;
mod hot_path;
mod load;
mod pieces;
mod telling;

use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use scrip_ops::cli_error::CliError;
use tokio::runtime::Builder;

use crate::growth::Axis;

/// Measures, and writes what was found into docs/performance.md.
#[derive(Debug, Parser)]
struct Options {
    /// What to measure; all of it where nothing is named
    #[arg(value_enum)]
    parts: Vec<Part>,
    /// How many users the largest table has
    #[arg(long, default_value_t = 1_000_000)]
    users: u64,
    /// As cargo says
    #[arg(long, hide = true)]
    bench: bool,
    /// Work to be watched by valgrind, on wallets of so many packs, so many times
    #[arg(long, hide = true)]
    work: Option<String>,
    #[arg(long, hide = true, default_value_t = 1)]
    packs: u64,
    #[arg(long, hide = true, default_value_t = 1)]
    times: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// The rules, and the mapping of items
    Rules,
    /// The whole of decrease
    HotPath,
    /// Every operation with little and with much
    Growth,
    /// The local stack under load
    Load,
}

fn main() -> ExitCode {
    let options = Options::parse();
    if let Some(name) = &options.work {
        pieces::work(name, options.packs, options.times);
        return ExitCode::SUCCESS;
    }
    let parts = if options.parts.is_empty() { Part::value_variants() } else { &options.parts };
    for part in parts {
        if let Err(problem) = measure(*part, options.users) {
            eprintln!("error: {problem}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

fn measure(part: Part, users: u64) -> Result<(), CliError> {
    // As every function has it.
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    match part {
        Part::Rules => document::put("rules", &[pieces::rules()]),
        Part::HotPath => {
            let alone = hot_path::alone();
            document::put("hot path", &[alone, runtime.block_on(hot_path::against_bare())])
        }
        Part::Growth => {
            let mut tables = Vec::new();
            for axis in [Axis::Records, Axis::Packs, Axis::Users] {
                let (table, lines) = runtime.block_on(growth::grow(axis, users));
                document::plot(&format!("{}.svg", axis.name()), &growth::plot(axis, lines))?;
                tables.push(table);
            }
            document::put("growth", &tables)
        }
        Part::Load => document::put("load", &[load::table()?]),
    }
}
