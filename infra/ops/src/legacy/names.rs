//! Names of the old tables and columns, quoted for SQL.

use std::collections::BTreeMap;

use super::Layout;
use crate::cli_error::CliError;

/// Tables and their columns by the names of the layout `signed`.
const NAMES: [&str; 20] = [
    "credits",
    "credits.id",
    "credits.trans_no",
    "credits.created_at",
    "credits.user_uuid",
    "credits.trans_type",
    "credits.credits",
    "credits.order_no",
    "credits.expired_at",
    "credits.trans_scene",
    "credits.remaining_credits",
    "credits.status",
    "credits.consumed_detail",
    "credits.updated_at",
    "generations",
    "generations.uuid",
    "generations.user_uuid",
    "orders",
    "orders.order_no",
    "orders.user_uuid",
];

/// Names that differ in the layout `lots`.
const LOT_NAMES: [(&str, &str); 6] = [
    ("credits", "credit"),
    ("credits.trans_no", "transaction_no"),
    ("credits.user_uuid", "user_id"),
    ("credits.trans_type", "transaction_type"),
    ("credits.trans_scene", "transaction_scene"),
    ("credits.expired_at", "expires_at"),
];

/// The names of the old tables and columns that an operator changed, and the layout.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TableNames {
    overrides: BTreeMap<&'static str, String>,
    layout: Layout,
}

impl TableNames {
    /// The names with the defaults of a layout.
    pub(crate) fn with_layout(&self, layout: Layout) -> TableNames {
        TableNames { layout, ..self.clone() }
    }

    /// Sets the name of a table (`orders`), also as `schema.name`, or of a column
    /// (`orders.order_no`).
    ///
    /// # Errors
    /// `key` is no table or column, or `name` is empty or contains a zero byte.
    pub fn rename(&mut self, key: &str, name: &str) -> Result<(), CliError> {
        validate(key, name)?;
        let found = NAMES.into_iter().find(|found| *found == key);
        let key = found.ok_or_else(|| CliError(format!("{key:?} must be one of {}", NAMES.join(", "))))?;
        self.overrides.insert(key, name.to_owned());
        Ok(())
    }

    /// The unquoted name of a table or column.
    pub(crate) fn name<'a>(&'a self, key: &'a str) -> &'a str {
        let default_name = || {
            let of_lots = LOT_NAMES.iter().filter(|_| self.layout == Layout::Lots);
            let found = of_lots.filter(|(found, _)| *found == key).map(|(_, name)| *name).next();
            found.unwrap_or_else(|| key.rsplit('.').next().unwrap_or(key))
        };
        self.overrides.get(key).map_or_else(default_name, String::as_str)
    }

    /// The quoted name of a table.
    pub(crate) fn table(&self, table: &'static str) -> String {
        quote_path(self.name(table))
    }

    /// The quoted name of another table, by default in the schema of `credits`.
    ///
    /// # Errors
    /// `name` is invalid.
    pub(crate) fn in_schema_of_credits(&self, name: &str) -> Result<String, CliError> {
        validate("a table", name)?;
        Ok(match self.name("credits").rsplit_once('.') {
            Some((schema, _)) if !name.contains('.') => quote_path(&format!("{schema}.{name}")),
            _ => quote_path(name),
        })
    }

    /// The quoted name of a column of the table with this alias.
    pub(crate) fn column(&self, alias: &str, column: &'static str) -> String {
        format!("{alias}.{}", quote(self.name(column)))
    }

    /// The time in a column of the table with this alias. Times without a zone are of this one.
    pub(crate) fn time(&self, alias: &str, column: &'static str, timezone: Option<&str>) -> String {
        let column = self.column(alias, column);
        let Some(timezone) = timezone else { return column };
        // An operator returns the base type, also for a domain.
        format!(
            "CASE WHEN pg_typeof({column} + interval '0') = 'timestamp'::regtype
             THEN {column}::timestamp AT TIME ZONE '{}' ELSE {column}::timestamptz END",
            timezone.replace('\'', "''")
        )
    }
}

fn quote_path(name: &str) -> String {
    name.split('.').map(quote).collect::<Vec<_>>().join(".")
}

fn validate(key: &str, name: &str) -> Result<(), CliError> {
    let is_name = !name.split('.').any(str::is_empty) && !name.contains('\0');
    if is_name { Ok(()) } else { Err(CliError(format!("{name:?} cannot be the name of {key}"))) }
}

/// Quotes an identifier.
pub(crate) fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_quoted() {
        for (key, name, table, column) in [
            ("credits", "credits", r#""credits""#, r#"c."credits""#),
            ("credits", "old.Credits", r#""old"."Credits""#, r#"c."old.Credits""#),
            ("credits", r#"a"; DROP"#, r#""a""; DROP""#, r#"c."a""; DROP""#),
        ] {
            let mut names = TableNames::default();
            names.rename(key, name).unwrap();
            assert_eq!((names.table(key), names.column("c", key)), (table.to_owned(), column.to_owned()));
        }
    }

    #[test]
    fn other_table_is_in_the_schema_of_credits() {
        for (credits, name, expected) in [
            ("credits", "since", r#""since""#),
            ("old.credits", "since", r#""old"."since""#),
            ("old.credits", "new.since", r#""new"."since""#),
        ] {
            let mut names = TableNames::default();
            names.rename("credits", credits).unwrap();
            assert_eq!(names.in_schema_of_credits(name), Ok(expected.to_owned()));
        }
        assert!(TableNames::default().in_schema_of_credits("a.").is_err());
    }

    #[test]
    fn invalid_names_are_rejected() {
        for (key, name) in
            [("credits", ""), ("credits", "a."), ("credits", "a\0"), ("credit", "a"), ("", "a")]
        {
            assert!(TableNames::default().rename(key, name).is_err(), "{key} {name:?}");
        }
    }
}
