//! Strong reads of a user's items.

use super::Ledger;
use crate::{
    domain::{LedgerError, Timestamp, UserId, Wallet},
    store::StoredItem,
};

impl Ledger {
    /// A user's wallet; an empty one if the user has none.
    ///
    /// # Errors
    /// `Busy`, `StoreUnavailable` or `Internal`.
    pub async fn wallet(&self, user: &UserId, deadline: Timestamp) -> Result<Wallet, LedgerError> {
        let stored = self.read(deadline, || self.store.wallet(user)).await?;
        Ok(stored.wallet)
    }

    /// All items of a user.
    ///
    /// # Errors
    /// `Busy`, `StoreUnavailable` or `Internal`.
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
