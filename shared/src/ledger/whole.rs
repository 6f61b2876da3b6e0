use super::Ledger;
use crate::{
    domain::{Error, Timestamp},
    store::{PageKey, Plain, Put},
};

/// Of the whole table, page by page: for operators, never for callers.
impl Ledger {
    /// Under which `user_uuid` there are items; one may be named on two pages.
    ///
    /// # Errors
    /// What every call may end with, so for all here: `Busy`, `StoreUnavailable`,
    /// `Internal`.
    pub async fn users(
        &self,
        from: Option<PageKey>,
        deadline: Timestamp,
    ) -> Result<(Vec<String>, Option<PageKey>), Error> {
        self.read(deadline, || self.store.users(from.clone())).await
    }

    /// All items, as they are.
    pub async fn items(
        &self,
        from: Option<PageKey>,
        deadline: Timestamp,
    ) -> Result<(Vec<Plain>, Option<PageKey>), Error> {
        self.read(deadline, || self.store.items(from.clone())).await
    }

    /// Puts an item where nothing is, as it was in another table or at another time.
    pub async fn put_new(&self, item: &Plain, deadline: Timestamp) -> Result<Put, Error> {
        self.read(deadline, || self.store.put_new(item.clone())).await
    }
}
