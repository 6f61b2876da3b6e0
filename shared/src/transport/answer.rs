//! The bodies of responses, as `docs/service.md` defines them.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::domain::{
    Allocation, Charge, CreditSum, Credits, Entry, GenerationId, Grant, GrantRecord, LedgerError, Metadata,
    OrderNo, Outputs, Pack, Reason, RefundResult, RevokeResult, RevokedGrant, SettleResult, Summary,
    Timestamp, TransNo, TransType, UserId, Wallet, WriteOutcome,
};

#[derive(Serialize)]
pub(super) struct GrantAnswer<'a> {
    trans_no: TransNo,
    user_uuid: &'a UserId,
    trans_type: &'a TransType,
    credits: Credits,
    #[serde(skip_serializing_if = "Option::is_none")]
    order_no: Option<&'a OrderNo>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expired_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Metadata::is_empty")]
    metadata: &'a Metadata,
    created_at: Timestamp,
    #[serde(skip_serializing_if = "is_zero")]
    repaid: Credits,
    #[serde(skip_serializing_if = "is_zero")]
    revoked: Credits,
    balance: Credits,
    replayed: bool,
}

impl<'a> GrantAnswer<'a> {
    pub(super) fn new(user: &'a UserId, outcome: &'a WriteOutcome<GrantRecord>) -> Self {
        let GrantRecord { grant, metadata, repaid, .. } = &outcome.record;
        GrantAnswer {
            trans_no: grant.trans_no,
            user_uuid: user,
            trans_type: &grant.trans_type,
            credits: grant.credits,
            order_no: grant.order_no.as_ref(),
            expired_at: grant.expired_at,
            metadata,
            created_at: grant.trans_no.created_at(),
            repaid: *repaid,
            revoked: outcome.record.revoked_before(),
            balance: outcome.balance,
            replayed: outcome.replayed,
        }
    }
}

/// The response to a revocation.
#[derive(Serialize)]
pub(super) struct RevokeAnswer<'a> {
    outcome: &'static str,
    order_no: &'a OrderNo,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_uuid: Option<&'a UserId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    granted: Option<Credits>,
    revoked: Credits,
    taken: Credits,
    restored: Credits,
    expired: Credits,
    shortfall: Credits,
    debt: Credits,
    #[serde(skip_serializing_if = "Option::is_none")]
    balance: Option<Credits>,
}

impl<'a> RevokeAnswer<'a> {
    pub(super) fn new(result: &'a RevokeResult) -> Self {
        let grant = result.granted.as_ref();
        let credits = |of: fn(&RevokedGrant) -> Credits| grant.map_or(Credits::ZERO, of);
        RevokeAnswer {
            outcome: result.outcome.name(),
            order_no: &result.order_no,
            user_uuid: grant.map(|grant| &grant.user),
            granted: grant.map(|grant| grant.credits),
            revoked: credits(|grant| grant.revoked),
            taken: credits(|grant| grant.taken),
            restored: credits(|grant| grant.returned.restored),
            expired: credits(|grant| grant.returned.expired),
            shortfall: credits(|grant| grant.shortfall),
            debt: credits(|grant| grant.owed),
            balance: grant.map(|grant| grant.balance),
        }
    }
}

#[derive(Serialize)]
pub(super) struct ChargeAnswer<'a> {
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
    pub(super) fn new(user: &'a UserId, outcome: &'a WriteOutcome<Charge>) -> Self {
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
struct AllocationView<'a> {
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
    fn owned(charge: &'a Charge) -> Vec<Self> {
        charge.state().owned().map(|(grant, credits)| AllocationView::of(grant, credits)).collect()
    }
}

#[derive(Serialize)]
pub(super) struct SettleAnswer<'a> {
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
    pub(super) fn new(user: &'a UserId, result: &'a SettleResult) -> Self {
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

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(credits: &Credits) -> bool {
    credits.is_zero()
}

#[derive(Serialize)]
pub(super) struct RefundAnswer<'a> {
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
    pub(super) fn new(generation: &'a GenerationId, result: &'a RefundResult) -> Result<Self, LedgerError> {
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

#[derive(Serialize)]
pub(super) struct WebhookAnswer<'a> {
    generation_uuid: &'a GenerationId,
    status: &'static str,
    outcome: &'static str,
}

impl<'a> WebhookAnswer<'a> {
    pub(super) fn new(generation: &'a GenerationId, status: &'static str, outcome: &'static str) -> Self {
        WebhookAnswer { generation_uuid: generation, status, outcome }
    }
}

#[derive(Serialize)]
pub(super) struct PaymentAnswer<'a> {
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    order_no: Option<&'a OrderNo>,
}

impl<'a> PaymentAnswer<'a> {
    pub(super) fn new(outcome: &'static str, order_no: Option<&'a OrderNo>) -> Self {
        PaymentAnswer { outcome, order_no }
    }
}

#[derive(Serialize)]
pub(super) struct MintAnswer {
    pub(super) token: String,
    /// The path of the call-back.
    pub(super) path: String,
    /// Seconds since 1970.
    pub(super) exp: i64,
}

#[derive(Serialize)]
pub(super) struct BalanceAnswer<'a> {
    user_uuid: &'a UserId,
    balance: Credits,
    debt: Credits,
    packs: Vec<PackView<'a>>,
}

#[derive(Serialize)]
struct PackView<'a> {
    trans_no: TransNo,
    trans_type: &'a TransType,
    #[serde(skip_serializing_if = "Option::is_none")]
    order_no: Option<&'a OrderNo>,
    credits: Credits,
    remaining: Credits,
    #[serde(skip_serializing_if = "Option::is_none")]
    expired_at: Option<Timestamp>,
    created_at: Timestamp,
}

impl<'a> BalanceAnswer<'a> {
    pub(super) fn new(user: &'a UserId, wallet: &'a Wallet, now: Timestamp) -> Self {
        let pack = |Pack { grant, remaining }: &'a Pack| PackView {
            trans_no: grant.trans_no,
            trans_type: &grant.trans_type,
            order_no: grant.order_no.as_ref(),
            credits: grant.credits,
            remaining: *remaining,
            expired_at: grant.expired_at,
            created_at: grant.trans_no.created_at(),
        };
        BalanceAnswer {
            user_uuid: user,
            balance: wallet.balance(now),
            debt: wallet.debt(),
            packs: wallet.usable(now).map(pack).collect(),
        }
    }
}

/// The response of `POST /api/get-user-credits`.
#[derive(Serialize)]
pub(super) struct UserCreditsAnswer {
    code: i32,
    message: &'static str,
    data: UserCredits,
}

#[derive(Serialize)]
struct UserCredits {
    left_credits: Credits,
    is_recharged: bool,
}

impl UserCreditsAnswer {
    pub(super) fn new(wallet: &Wallet, now: Timestamp) -> Self {
        let data = UserCredits { left_credits: wallet.balance(now), is_recharged: wallet.is_recharged() };
        UserCreditsAnswer { code: 0, message: "ok", data }
    }
}

/// A record in a list.
#[derive(Serialize)]
struct RecordView<'a> {
    trans_no: TransNo,
    trans_type: String,
    credits: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    order_no: Option<&'a OrderNo>,
    #[serde(skip_serializing_if = "Option::is_none")]
    generation_uuid: Option<&'a GenerationId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expired_at: Option<Timestamp>,
    created_at: Timestamp,
    is_voided: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    voided_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    voided_reason: Option<&'a Reason>,
    #[serde(skip_serializing_if = "Option::is_none")]
    settled_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    estimated: Option<Credits>,
    #[serde(skip_serializing_if = "Option::is_none")]
    outputs: Option<u8>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    returned_outputs: Vec<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hold_until: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    late_success_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    revoked: Option<Credits>,
    #[serde(skip_serializing_if = "Metadata::is_empty")]
    metadata: &'a Metadata,
}

impl<'a> From<&'a Entry> for RecordView<'a> {
    fn from(entry: &'a Entry) -> Self {
        RecordView {
            trans_no: entry.trans_no,
            trans_type: entry.trans_type.to_string(),
            credits: match entry.trans_type {
                TransType::Charge(_) => entry.cost().to_negative_i64(),
                TransType::Grant(_) | TransType::Refund(_) => entry.credits.as_u64().cast_signed(),
            },
            order_no: entry.order_no.as_ref(),
            generation_uuid: entry.generation.as_ref(),
            expired_at: entry.expired_at,
            created_at: entry.trans_no.created_at(),
            is_voided: entry.void.is_some(),
            voided_at: entry.void.as_ref().map(|(at, _)| *at),
            voided_reason: entry.void.as_ref().map(|(_, reason)| reason),
            settled_at: entry.settled.map(|(at, _)| at),
            estimated: entry.settled.map(|_| entry.credits),
            outputs: entry.outputs.map(Outputs::count),
            returned_outputs: entry.returned_outputs.keys().copied().collect(),
            hold_until: entry.hold_until,
            late_success_at: entry.late_success_at,
            revoked: entry.revoked_credits(),
            metadata: &entry.metadata,
        }
    }
}

impl<'a> From<&'a Charge> for RecordView<'a> {
    fn from(charge: &'a Charge) -> Self {
        RecordView {
            trans_no: charge.trans_no,
            trans_type: charge.trans_type.to_string(),
            credits: charge.state().cost.to_negative_i64(),
            order_no: charge.order_no.as_ref(),
            generation_uuid: charge.generation.as_ref(),
            expired_at: None,
            created_at: charge.trans_no.created_at(),
            is_voided: charge.void.is_some(),
            voided_at: charge.void.as_ref().map(|void| void.at),
            voided_reason: charge.void.as_ref().map(|void| &void.reason),
            settled_at: charge.settled().map(|(at, _)| at),
            estimated: charge.settled().map(|_| charge.credits),
            outputs: charge.outputs.map(Outputs::count),
            returned_outputs: charge.returned_outputs().into_keys().collect(),
            hold_until: charge.hold_until,
            late_success_at: charge.late_success_at,
            revoked: None,
            metadata: &charge.metadata,
        }
    }
}

#[derive(Serialize)]
pub(super) struct TimelineAnswer<'a> {
    user_uuid: &'a UserId,
    records: Vec<RecordView<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cursor: Option<String>,
}

impl<'a> TimelineAnswer<'a> {
    pub(super) fn new(user: &'a UserId, entries: &'a [Entry], cursor: Option<String>) -> Self {
        TimelineAnswer { user_uuid: user, records: entries.iter().map(RecordView::from).collect(), cursor }
    }
}

#[derive(Serialize)]
pub(super) struct GenerationAnswer<'a> {
    generation_uuid: &'a GenerationId,
    user_uuid: &'a UserId,
    charges: Vec<ChargeView<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cursor: Option<String>,
}

#[derive(Serialize)]
struct ChargeView<'a> {
    #[serde(flatten)]
    record: RecordView<'a>,
    allocations: Vec<AllocationView<'a>>,
}

impl<'a> GenerationAnswer<'a> {
    pub(super) fn new(
        generation: &'a GenerationId,
        user: &'a UserId,
        charges: &'a [Charge],
        cursor: Option<String>,
    ) -> Self {
        let view = |charge: &'a Charge| ChargeView {
            record: RecordView::from(charge),
            allocations: AllocationView::owned(charge),
        };
        let charges = charges.iter().map(view).collect();
        GenerationAnswer { generation_uuid: generation, user_uuid: user, charges, cursor }
    }
}

#[derive(Serialize)]
pub(super) struct SummaryAnswer<'a> {
    user_uuid: &'a UserId,
    balance: Credits,
    debt: Credits,
    granted: CreditSumView,
    #[serde(skip_serializing_if = "Option::is_none")]
    revoked: Option<CreditsView>,
    spent: CreditSumView,
    voided: CreditSumView,
    #[serde(skip_serializing_if = "Option::is_none")]
    expired: Option<CreditsView>,
    by_trans_type: BTreeMap<&'a TransType, CreditSumView>,
}

#[derive(Serialize)]
struct CreditSumView {
    credits: Credits,
    count: u64,
}

#[derive(Serialize)]
struct CreditsView {
    credits: Credits,
}

impl<'a> SummaryAnswer<'a> {
    pub(super) fn new(user: &'a UserId, summary: &'a Summary, wallet: &Wallet, now: Timestamp) -> Self {
        let view = |sum: &CreditSum| CreditSumView { credits: sum.credits, count: sum.count };
        SummaryAnswer {
            user_uuid: user,
            balance: wallet.balance(now),
            debt: wallet.debt(),
            granted: view(&summary.granted),
            revoked: summary.revoked.map(|credits| CreditsView { credits }),
            spent: view(&summary.spent),
            voided: view(&summary.voided),
            expired: summary.expired.map(|credits| CreditsView { credits }),
            by_trans_type: summary.by_trans_type.iter().map(|(of, spent)| (of, view(spent))).collect(),
        }
    }
}
