//! Checks that the old tables have the columns and types that the queries need.

use std::collections::BTreeMap;

use tokio_postgres::{Transaction, types::Type};

use super::{Layout, TableNames, error, query};
use crate::cli_error::CliError;

/// The visible columns of a table: name, declared type, base type of a domain, and its
/// category.
const COLUMNS: &str = "
    SELECT a.attname::text, format_type(a.atttypid, a.atttypmod),
           format_type(coalesce(nullif(t.typbasetype, 0), t.oid), NULL), t.typcategory::text
    FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
    WHERE a.attrelid = to_regclass($1) AND a.attnum > 0 AND NOT a.attisdropped";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ColumnType {
    Integer,
    Time,
    /// An identifier or an enumeration.
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

const LOTS: [(&str, &[(&str, ColumnType)]); 1] = [(
    "credits",
    &[
        ("credits.id", ColumnType::Text),
        ("credits.trans_no", ColumnType::Text),
        ("credits.created_at", ColumnType::Time),
        ("credits.updated_at", ColumnType::Time),
        ("credits.user_uuid", ColumnType::Text),
        ("credits.trans_type", ColumnType::Text),
        ("credits.trans_scene", ColumnType::Text),
        ("credits.credits", ColumnType::Integer),
        ("credits.remaining_credits", ColumnType::Integer),
        ("credits.order_no", ColumnType::Text),
        ("credits.expired_at", ColumnType::Time),
        ("credits.status", ColumnType::Text),
        ("credits.consumed_detail", ColumnType::Text),
    ],
)];

type RequiredTables = &'static [(&'static str, &'static [(&'static str, ColumnType)])];

fn required(layout: Layout) -> RequiredTables {
    match layout {
        Layout::Signed => &REQUIRED,
        Layout::Lots => &LOTS,
    }
}

const UNIQUE_COLUMNS: [&str; 2] = ["credits.id", "credits.trans_no"];

/// Checks all tables of a layout, and that ids and `trans_no` are unique.
pub(super) async fn check(
    transaction: &Transaction<'_>,
    names: &TableNames,
    layout: Layout,
) -> Result<(), CliError> {
    check_columns(transaction, names, required(layout)).await?;
    for column in UNIQUE_COLUMNS {
        check_unique(transaction, names, column).await?;
    }
    Ok(())
}

/// Checks that the server has the time zone.
pub(super) async fn check_timezone(
    transaction: &Transaction<'_>,
    timezone: Option<&str>,
) -> Result<(), CliError> {
    let Some(timezone) = timezone else { return Ok(()) };
    let found = transaction.query_typed_one(query::HAS_TIMEZONE, &[(&timezone, Type::TEXT)]).await;
    if found.map_err(|error| error::read_error("pg_timezone_names", &error))?.get(0) {
        Ok(())
    } else {
        Err(CliError(format!("--timezone {timezone:?} must be a name such as Asia/Shanghai")))
    }
}

/// Checks `credits` alone, whose rows a rollback restores by id.
pub(super) async fn check_credits(
    transaction: &Transaction<'_>,
    names: &TableNames,
    layout: Layout,
) -> Result<(), CliError> {
    check_columns(transaction, names, &required(layout)[..1]).await?;
    check_unique(transaction, names, "credits.id").await
}

async fn check_columns(
    transaction: &Transaction<'_>,
    names: &TableNames,
    required: &[(&'static str, &[(&'static str, ColumnType)])],
) -> Result<(), CliError> {
    for (table, columns) in required {
        let found = columns_of(transaction, names, table).await?;
        for (column, column_type) in *columns {
            let name = names.name(column);
            let (declared, base, category) =
                found.get(name).ok_or_else(|| missing_column(names, table, column))?;
            if !column_type.accepts(base, category) {
                return Err(wrong_type(names, table, name, *column_type, declared));
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
    let rows = rows.map_err(|error| error::read_error(names.name(table), &error))?;
    if rows.is_empty() {
        return Err(CliError(format!("there is no table {name}; set its name by --table {table}=NAME")));
    }
    Ok(rows.iter().map(|row| (row.get(0), (row.get(1), row.get(2), row.get(3)))).collect())
}

impl ColumnType {
    fn accepts(self, base: &str, category: &str) -> bool {
        let is_integer = matches!(base, "smallint" | "integer" | "bigint");
        match self {
            ColumnType::Integer => is_integer,
            ColumnType::Time => matches!(base, "timestamp with time zone" | "timestamp without time zone"),
            // Categories: strings and enumerations.
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

fn missing_column(names: &TableNames, table: &'static str, column: &'static str) -> CliError {
    let (table, name) = (names.table(table), names.name(column));
    CliError(format!("the table {table} has no column {name:?}; set its name by --column {column}=NAME"))
}

fn wrong_type(
    names: &TableNames,
    table: &'static str,
    name: &str,
    column_type: ColumnType,
    declared: &str,
) -> CliError {
    let (table, required) = (names.table(table), column_type.description());
    CliError(format!("the column {name:?} of the table {table} is of type {declared} and must be {required}"))
}

async fn check_unique(
    transaction: &Transaction<'_>,
    names: &TableNames,
    column: &'static str,
) -> Result<(), CliError> {
    let (table, name) = (names.table("credits"), names.column("c", column));
    let duplicate = format!(
        "SELECT {name}::text FROM {table} AS c GROUP BY {name} HAVING count(*) > 1 OR {name} IS NULL LIMIT 1"
    );
    let duplicate = transaction.query_typed_opt(&duplicate, &[]).await;
    let duplicate = duplicate.map_err(|error| error::read_error(names.name("credits"), &error))?;
    let Some(duplicate) = duplicate else { return Ok(()) };
    let reason = match duplicate.get::<_, Option<String>>(0) {
        Some(value) => format!("several rows have {value:?}"),
        None => "a row has none".to_owned(),
    };
    let name = names.name(column);
    Err(CliError(format!(
        "the column {name:?} of the table {table} is not unique, because {reason}; set a unique one by \
         --column {column}=NAME"
    )))
}
