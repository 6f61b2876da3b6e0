//! Who has anything in the table.

use std::collections::VecDeque;

use scrip::{ledger::Ledger, store::PageKey};

use crate::problem::{Problem, deadline};

/// The users of the table, one after the other.
pub struct Users<'a> {
    ledger: &'a Ledger,
    page: VecDeque<String>,
    /// Where the next page begins; nothing after the last one.
    next: Option<Option<PageKey>>,
    last: Option<String>,
}

impl Users<'_> {
    /// All of them.
    pub fn of(ledger: &Ledger) -> Users<'_> {
        Users { ledger, page: VecDeque::new(), next: Some(None), last: None }
    }

    /// The next one.
    ///
    /// # Errors
    /// The table cannot be read.
    pub async fn next(&mut self) -> Result<Option<String>, Problem> {
        loop {
            while let Some(user) = self.page.pop_front() {
                // A user's items may go on over a page's end.
                if self.last.as_ref() != Some(&user) {
                    self.last = Some(user.clone());
                    return Ok(Some(user));
                }
            }
            let Some(from) = self.next.take() else { return Ok(None) };
            let page = self.ledger.users(from, deadline(self.ledger)).await;
            let (users, next) = page.map_err(|error| Problem::of_ledger("the table", &error))?;
            self.page = users.into();
            self.next = next.map(Some);
        }
    }
}
