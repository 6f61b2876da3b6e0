//! The audit of a paid order: its item is compared with the record of its grant.

use crate::domain::{Credits, Discrepancy, Order, OrderNo, Record, RecordKey, TransNo, UserId};

/// The grant of a paid order, to compare with the item of the order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderGrant {
    /// The number of the order.
    pub order_no: OrderNo,
    trans_no: TransNo,
    credits: Credits,
    revoked: Credits,
}

impl OrderGrant {
    /// `None` for a record that is not under the key of an order's grant.
    pub fn of(key: &RecordKey, record: &Record) -> Option<OrderGrant> {
        let (RecordKey::OrderGrant(order_no), Record::Grant(record)) = (key, record) else { return None };
        Some(OrderGrant {
            order_no: order_no.clone(),
            trans_no: record.grant.trans_no,
            credits: record.grant.credits,
            revoked: record.revocation_state().total,
        })
    }

    /// Whether any credits are revoked by the record.
    pub fn is_revoked(&self) -> bool {
        !self.revoked.is_zero()
    }

    /// The discrepancy between this grant of a user and the item of its order, if there is one.
    /// Every write changes both in one transaction. Earlier versions wrote no item for an order,
    /// and it was not revoked then.
    pub fn compare(&self, user: &UserId, order: Option<&Order>) -> Option<Discrepancy> {
        let Some(order) = order else {
            return self.is_revoked().then_some(Discrepancy::OrderMissing(self.trans_no));
        };
        if order.user.as_ref() != Some(user) {
            return Some(Discrepancy::OrderOwner(self.trans_no));
        }
        let by_order = order.revoked(self.credits);
        (by_order != self.revoked).then_some(Discrepancy::OrderRevoked(self.trans_no, by_order, self.revoked))
    }
}
