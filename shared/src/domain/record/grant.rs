//! Grants, which add packs.

use super::{Change, ChangeOrigin, Effect};
use crate::domain::{Credits, Metadata, OrderNo, Timestamp, TransNo, TransType};

/// The record of a grant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrantRecord {
    /// The grant.
    pub grant: Grant,
    /// The caller's own fields.
    pub metadata: Metadata,
    /// The credits of the grant that repaid debts at once.
    pub repaid: Credits,
}

impl From<Grant> for GrantRecord {
    /// The record of a grant without metadata.
    fn from(grant: Grant) -> GrantRecord {
        GrantRecord { grant, metadata: Metadata::default(), repaid: Credits::ZERO }
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

    pub(super) fn changes(&self) -> Vec<Change<'_>> {
        let (at, origin) = (self.trans_no.created_at(), ChangeOrigin::TransNo(self.trans_no));
        self.effects().map(|effect| Change { at, origin, effect }).into()
    }
}
