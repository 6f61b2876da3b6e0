//! The columns of a payment provider's export, found by their names in the header.

use std::fmt;

use csv::StringRecord;

/// A value of a payment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field {
    Order,
    User,
    Amount,
    Refunded,
    Status,
    Currency,
    Credits,
    Created,
}

impl Field {
    const ALL: [Field; 8] = [
        Field::Order,
        Field::User,
        Field::Amount,
        Field::Refunded,
        Field::Status,
        Field::Currency,
        Field::Credits,
        Field::Created,
    ];

    fn name(self) -> &'static str {
        match self {
            Field::Order => "order",
            Field::User => "user",
            Field::Amount => "amount",
            Field::Refunded => "refunded",
            Field::Status => "status",
            Field::Currency => "currency",
            Field::Credits => "credits",
            Field::Created => "created",
        }
    }

    /// The names in an export of Stripe's payments, newest first.
    fn names_of_stripe(self) -> &'static [&'static str] {
        match self {
            Field::Order => &["PaymentIntent ID"],
            Field::User => &["scrip_user (metadata)"],
            Field::Amount => &["Amount"],
            Field::Refunded => &["Amount Refunded"],
            Field::Status => &["Status"],
            Field::Currency => &["Currency"],
            Field::Credits => &["scrip_credits (metadata)"],
            Field::Created => &["Created date (UTC)", "Created (UTC)"],
        }
    }

    /// Whether a file without the column is unusable, unless the option removes the column.
    fn is_required(self) -> bool {
        !matches!(self, Field::User | Field::Currency | Field::Credits)
    }

    /// Whether the option cannot remove the column.
    fn is_essential(self) -> bool {
        matches!(self, Field::Order | Field::Amount | Field::Created)
    }
}

/// Columns in which an order is looked for if the first one is empty, or has an unknown order:
/// the invoice of a subscription, and the charge of a payment without a payment intent.
const OTHER_ORDERS_OF_STRIPE: [&str; 2] = ["Invoice ID", "id"];

/// The name of one column, as the option states it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnName {
    field: Field,
    /// Empty if the file has no such column.
    name: String,
}

impl ColumnName {
    /// Parses `order=Order ID`, or `refunded=` for a file without the column.
    ///
    /// # Errors
    /// There is no such field, or it needs a column.
    pub fn parse(text: &str) -> Result<ColumnName, String> {
        let (field, name) =
            text.split_once('=').ok_or("must be a field and a column, such as order=Order ID")?;
        let names = Field::ALL.map(Field::name).join(", ");
        let field = Field::ALL.into_iter().find(|known| known.name() == field.trim());
        let field = field.ok_or_else(|| format!("the field must be one of {names}"))?;
        let name = name.trim().to_owned();
        if name.is_empty() && field.is_essential() {
            return Err(format!("{} needs a column", field.name()));
        }
        Ok(ColumnName { field, name })
    }
}

/// The positions of the columns in each row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Columns {
    positions: [Option<usize>; Field::ALL.len()],
    other_orders: Vec<usize>,
}

/// Required columns that the header lacks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MissingColumns(Vec<String>);

impl fmt::Display for MissingColumns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the header has no column {}; set the names with --columns", self.0.join(", "))
    }
}

impl Columns {
    /// Finds the columns. The case of their names does not matter.
    pub(super) fn find(header: &StringRecord, stated: &[ColumnName]) -> Result<Columns, MissingColumns> {
        let position = |name: &str| {
            let is_name =
                |column: &str| column.trim().trim_start_matches('\u{feff}').eq_ignore_ascii_case(name);
            header.iter().position(is_name)
        };
        let (mut positions, mut missing) = ([None; Field::ALL.len()], Vec::new());
        for (field, found) in Field::ALL.into_iter().zip(&mut positions) {
            let stated =
                stated.iter().rfind(|column| column.field == field).map(|column| column.name.as_str());
            let names = stated.map_or_else(|| field.names_of_stripe().to_vec(), |name| vec![name]);
            *found = names.iter().find_map(|name| position(name));
            let is_needed = stated.map_or_else(|| field.is_required(), |name| !name.is_empty());
            if found.is_none() && is_needed {
                missing.push(format!("`{}` ({})", names.join("` or `"), field.name()));
            }
        }
        if !missing.is_empty() {
            return Err(MissingColumns(missing));
        }
        let has_own_order = stated.iter().any(|column| column.field == Field::Order);
        let others = OTHER_ORDERS_OF_STRIPE.into_iter().filter(|_| !has_own_order);
        Ok(Columns { positions, other_orders: others.filter_map(position).collect() })
    }

    /// Whether the file has a column.
    pub(super) fn has(&self, field: Field) -> bool {
        self.position(field).is_some()
    }

    /// The value in a row; empty without a column.
    pub(super) fn value<'a>(&self, row: &'a StringRecord, field: Field) -> &'a str {
        self.position(field).and_then(|position| row.get(position)).unwrap_or_default().trim()
    }

    /// The numbers that the ledger may have a row's order under.
    pub(super) fn orders<'a>(&self, row: &'a StringRecord) -> impl Iterator<Item = &'a str> {
        let first = self.position(Field::Order);
        let positions: Vec<_> = first.into_iter().chain(self.other_orders.iter().copied()).collect();
        let values = positions.into_iter().filter_map(|position| row.get(position)).map(str::trim);
        values.filter(|order| !order.is_empty())
    }

    fn position(&self, field: Field) -> Option<usize> {
        let index = Field::ALL.into_iter().position(|known| known == field)?;
        self.positions[index]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_found_by_name_or_named_as_missing() {
        let stripe = "id,Created date (UTC),Amount,Amount Refunded,Currency,Status,PaymentIntent ID";
        let old =
            "\u{feff}id,Created (UTC),AMOUNT,amount refunded,Status,PaymentIntent ID,scrip_user (metadata)";
        let own = ["order=txn", "amount=total", "refunded=", "status=", "created=at"];
        for (header, stated, expected) in [
            (stripe, &[][..], Ok([6, 1, 2])),
            (old, &[], Ok([5, 1, 2])),
            (stripe, &["order=id"], Ok([0, 1, 2])),
            ("at,txn,total", &own, Ok([1, 0, 2])),
            ("txn,total", &own, Err("`at` (created)")),
            (stripe, &["credits=Credits"], Err("`Credits` (credits)")),
            (
                "id,Amount,Created (UTC)",
                &["status="],
                Err("`PaymentIntent ID` (order), `Amount Refunded` (refunded)"),
            ),
        ] {
            let header: StringRecord = header.split(',').collect();
            let stated: Vec<_> = stated.iter().map(|text| ColumnName::parse(text).unwrap()).collect();
            let found = Columns::find(&header, &stated);
            let positions = found.map(|columns| {
                [Field::Order, Field::Created, Field::Amount].map(|field| columns.position(field).unwrap())
            });
            let expected = expected
                .map_err(|names| format!("the header has no column {names}; set the names with --columns"));
            assert_eq!(positions.map_err(|missing| missing.to_string()), expected);
        }
    }

    #[test]
    fn stated_column_is_a_known_field_and_a_name() {
        for (text, is_valid) in [
            ("order=Order ID", true),
            ("user=metadata=user", true),
            ("refunded=", true),
            ("created=", false),
            ("order=", false),
            ("order", false),
            ("orders=a", false),
        ] {
            assert_eq!(ColumnName::parse(text).is_ok(), is_valid, "{text}");
        }
    }
}
