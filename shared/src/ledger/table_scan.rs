//! Scans of the whole table for operators: users and items, page by page.

use std::collections::VecDeque;

use super::Ledger;
use crate::{
    domain::{LedgerError, Timestamp},
    store::{JsonItem, PageKey, PutOutcome, ScanSegment},
};

/// The users of a segment of the table.
pub struct UserScan<'a> {
    ledger: &'a Ledger,
    segment: ScanSegment,
    page: VecDeque<String>,
    /// The start of the next page; `None` after the last page.
    next: Option<Option<PageKey>>,
    last: Option<String>,
}

impl Ledger {
    /// The users with items, after the user `after` if there is one.
    pub fn users(&self, segment: ScanSegment, after: Option<&str>) -> UserScan<'_> {
        UserScan {
            ledger: self,
            segment,
            page: VecDeque::new(),
            next: Some(after.map(PageKey::after)),
            last: None,
        }
    }

    /// A page of all items, as stored.
    ///
    /// # Errors
    /// `Busy`, `StoreUnavailable` or `Internal`.
    pub async fn items(
        &self,
        from: Option<PageKey>,
        deadline: Timestamp,
    ) -> Result<(Vec<JsonItem>, Option<PageKey>), LedgerError> {
        self.read(deadline, || self.store.items(from.clone())).await
    }

    /// Puts an item, if no item has its key.
    ///
    /// # Errors
    /// `Busy`, `StoreUnavailable` or `Internal`.
    pub async fn put_new(&self, item: &JsonItem, deadline: Timestamp) -> Result<PutOutcome, LedgerError> {
        self.read(deadline, || self.store.put_new(item.clone())).await
    }
}

impl UserScan<'_> {
    /// The next user.
    ///
    /// # Errors
    /// `Busy`, `StoreUnavailable` or `Internal`.
    pub async fn next(&mut self, deadline: Timestamp) -> Result<Option<String>, LedgerError> {
        loop {
            while let Some(user) = self.page.pop_front() {
                // A user's items may continue on the next page.
                if self.last.as_ref() != Some(&user) {
                    self.last = Some(user.clone());
                    return Ok(Some(user));
                }
            }
            let Some(from) = self.next.take() else { return Ok(None) };
            let page = || self.ledger.store.users(self.segment, from.clone());
            let (users, next) = self.ledger.read(deadline, page).await?;
            self.page = users.into();
            self.next = next.map(Some);
        }
    }
}
