//! Grants: credits that came, and the packs that they fill.

use super::{Change, ChangeOrigin, Effect};
use crate::domain::{Credits, OrderNo, Timestamp, TransNo, TransType};

/// Credits given: the record, and the origin of a pack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Its identity and its time.
    pub trans_no: TransNo,
    /// Why; a refund type in migrated history.
    pub trans_type: TransType,
    /// How many.
    pub credits: Credits,
    /// The order that paid.
    pub order_no: Option<OrderNo>,
    /// When they expire; never, where absent.
    pub expired_at: Option<Timestamp>,
}

impl Grant {
    /// Whether its credits may be spent now.
    pub fn is_usable(&self, now: Timestamp) -> bool {
        self.expired_at.is_none_or(|expired_at| now < expired_at)
    }

    /// Earliest expiry first, never-expiring last, ties by age.
    pub fn spending_order(&self) -> impl Ord + use<> {
        (self.expired_at.is_none(), self.expired_at, self.trans_no)
    }

    /// What granting does.
    pub(in crate::domain) fn effects(&self) -> [Effect<'_>; 2] {
        [Effect::Created(self.trans_type.clone(), self.credits), Effect::Granted(self)]
    }

    pub(super) fn changes(&self) -> Vec<Change<'_>> {
        let (at, origin) = (self.trans_no.created_at(), ChangeOrigin::TransNo(self.trans_no));
        self.effects().map(|effect| Change { at, origin, effect }).into()
    }
}
