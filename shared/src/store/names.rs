//! The names of all attributes of the table.

/// The partition key.
pub(super) const USER: &str = "user_uuid";
/// The sort key.
pub(super) const SORT: &str = "sk";
/// The item's format number; absent in the first format.
pub(super) const FORMAT: &str = "item_format";

// A record.
pub(super) const TRANS_NO: &str = "trans_no";
pub(super) const TRANS_TYPE: &str = "trans_type";
pub(super) const CREDITS: &str = "credits";
pub(super) const ORDER_NO: &str = "order_no";
pub(super) const EXPIRED_AT: &str = "expired_at";
pub(super) const GENERATION: &str = "generation_uuid";
/// The sort key of the generation index.
pub(super) const USER_TRANS: &str = "user_trans";
pub(super) const ALLOCATIONS: &str = "allocations";
pub(super) const IS_VOIDED: &str = "is_voided";
pub(super) const VOIDED_AT: &str = "voided_at";
pub(super) const VOIDED_REASON: &str = "voided_reason";
pub(super) const VOIDED_BY: &str = "voided_by";
pub(super) const METADATA: &str = "metadata";
/// When a provider reported success of a voided charge.
pub(super) const LATE_SUCCESS_AT: &str = "late_success_at";
/// The credits of a grant or a void that repaid debts at once.
pub(super) const REPAID: &str = "repaid";
/// How the credits of a void filled shortfalls.
pub(super) const FILLS: &str = "fills";

// A charge of the second format.
pub(super) const OUTPUTS: &str = "outputs";
pub(super) const RETURNED_OUTPUTS: &str = "returned_outputs";
/// The cost of a settled charge.
pub(super) const LIVE: &str = "live";
pub(super) const SETTLED_AT: &str = "settled_at";
pub(super) const HOLD_UNTIL: &str = "hold_until";
/// The partition key of the index of holds; only while the charge is held.
pub(super) const HOLD_SHARD: &str = "hold_shard";
pub(super) const ADJUSTMENTS: &str = "adjustments";
/// The version of the wallet after the last change.
pub(super) const CHANGED_AT: &str = "changed_at";

// A grant of the second format.
pub(super) const REVOCATIONS: &str = "revocations";
/// The revoked credits after each change.
pub(super) const REVOKED: &str = "revoked";

// Revoked credits after a change.
pub(super) const REVOKED_AT: &str = "a";
pub(super) const REVOKED_CREDITS: &str = "n";

// A revocation.
pub(super) const REVOCATION_TAKEN: &str = "n";
pub(super) const REVOCATION_PAID: &str = "t";
pub(super) const REVOCATION_SHORTFALL: &str = "s";
pub(super) const REVOCATION_OWED: &str = "d";

// A fill of a shortfall.
pub(super) const FILLED_PACK: &str = "i";
pub(super) const FILLED_CREDITS: &str = "n";

// A change of a record: an adjustment or a revocation.
pub(super) const CHANGE_AT: &str = "a";
pub(super) const CHANGE_BY: &str = "b";
pub(super) const CHANGE_KIND: &str = "k";

// An adjustment.
pub(super) const REQUESTED: &str = "c";
pub(super) const UNCOVERED: &str = "u";
pub(super) const TAKEN: &str = "t";
pub(super) const ADJUSTMENT_REPAID: &str = "p";
pub(super) const ADJUSTED_OUTPUTS: &str = "o";
pub(super) const ADJUSTMENT_FILLS: &str = "f";

// A returned output.
pub(super) const OUTPUT: &str = "o";
pub(super) const RETURNED_AT: &str = "a";

/// The rows of the old table: a map by sort key in an item of old rows, or the text of one
/// record in a record that an earlier version imported.
pub(super) const OLD_ROWS: &str = "old_rows";

// An order.
/// The user of its grant.
pub(super) const OWNER: &str = "owner";
/// The order that the number is an alias of.
pub(super) const ALIAS_OF: &str = "alias_of";
/// What the sources revoke.
pub(super) const STATEMENTS: &str = "statements";
/// The number of changes.
pub(super) const REVISION: &str = "revision";

// A statement about an order.
pub(super) const STATEMENT_SOURCE: &str = "s";
pub(super) const STATEMENT_ALIAS: &str = "l";
pub(super) const STATEMENT_AS_OF: &str = "a";
pub(super) const STATEMENT_CREDITS: &str = "c";
pub(super) const STATEMENT_PART: &str = "p";
pub(super) const STATEMENT_OF: &str = "o";
pub(super) const STATEMENT_REASON: &str = "r";
pub(super) const STATEMENT_METADATA: &str = "m";

// A wallet.
pub(super) const VERSION: &str = "version";
pub(super) const PACKS: &str = "packs";
pub(super) const TOTALS: &str = "totals";
/// Whether any charge ever had both a generation and a key.
pub(super) const KEYED: &str = "keyed";
pub(super) const FENCES: &str = "fences";
/// The debts of charges, oldest first.
pub(super) const DEBTS: &str = "debts";
/// The lifetime sum of revoked credits.
pub(super) const WALLET_REVOKED: &str = "revoked";
/// The shortfalls of revoked orders, by grant.
pub(super) const SHORTFALLS: &str = "shortfalls";
/// Whether a migration left the user behind.
pub(super) const BLOCKED: &str = "is_blocked";

// A pack or an allocation. One letter each: a wallet may hold a thousand packs.
pub(super) const PACK_ID: &str = "i";
pub(super) const PACK_TYPE: &str = "t";
pub(super) const PACK_ORDER: &str = "o";
pub(super) const PACK_CREDITS: &str = "c";
pub(super) const PACK_EXPIRY: &str = "e";
/// The credits that remain in a pack, or that an allocation took.
pub(super) const PACK_PART: &str = "n";

// A debt.
pub(super) const DEBT_SINCE: &str = "s";
pub(super) const DEBT_CHARGE: &str = "i";
pub(super) const DEBT_GENERATION: &str = "g";
pub(super) const DEBT_KEY: &str = "k";
pub(super) const DEBT_ORDER: &str = "o";
pub(super) const DEBT_CREDITS: &str = "n";
pub(super) const DEBT_PARTS: &str = "p";

// The totals of one trans_type.
pub(super) const TOTAL_CREDITS: &str = "c";
pub(super) const TOTAL_COUNT: &str = "n";
pub(super) const TOTAL_VOIDED_CREDITS: &str = "vc";
pub(super) const TOTAL_VOIDED_COUNT: &str = "vn";

// A repair.
pub(super) const REPAIRED_AT: &str = "repaired_at";
pub(super) const FAULTS: &str = "faults";
pub(super) const REPAIRED_WALLET: &str = "wallet";
