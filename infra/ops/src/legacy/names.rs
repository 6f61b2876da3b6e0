use std::collections::BTreeMap;

use crate::cli_error::CliError;

/// The tables, and their columns.
const NAMES: [&str; 15] = [
    "credits",
    "credits.id",
    "credits.trans_no",
    "credits.created_at",
    "credits.user_uuid",
    "credits.trans_type",
    "credits.credits",
    "credits.order_no",
    "credits.expired_at",
    "generations",
    "generations.uuid",
    "generations.user_uuid",
    "orders",
    "orders.order_no",
    "orders.user_uuid",
];

/// What the old tables and their columns are called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableNames(BTreeMap<&'static str, String>);

impl Default for TableNames {
    fn default() -> TableNames {
        let last = |name: &'static str| name.rsplit('.').next().unwrap_or(name);
        TableNames(NAMES.into_iter().map(|name| (name, last(name).to_owned())).collect())
    }
}

impl TableNames {
    /// Says that something is called otherwise: a table (`orders`), by its name or as
    /// `schema.name`, or a column (`orders.order_no`), by its name alone.
    ///
    /// # Errors
    /// There is nothing of that kind, or this cannot be a name.
    pub fn rename(&mut self, what: &str, name: &str) -> Result<(), CliError> {
        checked(what, name)?;
        let known = self.0.get_mut(what);
        let known = known.ok_or_else(|| CliError(format!("{what:?} is none of {}", NAMES.join(", "))))?;
        name.clone_into(known);
        Ok(())
    }

    /// What something is called.
    pub(crate) fn of<'a>(&'a self, what: &'a str) -> &'a str {
        self.0.get(what).map_or(what, String::as_str)
    }

    /// A table, as SQL has it.
    pub(crate) fn table(&self, table: &'static str) -> String {
        whole(self.of(table))
    }

    /// Another table, as SQL has it: in the schema of `credits`, where it says none.
    ///
    /// # Errors
    /// This cannot be a name.
    pub(crate) fn in_schema_of_credits(&self, name: &str) -> Result<String, CliError> {
        checked("a table", name)?;
        Ok(match self.of("credits").rsplit_once('.') {
            Some((schema, _)) if !name.contains('.') => whole(&format!("{schema}.{name}")),
            _ => whole(name),
        })
    }

    /// A column, as SQL has it, of a table that SQL calls `alias`.
    pub(crate) fn column(&self, alias: &str, column: &'static str) -> String {
        format!("{alias}.{}", quote(self.of(column)))
    }
}

/// A name of several parts, as SQL has it.
fn whole(name: &str) -> String {
    name.split('.').map(quote).collect::<Vec<_>>().join(".")
}

fn checked(what: &str, name: &str) -> Result<(), CliError> {
    let is_name = !name.split('.').any(str::is_empty) && !name.contains('\0');
    if is_name { Ok(()) } else { Err(CliError(format!("{name:?} cannot be the name of {what}"))) }
}

/// A name that can be nothing else in SQL.
pub(crate) fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_never_sql() {
        for (what, name, table, column) in [
            ("credits", "credits", r#""credits""#, r#"c."credits""#),
            ("credits", "old.Credits", r#""old"."Credits""#, r#"c."old.Credits""#),
            ("credits", r#"a"; DROP"#, r#""a""; DROP""#, r#"c."a""; DROP""#),
        ] {
            let mut names = TableNames::default();
            names.rename(what, name).unwrap();
            assert_eq!((names.table(what), names.column("c", what)), (table.to_owned(), column.to_owned()));
        }
    }

    #[test]
    fn a_table_stands_beside_credits() {
        for (credits, name, found) in [
            ("credits", "since", r#""since""#),
            ("old.credits", "since", r#""old"."since""#),
            ("old.credits", "new.since", r#""new"."since""#),
        ] {
            let mut names = TableNames::default();
            names.rename("credits", credits).unwrap();
            assert_eq!(names.in_schema_of_credits(name), Ok(found.to_owned()));
        }
        assert!(TableNames::default().in_schema_of_credits("a.").is_err());
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for (what, name) in
            [("credits", ""), ("credits", "a."), ("credits", "a\0"), ("credit", "a"), ("", "a")]
        {
            assert!(TableNames::default().rename(what, name).is_err(), "{what} {name:?}");
        }
    }
}
