//! `scrip-ops`: the operator's command line.

use std::{io, process::ExitCode};

use clap::{Parser, Subcommand};
use scrip::{
    ledger::{ClockAndRandom, Ledger},
    store::{Connection, Store, TABLE},
};
use scrip_ops::{
    bench,
    cli_error::{CONTENTION_BUDGET_MILLIS, CliError},
    copy::{export, import},
    legacy::{DatabaseOptions, LegacyDatabase},
    migrate,
    orders::{self, OrdersError},
    repair, rollback, unblock, verify,
};

/// Commands for operators of a Scrip ledger
#[derive(Debug, Parser)]
#[command(name = "scrip-ops", version)]
struct Options {
    #[command(subcommand)]
    command: Command,
    /// Name of the ledger's table
    #[arg(long, global = true, default_value = TABLE)]
    dynamodb_table: String,
    /// URL of another DynamoDB engine than the Region's
    #[arg(long, global = true, value_name = "URL")]
    dynamodb_endpoint: Option<String>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Migrate users from the old table in PostgreSQL; run again to continue
    Migrate {
        #[command(flatten)]
        database: DatabaseOptions,
        #[command(flatten)]
        settings: migrate::Settings,
    },
    /// Restore the old rows in PostgreSQL, and write all later changes to a new table; stop the app's
    /// writes first
    Rollback {
        #[command(flatten)]
        database: DatabaseOptions,
        #[command(flatten)]
        settings: rollback::Settings,
    },
    /// Compare the old tables with the ledger, and each wallet with its records
    Verify(verify::Settings),
    /// Compare the export of a payment provider with the orders of the ledger
    Orders(orders::Settings),
    /// Show how the records would correct a user's wallet; with --write, correct it
    Repair(repair::Settings),
    /// Let users whom a migration left behind begin anew
    Unblock(unblock::Settings),
    /// Write the whole table to a file
    Export(export::Settings),
    /// Write the items of a file to a table without overwriting any; run again to continue
    Import(import::Settings),
    /// Call an HTTP API as apps do, for users of its own, and report latencies
    Bench(bench::Settings),
}

/// The exit code of a migration that left users behind.
const LEFT_BEHIND: u8 = 3;
/// The exit code of a comparison with a payment provider that found differences.
const DIFFERENCES: u8 = 3;
/// The exit code of a comparison of an unusable file, as of invalid options.
const UNUSABLE_INPUT: u8 = 2;

#[tokio::main]
async fn main() -> ExitCode {
    match run(Options::parse()).await {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(options: Options) -> Result<ExitCode, CliError> {
    let connection = options.dynamodb_endpoint.map_or_else(Connection::default, Connection::to);
    let table = options.dynamodb_table;
    let store = Store::connect(connection, &table).await;
    let ledger =
        Ledger::new(store, ClockAndRandom::system()).with_contention_budget(CONTENTION_BUDGET_MILLIS);
    match options.command {
        Command::Migrate { database, settings } => {
            let names = database.names.resolve()?;
            let mut database = LegacyDatabase::connect(&database.from).await?;
            let report = migrate::migrate(&mut database, &names, &ledger, &settings).await?;
            print!("{report}");
            require_sound(report.differ.is_empty())?;
            if report.has_left_behind() {
                return Ok(ExitCode::from(LEFT_BEHIND));
            }
        }
        Command::Rollback { database, settings } => {
            let names = database.names.resolve()?;
            let mut database = LegacyDatabase::connect(&database.from).await?;
            print!("{}", rollback::rollback(&mut database, &names, &ledger, &settings).await?);
        }
        Command::Verify(settings) => {
            let report = verify::verify(&ledger, &settings).await?;
            print!("{report}");
            require_sound(report.is_sound())?;
        }
        Command::Orders(settings) => {
            return match orders::verify(&ledger, &settings, &mut io::stdout()).await {
                Ok(summary) if summary.is_clean() => Ok(ExitCode::SUCCESS),
                Ok(_) => Ok(ExitCode::from(DIFFERENCES)),
                Err(OrdersError::Command(error)) => Err(error),
                Err(OrdersError::Input(error)) => {
                    eprintln!("error: {error}");
                    Ok(ExitCode::from(UNUSABLE_INPUT))
                }
            };
        }
        Command::Repair(settings) => {
            let report = repair::repair(&ledger, &settings).await?;
            print!("{report}");
            report.require_repairable()?;
        }
        Command::Unblock(settings) => print!("{}", unblock::unblock(&ledger, &settings).await?),
        Command::Export(settings) => print!("{}", export::export(&ledger, &table, &settings).await?),
        Command::Import(settings) => print!("{}", import::import(&ledger, &settings).await?),
        Command::Bench(settings) => {
            let report = bench::bench(&settings).await?;
            print!("{report}");
            require_sound(report.balance_check.is_sound())?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The result of a command whose report is printed.
fn require_sound(is_sound: bool) -> Result<(), CliError> {
    if is_sound { Ok(()) } else { Err(CliError("the check failed; see the report".to_owned())) }
}
