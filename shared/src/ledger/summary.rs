//! A user's summary: over all time from the wallet, or of a range from the timeline index.

use tokio::try_join;

use super::Ledger;
use crate::domain::{LedgerError, LedgerLimit, Summary, Timestamp, TransNo, UserId, Wallet};

/// The largest number of records in a range: about 60 pages of 1 MB, which a request can read
/// before its deadline.
const RECORDS_MAX: usize = 100_000;

/// The number of entries of one read. DynamoDB also ends a page at 1 MB.
const ENTRIES_PER_READ: usize = 5_000;

/// The range of a summary, with at least one end.
#[derive(Clone, Copy, Debug)]
pub struct SummaryRange {
    /// The start; included.
    pub from: Option<Timestamp>,
    /// The end; excluded.
    pub to: Option<Timestamp>,
}

impl Ledger {
    /// A user's summary and present wallet: over all time in one read, or of the records of a
    /// range from the index, which may lag.
    ///
    /// # Errors
    /// `LimitExceeded` for a range with more than 100,000 records; `Busy`, `StoreUnavailable` or
    /// `Internal`.
    pub async fn summary(
        &self,
        user: &UserId,
        range: Option<SummaryRange>,
        deadline: Timestamp,
    ) -> Result<(Summary, Wallet), LedgerError> {
        let wallet = self.wallet(user, deadline);
        match range {
            None => {
                let wallet = wallet.await?;
                Ok((Summary::lifetime(&wallet, self.now())?, wallet))
            }
            Some(range) => try_join!(self.sum_range(user, range, deadline), wallet),
        }
    }

    async fn sum_range(
        &self,
        user: &UserId,
        range: SummaryRange,
        deadline: Timestamp,
    ) -> Result<Summary, LedgerError> {
        let (from, mut before) = (range.from.map(TransNo::first_at), range.to.map(TransNo::first_at));
        let (mut summary, mut records) = (Summary::default(), 0);
        while from.zip(before).is_none_or(|(from, before)| from < before) {
            let (entries, is_end) = self.entries(user, from, before, ENTRIES_PER_READ, deadline).await?;
            records += entries.len();
            if records > RECORDS_MAX {
                return Err(LedgerError::LimitExceeded(LedgerLimit::SummaryRange));
            }
            entries.iter().try_for_each(|entry| summary.add(entry))?;
            before = entries.last().map(|entry| entry.trans_no).or(before);
            if is_end {
                break;
            }
        }
        Ok(summary)
    }
}
