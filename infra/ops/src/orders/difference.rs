//! The differences between a payment provider and the ledger, and their summary.

use std::collections::BTreeMap;

use scrip::domain::{Credits, OrderNo, Timestamp, UserId};
use serde::Serialize;

/// A difference, as a line of JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "difference", rename_all = "snake_case")]
pub enum Difference {
    /// A payment has no grant.
    NotGranted {
        /// The row of the file.
        row: u64,
        /// The first number of the row.
        order_no: String,
        /// The user of the row.
        #[serde(skip_serializing_if = "Option::is_none")]
        user_uuid: Option<String>,
        /// The amount, as the file states it.
        amount: String,
        /// The currency of the row.
        currency: String,
        /// The credits, as the file states them.
        #[serde(skip_serializing_if = "Option::is_none")]
        credits: Option<String>,
        /// The time of the payment.
        created: Timestamp,
    },
    /// A grant has no payment.
    NotPaid {
        /// The order.
        order_no: OrderNo,
        /// Its user.
        user_uuid: Option<UserId>,
        /// The granted credits.
        credits: Credits,
        /// The time of the grant.
        granted_at: Timestamp,
    },
    /// A refund has revoked fewer credits than its share.
    NotRevoked(RefundDifference),
    /// More credits are revoked by refunds than the share that was refunded.
    NotRefunded(RefundDifference),
    /// The payment states another user than the grant.
    OtherUser {
        /// The row of the file.
        row: u64,
        /// The order.
        order_no: OrderNo,
        /// The user of the row.
        paid_by: String,
        /// The user of the grant.
        granted_to: Option<UserId>,
    },
    /// The payment states other credits than the grant.
    OtherCredits {
        /// The row of the file.
        row: u64,
        /// The order.
        order_no: OrderNo,
        /// The credits, as the file states them.
        paid: String,
        /// The granted credits.
        granted: Credits,
    },
    /// The order or its grant is a damaged item.
    Unreadable {
        /// The number of the order.
        order_no: String,
        /// The reason.
        reason: String,
    },
}

/// The refunded share of an order against what its source `refund` revokes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RefundDifference {
    /// The row of the file.
    pub row: u64,
    /// The order.
    pub order_no: OrderNo,
    /// Its user.
    pub user_uuid: Option<UserId>,
    /// The granted credits.
    pub granted: Credits,
    /// The share of the granted credits that was refunded.
    pub refunded: Credits,
    /// The credits that the source revokes.
    pub revoked: Credits,
}

impl Difference {
    fn name(&self) -> &'static str {
        match self {
            Difference::NotGranted { .. } => "not_granted",
            Difference::NotPaid { .. } => "not_paid",
            Difference::NotRevoked(_) => "not_revoked",
            Difference::NotRefunded(_) => "not_refunded",
            Difference::OtherUser { .. } => "other_user",
            Difference::OtherCredits { .. } => "other_credits",
            Difference::Unreadable { .. } => "unreadable",
        }
    }
}

/// Counts of a comparison, the last line of its output.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Rows of the file by status.
    pub statuses: BTreeMap<String, u64>,
    /// Paid rows.
    pub payments: u64,
    /// Those without credits and without an order, which bought something else.
    pub without_credits: u64,
    /// Those that were refunded in full, and have no grant.
    pub refunded_without_grant: u64,
    /// Orders of the ledger that no paid row names.
    pub other_orders: u64,
    /// Differences by kind.
    pub differences: BTreeMap<&'static str, u64>,
    /// The time range of the grants that a paid row must name.
    pub since: Option<Timestamp>,
    /// The end of the range.
    pub until: Option<Timestamp>,
}

impl Summary {
    pub(super) fn count(&mut self, difference: &Difference) {
        *self.differences.entry(difference.name()).or_default() += 1;
    }

    /// Whether provider and ledger agree.
    pub fn is_clean(&self) -> bool {
        self.differences.is_empty()
    }
}
