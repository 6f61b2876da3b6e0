//! The names of the table's attributes, each in one place.

/// The partition key: whose item it is.
pub(super) const USER: &str = "user_uuid";
/// The sort key: which item it is.
pub(super) const SORT: &str = "sk";
/// The number of the item's format; absent for the first one.
pub(super) const FORMAT: &str = "item_format";

// A record.
pub(super) const TRANS_NO: &str = "trans_no";
pub(super) const TRANS_TYPE: &str = "trans_type";
pub(super) const CREDITS: &str = "credits";
pub(super) const ORDER_NO: &str = "order_no";
pub(super) const EXPIRED_AT: &str = "expired_at";
pub(super) const GENERATION: &str = "generation_uuid";
/// The sort key of the index on generations.
pub(super) const USER_TRANS: &str = "user_trans";
pub(super) const ALLOCATIONS: &str = "allocations";
pub(super) const IS_VOIDED: &str = "is_voided";
pub(super) const VOIDED_AT: &str = "voided_at";
pub(super) const VOIDED_REASON: &str = "voided_reason";
pub(super) const VOIDED_BY: &str = "voided_by";

/// The rows of the old table that records were made of: in an item of their own a map, by
/// the sort keys of the records; in a record of an earlier version the text of its own.
pub(super) const OLD_ROWS: &str = "old_rows";

// A wallet.
pub(super) const VERSION: &str = "version";
pub(super) const PACKS: &str = "packs";
pub(super) const TOTALS: &str = "totals";
/// Whether any charge ever had both a generation and a key.
pub(super) const KEYED: &str = "keyed";
pub(super) const FENCES: &str = "fences";

// A pack or an allocation. One letter each: a wallet may hold a thousand packs.
pub(super) const PACK_ID: &str = "i";
pub(super) const PACK_TYPE: &str = "t";
pub(super) const PACK_ORDER: &str = "o";
pub(super) const PACK_CREDITS: &str = "c";
pub(super) const PACK_EXPIRY: &str = "e";
/// What remains of a pack; what an allocation took.
pub(super) const PACK_PART: &str = "n";

// The totals of one trans_type.
pub(super) const TOTAL_CREDITS: &str = "c";
pub(super) const TOTAL_COUNT: &str = "n";
pub(super) const TOTAL_VOIDED_CREDITS: &str = "vc";
pub(super) const TOTAL_VOIDED_COUNT: &str = "vn";

// A repair.
pub(super) const REPAIRED_AT: &str = "repaired_at";
pub(super) const FAULTS: &str = "faults";
pub(super) const REPAIRED_WALLET: &str = "wallet";
