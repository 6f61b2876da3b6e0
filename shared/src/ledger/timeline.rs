//! A user's timeline, from the index.

use super::Ledger;
use crate::domain::{Entry, LedgerError, Timestamp, TransNo, UserId};

/// The largest number of voided records that one page skips.
const SKIPPED_MAX: usize = 1_000;

/// A page of records.
#[derive(Clone, Debug)]
pub struct Page<T> {
    /// The records, newest first.
    pub records: Vec<T>,
    /// The next page is before this record; absent on the last page.
    pub next: Option<TransNo>,
}

/// A request for a page of the timeline.
#[derive(Clone, Debug)]
pub struct TimelineRequest {
    /// The owner of the records.
    pub user: UserId,
    /// The largest number of records on the page.
    pub limit: usize,
    /// The page is before this record.
    pub before: Option<TransNo>,
    /// Whether the page includes voided charges.
    pub include_voided: bool,
}

impl Ledger {
    /// A page of a user's records, newest first. The index may lag.
    ///
    /// # Errors
    /// `Busy`, `StoreUnavailable` or `Internal`.
    pub async fn timeline(
        &self,
        request: &TimelineRequest,
        deadline: Timestamp,
    ) -> Result<Page<Entry>, LedgerError> {
        let mut records: Vec<Entry> = Vec::new();
        let (mut last_read, mut skipped) = (request.before, 0);
        let mut read_limit = request.limit + 1;
        loop {
            let (entries, is_end) =
                self.entries(&request.user, None, last_read, read_limit, deadline).await?;
            for entry in entries {
                if records.len() == request.limit || skipped == SKIPPED_MAX {
                    return Ok(Page { records, next: last_read });
                }
                last_read = Some(entry.trans_no);
                if entry.void.is_some() && !request.include_voided {
                    skipped += 1;
                } else {
                    records.push(entry);
                }
            }
            if is_end {
                return Ok(Page { records, next: None });
            }
            read_limit = (4 * read_limit).min(SKIPPED_MAX);
        }
    }

    /// Reads entries of the index, and whether these are the last.
    pub(super) async fn entries(
        &self,
        user: &UserId,
        from: Option<TransNo>,
        before: Option<TransNo>,
        limit: usize,
        deadline: Timestamp,
    ) -> Result<(Vec<Entry>, bool), LedgerError> {
        self.read(deadline, || self.store.timeline(user, from, before, limit)).await
    }
}
