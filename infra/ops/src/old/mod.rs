//! The old tables, in PostgreSQL. They are only read, in one transaction, as they were
//! at one moment; what goes back into them is in one transaction too.

mod check;
pub(crate) mod error;
mod moment;
pub(crate) mod names;
mod query;
mod snapshot;
mod tls;
mod url;

use tokio_postgres::{Client, IsolationLevel, Transaction};

use clap::Args;
pub use names::Names;
use scrip::domain::Timestamp;
pub use snapshot::{Snapshot, UserRows};

use crate::problem::Problem;
use tls::Tls;

/// Where the old tables are, and what they are called.
#[derive(Clone, Debug, Args)]
pub struct Place {
    /// Where the old tables are: postgres://user:password@host/database
    #[arg(long, value_name = "URL", env = "SCRIP_OLD_URL", hide_env_values = true)]
    pub from: String,
    /// What they are called.
    #[command(flatten)]
    pub called: Called,
}

/// What the old tables are called.
#[derive(Clone, Debug, Args)]
pub struct Called {
    /// What an old table is called: credits=billing.credits, orders=…, generations=…, or the
    /// name of credits alone; may be given several times
    #[arg(long = "table", value_name = "[TABLE=]NAME")]
    tables: Vec<String>,
    /// What a column of theirs is called, as credits.user_uuid=owner; may be given several times
    #[arg(long = "column", value_name = "TABLE.COLUMN=NAME")]
    columns: Vec<String>,
}

impl Called {
    /// These names.
    ///
    /// # Errors
    /// One is of nothing that there is, or cannot be a name.
    pub fn names(&self) -> Result<Names, Problem> {
        let mut names = Names::default();
        for table in &self.tables {
            let (table, name) = table.split_once('=').unwrap_or(("credits", table));
            names.rename(table, name)?;
        }
        for column in &self.columns {
            let pair = column.split_once('=').filter(|(column, _)| column.contains('.'));
            let (column, name) =
                pair.ok_or_else(|| Problem(format!("{column:?} is not TABLE.COLUMN=NAME")))?;
            names.rename(column, name)?;
        }
        Ok(names)
    }
}

/// The database with the old tables.
pub struct Old(Client);

impl Old {
    /// Connects to `postgresql://USER:PASSWORD@HOST/DATABASE`. Of the options of libpq,
    /// `sslmode` and `sslrootcert` say how: whatever comes by TLS is verified.
    ///
    /// # Errors
    /// Why there is no connection.
    pub async fn connect(url: &str) -> Result<Old, Problem> {
        let (config, roots) = url::read(url)?;
        let failed = |error| error::no_connection(&config, &error);
        let tls = Tls::new(roots.as_deref()).map_err(|problem| Problem(format!("no TLS: {problem}")))?;
        let (client, connection) = config.connect(tls).await.map_err(failed)?;
        // It ends with the client; how, every query of the client tells.
        tokio::spawn(connection);
        Ok(Old(client))
    }

    /// The tables as they are now: all users, or those who have a row made since then.
    ///
    /// # Errors
    /// Why they cannot be read.
    pub async fn snapshot(
        &mut self,
        names: &Names,
        since: Option<Timestamp>,
    ) -> Result<Snapshot<'_>, Problem> {
        let failed = |error| error::not_read("the old tables", &error);
        let transaction = self.0.build_transaction().isolation_level(IsolationLevel::RepeatableRead);
        let transaction = transaction.read_only(true).start().await.map_err(failed)?;
        transaction.batch_execute(query::SETTINGS).await.map_err(failed)?;
        check::check(&transaction, names).await?;
        Snapshot::of(transaction, names, since).await
    }

    /// A transaction that may write, where `credits` is as it has to be. Nothing of it
    /// stays unless it is committed.
    ///
    /// # Errors
    /// Why nothing can go back.
    pub async fn writing(&mut self, names: &Names) -> Result<Transaction<'_>, Problem> {
        let failed = |error| error::not_read("the old tables", &error);
        let transaction = self.0.transaction().await.map_err(failed)?;
        transaction.batch_execute(query::SETTINGS).await.map_err(failed)?;
        check::check_credits(&transaction, names).await?;
        Ok(transaction)
    }
}
