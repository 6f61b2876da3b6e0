//! The responses of charges, settlements and refunds.

use serde::Serialize;

use super::is_zero;
use crate::domain::{
    Allocation, Charge, Credits, GenerationId, Grant, LedgerError, Metadata, OrderNo, Outputs, Reason,
    RefundResult, SettleResult, Timestamp, TransNo, UserId, WriteOutcome,
};

#[derive(Serialize)]
pub(in crate::transport) struct ChargeAnswer<'a> {
    trans_no: TransNo,
    user_uuid: &'a UserId,
    #[serde(skip_serializing_if = "Option::is_none")]
    generation_uuid: Option<&'a GenerationId>,
    trans_type: String,
    credits: i64,
    allocations: Vec<AllocationView<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    outputs: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hold_until: Option<Timestamp>,
    #[serde(skip_serializing_if = "Metadata::is_empty")]
    metadata: &'a Metadata,
    created_at: Timestamp,
    balance: Credits,
    replayed: bool,
}

impl<'a> ChargeAnswer<'a> {
    pub(in crate::transport) fn new(user: &'a UserId, outcome: &'a WriteOutcome<Charge>) -> Self {
        let charge = &outcome.record;
        ChargeAnswer {
            trans_no: charge.trans_no,
            user_uuid: user,
            generation_uuid: charge.generation.as_ref(),
            trans_type: charge.trans_type.to_string(),
            credits: charge.credits.to_negative_i64(),
            allocations: charge.allocations.iter().map(AllocationView::new).collect(),
            outputs: charge.outputs.map(Outputs::count),
            hold_until: charge.hold_until,
            metadata: &charge.metadata,
            created_at: charge.trans_no.created_at(),
            balance: outcome.balance,
            replayed: outcome.replayed,
        }
    }
}

#[derive(Serialize)]
pub(super) struct AllocationView<'a> {
    pack: TransNo,
    #[serde(skip_serializing_if = "Option::is_none")]
    order_no: Option<&'a OrderNo>,
    credits: Credits,
    #[serde(skip_serializing_if = "Option::is_none")]
    expired_at: Option<Timestamp>,
}

impl<'a> AllocationView<'a> {
    fn new(allocation: &'a Allocation) -> Self {
        AllocationView::of(&allocation.grant, allocation.credits)
    }

    fn of(grant: &'a Grant, credits: Credits) -> Self {
        AllocationView {
            pack: grant.trans_no,
            order_no: grant.order_no.as_ref(),
            credits,
            expired_at: grant.expired_at,
        }
    }

    /// What a charge owns, or owned before its void.
    pub(super) fn owned(charge: &'a Charge) -> Vec<Self> {
        charge.state().owned().map(|(grant, credits)| AllocationView::of(grant, credits)).collect()
    }
}

#[derive(Serialize)]
pub(in crate::transport) struct SettleAnswer<'a> {
    outcome: &'static str,
    trans_no: TransNo,
    user_uuid: &'a UserId,
    generation_uuid: Option<&'a GenerationId>,
    estimated: Credits,
    credits: i64,
    returned: Credits,
    expired: Credits,
    #[serde(skip_serializing_if = "is_zero")]
    revoked: Credits,
    #[serde(skip_serializing_if = "is_zero")]
    repaid: Credits,
    taken: Credits,
    uncovered: Credits,
    debt_added: Credits,
    allocations: Vec<AllocationView<'a>>,
    settled_at: Timestamp,
    balance: Credits,
    debt: Credits,
    replayed: bool,
}

impl<'a> SettleAnswer<'a> {
    pub(in crate::transport) fn new(user: &'a UserId, result: &'a SettleResult) -> Self {
        let SettleResult { charge, settlement, returned, .. } = result;
        SettleAnswer {
            outcome: if result.replayed { "already_settled" } else { "settled" },
            trans_no: charge.trans_no,
            user_uuid: user,
            generation_uuid: charge.generation.as_ref(),
            estimated: charge.credits,
            credits: settlement.cost().to_negative_i64(),
            returned: returned.restored,
            expired: returned.expired,
            revoked: returned.revoked,
            repaid: settlement.repaid,
            taken: settlement.taken.iter().map(|part| part.credits).sum(),
            uncovered: settlement.uncovered,
            debt_added: result.debt_added,
            allocations: AllocationView::owned(charge),
            settled_at: result.settled_at,
            balance: result.balance,
            debt: result.debt,
            replayed: result.replayed,
        }
    }
}

#[derive(Serialize)]
pub(in crate::transport) struct RefundAnswer<'a> {
    outcome: &'static str,
    user_uuid: &'a UserId,
    generation_uuid: &'a GenerationId,
    credits: Credits,
    restored: Credits,
    expired: Credits,
    #[serde(skip_serializing_if = "is_zero")]
    revoked: Credits,
    #[serde(skip_serializing_if = "is_zero")]
    repaid: Credits,
    #[serde(skip_serializing_if = "Option::is_none")]
    outputs: Option<&'a [u8]>,
    records: Vec<VoidedView<'a>>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    truncated: bool,
    balance: Credits,
}

#[derive(Serialize)]
struct VoidedView<'a> {
    trans_no: TransNo,
    credits: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    voided_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    voided_reason: Option<&'a Reason>,
}

impl<'a> RefundAnswer<'a> {
    pub(in crate::transport) fn new(
        generation: &'a GenerationId,
        result: &'a RefundResult,
    ) -> Result<Self, LedgerError> {
        let voided = result.charges.iter().map(|charge| VoidedView {
            trans_no: charge.trans_no,
            credits: charge.credits.to_negative_i64(),
            voided_at: charge.void.as_ref().map(|void| void.at),
            voided_reason: charge.void.as_ref().map(|void| &void.reason),
        });
        Ok(RefundAnswer {
            outcome: result.outcome.name(),
            user_uuid: &result.user,
            generation_uuid: generation,
            credits: result.returned.sum()?,
            restored: result.returned.restored,
            expired: result.returned.expired,
            revoked: result.returned.revoked,
            repaid: result.repaid,
            outputs: result.outputs.as_deref(),
            records: voided.collect(),
            truncated: result.truncated,
            balance: result.balance,
        })
    }
}
