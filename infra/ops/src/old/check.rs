//! Whether the old tables are what the queries need.

use std::collections::BTreeMap;

use tokio_postgres::{Transaction, types::Type};

use super::{Names, error};
use crate::problem::Problem;

/// The columns of a table that can be seen, each with its type as it is written, the
/// type that a domain is of, and that one's category.
const COLUMNS: &str = "
    SELECT a.attname::text, format_type(a.atttypid, a.atttypmod),
           format_type(coalesce(nullif(t.typbasetype, 0), t.oid), NULL), t.typcategory::text
    FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
    WHERE a.attrelid = to_regclass($1) AND a.attnum > 0 AND NOT a.attisdropped";

/// What a column has to hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Integer,
    Time,
    /// What says who or which, or is one of a few words.
    Text,
}

const NEEDED: [(&str, &[(&str, Kind)]); 3] = [
    (
        "credits",
        &[
            ("credits.id", Kind::Integer),
            ("credits.trans_no", Kind::Text),
            ("credits.created_at", Kind::Time),
            ("credits.user_uuid", Kind::Text),
            ("credits.trans_type", Kind::Text),
            ("credits.credits", Kind::Integer),
            ("credits.order_no", Kind::Text),
            ("credits.expired_at", Kind::Time),
        ],
    ),
    ("generations", &[("generations.uuid", Kind::Text), ("generations.user_uuid", Kind::Text)]),
    ("orders", &[("orders.order_no", Kind::Text), ("orders.user_uuid", Kind::Text)]),
];

/// What tells rows apart.
const UNIQUE: [&str; 2] = ["credits.id", "credits.trans_no"];

/// Every table and column is there and of a type that can be read, and rows can be
/// told apart.
pub(super) async fn check(transaction: &Transaction<'_>, names: &Names) -> Result<(), Problem> {
    columns(transaction, names, &NEEDED).await?;
    for column in UNIQUE {
        unique(transaction, names, column).await?;
    }
    Ok(())
}

/// The same of `credits` alone, whose rows go back by their ids.
pub(super) async fn check_credits(transaction: &Transaction<'_>, names: &Names) -> Result<(), Problem> {
    columns(transaction, names, &NEEDED[..1]).await?;
    unique(transaction, names, "credits.id").await
}

async fn columns(
    transaction: &Transaction<'_>,
    names: &Names,
    needed: &[(&'static str, &[(&'static str, Kind)])],
) -> Result<(), Problem> {
    for (table, columns) in needed {
        let found = columns_of(transaction, names, table).await?;
        for (column, kind) in *columns {
            let name = names.of(column);
            let (written, base, category) = found.get(name).ok_or_else(|| missing(names, table, column))?;
            if !kind.takes(base, category) {
                return Err(wrong(names, table, name, *kind, written));
            }
        }
    }
    Ok(())
}

type Columns = BTreeMap<String, (String, String, String)>;

async fn columns_of(
    transaction: &Transaction<'_>,
    names: &Names,
    table: &'static str,
) -> Result<Columns, Problem> {
    let name = names.table(table);
    let rows = transaction.query_typed(COLUMNS, &[(&name, Type::TEXT)]).await;
    let rows = rows.map_err(|error| error::not_read(names.of(table), &error))?;
    if rows.is_empty() {
        return Err(Problem(format!(
            "there is no table {name}: --table {table}=NAME says what it is called"
        )));
    }
    Ok(rows.iter().map(|row| (row.get(0), (row.get(1), row.get(2), row.get(3)))).collect())
}

impl Kind {
    fn takes(self, base: &str, category: &str) -> bool {
        let is_integer = matches!(base, "smallint" | "integer" | "bigint");
        match self {
            Kind::Integer => is_integer,
            Kind::Time => matches!(base, "timestamp with time zone" | "timestamp without time zone"),
            // Strings and enumerations.
            Kind::Text => is_integer || base == "uuid" || matches!(category, "S" | "E"),
        }
    }

    fn told(self) -> &'static str {
        match self {
            Kind::Integer => "smallint, integer or bigint",
            Kind::Time => "timestamp, with or without time zone",
            Kind::Text => "text, varchar or uuid",
        }
    }
}

fn missing(names: &Names, table: &'static str, column: &'static str) -> Problem {
    let (table, name) = (names.table(table), names.of(column));
    Problem(format!(
        "the table {table} has no column {name:?}: --column {column}=NAME says what it is called"
    ))
}

fn wrong(names: &Names, table: &'static str, name: &str, kind: Kind, written: &str) -> Problem {
    let (table, needed) = (names.table(table), kind.told());
    Problem(format!("the column {name:?} of the table {table} is of type {written}, and has to be {needed}"))
}

async fn unique(transaction: &Transaction<'_>, names: &Names, column: &'static str) -> Result<(), Problem> {
    let (table, name) = (names.table("credits"), names.column("c", column));
    let again = format!(
        "SELECT {name}::text FROM {table} AS c GROUP BY {name} HAVING count(*) > 1 OR {name} IS NULL LIMIT 1"
    );
    let again = transaction.query_typed_opt(&again, &[]).await;
    let again = again.map_err(|error| error::not_read(names.of("credits"), &error))?;
    let Some(again) = again else { return Ok(()) };
    let why = match again.get::<_, Option<String>>(0) {
        Some(value) => format!("several have {value:?}"),
        None => "one has none".to_owned(),
    };
    let name = names.of(column);
    Err(Problem(format!(
        "the column {name:?} of the table {table} does not tell rows apart, as {why}: --column {column}=NAME names one \
         that does"
    )))
}
