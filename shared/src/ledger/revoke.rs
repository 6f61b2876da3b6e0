//! Revocations and aliases of orders, which name an order and no user.

use std::pin::pin;

use super::{Invocation, Ledger, retry::RetryState};
use crate::{
    domain::{
        LedgerError, OrderAddress, OrderChange, OrderNo, RecordKey, Revoke, RevokeOutcome, RevokeRequest,
        RevokeResult,
    },
    invocation_metrics,
    store::{Commit, StoreError},
};

/// The outcome of an alias.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AliasOutcome {
    /// The number is an alias of the order, by this call or an earlier one.
    Aliased,
    /// The number has a grant of its own, or is an alias of another order. Nothing changed.
    Ignored,
}

impl AliasOutcome {
    /// The name in answers and metrics.
    pub fn name(self) -> &'static str {
        match self {
            AliasOutcome::Aliased => "aliased",
            AliasOutcome::Ignored => "ignored",
        }
    }
}

impl Ledger {
    /// Sets what one source revokes of an order in total. Before the grant, the statement is
    /// stored for it.
    ///
    /// # Errors
    /// `IdempotencyConflict` if the order is another user's; `LimitExceeded`; `Busy`,
    /// `StoreUnavailable` or `Internal`.
    pub async fn revoke(
        &self,
        request: &RevokeRequest,
        invocation: &Invocation,
    ) -> Result<RevokeResult, LedgerError> {
        let mut retries = RetryState::until(invocation.deadline);
        loop {
            let address = self.order_address(&request.order_no, &mut retries).await?;
            if let Some(user) = address.user() {
                if request.user.as_ref().is_some_and(|stated| stated != user) {
                    return Err(LedgerError::IdempotencyConflict("The order was granted to another user."));
                }
                invocation_metrics::set_subject(Some(user), None);
                let revoke = Revoke { user, address: &address, request: Some(request) };
                return self.execute(&revoke, invocation).await.map_err(|error| retries.rejection(error));
            }
            if let Some(change) = self.missing_order(&address, request, &mut retries).await? {
                self.commit_orders(&[change], &mut retries).await?;
                continue;
            }
            let changes = address.state(&request.source, &request.statement())?;
            if self.commit_orders(&changes, &mut retries).await? {
                let (outcome, order_no) = (RevokeOutcome::Kept, address.order_no);
                return Ok(RevokeResult { outcome, order_no, granted: None });
            }
        }
    }

    /// Makes a number an alias of an order, which gets what was stated under the alias.
    ///
    /// # Errors
    /// `LimitExceeded`; `Busy`, `StoreUnavailable` or `Internal`.
    pub async fn add_alias(
        &self,
        alias: &OrderNo,
        order_no: &OrderNo,
        invocation: &Invocation,
    ) -> Result<AliasOutcome, LedgerError> {
        let mut retries = RetryState::until(invocation.deadline);
        loop {
            let named = self.read_with(&mut retries, || self.store.order(alias)).await?;
            let is_other = |of: &OrderNo| of != order_no;
            if alias == order_no
                || named.as_ref().is_some_and(|order| order.user.is_some())
                || named.as_ref().and_then(|order| order.alias_of.as_ref()).is_some_and(is_other)
            {
                return Ok(AliasOutcome::Ignored);
            }
            let order = self.read_with(&mut retries, || self.store.order(order_no)).await?;
            let address =
                OrderAddress { order_no: order_no.clone(), order, alias: Some((alias.clone(), named)) };
            if let Some(user) = address.user() {
                self.execute(&Revoke { user, address: &address, request: None }, invocation).await?;
                return Ok(AliasOutcome::Aliased);
            }
            if self.commit_orders(&address.link()?, &mut retries).await? {
                return Ok(AliasOutcome::Aliased);
            }
        }
    }

    /// The item of an order that an earlier version granted without one, if the request names the
    /// user of the grant.
    async fn missing_order(
        &self,
        address: &OrderAddress,
        request: &RevokeRequest,
        retries: &mut RetryState,
    ) -> Result<Option<OrderChange>, LedgerError> {
        let (None, None, Some(user)) = (&address.order, &address.alias, &request.user) else {
            return Ok(None);
        };
        let key = RecordKey::OrderGrant(address.order_no.clone());
        let grant = self.read_with(retries, || self.store.record(user, &key)).await?;
        Ok(grant.record.map(|_| OrderChange::create(address.order_no.clone(), user.clone())))
    }

    /// Reads an order, or the order that its number is an alias of.
    async fn order_address(
        &self,
        order_no: &OrderNo,
        retries: &mut RetryState,
    ) -> Result<OrderAddress, LedgerError> {
        let named = self.read_with(retries, || self.store.order(order_no)).await?;
        let Some(of) = named.as_ref().filter(|order| order.user.is_none()).and_then(|it| it.alias_of.clone())
        else {
            return Ok(OrderAddress { order_no: order_no.clone(), order: named, alias: None });
        };
        let order = self.read_with(retries, || self.store.order(&of)).await?;
        Ok(OrderAddress { order_no: of, order, alias: Some((order_no.clone(), named)) })
    }

    /// Writes orders without a grant. Returns false if they have changed since they were read. A
    /// repeat after an unknown outcome finds its own statements, so it needs no token.
    async fn commit_orders(
        &self,
        changes: &[OrderChange],
        retries: &mut RetryState,
    ) -> Result<bool, LedgerError> {
        if changes.is_empty() {
            return Ok(true);
        }
        let call = pin!(self.store.commit_orders(changes, self.request_token()));
        match self.time_commit(retries, call).await {
            Ok(Commit::Done) => return Ok(true),
            Ok(Commit::Refused(_) | Commit::Conflict) => self.pause(retries, LedgerError::Busy).await?,
            Err(error) => {
                if matches!(error, StoreError::Unavailable(_)) {
                    retries.set_outcome_unknown();
                }
                self.pause_after_failure(error, retries).await?;
            }
        }
        Ok(false)
    }
}
