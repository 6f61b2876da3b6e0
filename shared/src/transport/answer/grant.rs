//! The responses of grants and revocations.

use serde::Serialize;

use super::is_zero;
use crate::domain::{
    Credits, GrantRecord, Metadata, OrderNo, RevokeResult, RevokedGrant, Timestamp, TransNo, TransType,
    UserId, WriteOutcome,
};

#[derive(Serialize)]
pub(in crate::transport) struct GrantAnswer<'a> {
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
    pub(in crate::transport) fn new(user: &'a UserId, outcome: &'a WriteOutcome<GrantRecord>) -> Self {
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
pub(in crate::transport) struct RevokeAnswer<'a> {
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
    pub(in crate::transport) fn new(result: &'a RevokeResult) -> Self {
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
