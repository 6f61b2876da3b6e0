//! Reads the payments of a file, row by row.

use std::{fmt, fs::File, path::Path};

use csv::{Reader, ReaderBuilder, StringRecord};
use scrip::domain::Timestamp;

use super::{
    amount::Amount,
    columns::{ColumnName, Columns, Field, MissingColumns},
};

/// Words for a payment that was successful, also if it was refunded later.
const PAID: [&str; 11] = [
    "paid",
    "succeeded",
    "success",
    "successful",
    "complete",
    "completed",
    "refunded",
    "partially refunded",
    "partially_refunded",
    "partial_refund",
    "disputed",
];

/// The reason why a file cannot be compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InputError {
    /// The file cannot be read.
    Unreadable(String),
    /// The header lacks columns.
    MissingColumns(MissingColumns),
    /// A row cannot be read: its number and the reason.
    Row(u64, RowProblem),
    /// The file has no paid row, and thus no time range.
    NoPayments,
}

/// The reason why a row cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowProblem {
    /// It has another number of columns than the header, or is not UTF-8.
    Columns,
    /// The amount is not a decimal number.
    Amount,
    /// The refunded amount is not a decimal number, or more than the amount.
    Refunded,
    /// The time is neither of RFC 3339 nor `2026-01-31 10:20`.
    Created,
}

impl fmt::Display for InputError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            InputError::Unreadable(reason) => f.write_str(reason),
            InputError::MissingColumns(missing) => missing.fmt(f),
            InputError::Row(number, problem) => write!(f, "row {number}: {problem}"),
            InputError::NoPayments => f.write_str("the file has no paid row"),
        }
    }
}

impl fmt::Display for RowProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            RowProblem::Columns => "the row has other columns than the header",
            RowProblem::Amount => "the amount must be a decimal number such as 10.50",
            RowProblem::Refunded => {
                "the refunded amount must be a decimal number such as 10.50, and at most the amount"
            }
            RowProblem::Created => "the time must be of RFC 3339, or UTC such as 2026-01-31 10:20",
        })
    }
}

/// A payment of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Payment {
    /// The number of the row, as a spreadsheet shows it.
    pub(super) row: u64,
    /// The numbers that the ledger may have its order under.
    pub(super) orders: Vec<String>,
    pub(super) user: Option<String>,
    pub(super) amount: Amount,
    /// The amount as the file states it.
    pub(super) amount_text: String,
    /// Absent in a file without the column.
    pub(super) refunded: Option<Amount>,
    pub(super) status: String,
    pub(super) currency: String,
    /// As the file states them.
    pub(super) credits: Option<String>,
    pub(super) created: Timestamp,
}

impl Payment {
    pub(super) fn is_refunded_in_full(&self) -> bool {
        self.refunded.is_some_and(|refunded| !refunded.is_zero() && self.amount.share_of(refunded).is_some())
    }
}

/// The payments of a file.
pub(super) struct Payments {
    rows: Reader<File>,
    columns: Columns,
}

impl Payments {
    /// Opens a file and reads its header.
    pub(super) fn open(path: &Path, stated: &[ColumnName]) -> Result<Payments, InputError> {
        let unreadable = |error: csv::Error| InputError::Unreadable(format!("{}: {error}", path.display()));
        let mut rows = ReaderBuilder::new().from_path(path).map_err(unreadable)?;
        let columns = Columns::find(rows.headers().map_err(unreadable)?, stated);
        Ok(Payments { rows, columns: columns.map_err(InputError::MissingColumns)? })
    }

    /// Whether the file states the credits of a payment.
    pub(super) fn states_credits(&self) -> bool {
        self.columns.has(Field::Credits)
    }

    /// Whether a payment was successful. Without a column for the status all are.
    pub(super) fn is_paid(&self, payment: &Payment) -> bool {
        !self.columns.has(Field::Status) || PAID.iter().any(|word| payment.status.eq_ignore_ascii_case(word))
    }

    /// The next row; `None` at the end.
    pub(super) fn next_row(&mut self) -> Result<Option<Payment>, InputError> {
        let mut row = StringRecord::new();
        match self.rows.read_record(&mut row) {
            Ok(false) => Ok(None),
            Ok(true) => self.payment(&row).map(Some),
            Err(error) => {
                let number = row_number(error.position());
                Err(match error.kind() {
                    csv::ErrorKind::Io(error) => InputError::Unreadable(error.to_string()),
                    _ => InputError::Row(number, RowProblem::Columns),
                })
            }
        }
    }

    /// The next paid row; `None` at the end.
    pub(super) fn next_paid(&mut self) -> Result<Option<Payment>, InputError> {
        loop {
            match self.next_row()? {
                Some(payment) if !self.is_paid(&payment) => {}
                next => return Ok(next),
            }
        }
    }

    fn payment(&self, row: &StringRecord) -> Result<Payment, InputError> {
        let number = row_number(row.position());
        let problem = |problem| InputError::Row(number, problem);
        let text = |field| self.columns.value(row, field);
        let optional = |field| Some(text(field)).filter(|text| !text.is_empty()).map(str::to_owned);
        let amount = Amount::parse(text(Field::Amount)).ok_or_else(|| problem(RowProblem::Amount))?;
        let refunded = self.columns.has(Field::Refunded).then(|| {
            // Some providers state refunds as negative amounts.
            let refunded = Amount::parse(text(Field::Refunded).trim_start_matches('-'));
            let is_part = |refunded: &Amount| refunded.is_zero() || refunded.share_of(amount).is_some();
            refunded.filter(is_part).ok_or_else(|| problem(RowProblem::Refunded))
        });
        Ok(Payment {
            row: number,
            orders: self.columns.orders(row).map(str::to_owned).collect(),
            user: optional(Field::User),
            amount,
            amount_text: text(Field::Amount).to_owned(),
            refunded: refunded.transpose()?,
            status: text(Field::Status).to_ascii_lowercase(),
            currency: text(Field::Currency).to_ascii_lowercase(),
            credits: optional(Field::Credits),
            created: parse_time(text(Field::Created)).ok_or_else(|| problem(RowProblem::Created))?,
        })
    }
}

/// The number of a row, as a spreadsheet shows it: the header is row 1.
fn row_number(position: Option<&csv::Position>) -> u64 {
    position.map_or(0, |position| position.record() + 1)
}

/// Parses RFC 3339, or a UTC time such as `2026-01-31 10:20` with or without seconds.
fn parse_time(text: &str) -> Option<Timestamp> {
    let spaced = text.replacen(' ', "T", 1);
    [text.to_owned(), format!("{spaced}Z"), format!("{spaced}:00Z")]
        .iter()
        .find_map(|text| Timestamp::parse(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_rfc_3339_or_utc() {
        let expected = Timestamp::parse("2026-01-31T10:20:00Z");
        for (text, is_valid) in [
            ("2026-01-31T10:20:00Z", true),
            ("2026-01-31T12:20:00.000+02:00", true),
            ("2026-01-31 10:20:00", true),
            ("2026-01-31 10:20", true),
            ("31/01/2026 10:20", false),
            ("2026-01-31", false),
            ("", false),
        ] {
            assert_eq!(parse_time(text), expected.filter(|_| is_valid), "{text}");
        }
    }
}
