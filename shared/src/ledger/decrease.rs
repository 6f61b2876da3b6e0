use super::{Ledger, Posted, post::Posting};
use crate::{
    domain::{Charge, ChargeRequest, LedgerError, Nonce, Record, RecordKey, Timestamp, Wallet},
    meter::{self, Move},
};

impl Ledger {
    /// Charges, all or nothing, once for each identity.
    ///
    /// # Errors
    /// `InsufficientCredits`, `LimitExceeded`, `GenerationVoided` under a key
    /// that was refunded, before or after its charge, `IdempotencyConflict`
    /// where the same key charged something else, and what every call may end
    /// with: `Busy`, `StoreUnavailable`, `Internal`.
    pub async fn decrease(
        &self,
        request: &ChargeRequest,
        deadline: Timestamp,
    ) -> Result<Posted<Charge>, LedgerError> {
        let plan = |wallet: &Wallet, nonce: Nonce, now: Timestamp| {
            wallet.charge(request, nonce, now).map(|(wallet, charge)| (wallet, Record::Charge(charge)))
        };
        let identity = request.identity();
        let posting = Posting { user: &request.user, identity, unkeyed: RecordKey::UnkeyedCharge, plan };
        let Posted { record, balance, replayed } = self.post(posting, deadline).await?;
        match record {
            Record::Charge(charge) if !replayed => {
                meter::moved(Move::Charged, &charge.trans_type, charge.credits);
                if charge.generation.is_none() {
                    meter::note(|notes| notes.anomalies.push("charge_without_generation"));
                }
                Ok(Posted { record: charge, balance, replayed })
            }
            Record::Charge(Charge { void: Some(_), .. }) | Record::Fence(_) => {
                Err(LedgerError::GenerationVoided)
            }
            Record::Charge(charge) if charge.credits != request.credits => {
                Err(LedgerError::IdempotencyConflict("this key charged other credits"))
            }
            Record::Charge(charge) if charge.trans_type != request.trans_type => {
                Err(LedgerError::IdempotencyConflict("this key charged another trans_type"))
            }
            Record::Charge(charge) => Ok(Posted { record: charge, balance, replayed }),
            Record::Grant(_) => Err(LedgerError::Internal("a grant where a charge stands".to_owned())),
        }
    }
}
