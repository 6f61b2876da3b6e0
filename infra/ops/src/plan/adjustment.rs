//! Adjustments: differences between the old sums and what was ever granted. Each one is listed,
//! and a record of its own makes records, wallet and balance agree.

use scrip::domain::{
    AdjustmentKind, Allocation, Charge, ChargeType, Credits, GenerationId, Grant, GrantType, InvocationId,
    LedgerError, OrderNo, RecordKey, Settlement, Timestamp, TransNo, UserId,
};
use serde::Serialize;
use uuid::Uuid;

/// `order_no` of an adjusting grant or charge.
const ORDER_NO: &str = "migration-adjustment";
/// The credits that the charge which carries a debt takes: a charge takes at least one.
pub(super) const DEBT_PART: Credits = Credits::ONE;
/// The generation of the charge that carries a debt.
const DEBT_GENERATION: &str = "migration-debt";
/// The generation in the `trans_type` of that charge.
const DEBT_NAME: &str = "migration_debt";
/// The generation in the `trans_type` of an adjusting charge.
const CHARGE_NAME: &str = "migration_adjustment";

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
    /// The sum was below zero. The user owes it.
    NegativeCarried,
    /// Credits left a grant of the layout `lots` without a charge.
    Unexplained,
}

impl AdjustmentReason {
    /// The reason in a report.
    pub fn description(self) -> &'static str {
        match self {
            AdjustmentReason::PhantomSpent => "credits that were never granted, and were spent",
            AdjustmentReason::PhantomReturning => {
                "credits that were never granted, and would have come back at an expiry"
            }
            AdjustmentReason::NegativeForgiven => "credits below zero, which are forgiven",
            AdjustmentReason::NegativeCarried => "credits below zero, which the user owes",
            AdjustmentReason::Unexplained => "credits that left a grant without a charge",
        }
    }
}

/// The grant that pays for charges that no other grant covers. It expires as of the
/// migration, so its credits cannot be spent again. Its identity depends on the user alone.
pub(super) fn adjusting_grant(user: &UserId, credits: Credits, as_of: Timestamp) -> (RecordKey, Grant) {
    let id = adjustment_id(user);
    let grant = Grant {
        trans_no: TransNo::new(as_of, id),
        trans_type: GrantType::SystemAdd.into(),
        credits,
        order_no: Some(label()),
        expired_at: Some(as_of),
    };
    (RecordKey::MigratedGrant(id), grant)
}

/// The charge for credits that left grants without a charge.
pub(super) fn adjusting_charge(
    user: &UserId,
    allocations: Vec<Allocation>,
    as_of: Timestamp,
) -> (RecordKey, Charge) {
    let (id, credits) = (adjustment_id(user), allocations.iter().map(|part| part.credits).sum());
    let (trans_no, trans_type) = (TransNo::new(as_of, id), ChargeType::Generation(CHARGE_NAME.to_owned()));
    let charge =
        Charge { order_no: Some(label()), ..Charge::new(trans_no, trans_type, credits, allocations) };
    (RecordKey::UnkeyedCharge(id), charge)
}

/// The charge that carries a sum below zero as debt: one credit of the adjusting grant, settled
/// to more by the debt. The next credits repay it, and a refund of its generation cancels it.
pub(super) fn debt_charge(
    user: &UserId,
    allocations: Vec<Allocation>,
    debt: Credits,
    as_of: Timestamp,
) -> Result<(RecordKey, Charge), LedgerError> {
    let id = named_id(&format!("scrip migration debt {user}"));
    let credits: Credits = allocations.iter().map(|part| part.credits).sum();
    let (trans_no, trans_type) = (TransNo::new(as_of, id), ChargeType::Generation(DEBT_NAME.to_owned()));
    let settlement = Settlement::new(credits.checked_add(debt)?, Credits::ZERO, Vec::new());
    let settled =
        scrip::domain::Adjustment { at: as_of, invocation: id, kind: AdjustmentKind::Settled(settlement) };
    let generation = GenerationId::try_from(DEBT_GENERATION.to_owned()).expect("an id");
    let charge = Charge {
        generation: Some(generation.clone()),
        order_no: Some(label()),
        adjustments: vec![settled],
        ..Charge::new(trans_no, trans_type, credits, allocations)
    };
    Ok((RecordKey::Charge { generation: Some(generation), key: None }, charge))
}

fn label() -> OrderNo {
    OrderNo::try_from(ORDER_NO.to_owned()).expect("an id")
}

fn adjustment_id(user: &UserId) -> InvocationId {
    named_id(&format!("scrip migration adjustment {user}"))
}

fn named_id(name: &str) -> InvocationId {
    InvocationId::new(Uuid::new_v5(&Uuid::NAMESPACE_OID, name.as_bytes()))
}
