use std::pin::Pin;

use futures_util::{StreamExt, TryStreamExt, stream::Fuse};
use scrip::domain::Timestamp;
use tokio_postgres::{
    Row, RowStream, Transaction,
    types::{ToSql, Type},
};

use super::{TableNames, error, pg_timestamp::PgTimestamp, query};
use crate::{
    cli_error::CliError,
    plan::{OldRow, ReferenceOwner},
};

/// The old table as it was at one moment.
pub struct Snapshot<'a> {
    /// Lives as long as its rows are read.
    _transaction: Transaction<'a>,
    table: String,
    counts: (u64, u64),
    /// Asked again at its end, as the stream itself must not be.
    rows: Pin<Box<Fuse<RowStream>>>,
    /// The first row of the next user.
    ahead: Option<(OldRow, String)>,
}

/// The rows of a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserRows {
    /// Whose they are; empty for rows of nobody.
    pub user: String,
    /// Each with all its columns, as the JSON that PostgreSQL makes of it.
    pub rows: Vec<(OldRow, String)>,
}

impl<'a> Snapshot<'a> {
    pub(super) async fn of(
        transaction: Transaction<'a>,
        names: &TableNames,
        since: Option<Timestamp>,
    ) -> Result<Snapshot<'a>, CliError> {
        let table = names.of("credits").to_owned();
        let failed = |error| error::read_error(&table, &error);
        let counts = transaction.query_typed_one(&query::counts(names, since), &[]).await.map_err(failed)?;
        let counts = (counted(&counts, 0), counted(&counts, 1));
        let none: [(&(dyn ToSql + Sync), Type); 0] = [];
        let rows = transaction.query_typed_raw(&query::rows(names, since), none).await.map_err(failed)?;
        Ok(Snapshot { _transaction: transaction, table, counts, rows: Box::pin(rows.fuse()), ahead: None })
    }

    /// How many users there are, and how many rows. Rows of nobody are one user.
    pub fn count(&self) -> (u64, u64) {
        self.counts
    }

    /// The next user, in the order of the bytes of `user_uuid`, with all its rows, in
    /// the order of `id`. No more is held than these: the server waits with the rest.
    ///
    /// # Errors
    /// The server or the connection fails, or a row cannot be read.
    pub async fn next_user(&mut self) -> Result<Option<UserRows>, CliError> {
        let first = match self.ahead.take() {
            Some(first) => first,
            None => match self.next_row().await? {
                Some(first) => first,
                None => return Ok(None),
            },
        };
        let user = first.0.user_uuid.clone();
        let mut rows = vec![first];
        while let Some(next) = self.next_row().await? {
            if next.0.user_uuid != user {
                self.ahead = Some(next);
                break;
            }
            rows.push(next);
        }
        Ok(Some(UserRows { user, rows }))
    }

    async fn next_row(&mut self) -> Result<Option<(OldRow, String)>, CliError> {
        let row = self.rows.try_next().await.map_err(|error| error::read_error(&self.table, &error))?;
        row.map(|row| self.read(&row)).transpose()
    }

    fn read(&self, row: &Row) -> Result<(OldRow, String), CliError> {
        read(row).map_err(|error| {
            let id = row.try_get::<_, i64>(0).map_or_else(|_| "unknown".to_owned(), |id| id.to_string());
            error::read_error(&format!("the row of {} with id {id}", self.table), &error)
        })
    }
}

fn read(row: &Row) -> Result<(OldRow, String), tokio_postgres::Error> {
    let old = OldRow {
        id: row.try_get(0)?,
        trans_no: row.try_get(1)?,
        created_at: PgTimestamp::made(row.try_get(2)?),
        user_uuid: row.try_get(3)?,
        trans_type: row.try_get(4)?,
        credits: row.try_get(5)?,
        order_no: row.try_get(6)?,
        expired_at: PgTimestamp::end(row.try_get(7)?),
        order_owner: found(row.try_get(8)?, row.try_get(9)?),
        generation_owner: found(row.try_get(10)?, row.try_get(11)?),
    };
    Ok((old, row.try_get(12)?))
}

fn found(is_there: bool, is_own: bool) -> ReferenceOwner {
    match (is_there, is_own) {
        (false, _) => ReferenceOwner::Missing,
        (true, true) => ReferenceOwner::SameUser,
        (true, false) => ReferenceOwner::OtherUser,
    }
}

fn counted(row: &Row, column: usize) -> u64 {
    row.get::<_, i64>(column).unsigned_abs()
}
