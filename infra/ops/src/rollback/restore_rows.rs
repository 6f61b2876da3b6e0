//! Restores old rows and writes changes, in one transaction of PostgreSQL.

use std::collections::{BTreeMap, BTreeSet};

use scrip::domain::Timestamp;
use serde_json::{Value, value::RawValue};
use tokio_postgres::{
    Transaction,
    types::{ToSql, Type},
};

use super::{query, recent_changes::ChangeRow};
use crate::{
    cli_error::CliError,
    legacy::{Layout, ReadRules, TableNames, error},
};

/// Rows of one statement.
const STATEMENT_ROWS: usize = 500;

/// Differing rows that the error names.
const NAMED_MAX: usize = 3;

/// The transaction of a rollback.
pub(super) struct RestoreTransaction<'a> {
    transaction: Transaction<'a>,
    names: &'a TableNames,
    /// How the old app reads rows.
    reading: ReadRules,
    /// Columns of `credits` that can be written.
    columns: Vec<String>,
    /// The type of its ids.
    id_type: String,
    /// The quoted name of the table of changes.
    changes_table: String,
    /// Rows of `credits` before the rollback.
    pub(super) existing: u64,
    /// Rows that were passed to `restore`, and those that were missing.
    pub(super) given: u64,
    pub(super) inserted: u64,
    /// Rows that differ from the old ones, and a description of the first.
    different: u64,
    named: Vec<String>,
}

impl<'a> RestoreTransaction<'a> {
    /// Begins with a new table of changes.
    pub(super) async fn begin(
        transaction: Transaction<'a>,
        names: &'a TableNames,
        reading: ReadRules,
        changes_table: String,
    ) -> Result<RestoreTransaction<'a>, CliError> {
        let credits = names.table("credits");
        let read_error = |error| error::read_error(names.name("credits"), &error);
        let columns = transaction.query_typed(query::COLUMNS, &[(&credits, Type::TEXT)]).await;
        let columns = columns.map_err(read_error)?.iter().map(|row| row.get(0)).collect();
        let id = names.name("credits.id");
        let id_type = transaction
            .query_typed_one(query::COLUMN_TYPE, &[(&credits, Type::TEXT), (&id, Type::TEXT)])
            .await;
        let id_type = id_type.map_err(read_error)?.get(0);
        let existing = transaction.query_typed_one(&query::count(names), &[]).await.map_err(read_error)?;
        let existing = existing.get::<_, i64>(0).unsigned_abs();
        create_changes_table(&transaction, &changes_table).await?;
        let (given, inserted, different, named) = (0, 0, 0, vec![]);
        Ok(RestoreTransaction {
            transaction,
            names,
            reading,
            columns,
            id_type,
            changes_table,
            existing,
            given,
            inserted,
            different,
            named,
        })
    }

    /// Inserts the missing ones of these old rows and compares all of them.
    pub(super) async fn restore(&mut self, rows: &[&str]) -> Result<(), CliError> {
        let failed = |error| error::write_error(self.names.name("credits"), &error);
        self.given += rows.len() as u64;
        for chunk in rows.chunks(STATEMENT_ROWS) {
            let old =
                chunk.iter().map(|row| Ok((self.id(row)?, *row))).collect::<Result<BTreeMap<_, _>, _>>()?;
            let mut found = self.rows_by_id(old.keys().cloned().collect()).await?;
            let missing = old.iter().filter(|(id, _)| !found.contains_key(*id));
            let (ids, missing): (Vec<_>, Vec<_>) = missing.map(|(id, row)| (id.clone(), *row)).unzip();
            if !missing.is_empty() {
                let insert = query::insert_rows(self.names, &self.columns);
                let inserted = self.transaction.execute_typed(&insert, &[(&missing, Type::TEXT_ARRAY)]).await;
                self.inserted += inserted.map_err(failed)?;
                found.extend(self.rows_by_id(ids).await?);
            }
            for (id, row) in old {
                self.compare(&id, row, found.get(&id).map(String::as_str));
            }
        }
        Ok(())
    }

    /// The id of a row, as the server writes it as text.
    fn id(&self, row: &str) -> Result<String, CliError> {
        let name = self.names.name("credits.id");
        let id = columns(row).get(name).and_then(|id| serde_json::from_str::<Value>(id).ok());
        let text = match id {
            Some(Value::String(text)) => Some(text),
            Some(Value::Number(number)) => Some(number.to_string()),
            _ => None,
        };
        text.ok_or_else(|| {
            CliError(format!(
                "the migrated rows have no id in {name:?}; --column credits.id=NAME must be the same as for migrate"
            ))
        })
    }

    async fn rows_by_id(&self, ids: Vec<String>) -> Result<BTreeMap<String, String>, CliError> {
        let query = query::rows_by_id(self.names, &self.id_type);
        let found = self.transaction.query_typed(&query, &[(&ids, Type::TEXT_ARRAY)]).await;
        let found = found.map_err(|error| error::read_error(self.names.name("credits"), &error))?;
        Ok(found.iter().map(|row| (row.get(0), row.get(1))).collect())
    }

    fn compare(&mut self, id: &str, old: &str, found: Option<&str>) {
        if found != Some(old) {
            self.different += 1;
            if self.named.len() < NAMED_MAX {
                self.named.push(format!("{id} ({})", difference(old, found)));
            }
        }
    }

    pub(super) async fn add_changes(&mut self, rows: &[&ChangeRow]) -> Result<(), CliError> {
        let insert = query::insert_changes(&self.reading, &self.changes_table);
        for chunk in rows.chunks(STATEMENT_ROWS) {
            let texts = |value: fn(&ChangeRow) -> Option<&str>| {
                chunk.iter().map(|row| value(row)).collect::<Vec<_>>()
            };
            let times = |value: fn(&ChangeRow) -> Option<Timestamp>| {
                chunk.iter().map(|row| value(row).map(pg_text)).collect::<Vec<_>>()
            };
            let credits: Vec<_> = chunk.iter().map(|row| row.credits).collect();
            let columns: [(&(dyn ToSql + Sync), Type); 8] = [
                (&texts(|row| Some(&row.trans_no)), Type::TEXT_ARRAY),
                (&times(|row| Some(row.created_at)), Type::TEXT_ARRAY),
                (&texts(|row| Some(&row.user_uuid)), Type::TEXT_ARRAY),
                (&texts(|row| Some(&row.trans_type)), Type::TEXT_ARRAY),
                (&credits, Type::INT8_ARRAY),
                (&texts(|row| row.order_no.as_deref()), Type::TEXT_ARRAY),
                (&times(|row| row.expired_at), Type::TEXT_ARRAY),
                (&texts(|row| row.record.as_deref()), Type::TEXT_ARRAY),
            ];
            let added = self.transaction.execute_typed(&insert, &columns).await;
            added.map_err(|error| error::write_error(&self.changes_table, &error))?;
        }
        Ok(())
    }

    /// Adds rows that make the sums of old rows what the migration made of them. These must be
    /// all old rows of their users. Returns the number of added rows and the sum of their
    /// credits.
    pub(super) async fn offset_old_sums(
        &mut self,
        rows: &[&str],
        as_of: Timestamp,
        now: Timestamp,
    ) -> Result<(u64, i64), CliError> {
        // The remaining credits of lots never rise.
        if self.reading.layout == Layout::Lots {
            return Ok((0, 0));
        }
        let insert = query::offset_old_sums(self.names, &self.reading, &self.changes_table);
        let (as_of, now) = (pg_text(as_of), pg_text(now));
        let parameters =
            [(&rows as &(dyn ToSql + Sync), Type::TEXT_ARRAY), (&as_of, Type::TEXT), (&now, Type::TEXT)];
        let added = self.transaction.query_typed_one(&insert, &parameters).await;
        let added = added.map_err(|error| error::write_error(&self.changes_table, &error))?;
        Ok((added.get::<_, i64>(0).unsigned_abs(), added.get(1)))
    }

    /// Commits, or aborts a dry run. Fails and aborts if a row differs from the old one.
    pub(super) async fn finish(self, is_dry_run: bool) -> Result<(), CliError> {
        let credits = self.names.table("credits");
        if self.different > 0 {
            let (count, named) = (self.different, self.named.join(", "));
            return Err(CliError(format!(
                "{count} rows of {credits} have changed: {named}; nothing was changed; correct or delete them, and run \
                 again: missing rows are restored"
            )));
        }
        if is_dry_run {
            return Ok(());
        }
        if self.inserted > 0 {
            self.advance_sequence(&credits).await?;
        }
        self.transaction.commit().await.map_err(|error| error::write_error(&credits, &error))
    }

    /// Lets new rows have new ids. PostgreSQL does not undo this on an abort, which only
    /// skips ids.
    async fn advance_sequence(&self, credits: &str) -> Result<(), CliError> {
        let failed = |error| error::write_error(&format!("the sequence of {credits}"), &error);
        let id = self.names.name("credits.id");
        let parameters = [(&credits as &(dyn ToSql + Sync), Type::TEXT), (&id, Type::TEXT)];
        let sequence = self.transaction.query_typed_one(query::SEQUENCE, &parameters).await;
        if let Some(sequence) = sequence.map_err(failed)?.get::<_, Option<String>>(0) {
            let advance = query::advance_sequence(self.names, &sequence);
            self.transaction.query_typed(&advance, &[(&sequence, Type::TEXT)]).await.map_err(failed)?;
        }
        Ok(())
    }
}

async fn create_changes_table(transaction: &Transaction<'_>, name: &str) -> Result<(), CliError> {
    let failed = |error| error::write_error(name, &error);
    let exists = transaction.query_typed_one(query::RELATION_EXISTS, &[(&name, Type::TEXT)]).await;
    if exists.map_err(failed)?.get(0) {
        return Err(CliError(format!(
            "the table {name} already exists, perhaps from an earlier rollback; choose another one by --since-table=NAME"
        )));
    }
    transaction.batch_execute(&query::create_table(name)).await.map_err(failed)
}

/// The columns in which a row differs.
fn difference(old: &str, found: Option<&str>) -> String {
    let Some(found) = found else {
        return "missing, because another row has one of its unique values".to_owned();
    };
    let (old, found) = (columns(old), columns(found));
    let names: BTreeSet<_> = old.keys().chain(found.keys()).collect();
    let differing = names.into_iter().filter(|name| old.get(*name) != found.get(*name));
    let differing = differing.map(String::as_str).collect::<Vec<_>>().join(", ");
    if differing.is_empty() { "the order of columns".to_owned() } else { differing }
}

/// The columns of a row as JSON texts.
fn columns(row: &str) -> BTreeMap<String, &str> {
    let columns: BTreeMap<String, &RawValue> = serde_json::from_str(row).unwrap_or_default();
    columns.into_iter().map(|(name, value)| (name, value.get())).collect()
}

/// A time as PostgreSQL parses it: year 0 is 1 BC.
fn pg_text(at: Timestamp) -> String {
    let text = at.to_string();
    match text.strip_prefix("0000-") {
        Some(rest) => format!("0001-{rest} BC"),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn difference_names_the_columns() {
        for (found, expected) in [
            (Some(r#"{"id":7,"a":1,"b":{"c": 2}}"#), "the order of columns"),
            (Some(r#"{"id":7,"b":{"c":2},"a":1}"#), "b"),
            (Some(r#"{"id":7,"b":{"c": 2},"c":1}"#), "a, c"),
            (None, "missing, because another row has one of its unique values"),
        ] {
            assert_eq!(difference(r#"{"id":7,"b":{"c": 2},"a":1}"#, found), expected);
        }
    }

    #[test]
    fn year_0_is_1_bc() {
        for (at, expected) in [
            ("0000-02-29T00:00:00Z", "0001-02-29T00:00:00.000Z BC"),
            ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00.000Z"),
        ] {
            assert_eq!(pg_text(Timestamp::parse(at).unwrap()), expected);
        }
    }
}
