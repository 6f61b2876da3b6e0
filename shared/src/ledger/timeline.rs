//! A user's records from the timeline index, newest first.

use super::Ledger;
use crate::domain::{Entry, LedgerError, Timestamp, TransNo, UserId};

/// How many voided records a timeline page skips at most.
const SKIPPED_MAX: usize = 1_000;

/// Some records, and where the next ones begin.
#[derive(Clone, Debug)]
pub struct Page<T> {
    /// The records, newest first.
    pub records: Vec<T>,
    /// The next ones come before this one; absent on the last page.
    pub next: Option<TransNo>,
}

/// A request for a page of the timeline.
#[derive(Clone, Debug)]
pub struct TimelineRequest {
    /// Whose records.
    pub user: UserId,
    /// At most how many.
    pub limit: usize,
    /// Of those before this one.
    pub before: Option<TransNo>,
    /// Whether voided charges are shown.
    pub include_voided: bool,
}

impl Ledger {
    /// A user's records, newest first. The index may lag.
    ///
    /// # Errors
    /// What every call may end with: `Busy`, `StoreUnavailable`, `Internal`.
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

    /// One read of the index, and whether that reached its end.
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
