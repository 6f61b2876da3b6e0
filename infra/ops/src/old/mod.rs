//! The old tables, in PostgreSQL. They are only read: in one transaction, as they
//! were at one moment.

mod check;
mod error;
mod moment;
mod names;
mod query;
mod snapshot;
mod tls;
mod url;

use tokio_postgres::{Client, IsolationLevel};

pub use names::Names;
pub use snapshot::{Snapshot, UserRows};

use crate::problem::Problem;
use tls::Tls;

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

    /// The tables as they are now.
    ///
    /// # Errors
    /// Why they cannot be read.
    pub async fn snapshot(&mut self, names: &Names) -> Result<Snapshot<'_>, Problem> {
        let failed = |error| error::not_read("the old tables", &error);
        let transaction = self.0.build_transaction().isolation_level(IsolationLevel::RepeatableRead);
        let transaction = transaction.read_only(true).start().await.map_err(failed)?;
        transaction.batch_execute(query::SETTINGS).await.map_err(failed)?;
        check::check(&transaction, names).await?;
        Snapshot::of(transaction, names).await
    }
}
