//! Converts the old rows of a user to a wallet and records, or rejects the user with a
//! reason. Pure: the plan depends neither on the order of the rows nor on earlier runs.
//!
//! The new balance equals the old one as of the migration. After each later expiry it is the
//! least old balance from the migration until then, and never negative.

mod adjustment;
mod allocate;
mod classify;
mod expected;
mod expiry_bucket;
mod match_refunds;
mod planner;
mod rejection;
mod row;
mod rules;
mod shortfall;
mod target;

use std::collections::BTreeMap;

use scrip::domain::{Credits, Record, RecordKey, Timestamp, UserId, Void, Wallet};

pub use adjustment::{Adjustment, AdjustmentReason};
pub use expected::expected_balances;
pub use rejection::{RejectReason, Rejection};
pub use row::{Lot, OldRow, ReferenceOwner};
pub use rules::{NegativeRule, PlanRules};

use classify::ClassifiedRow;
use planner::Planner;

/// The wallet and records of a user who can be migrated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserPlan {
    /// The user of all rows.
    pub user: UserId,
    /// `None` if all rows have 0 credits.
    pub wallet: Option<Wallet>,
    /// In the order of time.
    pub records: Vec<PlannedRecord>,
    /// The class of each row, by its `id`.
    pub classes: BTreeMap<i64, RowClass>,
    /// Differences between the old sums and what was granted.
    pub adjustments: Vec<Adjustment>,
    /// Credits that the user would still have if each charge had taken from the pack that
    /// expires first, by expiry.
    pub shortfall: Vec<(Option<Timestamp>, Credits)>,
}

/// A record and the rows that it replaces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedRecord {
    /// The key under which an import writes the record.
    pub key: RecordKey,
    /// A grant or a charge.
    pub record: Record,
    /// `id` of each row: one, or those of a charge and its refund. None for an adjusting grant,
    /// and for the part of a charge that was refunded into another pack.
    pub rows: Vec<i64>,
}

/// The part of the new ledger that a row becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RowClass {
    /// The grant of an order, of a new user, or of the system.
    Grant,
    /// The second grant of an order or of a new user, from a repeated webhook.
    DuplicateGrant,
    /// An `order_pay` grant without an `order_no`.
    GrantWithoutOrder,
    /// A refund with the credits and expiry of a charge: it voids the charge and is no record.
    MatchedRefund,
    /// A refund of a charge with other credits or another expiry: a grant. The charge cannot be
    /// refunded again.
    RefundElsewhere,
    /// A refund without a charge: a grant.
    UnmatchedRefund,
    /// A charge whose `order_no` is a generation.
    GenerationCharge,
    /// A charge whose `order_no` is the order of the last pack that it took from.
    OrderCharge,
    /// A charge without an `order_no`.
    UnreferencedCharge,
    /// A row of 0 credits: no record.
    ZeroCredits,
}

/// Plans the migration of a user.
///
/// # Errors
/// The reason why the user cannot be migrated.
pub fn plan(user: &str, rows: &[OldRow], rules: &PlanRules) -> Result<UserPlan, Rejection> {
    let user = UserId::try_from(user.to_owned()).map_err(|_| Rejection::of_user(RejectReason::UserId))?;
    let mut rows: Vec<_> = rows.iter().collect();
    rows.sort_by_key(|row| (row.created_at, row.id));
    let rows = rows.into_iter().map(|row| ClassifiedRow::new(row, rules)).collect::<Result<Vec<_>, _>>()?;
    Planner::new(user, rows, rules).plan()
}

/// Whether a void comes from the row of a refund in the old table. The ledger draws the
/// invocation ids of its own voids at random; those of rows are derived from names.
pub fn is_void_of_old_rows(void: &Void) -> bool {
    void.invocation.is_named()
}

#[cfg(test)]
mod tests;
