//! The responses of lists of records and of sums.

use std::collections::BTreeMap;

use serde::Serialize;

use super::charge::AllocationView;
use crate::domain::{
    Charge, CreditSum, Credits, Entry, GenerationId, Metadata, OrderNo, Outputs, Reason, Summary, Timestamp,
    TransNo, TransType, UserId, Wallet,
};

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
pub(in crate::transport) struct TimelineAnswer<'a> {
    user_uuid: &'a UserId,
    records: Vec<RecordView<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cursor: Option<String>,
}

impl<'a> TimelineAnswer<'a> {
    pub(in crate::transport) fn new(user: &'a UserId, entries: &'a [Entry], cursor: Option<String>) -> Self {
        TimelineAnswer { user_uuid: user, records: entries.iter().map(RecordView::from).collect(), cursor }
    }
}

#[derive(Serialize)]
pub(in crate::transport) struct GenerationAnswer<'a> {
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
    pub(in crate::transport) fn new(
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
pub(in crate::transport) struct SummaryAnswer<'a> {
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
    pub(in crate::transport) fn new(
        user: &'a UserId,
        summary: &'a Summary,
        wallet: &Wallet,
        now: Timestamp,
    ) -> Self {
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
