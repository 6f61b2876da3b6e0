//! Refunds and successes, with the look-up of the user if the request has none.

use super::{Invocation, Ledger};
use crate::{
    domain::{
        Completion, CompletionRequest, CompletionResult, LedgerError, Refund, RefundRequest, RefundResult,
    },
    invocation_metrics,
};

impl Ledger {
    /// Voids every live charge that the request addresses, and returns the credits to their
    /// packs.
    ///
    /// # Errors
    /// `ChargeNotFound` or `IdempotencyConflict` if no user is given and the index has none or
    /// two; `LimitExceeded` for too many packs; `Busy`, `StoreUnavailable` or `Internal`.
    pub async fn refund(
        &self,
        request: &RefundRequest,
        invocation: &Invocation,
    ) -> Result<RefundResult, LedgerError> {
        let user = match &request.user {
            Some(user) => user.clone(),
            None => self.generation_owner(&request.generation, invocation.deadline).await?,
        };
        invocation_metrics::set_subject(Some(&user), Some(&request.generation));
        let result = self.execute(&Refund { user: &user, request }, invocation).await?;
        invocation_metrics::record(|metrics| metrics.outcome = Some(result.outcome.name()));
        Ok(result)
    }

    /// Settles every live charge that the request addresses at what it costs, or ends its hold.
    ///
    /// # Errors
    /// `ChargeNotFound`; `IdempotencyConflict` if no user is given and the index has two;
    /// `Busy`, `StoreUnavailable` or `Internal`.
    pub async fn complete(
        &self,
        request: &CompletionRequest,
        invocation: &Invocation,
    ) -> Result<CompletionResult, LedgerError> {
        let user = match &request.user {
            Some(user) => user.clone(),
            None => self.generation_owner(&request.generation, invocation.deadline).await?,
        };
        invocation_metrics::set_subject(Some(&user), Some(&request.generation));
        self.execute(&Completion { user: &user, request }, invocation).await
    }
}
