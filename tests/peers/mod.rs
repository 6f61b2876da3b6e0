//! The local stack beside PostgreSQL: the same charges against each, in turns.

mod closed_loop;
mod consistency;
mod loads;
mod postgres;
mod report;
mod stack;
mod start_up;
mod subject;

use std::{error::Error, path::PathBuf};

use clap::{Args, value_parser};
use scrip_ops::cli_error::CliError;
use tokio::runtime::Builder;

use crate::local_stack;
use consistency::Consistency;
use loads::{History, LOADS, LoadRun};
use postgres::Design;
use stack::StackProgram;
use start_up::{FilledTable, StartUp};
use subject::Subject;

/// Options of the benchmark `peers`.
#[derive(Debug, Args)]
pub(crate) struct PeerOptions {
    /// Rounds of the benchmark peers; medians of them are reported
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = value_parser!(u32).range(1..=99))]
    rounds: u32,
    /// Seconds for which peers applies each load
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = value_parser!(u64).range(1..=3_600))]
    seconds: u64,
    /// Charges that peers writes without a restart
    #[arg(long, value_name = "N", default_value_t = 100_000, value_parser = value_parser!(u64).range(10..=100_000_000))]
    writes: u64,
    /// Grants in the table on which peers starts the stack
    #[arg(long, value_name = "N", default_value_t = 1_000_000, value_parser = value_parser!(u64).range(1..=100_000_000))]
    records: u64,
    /// The scrip-local that peers measures, instead of building it
    #[arg(long, value_name = "PATH")]
    program: Option<PathBuf>,
    /// A further scrip-local that peers measures, such as an old build; repeatable
    #[arg(long = "stack", value_name = "NAME=PATH")]
    stacks: Vec<StackProgram>,
}

/// A subject with what was measured of it, one value a round.
struct Measured {
    subject: Subject,
    /// By the index of the load.
    loads: [Vec<LoadRun>; LOADS.len()],
    histories: Vec<History>,
    consistency: Vec<Consistency>,
    /// Of stacks only.
    start_ups: Vec<StartUp>,
}

/// Measures all subjects in turns, and writes the tables and the plot of the document.
///
/// # Errors
/// If a subject ends or returns wrong balances, or the document cannot be written.
pub(crate) fn measure(options: &PeerOptions) -> Result<(), CliError> {
    // A driver with one thread could be slower than what it measures.
    let runtime = Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let mut measured: Vec<_> = subjects(options).into_iter().map(Measured::new).collect();
    runtime.block_on(run(options, &mut measured))?;
    report::write(&measured)
}

fn subjects(options: &PeerOptions) -> Vec<Subject> {
    let path = options.program.clone();
    let path = path.unwrap_or_else(|| local_stack::build(&["scrip-local"]).join("scrip-local"));
    let stack = StackProgram { name: "scrip-local".to_owned(), path };
    let stacks = [stack].into_iter().chain(options.stacks.iter().cloned()).map(Subject::Stack);
    stacks.chain(Design::ALL.map(Subject::Postgres)).collect()
}

async fn run(options: &PeerOptions, measured: &mut [Measured]) -> Result<(), CliError> {
    let table = FilledTable::fill(options.records).await;
    for round in 1..=options.rounds {
        eprintln!("round {round} of {}", options.rounds);
        // So that no subject always follows the same one's last load.
        measured.rotate_left(1);
        run_round(options, &table, measured).await?;
    }
    // As in the first round.
    let rotated = usize::try_from(options.rounds).expect("a few") % measured.len();
    measured.rotate_right(rotated);
    Ok(())
}

/// Every subject takes its turn at each load, at the history, at the races and at the start.
async fn run_round(
    options: &PeerOptions,
    table: &FilledTable,
    measured: &mut [Measured],
) -> Result<(), CliError> {
    for (nth, load) in LOADS.iter().enumerate() {
        for Measured { subject, loads, .. } in &mut *measured {
            let run = load.run(subject, options.seconds).await;
            loads[nth].push(run.map_err(|error| in_context(&load.name(), subject, error))?);
        }
    }
    for Measured { subject, histories, .. } in &mut *measured {
        let run = History::run(subject, options.writes).await;
        histories.push(run.map_err(|error| in_context("history", subject, error))?);
    }
    for Measured { subject, consistency, .. } in &mut *measured {
        let run = Consistency::run(subject).await;
        consistency.push(run.map_err(|error| in_context("races", subject, error))?);
    }
    for Measured { subject, start_ups, .. } in &mut *measured {
        if let Subject::Stack(program) = subject {
            let start_up = table.start(program).await;
            start_ups.push(start_up.map_err(|error| in_context("start-up", subject, error))?);
        }
    }
    Ok(())
}

/// The message of an error with the one that caused it.
fn with_cause(error: &dyn Error) -> String {
    error.source().map_or_else(|| error.to_string(), |cause| format!("{error}: {cause}"))
}

fn in_context(part: &str, subject: &Subject, error: CliError) -> CliError {
    CliError(format!("{part}, {}: {}", subject.name(), error.0))
}

impl Measured {
    fn new(subject: Subject) -> Measured {
        Measured {
            subject,
            loads: Default::default(),
            histories: Vec::new(),
            consistency: Vec::new(),
            start_ups: Vec::new(),
        }
    }
}
