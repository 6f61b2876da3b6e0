use std::collections::BTreeMap;

use crate::problem::Problem;

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
pub struct Names(BTreeMap<&'static str, String>);

impl Default for Names {
    fn default() -> Names {
        let last = |name: &'static str| name.rsplit('.').next().unwrap_or(name);
        Names(NAMES.into_iter().map(|name| (name, last(name).to_owned())).collect())
    }
}

impl Names {
    /// Says that something is called otherwise: a table (`orders`), by its name or as
    /// `schema.name`, or a column (`orders.order_no`), by its name alone.
    ///
    /// # Errors
    /// There is nothing of that kind, or this cannot be a name.
    pub fn rename(&mut self, what: &str, name: &str) -> Result<(), Problem> {
        if name.split('.').any(str::is_empty) || name.contains('\0') {
            return Err(Problem(format!("{name:?} cannot be the name of {what}")));
        }
        let known = self.0.get_mut(what);
        let known = known.ok_or_else(|| Problem(format!("{what:?} is none of {}", NAMES.join(", "))))?;
        name.clone_into(known);
        Ok(())
    }

    /// What something is called.
    pub(super) fn of<'a>(&'a self, what: &'a str) -> &'a str {
        self.0.get(what).map_or(what, String::as_str)
    }

    /// A table, as SQL has it.
    pub(super) fn table(&self, table: &'static str) -> String {
        self.of(table).split('.').map(quoted).collect::<Vec<_>>().join(".")
    }

    /// A column, as SQL has it, of a table that SQL calls `alias`.
    pub(super) fn column(&self, alias: &str, column: &'static str) -> String {
        format!("{alias}.{}", quoted(self.of(column)))
    }
}

/// A name that can be nothing else in SQL.
fn quoted(name: &str) -> String {
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
            let mut names = Names::default();
            names.rename(what, name).unwrap();
            assert_eq!((names.table(what), names.column("c", what)), (table.to_owned(), column.to_owned()));
        }
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for (what, name) in
            [("credits", ""), ("credits", "a."), ("credits", "a\0"), ("credit", "a"), ("", "a")]
        {
            assert!(Names::default().rename(what, name).is_err(), "{what} {name:?}");
        }
    }
}
