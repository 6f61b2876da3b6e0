//! Refunds: finds whose a generation is where the request does not say.

use super::{Invocation, Ledger};
use crate::{
    domain::{LedgerError, Refund, RefundRequest, RefundResult},
    invocation_metrics,
};

impl Ledger {
    /// Voids every live charge that the request addresses and gives each pack back what
    /// was taken from it.
    ///
    /// # Errors
    /// `ChargeNotFound` and `IdempotencyConflict` where the index shows no user or two for
    /// the generation, `LimitExceeded` where more packs would come back than one item
    /// holds, and what every command may end with: `Busy`, `StoreUnavailable`, `Internal`.
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
}
