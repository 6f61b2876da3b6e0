//! Adjustments: differences between the old sums and what was ever granted. Each one is listed,
//! and a grant of its own pays for charges that no grant covers.

use scrip::domain::{
    Credits, Grant, GrantType, InvocationId, OrderNo, RecordKey, Timestamp, TransNo, UserId,
};
use serde::Serialize;
use uuid::Uuid;

/// `order_no` of an adjusting grant.
const ORDER_NO: &str = "migration-adjustment";

/// A difference between the old sums of a user and the grants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Adjustment {
    /// The reason.
    pub reason: AdjustmentReason,
    /// At least 1.
    pub credits: u64,
}

/// The reason of an adjustment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AdjustmentReason {
    /// Charges of what has expired exceeded what was granted of it: the expiries added credits
    /// that were never granted, and the user has or spent them.
    PhantomSpent,
    /// Later expiries would have added credits that were never granted. They do not.
    PhantomReturning,
    /// The sum was below zero. The balance is 0.
    NegativeForgiven,
}

impl AdjustmentReason {
    /// The reason in a report.
    pub fn description(self) -> &'static str {
        match self {
            AdjustmentReason::PhantomSpent => "credits that were never granted, and were spent",
            AdjustmentReason::PhantomReturning => {
                "credits that were never granted, and would have come back at an expiry"
            }
            AdjustmentReason::NegativeForgiven => "sums below zero, which are forgiven",
        }
    }
}

/// The grant that pays for charges that no other grant covers. It expires as of the
/// migration, so its credits cannot be spent again. Its identity depends on the user alone.
pub(super) fn adjusting_grant(user: &UserId, credits: Credits, as_of: Timestamp) -> (RecordKey, Grant) {
    let name = format!("scrip migration adjustment {user}");
    let id = InvocationId::new(Uuid::new_v5(&Uuid::NAMESPACE_OID, name.as_bytes()));
    let grant = Grant {
        trans_no: TransNo::new(as_of, id),
        trans_type: GrantType::SystemAdd.into(),
        credits,
        order_no: Some(OrderNo::try_from(ORDER_NO.to_owned()).expect("an id")),
        expired_at: Some(as_of),
    };
    (RecordKey::MigratedGrant(id), grant)
}
