use scrip::domain::Timestamp;

/// A row of the old table `credits`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OldRow {
    /// Its number, which tells rows of one moment apart.
    pub id: i64,
    /// Its identity, unique in the table.
    pub trans_no: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// Whose it is.
    pub user_uuid: String,
    /// What for.
    pub trans_type: String,
    /// Above zero for credits that came, below for credits that went.
    pub credits: i64,
    /// The order, the order of a pack, or a generation, whichever the code of its
    /// time wrote there.
    pub order_no: Option<String>,
    /// When it stops to count; never, where absent.
    pub expired_at: Option<Timestamp>,
    /// Whether its `order_no` is one of the table `orders`.
    pub as_order: Found,
    /// Whether its `order_no` is one of the table `generations`.
    pub as_generation: Found,
}

/// Whether something stands in a table, and whose it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// It does not.
    Nowhere,
    /// It does, and is this user's.
    Own,
    /// It does, and is another user's.
    Anothers,
}
