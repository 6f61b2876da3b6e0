use std::fmt;

use super::OldRow;

/// Why a user cannot be moved, and what it is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The row, where it is one.
    pub row: Option<i64>,
    /// Why.
    pub why: Why,
}

/// Why a user cannot be moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Why {
    /// The user's identifier has not the form of one.
    UserId,
    /// The order number or generation has not the form of one.
    OrderNo,
    /// Nobody knows the trans_type.
    TransType,
    /// A grant of less than nothing, or a charge of more.
    Sign,
    /// More credits than one record holds.
    Credits,
    /// It is both an order and a generation.
    OrderAndGeneration,
    /// It is another user's order or generation.
    Anothers,
    /// It is neither an order nor a generation.
    Unknown,
    /// A grant whose order is a generation.
    GrantOfGeneration,
    /// Made before 1970, or later than now.
    Moment,
    /// The sum of what has not run out is below zero.
    Negative,
    /// The sum would rise when something runs out.
    Rising,
    /// What ran out was charged for more than it was.
    Overcharged,
    /// More packs, types or credits than a wallet holds.
    TooMuch,
}

impl Refusal {
    pub(super) fn of(row: &OldRow, why: Why) -> Refusal {
        Refusal { row: Some(row.id), why }
    }

    pub(super) fn of_user(why: Why) -> Refusal {
        Refusal { row: None, why }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(row) = self.row {
            write!(f, "row {row}: ")?;
        }
        f.write_str(match self.why {
            Why::UserId => "user_uuid is not 1 to 255 of A-Z a-z 0-9 . _ : -",
            Why::OrderNo => "order_no is not 1 to 255 of A-Z a-z 0-9 . _ : -",
            Why::TransType => "trans_type is none that is known",
            Why::Sign => "credits have not the sign of their trans_type",
            Why::Credits => "more credits than one record holds",
            Why::OrderAndGeneration => "order_no is an order, and a generation too",
            Why::Anothers => "order_no is another user's",
            Why::Unknown => "order_no is neither an order nor a generation",
            Why::GrantOfGeneration => "a grant whose order_no is a generation",
            Why::Moment => "made before 1970, or later than now",
            Why::Negative => "the sum of what has not run out is below zero",
            Why::Rising => "the sum would rise when something runs out",
            Why::Overcharged => "more was charged to what has run out than it was",
            Why::TooMuch => "more packs, trans_types or credits than a wallet holds",
        })
    }
}
