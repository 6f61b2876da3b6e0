//! PostgreSQL as a subject, with its default durability.

mod one_table;
mod row_locks;

use scrip_ops::cli_error::CliError;
use scrip_tests::{
    postgres::{Database, Durability, Server},
    process::ProcessStat,
};
use tokio_postgres::{Client, NoTls, types::ToSql};

pub(super) use one_table::OneTableCaller;
pub(super) use row_locks::{RowLocksCaller, RowLocksFunctionCaller};

use super::{subject::Caller, with_cause};

/// Credits of a charge.
const COST: i64 = 1;
/// The code of the API for a charge beyond the balance.
const INSUFFICIENT: &str = "InsufficientCredits";

/// Tables and statements of an app.
#[derive(Clone, Copy, Debug)]
pub(super) enum Design {
    /// The app that Scrip replaces: one table of signed rows, no lock.
    OneTable,
    /// Locked wallets, packs, unique charges and allocations.
    RowLocks,
    /// The same in one PL/pgSQL function.
    RowLocksFunction,
}

impl Design {
    pub(super) const ALL: [Design; 3] = [Design::OneTable, Design::RowLocks, Design::RowLocksFunction];

    pub(super) fn name(self) -> &'static str {
        match self {
            Design::OneTable => "PG, one table",
            Design::RowLocks => "PG, row locks",
            Design::RowLocksFunction => "PG, function",
        }
    }

    fn tables(self) -> &'static str {
        match self {
            Design::OneTable => include_str!("one_table/tables.sql"),
            Design::RowLocks | Design::RowLocksFunction => {
                concat!(include_str!("row_locks/tables.sql"), include_str!("row_locks/charge_function.sql"))
            }
        }
    }

    fn grant(self) -> &'static str {
        match self {
            Design::OneTable => include_str!("one_table/grant.sql"),
            Design::RowLocks | Design::RowLocksFunction => include_str!("row_locks/grant.sql"),
        }
    }

    fn balance(self) -> &'static str {
        match self {
            Design::OneTable => include_str!("one_table/balance.sql"),
            Design::RowLocks | Design::RowLocksFunction => include_str!("row_locks/balance.sql"),
        }
    }
}

/// A new server with the tables of a design.
pub(super) struct Postgres {
    design: Design,
    database: Database,
    admin: Client,
    /// Id of the server's first process, the parent of all others.
    pub(super) postmaster: u32,
}

impl Postgres {
    pub(super) async fn start(design: Design) -> Result<Postgres, CliError> {
        let database = Server::start(Durability::Synced).database().await;
        let admin = connect(&database).await?;
        admin.batch_execute(design.tables()).await.map_err(failed)?;
        let session = admin.query_one("SELECT pg_backend_pid()", &[]).await.map_err(failed)?;
        let session = session.get::<_, i32>(0).unsigned_abs();
        let session = ProcessStat::of(session).map_err(|error| CliError(format!("PostgreSQL: {error}")))?;
        Ok(Postgres { design, database, admin, postmaster: session.parent })
    }

    pub(super) async fn grant(&self, user: &str, credits: i64, expired_at: &str) -> Result<(), CliError> {
        let grant: [&(dyn ToSql + Sync); 3] = [&user, &credits, &expired_at];
        self.admin.execute(self.design.grant(), &grant).await.map(drop).map_err(failed)
    }

    pub(super) async fn balance(&self, user: &str) -> Result<i64, CliError> {
        let row = self.admin.query_one(self.design.balance(), &[&user]).await.map_err(failed)?;
        Ok(row.get(0))
    }

    /// A caller with its own connection and prepared statements.
    pub(super) async fn caller(&self) -> Result<Caller, CliError> {
        let client = connect(&self.database).await?;
        Ok(match self.design {
            Design::OneTable => Caller::OneTable(OneTableCaller::prepare(client).await?),
            Design::RowLocks => Caller::RowLocks(RowLocksCaller::prepare(client).await?),
            Design::RowLocksFunction => {
                Caller::RowLocksFunction(RowLocksFunctionCaller::prepare(client).await?)
            }
        })
    }
}

async fn connect(database: &Database) -> Result<Client, CliError> {
    let (client, connection) = tokio_postgres::connect(&database.url(), NoTls).await.map_err(failed)?;
    // A call on the client reports the end of the connection.
    tokio::spawn(async { drop(connection.await) });
    Ok(client)
}

fn failed(error: tokio_postgres::Error) -> CliError {
    CliError(format!("PostgreSQL: {}", with_cause(&error)))
}
