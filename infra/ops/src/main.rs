//! `scrip-ops`: the operator's command line.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use scrip::{
    ledger::{ClockAndRandom, Ledger},
    store::{Connection, Store, TABLE},
};
use scrip_ops::{
    bench,
    copy::{export, import},
    migrate,
    old::{Old, Place},
    problem::{PATIENCE_MILLIS, Problem},
    repair, rollback, verify,
};

/// What operators of Scrip do from outside.
#[derive(Debug, Parser)]
#[command(name = "scrip-ops", version)]
struct Options {
    #[command(subcommand)]
    command: Command,
    /// The table
    #[arg(long, global = true, default_value = TABLE)]
    dynamodb_table: String,
    /// Another DynamoDB engine than the region's
    #[arg(long, global = true, value_name = "URL")]
    dynamodb_endpoint: Option<String>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Move users out of the old table in PostgreSQL; begun again, it goes on
    Migrate {
        #[command(flatten)]
        old: Place,
        #[command(flatten)]
        settings: migrate::Settings,
    },
    /// Give PostgreSQL its rows back, and what has happened since as rows of a new table; the app
    /// must write nothing meanwhile
    Rollback {
        #[command(flatten)]
        old: Place,
        #[command(flatten)]
        settings: rollback::Settings,
    },
    /// Hold the old tables against the ledger, and the ledger against itself
    Verify(verify::Settings),
    /// Tell how the records would put a user's wallet right; with --write, do it
    Repair(repair::Settings),
    /// Write the whole table into a file
    Export(export::Settings),
    /// Put the items of a file into a table, over none that is there; begun again, it goes on
    Import(import::Settings),
    /// Call an HTTP API as apps do, for users of its own, and say how long that takes
    Bench(bench::Settings),
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Options::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("error: {problem}");
            ExitCode::FAILURE
        }
    }
}

async fn run(options: Options) -> Result<(), Problem> {
    let connection = options.dynamodb_endpoint.map_or_else(Connection::default, Connection::to);
    let table = options.dynamodb_table;
    let store = Store::connect(connection, &table).await;
    let ledger = Ledger::new(store, ClockAndRandom::system()).with_contention_budget(PATIENCE_MILLIS);
    match options.command {
        Command::Migrate { old, settings } => {
            let names = old.called.names()?;
            let mut old = Old::connect(&old.from).await?;
            let report = migrate::migrate(&mut old, &names, &ledger, &settings).await?;
            print!("{report}");
            sound(report.differ.is_empty())?;
        }
        Command::Rollback { old, settings } => {
            let names = old.called.names()?;
            let mut old = Old::connect(&old.from).await?;
            print!("{}", rollback::rollback(&mut old, &names, &ledger, &settings).await?);
        }
        Command::Verify(settings) => {
            let report = verify::verify(&ledger, &settings).await?;
            print!("{report}");
            sound(report.is_sound())?;
        }
        Command::Repair(settings) => {
            let report = repair::repair(&ledger, &settings).await?;
            print!("{report}");
            report.ended()?;
        }
        Command::Export(settings) => print!("{}", export::export(&ledger, &table, &settings).await?),
        Command::Import(settings) => print!("{}", import::import(&ledger, &settings).await?),
        Command::Bench(settings) => {
            let report = bench::bench(&settings).await?;
            print!("{report}");
            sound(report.books.is_sound())?;
        }
    }
    Ok(())
}

/// How a command ends that has told all it found.
fn sound(is_sound: bool) -> Result<(), Problem> {
    if is_sound { Ok(()) } else { Err(Problem("not all is as it should be".to_owned())) }
}
