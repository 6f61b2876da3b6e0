use super::{Ledger, Posted, post::Posting};
use crate::{
    domain::{Grant, GrantRequest, LedgerError, Nonce, Record, RecordKey, Timestamp, Wallet},
    meter,
};

impl Ledger {
    /// Adds a pack, once for each identity.
    ///
    /// # Errors
    /// `InvalidRequest` for an expiry that is past, `LimitExceeded`,
    /// `IdempotencyConflict` where the same grant gave other credits, and what
    /// every call may end with: `Busy`, `StoreUnavailable`, `Internal`.
    pub async fn grant(
        &self,
        request: &GrantRequest,
        deadline: Timestamp,
    ) -> Result<Posted<Grant>, LedgerError> {
        let plan = |wallet: &Wallet, nonce: Nonce, now: Timestamp| {
            wallet.grant(request, nonce, now).map(|(wallet, grant)| (wallet, Record::Grant(grant)))
        };
        let identity = request.identity();
        let posting = Posting { user: &request.user, identity, unkeyed: RecordKey::UnkeyedGrant, plan };
        let Posted { record, balance, replayed } = self.post(posting, deadline).await?;
        match record {
            Record::Grant(grant) if !replayed => {
                meter::granted(request.trans_type, grant.credits);
                Ok(Posted { record: grant, balance, replayed })
            }
            Record::Grant(grant) if grant.credits == request.credits => {
                Ok(Posted { record: grant, balance, replayed })
            }
            Record::Grant(_) => {
                Err(LedgerError::IdempotencyConflict("this grant was made with other credits"))
            }
            Record::Charge(_) | Record::Fence(_) => {
                Err(LedgerError::Internal("no grant where a grant stands".to_owned()))
            }
        }
    }
}
