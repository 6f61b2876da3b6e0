//! The sweep of holds: voids the charges whose holds have timed out.

use futures_util::{StreamExt, stream};

use super::{Invocation, Ledger};
use crate::{
    domain::{ExpireHold, LedgerError, Timestamp},
    store::{HeldCharge, PageKey},
};

/// The number of holds that a sweep processes at once. Holds of one user contend.
const CONCURRENCY: usize = 16;

/// The result of a sweep.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SweepSummary {
    /// Charges that it voided.
    pub expired: u64,
    /// Charges whose void failed. The next sweep retries them.
    pub failed: u64,
    /// The longest time between the end of a hold and its void, in milliseconds.
    pub delay_millis: i64,
    /// Whether the deadline came before the last hold.
    pub is_unfinished: bool,
}

impl Ledger {
    /// Voids every charge whose hold has timed out, until the deadline. A repeat continues.
    ///
    /// # Errors
    /// `Busy`, `StoreUnavailable` or `Internal` if the index cannot be read.
    pub async fn sweep(&self, deadline: Timestamp) -> Result<SweepSummary, LedgerError> {
        let mut summary = SweepSummary::default();
        for shard in 0..HeldCharge::SHARDS {
            let mut from = None;
            loop {
                let now = self.now();
                let page = || self.store.overdue_holds(shard, now, from.clone());
                let (held, next): (_, Option<PageKey>) = self.read(deadline, page).await?;
                self.expire(held, deadline, &mut summary).await;
                if summary.is_unfinished {
                    return Ok(summary);
                }
                from = next;
                if from.is_none() {
                    break;
                }
            }
        }
        Ok(summary)
    }

    async fn expire(&self, held: Vec<HeldCharge>, deadline: Timestamp, summary: &mut SweepSummary) {
        let expire = async |held: HeldCharge| {
            if self.now() >= deadline {
                return None;
            }
            let command = ExpireHold { user: held.user, key: held.key };
            let result = self.execute(&command, &Invocation::until(deadline)).await;
            Some(result.map(|is_expired| is_expired.then(|| self.now().millis() - held.until.millis())))
        };
        let mut results = stream::iter(held).map(expire).buffer_unordered(CONCURRENCY);
        while let Some(result) = results.next().await {
            match result {
                Some(Ok(Some(delay_millis))) => {
                    summary.expired += 1;
                    summary.delay_millis = summary.delay_millis.max(delay_millis);
                }
                // It was settled or refunded, and the index lags.
                Some(Ok(None)) => {}
                Some(Err(_)) => summary.failed += 1,
                None => summary.is_unfinished = true,
            }
        }
    }
}
