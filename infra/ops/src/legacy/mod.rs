//! The old tables, in PostgreSQL. They are only read, in one transaction, as they were
//! at one moment; what goes back into them is in one transaction too.

pub(crate) mod error;
pub(crate) mod names;
mod pg_timestamp;
mod query;
mod schema_check;
mod snapshot;
mod tls;
mod url;

use tokio_postgres::{Client, IsolationLevel, Transaction};

use clap::Args;
pub use names::TableNames;
use scrip::domain::Timestamp;
pub use snapshot::{Snapshot, UserRows};

use crate::cli_error::CliError;
use tls::Tls;

/// Where the old tables are, and what they are called.
#[derive(Clone, Debug, Args)]
pub struct DatabaseOptions {
    /// Where the old tables are: postgres://user:password@host/database
    #[arg(long, value_name = "URL", env = "SCRIP_OLD_URL", hide_env_values = true)]
    pub from: String,
    /// What they are called.
    #[command(flatten)]
    pub called: NameOverrides,
}

/// What the old tables are called.
#[derive(Clone, Debug, Args)]
pub struct NameOverrides {
    /// What an old table is called: credits=billing.credits, orders=…, generations=…, or the
    /// name of credits alone; may be given several times
    #[arg(long = "table", value_name = "[TABLE=]NAME")]
    tables: Vec<String>,
    /// What a column of theirs is called, as credits.user_uuid=owner; may be given several times
    #[arg(long = "column", value_name = "TABLE.COLUMN=NAME")]
    columns: Vec<String>,
}

impl NameOverrides {
    /// These names.
    ///
    /// # Errors
    /// One is of nothing that there is, or cannot be a name.
    pub fn names(&self) -> Result<TableNames, CliError> {
        let mut names = TableNames::default();
        for table in &self.tables {
            let (table, name) = table.split_once('=').unwrap_or(("credits", table));
            names.rename(table, name)?;
        }
        for column in &self.columns {
            let pair = column.split_once('=').filter(|(column, _)| column.contains('.'));
            let (column, name) =
                pair.ok_or_else(|| CliError(format!("{column:?} is not TABLE.COLUMN=NAME")))?;
            names.rename(column, name)?;
        }
        Ok(names)
    }
}

/// The database with the old tables.
pub struct LegacyDatabase(Client);

impl LegacyDatabase {
    /// Connects to `postgresql://USER:PASSWORD@HOST/DATABASE`. Of the options of libpq,
    /// `sslmode` and `sslrootcert` say how: whatever comes by TLS is verified.
    ///
    /// # Errors
    /// Why there is no connection.
    pub async fn connect(url: &str) -> Result<LegacyDatabase, CliError> {
        let (config, roots) = url::read(url)?;
        let failed = |error| error::connect_error(&config, &error);
        let tls = Tls::new(roots.as_deref()).map_err(|problem| CliError(format!("no TLS: {problem}")))?;
        let (client, connection) = config.connect(tls).await.map_err(failed)?;
        // It ends with the client; how, every query of the client tells.
        tokio::spawn(connection);
        Ok(LegacyDatabase(client))
    }

    /// The tables as they are now: all users, or those who have a row made since then.
    ///
    /// # Errors
    /// Why they cannot be read.
    pub async fn snapshot(
        &mut self,
        names: &TableNames,
        since: Option<Timestamp>,
    ) -> Result<Snapshot<'_>, CliError> {
        let failed = |error| error::read_error("the old tables", &error);
        let transaction = self.0.build_transaction().isolation_level(IsolationLevel::RepeatableRead);
        let transaction = transaction.read_only(true).start().await.map_err(failed)?;
        transaction.batch_execute(query::SETTINGS).await.map_err(failed)?;
        schema_check::check(&transaction, names).await?;
        Snapshot::of(transaction, names, since).await
    }

    /// A transaction that may write, where `credits` is as it has to be. Nothing of it
    /// stays unless it is committed.
    ///
    /// # Errors
    /// Why nothing can go back.
    pub async fn writing(&mut self, names: &TableNames) -> Result<Transaction<'_>, CliError> {
        let failed = |error| error::read_error("the old tables", &error);
        let transaction = self.0.transaction().await.map_err(failed)?;
        transaction.batch_execute(query::SETTINGS).await.map_err(failed)?;
        schema_check::check_credits(&transaction, names).await?;
        Ok(transaction)
    }
}
