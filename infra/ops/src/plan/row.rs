//! A row of the old table `credits`.

use scrip::domain::Timestamp;

/// A row of the old table `credits`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OldRow {
    /// Orders rows of one moment.
    pub id: i64,
    /// Unique in the table.
    pub trans_no: String,
    /// Clamped to the years 0 to 9999.
    pub created_at: Timestamp,
    /// Empty if the row has none.
    pub user_uuid: String,
    /// Empty if the row has none.
    pub trans_type: String,
    /// Positive for a grant or a refund, negative for a charge.
    pub credits: i64,
    /// The order, the order of a pack, or the generation, depending on the code that wrote it.
    pub order_no: Option<String>,
    /// From then on the row does not count; never if `None`.
    pub expired_at: Option<Timestamp>,
    /// The owner of `order_no` in the table `orders`.
    pub order_owner: ReferenceOwner,
    /// The owner of `order_no` in the table `generations`.
    pub generation_owner: ReferenceOwner,
    /// What the layout `lots` adds; absent in the layout `signed`.
    pub lot: Option<Lot>,
}

impl OldRow {
    /// The credits that the row adds to the balance while it is unexpired.
    pub fn counted_credits(&self) -> i128 {
        match &self.lot {
            None => i128::from(self.credits),
            Some(lot) => i128::from(lot.remaining),
        }
    }
}

/// The columns of the layout `lots`, in which each grant has its remaining credits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lot {
    /// `id` of the row, by which other rows name it.
    pub id: String,
    /// Credits that remain of a grant; 0 in a charge.
    pub remaining: u64,
    /// The grants that a charge took from, by `id` or `trans_no`, with the credits.
    pub taken: Vec<(String, u64)>,
    /// When the charge was refunded; absent in a grant.
    pub refunded_at: Option<Timestamp>,
}

/// The owner of an order or a generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReferenceOwner {
    /// The table does not contain it.
    Missing,
    /// It belongs to the user of the row.
    SameUser,
    /// It belongs to another user.
    OtherUser,
}
