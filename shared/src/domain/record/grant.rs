//! Grants, which add packs.

use std::collections::BTreeMap;

use super::{Change, ChangeOrigin, Effect, RecordVersion, Revocation, RevocationKind, RevocationState};
use crate::domain::{Credits, Entry, Metadata, OrderNo, Timestamp, TransNo, TransType};

/// The record of a grant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrantRecord {
    /// The grant.
    pub grant: Grant,
    /// The caller's own fields.
    pub metadata: Metadata,
    /// The credits of the grant that repaid debts at once.
    pub repaid: Credits,
    /// The later changes by revocations of the order, oldest first. The first one is of the
    /// creation if the order was revoked before.
    pub revocations: Vec<Revocation>,
}

impl GrantRecord {
    /// The largest number of changes of the revoked credits of a grant.
    pub const REVOCATIONS_MAX: usize = 100;

    /// What is revoked now, and how.
    pub fn revocation_state(&self) -> RevocationState<'_> {
        let mut state = RevocationState::new(&self.grant);
        for revocation in &self.revocations {
            state.apply(&revocation.kind);
        }
        state
    }

    /// The revoked credits after each change, by its time.
    pub fn revoked(&self) -> BTreeMap<Timestamp, Credits> {
        let mut state = RevocationState::new(&self.grant);
        let mut revoked = BTreeMap::new();
        for Revocation { at, kind, .. } in &self.revocations {
            state.apply(kind);
            if !matches!(kind, RevocationKind::Repaid(_)) {
                revoked.insert(*at, state.total);
            }
        }
        revoked
    }

    /// The credits that had been revoked before the grant.
    pub fn revoked_before(&self) -> Credits {
        self.revoked().remove(&self.grant.trans_no.created_at()).unwrap_or_default()
    }

    /// The last version of the wallet that the grant belongs to.
    pub fn changed_at(&self) -> Timestamp {
        self.revocations.last().map_or(self.grant.trans_no.created_at(), |revocation| revocation.at)
    }

    /// The state of its item.
    pub fn version(&self) -> RecordVersion {
        if self.revocations.is_empty() {
            RecordVersion::First
        } else {
            RecordVersion::ChangedAt(self.changed_at())
        }
    }

    pub(super) fn into_entry(self) -> Entry {
        Entry {
            revoked: self.revoked(),
            trans_no: self.grant.trans_no,
            trans_type: self.grant.trans_type,
            credits: self.grant.credits,
            order_no: self.grant.order_no,
            generation: None,
            expired_at: self.grant.expired_at,
            metadata: self.metadata,
            outputs: None,
            returned_outputs: BTreeMap::new(),
            settled: None,
            hold_until: None,
            late_success_at: None,
            void: None,
        }
    }

    pub(super) fn changes(&self) -> Vec<Change<'_>> {
        let grant = &self.grant;
        let (at, origin) = (grant.trans_no.created_at(), ChangeOrigin::TransNo(grant.trans_no));
        let mut changes: Vec<_> =
            grant.effects().map(|effect| Change { at, origin, effect }).into_iter().collect();
        let mut state = RevocationState::new(grant);
        for Revocation { at, invocation, kind } in &self.revocations {
            let (at, origin) = (*at, ChangeOrigin::Invocation(*invocation));
            let effects = state.apply(kind);
            changes.extend(effects.into_iter().map(|effect| Change { at, origin, effect }));
        }
        changes
    }
}

impl From<Grant> for GrantRecord {
    /// The record of a grant without metadata.
    fn from(grant: Grant) -> GrantRecord {
        GrantRecord { grant, metadata: Metadata::default(), repaid: Credits::ZERO, revocations: Vec::new() }
    }
}

/// A grant: the origin of a pack. Every allocation contains a copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// The identity, with the creation time.
    pub trans_no: TransNo,
    /// The type; a refund type in migrated history.
    pub trans_type: TransType,
    /// The credits.
    pub credits: Credits,
    /// The order that paid for the grant.
    pub order_no: Option<OrderNo>,
    /// The expiry; never if absent.
    pub expired_at: Option<Timestamp>,
}

impl Grant {
    /// Whether the credits have not expired.
    pub fn is_usable(&self, now: Timestamp) -> bool {
        self.expired_at.is_none_or(|expired_at| now < expired_at)
    }

    /// The sort key of the spending order: earliest expiry first, no expiry last, older first
    /// among equals.
    pub fn spending_order(&self) -> impl Ord + use<> {
        (self.expired_at.is_none(), self.expired_at, self.trans_no)
    }

    /// The effects of the grant.
    pub(in crate::domain) fn effects(&self) -> [Effect<'_>; 2] {
        [Effect::Created(self.trans_type.clone(), self.credits), Effect::Granted(self)]
    }
}
