//! The whole table, for operators: its users and its items, page by page.

use std::collections::VecDeque;

use super::Ledger;
use crate::{
    domain::{LedgerError, Timestamp},
    store::{JsonItem, PageKey, PutOutcome, ScanSegment},
};

/// The users of a segment of the table, one after the other.
pub struct UserScan<'a> {
    ledger: &'a Ledger,
    segment: ScanSegment,
    page: VecDeque<String>,
    /// Where the next page begins; nothing after the last one.
    next: Option<Option<PageKey>>,
    last: Option<String>,
}

impl Ledger {
    /// The users who have items, behind one where one is given.
    pub fn users(&self, segment: ScanSegment, after: Option<&str>) -> UserScan<'_> {
        UserScan {
            ledger: self,
            segment,
            page: VecDeque::new(),
            next: Some(after.map(PageKey::after)),
            last: None,
        }
    }

    /// All items, as they are.
    ///
    /// # Errors
    /// What every call here may end with: `Busy`, `StoreUnavailable`,
    /// `Internal`.
    pub async fn items(
        &self,
        from: Option<PageKey>,
        deadline: Timestamp,
    ) -> Result<(Vec<JsonItem>, Option<PageKey>), LedgerError> {
        self.read(deadline, || self.store.items(from.clone())).await
    }

    /// Puts an item under a key that has none.
    pub async fn put_new(&self, item: &JsonItem, deadline: Timestamp) -> Result<PutOutcome, LedgerError> {
        self.read(deadline, || self.store.put_new(item.clone())).await
    }
}

impl UserScan<'_> {
    /// The next one.
    ///
    /// # Errors
    /// What every call may end with.
    pub async fn next(&mut self, deadline: Timestamp) -> Result<Option<String>, LedgerError> {
        loop {
            while let Some(user) = self.page.pop_front() {
                // A user's items may go on over a page's end.
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
