//! Whether the old tables are what the queries need.

use std::collections::BTreeMap;

use tokio_postgres::{Transaction, types::Type};

use super::{TableNames, error};
use crate::cli_error::CliError;

/// The columns of a table that can be seen, each with its type as it is written, the
/// type that a domain is of, and that one's category.
const COLUMNS: &str = "
    SELECT a.attname::text, format_type(a.atttypid, a.atttypmod),
           format_type(coalesce(nullif(t.typbasetype, 0), t.oid), NULL), t.typcategory::text
    FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
    WHERE a.attrelid = to_regclass($1) AND a.attnum > 0 AND NOT a.attisdropped";

/// What a column has to hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ColumnType {
    Integer,
    Time,
    /// What says who or which, or is one of a few words.
    Text,
}

const REQUIRED: [(&str, &[(&str, ColumnType)]); 3] = [
    (
        "credits",
        &[
            ("credits.id", ColumnType::Integer),
            ("credits.trans_no", ColumnType::Text),
            ("credits.created_at", ColumnType::Time),
            ("credits.user_uuid", ColumnType::Text),
            ("credits.trans_type", ColumnType::Text),
            ("credits.credits", ColumnType::Integer),
            ("credits.order_no", ColumnType::Text),
            ("credits.expired_at", ColumnType::Time),
        ],
    ),
    ("generations", &[("generations.uuid", ColumnType::Text), ("generations.user_uuid", ColumnType::Text)]),
    ("orders", &[("orders.order_no", ColumnType::Text), ("orders.user_uuid", ColumnType::Text)]),
];

/// What tells rows apart.
const UNIQUE: [&str; 2] = ["credits.id", "credits.trans_no"];

/// Every table and column is there and of a type that can be read, and rows can be
/// told apart.
pub(super) async fn check(transaction: &Transaction<'_>, names: &TableNames) -> Result<(), CliError> {
    columns(transaction, names, &REQUIRED).await?;
    for column in UNIQUE {
        unique(transaction, names, column).await?;
    }
    Ok(())
}

/// The same of `credits` alone, whose rows go back by their ids.
pub(super) async fn check_credits(transaction: &Transaction<'_>, names: &TableNames) -> Result<(), CliError> {
    columns(transaction, names, &REQUIRED[..1]).await?;
    unique(transaction, names, "credits.id").await
}

async fn columns(
    transaction: &Transaction<'_>,
    names: &TableNames,
    needed: &[(&'static str, &[(&'static str, ColumnType)])],
) -> Result<(), CliError> {
    for (table, columns) in needed {
        let found = columns_of(transaction, names, table).await?;
        for (column, kind) in *columns {
            let name = names.of(column);
            let (written, base, category) = found.get(name).ok_or_else(|| missing(names, table, column))?;
            if !kind.accepts(base, category) {
                return Err(wrong(names, table, name, *kind, written));
            }
        }
    }
    Ok(())
}

type Columns = BTreeMap<String, (String, String, String)>;

async fn columns_of(
    transaction: &Transaction<'_>,
    names: &TableNames,
    table: &'static str,
) -> Result<Columns, CliError> {
    let name = names.table(table);
    let rows = transaction.query_typed(COLUMNS, &[(&name, Type::TEXT)]).await;
    let rows = rows.map_err(|error| error::read_error(names.of(table), &error))?;
    if rows.is_empty() {
        return Err(CliError(format!(
            "there is no table {name}: --table {table}=NAME says what it is called"
        )));
    }
    Ok(rows.iter().map(|row| (row.get(0), (row.get(1), row.get(2), row.get(3)))).collect())
}

impl ColumnType {
    fn accepts(self, base: &str, category: &str) -> bool {
        let is_integer = matches!(base, "smallint" | "integer" | "bigint");
        match self {
            ColumnType::Integer => is_integer,
            ColumnType::Time => matches!(base, "timestamp with time zone" | "timestamp without time zone"),
            // Strings and enumerations.
            ColumnType::Text => is_integer || base == "uuid" || matches!(category, "S" | "E"),
        }
    }

    fn description(self) -> &'static str {
        match self {
            ColumnType::Integer => "smallint, integer or bigint",
            ColumnType::Time => "timestamp, with or without time zone",
            ColumnType::Text => "text, varchar or uuid",
        }
    }
}

fn missing(names: &TableNames, table: &'static str, column: &'static str) -> CliError {
    let (table, name) = (names.table(table), names.of(column));
    CliError(format!(
        "the table {table} has no column {name:?}: --column {column}=NAME says what it is called"
    ))
}

fn wrong(names: &TableNames, table: &'static str, name: &str, kind: ColumnType, written: &str) -> CliError {
    let (table, needed) = (names.table(table), kind.description());
    CliError(format!("the column {name:?} of the table {table} is of type {written}, and has to be {needed}"))
}

async fn unique(
    transaction: &Transaction<'_>,
    names: &TableNames,
    column: &'static str,
) -> Result<(), CliError> {
    let (table, name) = (names.table("credits"), names.column("c", column));
    let again = format!(
        "SELECT {name}::text FROM {table} AS c GROUP BY {name} HAVING count(*) > 1 OR {name} IS NULL LIMIT 1"
    );
    let again = transaction.query_typed_opt(&again, &[]).await;
    let again = again.map_err(|error| error::read_error(names.of("credits"), &error))?;
    let Some(again) = again else { return Ok(()) };
    let why = match again.get::<_, Option<String>>(0) {
        Some(value) => format!("several have {value:?}"),
        None => "one has none".to_owned(),
    };
    let name = names.of(column);
    Err(CliError(format!(
        "the column {name:?} of the table {table} does not tell rows apart, as {why}: --column {column}=NAME names one \
         that does"
    )))
}
