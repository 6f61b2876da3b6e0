//! The old tables in PostgreSQL. A migration reads them as a snapshot in one read-only
//! transaction; a rollback writes to them in one transaction.

pub(crate) mod error;
mod lots;
pub(crate) mod names;
mod pg_timestamp;
mod query;
mod reading;
mod schema_check;
mod snapshot;
mod tls;
mod url;

use tokio_postgres::{Client, IsolationLevel, Transaction};

use clap::Args;
pub(crate) use lots::TYPES as LOT_TYPES;
pub use names::TableNames;
pub use reading::{Layout, NullExpiry, ReadRules};
use scrip::domain::Timestamp;
pub use snapshot::{Snapshot, UserRows};

use crate::cli_error::CliError;
use tls::Tls;

/// Options of commands that need the old tables.
#[derive(Clone, Debug, Args)]
pub struct DatabaseOptions {
    /// URL of the old database: postgres://user:password@host/database
    #[arg(long, value_name = "URL", env = "SCRIP_OLD_URL", hide_env_values = true)]
    pub from: String,
    /// Names of the tables and columns.
    #[command(flatten)]
    pub names: NameOverrides,
}

/// Names of old tables and columns on the command line.
#[derive(Clone, Debug, Args)]
pub struct NameOverrides {
    /// Name of an old table: credits=billing.credits, orders=…, generations=…, or the name of
    /// credits alone; repeatable
    #[arg(long = "table", value_name = "[TABLE=]NAME")]
    tables: Vec<String>,
    /// Name of a column, such as credits.user_uuid=owner; repeatable
    #[arg(long = "column", value_name = "TABLE.COLUMN=NAME")]
    columns: Vec<String>,
}

impl NameOverrides {
    /// The default names with these overrides.
    ///
    /// # Errors
    /// An override has an unknown table or column, or an invalid name.
    pub fn resolve(&self) -> Result<TableNames, CliError> {
        let mut names = TableNames::default();
        for table in &self.tables {
            let (table, name) = table.split_once('=').unwrap_or(("credits", table));
            names.rename(table, name)?;
        }
        for column in &self.columns {
            let pair = column.split_once('=').filter(|(column, _)| column.contains('.'));
            let (column, name) =
                pair.ok_or_else(|| CliError(format!("--column {column:?} must be TABLE.COLUMN=NAME")))?;
            names.rename(column, name)?;
        }
        Ok(names)
    }
}

/// A connection to the database with the old tables.
pub struct LegacyDatabase(Client);

impl LegacyDatabase {
    /// Connects to `postgresql://USER:PASSWORD@HOST/DATABASE`. The options `sslmode` and
    /// `sslrootcert` are as in libpq, but every certificate is validated.
    ///
    /// # Errors
    /// The URL is invalid, or the server is unreachable, untrusted or rejects the user.
    pub async fn connect(url: &str) -> Result<LegacyDatabase, CliError> {
        let (config, roots) = url::parse(url)?;
        let failed = |error| error::connect_error(&config, &error);
        let tls =
            Tls::new(roots.as_deref()).map_err(|error| CliError(format!("TLS is not available: {error}")))?;
        let (client, connection) = config.connect(tls).await.map_err(failed)?;
        // The task ends with the client. Queries of the client return its errors.
        tokio::spawn(connection);
        Ok(LegacyDatabase(client))
    }

    /// A snapshot of all users, or of those with a row created at `since` or later.
    ///
    /// # Errors
    /// A table, column or permission is missing, rows are not unique, or a rule is missing.
    pub async fn snapshot(
        &mut self,
        names: &TableNames,
        reading: &ReadRules,
        since: Option<Timestamp>,
    ) -> Result<Snapshot<'_>, CliError> {
        let failed = |error| error::read_error("the old tables", &error);
        let transaction = self.0.build_transaction().isolation_level(IsolationLevel::RepeatableRead);
        let transaction = transaction.read_only(true).start().await.map_err(failed)?;
        transaction.batch_execute(query::SETTINGS).await.map_err(failed)?;
        let names = &names.with_layout(reading.layout);
        schema_check::check(&transaction, names, reading.layout).await?;
        schema_check::check_timezone(&transaction, reading.timezone.as_deref()).await?;
        Snapshot::open(transaction, names, reading, since).await
    }

    /// A transaction that may write, after `credits` was checked.
    ///
    /// # Errors
    /// A column or permission is missing, or ids are not unique.
    pub async fn write_transaction(
        &mut self,
        names: &TableNames,
        layout: Layout,
    ) -> Result<Transaction<'_>, CliError> {
        let failed = |error| error::read_error("the old tables", &error);
        let transaction = self.0.transaction().await.map_err(failed)?;
        transaction.batch_execute(query::SETTINGS).await.map_err(failed)?;
        schema_check::check_credits(&transaction, names, layout).await?;
        Ok(transaction)
    }
}
