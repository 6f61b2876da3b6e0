//! `scrip-ops`: the operator's command line.

use std::{path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};
use scrip::{
    ledger::{Ledger, Sources},
    store::{Connection, Store, TABLE},
};
use scrip_ops::{
    migrate::{Settings, migrate},
    old::{Names, Old},
    problem::Problem,
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
        /// Where the old table is: postgres://user:password@host/database
        #[arg(long, value_name = "URL", env = "SCRIP_OLD_URL", hide_env_values = true)]
        from: String,
        /// How many users are written before they are read back
        #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..))]
        batch: u16,
        /// Write nothing to the ledger
        #[arg(long)]
        dry_run: bool,
        /// Grant what single-row charges cost users too much
        #[arg(long)]
        mend: bool,
        /// Folder for the moment as of which all is moved, the quarantine and the report
        #[arg(long, value_name = "DIR", default_value = "scrip-migration")]
        folder: PathBuf,
        /// What a table or column is called in the old database, as credits=billing.credits or
        /// credits.user_uuid=owner; may be given several times
        #[arg(long = "name", value_name = "WHAT=NAME")]
        names: Vec<String>,
    },
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
    let store = Store::connect(connection, options.dynamodb_table).await;
    let ledger = Ledger::new(store, Sources::system());
    match options.command {
        Command::Migrate { from, batch, dry_run, mend, folder, names } => {
            let settings = Settings { batch: batch.into(), dry_run, mend, folder };
            let names = named(&names)?;
            let mut old = Old::connect(&from).await?;
            print!("{}", migrate(&mut old, &names, &ledger, &settings).await?);
            Ok(())
        }
    }
}

/// The names of the old database, with these of them changed.
fn named(changed: &[String]) -> Result<Names, Problem> {
    let mut names = Names::default();
    for change in changed {
        let (what, name) =
            change.split_once('=').ok_or_else(|| Problem(format!("{change:?} is not WHAT=NAME")))?;
        names.rename(what, name)?;
    }
    Ok(names)
}
