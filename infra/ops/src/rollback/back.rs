use std::collections::BTreeMap;

use scrip::domain::Timestamp;
use serde_json::value::RawValue;
use tokio_postgres::{
    Transaction,
    types::{ToSql, Type},
};

use super::{query, since::Row};
use crate::{
    old::{Names, error},
    problem::Problem,
};

/// How many rows one statement has.
const AT_ONCE: usize = 500;

/// How many rows that differ are named.
const NAMED: usize = 3;

/// The way back into PostgreSQL: one transaction.
pub(super) struct Back<'a> {
    transaction: Transaction<'a>,
    names: &'a Names,
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

impl<'a> Back<'a> {
    /// Begins, with a new table for what has happened since.
    pub(super) async fn begin(
        transaction: Transaction<'a>,
        names: &'a Names,
        since: String,
    ) -> Result<Back<'a>, Problem> {
        let credits = names.table("credits");
        let not_read = |error| error::not_read(names.of("credits"), &error);
        let columns = transaction.query_typed(query::COLUMNS, &[(&credits, Type::TEXT)]).await;
        let columns = columns.map_err(not_read)?.iter().map(|row| row.get(0)).collect();
        let before = transaction.query_typed_one(&query::count(names), &[]).await.map_err(not_read)?;
        let is_there = transaction.query_typed_one(query::IS_THERE, &[(&since, Type::TEXT)]).await;
        if is_there.map_err(not_read)?.get(0) {
            return Err(Problem(format!(
                "there is a table {since} already: was all rolled back before? --since-table=NAME names another one"
            )));
        }
        let created = transaction.batch_execute(&query::create(&since)).await;
        created.map_err(|error| error::not_written(&since, &error))?;
        let before = before.get::<_, i64>(0).unsigned_abs();
        Ok(Back {
            transaction,
            names,
            columns,
            since,
            before,
            given: 0,
            inserted: 0,
            different: 0,
            named: vec![],
        })
    }

    /// Puts old rows in, where they are not there, and compares them all.
    pub(super) async fn give(&mut self, rows: &[&str]) -> Result<(), Problem> {
        let failed = |error| error::not_written(self.names.of("credits"), &error);
        let id = self.names.of("credits.id");
        self.given += rows.len() as u64;
        for some in rows.chunks(AT_ONCE) {
            let put_back = query::put_back(self.names, &self.columns);
            let put = self.transaction.execute_typed(&put_back, &[(&some, Type::TEXT_ARRAY)]).await;
            self.inserted += put.map_err(failed)?;
            let different = query::different(self.names);
            let parameters = [(&some as &(dyn ToSql + Sync), Type::TEXT_ARRAY), (&id, Type::TEXT)];
            for row in self.transaction.query_typed(&different, &parameters).await.map_err(failed)? {
                self.different += 1;
                if self.named.len() < NAMED {
                    self.named.push(told(id, row.get(0), row.get(1)));
                }
            }
        }
        Ok(())
    }

    /// Adds what has happened since.
    pub(super) async fn add(&mut self, rows: &[&Row]) -> Result<(), Problem> {
        for some in rows.chunks(AT_ONCE) {
            let texts = |of: fn(&Row) -> Option<&str>| some.iter().map(|row| of(row)).collect::<Vec<_>>();
            let times = |of: fn(&Row) -> Option<Timestamp>| {
                some.iter().map(|row| of(row).map(written)).collect::<Vec<_>>()
            };
            let added = self
                .transaction
                .execute_typed(
                    &query::add(&self.since),
                    &[
                        (&texts(|row| Some(&row.trans_no)), Type::TEXT_ARRAY),
                        (&times(|row| Some(row.created_at)), Type::TEXT_ARRAY),
                        (&texts(|row| Some(&row.user_uuid)), Type::TEXT_ARRAY),
                        (&texts(|row| Some(&row.trans_type)), Type::TEXT_ARRAY),
                        (&some.iter().map(|row| row.credits).collect::<Vec<_>>(), Type::INT8_ARRAY),
                        (&texts(|row| row.order_no.as_deref()), Type::TEXT_ARRAY),
                        (&times(|row| row.expired_at), Type::TEXT_ARRAY),
                        (&texts(|row| row.record.as_deref()), Type::TEXT_ARRAY),
                    ],
                )
                .await;
            added.map_err(|error| error::not_written(&self.since, &error))?;
        }
        Ok(())
    }

    /// Adds what lifts users, all of whose old rows these are, to zero where they fall
    /// below it: how many rows, and the sum of their credits.
    pub(super) async fn forgive(&mut self, rows: &[&str], now: Timestamp) -> Result<(u64, i64), Problem> {
        let forgive = query::forgive(self.names, &self.since);
        let now = written(now);
        let parameters = [(&rows as &(dyn ToSql + Sync), Type::TEXT_ARRAY), (&now, Type::TEXT)];
        let added = self.transaction.query_typed_one(&forgive, &parameters).await;
        let added = added.map_err(|error| error::not_written(&self.since, &error))?;
        Ok((added.get::<_, i64>(0).unsigned_abs(), added.get(1)))
    }

    /// Makes it so, or only looks whether it could be so. Nothing stays where a row is
    /// another than it was.
    pub(super) async fn end(self, is_dry_run: bool) -> Result<(), Problem> {
        let credits = self.names.table("credits");
        if self.different > 0 {
            let (count, named) = (self.different, self.named.join(", "));
            return Err(Problem(format!(
                "{count} rows of {credits} are not as they were: {named}; nothing is changed; put them right by hand, \
                 or delete them, and run again: what is missing is put back"
            )));
        }
        if is_dry_run {
            return Ok(());
        }
        let failed = |error| error::not_written(self.names.of("credits"), &error);
        if self.inserted > 0 {
            let id = self.names.of("credits.id");
            let parameters = [(&credits as &(dyn ToSql + Sync), Type::TEXT), (&id, Type::TEXT)];
            // No rollback takes this back; all that is lost then are numbers.
            self.transaction.query_typed(&query::pass_ids(self.names), &parameters).await.map_err(failed)?;
        }
        self.transaction.commit().await.map_err(failed)
    }
}

/// Which row is another than it was, and in which columns.
fn told(id: &str, kept: &str, found: Option<&str>) -> String {
    let columns = |text| serde_json::from_str::<BTreeMap<String, &RawValue>>(text).unwrap_or_default();
    let kept = columns(kept);
    let id = kept.get(id).map_or("unknown", |id| id.get());
    let Some(found) = found.map(columns) else {
        return format!("{id} (not there, and something of it stands in another row)");
    };
    let is_other = |name: &&String| {
        kept.get(*name).map(|value| value.get()) != found.get(*name).map(|value| value.get())
    };
    let others: Vec<_> = kept
        .keys()
        .chain(found.keys().filter(|name| !kept.contains_key(*name)))
        .filter(is_other)
        .map(String::as_str)
        .collect();
    let others = if others.is_empty() { "the order of columns".to_owned() } else { others.join(", ") };
    format!("{id} ({others})")
}

/// A time as PostgreSQL reads it: to it the year 0 is one before the first.
fn written(at: Timestamp) -> String {
    let text = at.to_string();
    match text.strip_prefix("0000-") {
        Some(rest) => format!("0001-{rest} BC"),
        None => text,
    }
}
