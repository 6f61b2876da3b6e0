//! Classifies each row by its sign, its type, and the owner of its `order_no`.

use scrip::domain::{ChargeType, Credits, GenerationId, GrantType, Id, OrderNo, TransType};

use super::{OldRow, PlanRules, ReferenceOwner, RejectReason, Rejection};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum RowKind {
    Grant(GrantType, Option<OrderNo>),
    Refund(ChargeType, Option<GenerationId>),
    Charge(ChargeType, Option<GenerationId>, Option<OrderNo>),
    ZeroCredits,
}

impl RowKind {
    /// The type of a charge, or of the charge that a refund refunds.
    pub(super) fn charge_type(&self) -> Option<&ChargeType> {
        match self {
            RowKind::Charge(charge_type, ..) | RowKind::Refund(charge_type, _) => Some(charge_type),
            RowKind::Grant(..) | RowKind::ZeroCredits => None,
        }
    }

    /// The content of a charge: type, generation and order.
    pub(super) fn charge(&self) -> Option<(&ChargeType, Option<&GenerationId>, Option<&OrderNo>)> {
        match self {
            RowKind::Charge(charge_type, generation, order_no) => {
                Some((charge_type, generation.as_ref(), order_no.as_ref()))
            }
            _ => None,
        }
    }
}

#[derive(Clone, Debug)]
pub(super) struct ClassifiedRow<'a> {
    pub(super) old: &'a OldRow,
    pub(super) kind: RowKind,
    /// The amount without its sign.
    pub(super) credits: Credits,
}

impl<'a> ClassifiedRow<'a> {
    pub(super) fn new(row: &'a OldRow, rules: &PlanRules) -> Result<ClassifiedRow<'a>, Rejection> {
        let reject = |reason| Rejection::of_row(row, reason);
        if row.created_at > rules.as_of || row.created_at.millis() < 0 {
            return Err(reject(RejectReason::CreatedAt));
        }
        let credits = Credits::try_from(row.credits.unsigned_abs())
            .map_err(|_| reject(RejectReason::CreditsOutOfRange))?;
        if row.lot.as_ref().is_some_and(|lot| lot.remaining > credits.as_u64()) {
            return Err(reject(RejectReason::RemainingCredits));
        }
        let kind = if credits.is_zero() { RowKind::ZeroCredits } else { kind(row, rules).map_err(reject)? };
        Ok(ClassifiedRow { old: row, kind, credits })
    }
}

fn kind(row: &OldRow, rules: &PlanRules) -> Result<RowKind, RejectReason> {
    let trans_type = rules.trans_type(&row.trans_type).to_owned();
    let trans_type = TransType::try_from(trans_type).map_err(|_| RejectReason::UnknownTransType)?;
    match (trans_type, row.credits > 0) {
        (TransType::Grant(grant), true) => {
            let is_generation =
                row.order_owner == ReferenceOwner::Missing && row.generation_owner != ReferenceOwner::Missing;
            if is_generation && order_no(row).is_some() {
                return Err(RejectReason::GrantOfGeneration);
            }
            reject_other_users(row.order_owner)?;
            Ok(RowKind::Grant(grant, order_no(row).map(id).transpose()?))
        }
        (TransType::Refund(charge), true) => {
            // A refund without a generation of the user stays a grant, so no reference is rejected.
            let generation = order_no(row).filter(|_| row.generation_owner == ReferenceOwner::SameUser);
            Ok(RowKind::Refund(charge, generation.map(id).transpose()?))
        }
        (TransType::Charge(charge), false) => {
            let Some(order_no) = order_no(row) else { return Ok(RowKind::Charge(charge, None, None)) };
            reject_other_users(row.generation_owner)?;
            reject_other_users(row.order_owner)?;
            match (row.generation_owner, row.order_owner) {
                (ReferenceOwner::SameUser, ReferenceOwner::SameUser) => Err(RejectReason::OrderAndGeneration),
                (ReferenceOwner::SameUser, _) => Ok(RowKind::Charge(charge, Some(id(order_no)?), None)),
                (_, ReferenceOwner::SameUser) => Ok(RowKind::Charge(charge, None, Some(id(order_no)?))),
                _ => Err(RejectReason::UnknownReference),
            }
        }
        _ => Err(RejectReason::WrongSign),
    }
}

/// `order_no`, unless it is empty.
fn order_no(row: &OldRow) -> Option<&str> {
    row.order_no.as_deref().filter(|text| !text.is_empty())
}

fn id<Kind>(text: &str) -> Result<Id<Kind>, RejectReason> {
    Id::try_from(text.to_owned()).map_err(|_| RejectReason::OrderNo)
}

fn reject_other_users(owner: ReferenceOwner) -> Result<(), RejectReason> {
    if owner == ReferenceOwner::OtherUser { Err(RejectReason::OtherUsersReference) } else { Ok(()) }
}
