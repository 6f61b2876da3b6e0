use super::Ledger;
use crate::domain::{LedgerError, Timestamp, UserUuid, Wallet};

impl Ledger {
    /// A user's wallet, as of now; an empty one for an unknown user.
    ///
    /// # Errors
    /// What every call may end with: `Busy`, `StoreUnavailable`, `Internal`.
    pub async fn wallet(&self, user: &UserUuid, deadline: Timestamp) -> Result<Wallet, LedgerError> {
        self.read(deadline, || self.store.wallet(user)).await
    }
}
