//! A snapshot of the old table, read user by user.

use std::pin::Pin;

use futures_util::{StreamExt, TryStreamExt, stream::Fuse};
use scrip::domain::Timestamp;
use tokio_postgres::{
    Row, RowStream, Transaction,
    types::{ToSql, Type},
};

use super::{
    Layout, NullExpiry, ReadRules, TableNames, error, lots::with_lot, pg_timestamp::PgTimestamp, query,
};
use crate::{
    cli_error::CliError,
    plan::{OldRow, ReferenceOwner},
};

/// The rows of the old table as of one moment.
pub struct Snapshot<'a> {
    /// Kept open while the rows are read.
    _transaction: Transaction<'a>,
    table: String,
    counts: (u64, u64),
    without_expiry: u64,
    reading: ReadRules,
    /// Fused, because `next_row` may be called again after the end.
    rows: Pin<Box<Fuse<RowStream>>>,
    /// The first row of the next user.
    lookahead: Option<(OldRow, String)>,
}

/// The rows of a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserRows {
    /// Empty for rows without a user.
    pub user: String,
    /// Each with all columns as the JSON of `row_to_json`.
    pub rows: Vec<(OldRow, String)>,
}

impl<'a> Snapshot<'a> {
    pub(super) async fn open(
        transaction: Transaction<'a>,
        names: &TableNames,
        reading: &ReadRules,
        since: Option<Timestamp>,
    ) -> Result<Snapshot<'a>, CliError> {
        let table = names.name("credits").to_owned();
        let failed = |error| error::read_error(&table, &error);
        let counts =
            transaction.query_typed_one(&query::counts(names, reading, since), &[]).await.map_err(failed)?;
        let without_expiry = count_column(&counts, 2);
        let counts = (count_column(&counts, 0), count_column(&counts, 1));
        if without_expiry > 0 && reading.null_expiry.is_none() && reading.layout == Layout::Signed {
            return Err(CliError(format!(
                "{without_expiry} rows have no {:?}; set --null-expiry ignored if the old app compares it with the \
                 time, or --null-expiry never if it counts them as never expiring",
                names.name("credits.expired_at")
            )));
        }
        let no_parameters: [(&(dyn ToSql + Sync), Type); 0] = [];
        let query = match reading.layout {
            Layout::Signed => query::rows(names, reading, since),
            Layout::Lots => query::lot_rows(names, reading, since),
        };
        let rows = transaction.query_typed_raw(&query, no_parameters).await.map_err(failed)?;
        Ok(Snapshot {
            _transaction: transaction,
            table,
            counts,
            without_expiry,
            reading: reading.clone(),
            rows: Box::pin(rows.fuse()),
            lookahead: None,
        })
    }

    /// The numbers of users and of rows. Rows without a user count as one user.
    pub fn count(&self) -> (u64, u64) {
        self.counts
    }

    /// The number of rows without expiry.
    pub fn without_expiry(&self) -> u64 {
        self.without_expiry
    }

    /// The next user, in the order of the bytes of `user_uuid`, with all rows in the order of
    /// `id`. Only these rows are in memory.
    ///
    /// # Errors
    /// The server or the connection fails, or a row cannot be read.
    pub async fn next_user(&mut self) -> Result<Option<UserRows>, CliError> {
        let first = match self.lookahead.take() {
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
                self.lookahead = Some(next);
                break;
            }
            rows.push(next);
        }
        Ok(Some(UserRows { user, rows }))
    }

    async fn next_row(&mut self) -> Result<Option<(OldRow, String)>, CliError> {
        let row = self.rows.try_next().await.map_err(|error| error::read_error(&self.table, &error))?;
        row.map(|row| self.parse(&row)).transpose()
    }

    fn parse(&self, row: &Row) -> Result<(OldRow, String), CliError> {
        parse_row(row, &self.reading).map_err(|error| {
            let id = row.try_get::<_, i64>(0).map_or_else(|_| "unknown".to_owned(), |id| id.to_string());
            error::read_error(&format!("the row of {} with id {id}", self.table), &error)
        })
    }
}

fn parse_row(row: &Row, reading: &ReadRules) -> Result<(OldRow, String), tokio_postgres::Error> {
    let (created_at, expired_at) =
        (PgTimestamp::created_at(row.try_get(2)?), row.try_get::<_, Option<_>>(7)?);
    // A row that the old app ignores expired when it was created.
    let is_ignored = expired_at.is_none() && reading.null_expiry == Some(NullExpiry::Ignored);
    let old = OldRow {
        id: row.try_get(0)?,
        trans_no: row.try_get(1)?,
        created_at,
        user_uuid: row.try_get(3)?,
        trans_type: row.try_get(4)?,
        credits: row.try_get(5)?,
        order_no: row.try_get(6)?,
        expired_at: if is_ignored { Some(created_at) } else { PgTimestamp::expired_at(expired_at) },
        order_owner: owner(row.try_get(8)?, row.try_get(9)?),
        generation_owner: owner(row.try_get(10)?, row.try_get(11)?),
        lot: None,
    };
    let old = match reading.layout {
        Layout::Signed => old,
        Layout::Lots => with_lot(old, row)?,
    };
    Ok((old, row.try_get(12)?))
}

fn owner(is_present: bool, is_own: bool) -> ReferenceOwner {
    match (is_present, is_own) {
        (false, _) => ReferenceOwner::Missing,
        (true, true) => ReferenceOwner::SameUser,
        (true, false) => ReferenceOwner::OtherUser,
    }
}

fn count_column(row: &Row, column: usize) -> u64 {
    row.get::<_, i64>(column).unsigned_abs()
}
