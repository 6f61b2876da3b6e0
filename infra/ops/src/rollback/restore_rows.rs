use std::collections::{BTreeMap, BTreeSet};

use scrip::domain::Timestamp;
use serde_json::value::RawValue;
use tokio_postgres::{
    Transaction,
    types::{ToSql, Type},
};

use super::{query, recent_changes::ChangeRow};
use crate::{
    cli_error::CliError,
    legacy::{TableNames, error},
};

/// How many rows one statement has.
const AT_ONCE: usize = 500;

/// How many rows that differ are named.
const NAMED: usize = 3;

/// The way back into PostgreSQL: one transaction.
pub(super) struct RestoreTransaction<'a> {
    transaction: Transaction<'a>,
    names: &'a TableNames,
    /// The columns of `credits`.
    columns: Vec<String>,
    /// The table of what has happened since, as SQL has it.
    since: String,
    /// How many rows were there before.
    pub(super) before: u64,
    /// How many were given back, and how many of them had to be put in.
    pub(super) given: u64,
    pub(super) inserted: u64,
    /// How many are there and are others, and the first of them.
    different: u64,
    named: Vec<String>,
}

impl<'a> RestoreTransaction<'a> {
    /// Begins, with a new table for what has happened since.
    pub(super) async fn begin(
        transaction: Transaction<'a>,
        names: &'a TableNames,
        since: String,
    ) -> Result<RestoreTransaction<'a>, CliError> {
        let credits = names.table("credits");
        let not_read = |error| error::read_error(names.of("credits"), &error);
        let columns = transaction.query_typed(query::COLUMNS, &[(&credits, Type::TEXT)]).await;
        let columns = columns.map_err(not_read)?.iter().map(|row| row.get(0)).collect();
        let before = transaction.query_typed_one(&query::count(names), &[]).await.map_err(not_read)?;
        let before = before.get::<_, i64>(0).unsigned_abs();
        create(&transaction, &since).await?;
        let (given, inserted, different, named) = (0, 0, 0, vec![]);
        Ok(RestoreTransaction {
            transaction,
            names,
            columns,
            since,
            before,
            given,
            inserted,
            different,
            named,
        })
    }

    /// Puts old rows in, where they are not there, and compares them all.
    pub(super) async fn give(&mut self, rows: &[&str]) -> Result<(), CliError> {
        let failed = |error| error::write_error(self.names.of("credits"), &error);
        self.given += rows.len() as u64;
        for some in rows.chunks(AT_ONCE) {
            let kept =
                some.iter().map(|row| Ok((self.id(row)?, *row))).collect::<Result<BTreeMap<_, _>, _>>()?;
            let mut found = self.found(kept.keys().copied().collect()).await?;
            let missing = kept.iter().filter(|(id, _)| !found.contains_key(id));
            let (ids, missing): (Vec<_>, Vec<_>) = missing.map(|(id, row)| (*id, *row)).unzip();
            if !missing.is_empty() {
                let put_back = query::put_back(self.names, &self.columns);
                let put = self.transaction.execute_typed(&put_back, &[(&missing, Type::TEXT_ARRAY)]).await;
                self.inserted += put.map_err(failed)?;
                found.extend(self.found(ids).await?);
            }
            for (id, row) in kept {
                self.compare(id, row, found.get(&id).map(String::as_str));
            }
        }
        Ok(())
    }

    fn id(&self, row: &str) -> Result<i64, CliError> {
        let name = self.names.of("credits.id");
        columns(row).get(name).and_then(|id| id.parse().ok()).ok_or_else(|| {
            CliError(format!(
                "the rows that were moved have no id in {name:?}: --column credits.id=NAME has to be as it was for migrate"
            ))
        })
    }

    /// What there is with these ids.
    async fn found(&self, ids: Vec<i64>) -> Result<BTreeMap<i64, String>, CliError> {
        let found =
            self.transaction.query_typed(&query::found(self.names), &[(&ids, Type::INT8_ARRAY)]).await;
        let found = found.map_err(|error| error::read_error(self.names.of("credits"), &error))?;
        Ok(found.iter().map(|row| (row.get(0), row.get(1))).collect())
    }

    fn compare(&mut self, id: i64, kept: &str, found: Option<&str>) {
        if found != Some(kept) {
            self.different += 1;
            if self.named.len() < NAMED {
                self.named.push(format!("{id} ({})", difference(kept, found)));
            }
        }
    }

    /// Adds what has happened since.
    pub(super) async fn add(&mut self, rows: &[&ChangeRow]) -> Result<(), CliError> {
        let add = query::add(&self.since);
        for some in rows.chunks(AT_ONCE) {
            let texts =
                |of: fn(&ChangeRow) -> Option<&str>| some.iter().map(|row| of(row)).collect::<Vec<_>>();
            let times = |of: fn(&ChangeRow) -> Option<Timestamp>| {
                some.iter().map(|row| of(row).map(written)).collect::<Vec<_>>()
            };
            let credits: Vec<_> = some.iter().map(|row| row.credits).collect();
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
            let added = self.transaction.execute_typed(&add, &columns).await;
            added.map_err(|error| error::write_error(&self.since, &error))?;
        }
        Ok(())
    }

    /// Adds what lifts users, all of whose old rows these are, to zero where they fall
    /// below it: how many rows, and the sum of their credits.
    pub(super) async fn offset_negative_balances(
        &mut self,
        rows: &[&str],
        now: Timestamp,
    ) -> Result<(u64, i64), CliError> {
        let offset_negative_balances = query::offset_negative_balances(self.names, &self.since);
        let now = written(now);
        let parameters = [(&rows as &(dyn ToSql + Sync), Type::TEXT_ARRAY), (&now, Type::TEXT)];
        let added = self.transaction.query_typed_one(&offset_negative_balances, &parameters).await;
        let added = added.map_err(|error| error::write_error(&self.since, &error))?;
        Ok((added.get::<_, i64>(0).unsigned_abs(), added.get(1)))
    }

    /// Makes it so, or only looks whether it could be so. Nothing stays where a row is
    /// another than it was.
    pub(super) async fn end(self, is_dry_run: bool) -> Result<(), CliError> {
        let credits = self.names.table("credits");
        if self.different > 0 {
            let (count, named) = (self.different, self.named.join(", "));
            return Err(CliError(format!(
                "{count} rows of {credits} are not as they were: {named}; nothing is changed; put them right by hand, \
                 or delete them, and run again: what is missing is put back"
            )));
        }
        if is_dry_run {
            return Ok(());
        }
        if self.inserted > 0 {
            self.pass_ids(&credits).await?;
        }
        self.transaction.commit().await.map_err(|error| error::write_error(&credits, &error))
    }

    /// New rows get new ids. No rollback takes this back, but all that is lost then are
    /// numbers.
    async fn pass_ids(&self, credits: &str) -> Result<(), CliError> {
        let failed = |error| error::write_error(&format!("the sequence of {credits}"), &error);
        let id = self.names.of("credits.id");
        let parameters = [(&credits as &(dyn ToSql + Sync), Type::TEXT), (&id, Type::TEXT)];
        let sequence = self.transaction.query_typed_one(query::SEQUENCE, &parameters).await;
        if let Some(sequence) = sequence.map_err(failed)?.get::<_, Option<String>>(0) {
            let pass = query::pass_ids(self.names, &sequence);
            self.transaction.query_typed(&pass, &[(&sequence, Type::TEXT)]).await.map_err(failed)?;
        }
        Ok(())
    }
}

/// Makes the table of what has happened since, where nothing has its name.
async fn create(transaction: &Transaction<'_>, since: &str) -> Result<(), CliError> {
    let failed = |error| error::write_error(since, &error);
    let is_there = transaction.query_typed_one(query::IS_THERE, &[(&since, Type::TEXT)]).await;
    if is_there.map_err(failed)?.get(0) {
        return Err(CliError(format!(
            "there is a table {since} already: was all rolled back before? --since-table=NAME names another one"
        )));
    }
    transaction.batch_execute(&query::create(since)).await.map_err(failed)
}

/// In which columns a row is another than it was.
fn difference(kept: &str, found: Option<&str>) -> String {
    let Some(found) = found else { return "not there, and something of it stands in another row".to_owned() };
    let (kept, found) = (columns(kept), columns(found));
    let names: BTreeSet<_> = kept.keys().chain(found.keys()).collect();
    let others = names.into_iter().filter(|name| kept.get(*name) != found.get(*name));
    let others = others.map(String::as_str).collect::<Vec<_>>().join(", ");
    if others.is_empty() { "the order of columns".to_owned() } else { others }
}

/// What each column has, as text.
fn columns(row: &str) -> BTreeMap<String, &str> {
    let columns: BTreeMap<String, &RawValue> = serde_json::from_str(row).unwrap_or_default();
    columns.into_iter().map(|(name, value)| (name, value.get())).collect()
}

/// A time as PostgreSQL reads it: to it the year 0 is one before the first.
fn written(at: Timestamp) -> String {
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
    fn it_is_told_in_what_a_row_differs() {
        for (found, expected) in [
            (Some(r#"{"id":7,"a":1,"b":{"c": 2}}"#), "the order of columns"),
            (Some(r#"{"id":7,"b":{"c":2},"a":1}"#), "b"),
            (Some(r#"{"id":7,"b":{"c": 2},"c":1}"#), "a, c"),
            (None, "not there, and something of it stands in another row"),
        ] {
            assert_eq!(difference(r#"{"id":7,"b":{"c": 2},"a":1}"#, found), expected);
        }
    }

    #[test]
    fn the_first_year_is_before_the_first() {
        for (at, expected) in [
            ("0000-02-29T00:00:00Z", "0001-02-29T00:00:00.000Z BC"),
            ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00.000Z"),
        ] {
            assert_eq!(written(Timestamp::parse(at).unwrap()), expected);
        }
    }
}
