//! Reads of paid orders with their grants, and their audit.

use super::{Ledger, comparison::COMPARISONS_MAX};
use crate::{
    domain::{
        Discrepancies, Discrepancy, GrantRecord, LedgerError, Order, OrderGrant, OrderNo, Record, RecordKey,
        RecordLookup, Timestamp, UserId,
    },
    store::{PageKey, StoreError, StoredOrder},
};

/// A paid order as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PaidOrder {
    /// The number of the order.
    pub order_no: OrderNo,
    /// The alias by which it was found.
    pub alias: Option<OrderNo>,
    /// The order; absent if nothing is stored for it.
    pub order: Option<Order>,
    /// Its grant.
    pub grant: Option<GrantRecord>,
}

/// The result of the audit of one order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OrderAudit {
    /// The user of the order, if it is readable and was granted.
    pub user: Option<UserId>,
    /// The discrepancies of the last comparison.
    pub discrepancies: Discrepancies,
}

/// The reason why an order cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OrderReadError {
    /// The item of the order or of its grant is damaged, or of a newer format.
    Damaged(Discrepancy),
    /// The ledger failed.
    Failed(LedgerError),
}

impl From<Discrepancy> for OrderReadError {
    fn from(discrepancy: Discrepancy) -> OrderReadError {
        OrderReadError::Damaged(discrepancy)
    }
}

impl From<LedgerError> for OrderReadError {
    fn from(error: LedgerError) -> OrderReadError {
        OrderReadError::Failed(error)
    }
}

impl Ledger {
    /// A page of the numbers of all orders and aliases, also of invalid ones.
    ///
    /// # Errors
    /// `Busy`, `StoreUnavailable` or `Internal`.
    pub async fn order_numbers(
        &self,
        from: Option<PageKey>,
        deadline: Timestamp,
    ) -> Result<(Vec<String>, Option<PageKey>), LedgerError> {
        self.read(deadline, || self.store.orders(from.clone())).await
    }

    /// Reads an order by its number or an alias, and its grant.
    ///
    /// # Errors
    /// An item of the order is damaged, or cannot be read.
    pub async fn paid_order(
        &self,
        order_no: &OrderNo,
        deadline: Timestamp,
    ) -> Result<PaidOrder, OrderReadError> {
        let mut reads = 1;
        loop {
            let paid = self.read_paid_order(order_no, deadline).await?;
            let is_granted = paid.order.as_ref().is_some_and(|order| order.user.is_some());
            // The grant was committed with the order, and may not be visible yet.
            if paid.grant.is_some() || !is_granted || reads == COMPARISONS_MAX {
                return Ok(paid);
            }
            reads += 1;
            self.wait_before_next_comparison(deadline).await?;
        }
    }

    /// Compares an order with the grant of its user. Concurrent writes are allowed.
    ///
    /// # Errors
    /// `Busy`, `StoreUnavailable` or `Internal`. A discrepancy is not an error.
    pub async fn audit_order(
        &self,
        order_no: &OrderNo,
        deadline: Timestamp,
    ) -> Result<OrderAudit, LedgerError> {
        let mut comparisons = 1;
        loop {
            let audit = self.compare_order(order_no, deadline).await?;
            if audit.discrepancies.is_empty() || comparisons == COMPARISONS_MAX {
                return Ok(audit);
            }
            comparisons += 1;
            self.wait_before_next_comparison(deadline).await?;
        }
    }

    async fn compare_order(
        &self,
        order_no: &OrderNo,
        deadline: Timestamp,
    ) -> Result<OrderAudit, LedgerError> {
        let (order, grant) = match self.order_and_grant(order_no, deadline).await {
            Ok(read) => read,
            Err(OrderReadError::Damaged(discrepancy)) => {
                return Ok(OrderAudit { user: None, discrepancies: discrepancy.into() });
            }
            Err(OrderReadError::Failed(error)) => return Err(error),
        };
        let Some(user) = order.as_ref().and_then(|order| order.user.clone()) else {
            return Ok(OrderAudit::default());
        };
        let key = RecordKey::OrderGrant(order_no.clone());
        let found = match grant.and_then(|record| OrderGrant::of(&key, &Record::Grant(record))) {
            None => Some(Discrepancy::OrderWithoutGrant(order_no.clone())),
            Some(grant) => grant.compare(&user, order.as_ref()),
        };
        let mut discrepancies = Discrepancies::default();
        discrepancies.extend(found);
        Ok(OrderAudit { user: Some(user), discrepancies })
    }

    async fn read_paid_order(
        &self,
        order_no: &OrderNo,
        deadline: Timestamp,
    ) -> Result<PaidOrder, OrderReadError> {
        let (order, grant) = self.order_and_grant(order_no, deadline).await?;
        let alias_of = order.as_ref().filter(|order| order.user.is_none());
        let Some(of) = alias_of.and_then(|order| order.alias_of.clone()) else {
            return Ok(PaidOrder { order_no: order_no.clone(), alias: None, order, grant });
        };
        let (order, grant) = self.order_and_grant(&of, deadline).await?;
        Ok(PaidOrder { order_no: of, alias: Some(order_no.clone()), order, grant })
    }

    /// Reads an order, and then the grant of its user.
    async fn order_and_grant(
        &self,
        order_no: &OrderNo,
        deadline: Timestamp,
    ) -> Result<(Option<Order>, Option<GrantRecord>), OrderReadError> {
        let stored = self.read(deadline, || self.store.stored_order(order_no)).await?;
        let order = stored.map(readable).transpose()?;
        let Some(user) = order.as_ref().and_then(|order| order.user.as_ref()) else {
            return Ok((order, None));
        };
        let key = RecordKey::OrderGrant(order_no.clone());
        let grant = self.read(deadline, || async { readable_record(self.store.record(user, &key).await) });
        match grant.await?? {
            Some(Record::Grant(record)) => Ok((order, Some(record))),
            None => Ok((order, None)),
            Some(_) => {
                let reason = "the key of a grant contains another record".to_owned();
                Err(OrderReadError::Damaged(Discrepancy::UnreadableItem(reason)))
            }
        }
    }
}

/// The record, or the discrepancy of an item that this version cannot read.
fn readable_record(
    read: Result<RecordLookup, StoreError>,
) -> Result<Result<Option<Record>, Discrepancy>, StoreError> {
    match read {
        Ok(found) => Ok(Ok(found.record)),
        Err(StoreError::Corrupt(reason)) => Ok(Err(Discrepancy::UnreadableItem(reason))),
        Err(StoreError::NewerFormat(reason)) => Ok(Err(Discrepancy::NewerFormat(reason))),
        Err(error) => Err(error),
    }
}

/// The order, or the discrepancy of an item that this version cannot read.
pub(super) fn readable(stored: StoredOrder) -> Result<Order, Discrepancy> {
    match stored {
        StoredOrder::Order(order) => Ok(order),
        StoredOrder::Unreadable(reason) => Err(Discrepancy::UnreadableItem(reason)),
        StoredOrder::NewerFormat(reason) => Err(Discrepancy::NewerFormat(reason)),
    }
}
