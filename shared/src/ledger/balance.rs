//! Strong reads of one user's items.

use super::Ledger;
use crate::{
    domain::{LedgerError, Timestamp, UserId, Wallet},
    store::StoredItem,
};

impl Ledger {
    /// A user's wallet, as of now; an empty one for an unknown user.
    ///
    /// # Errors
    /// What every call may end with: `Busy`, `StoreUnavailable`, `Internal`.
    pub async fn wallet(&self, user: &UserId, deadline: Timestamp) -> Result<Wallet, LedgerError> {
        let stored = self.read(deadline, || self.store.wallet(user)).await?;
        Ok(stored.wallet)
    }

    /// All items of a user, as of now.
    ///
    /// # Errors
    /// As for every read.
    pub async fn all_items(
        &self,
        user: &UserId,
        deadline: Timestamp,
    ) -> Result<Vec<StoredItem>, LedgerError> {
        let mut all = Vec::new();
        self.for_each_item(user, deadline, |item| all.push(item)).await?;
        Ok(all)
    }
}
