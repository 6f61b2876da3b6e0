//! The comparison of a user's records with the wallet and the indexes.

use futures_util::{StreamExt, TryStreamExt, stream};
use tokio::time::{Duration, sleep};

use super::{Ledger, order::readable, user_snapshot::UserSnapshot};
use crate::domain::{Discrepancies, Discrepancy, LedgerError, OrderGrant, Timestamp, UserId, Wallet};

/// The number of orders of a user that are read concurrently.
const CONCURRENT_READS: usize = 8;

/// The number of comparisons after which a discrepancy is confirmed. A read during a
/// transaction may return some of its items before others, and indexes lag.
pub(super) const COMPARISONS_MAX: u32 = 4;

/// The pause between two comparisons, in milliseconds.
const COMPARISON_PAUSE_MILLIS: u32 = 500;

/// The result of one comparison.
pub(super) struct Comparison {
    pub(super) snapshot: UserSnapshot,
    pub(super) discrepancies: Discrepancies,
    /// The buckets in which the timeline index differs from the records. The records in them
    /// have not been identified yet.
    differing_buckets: Vec<usize>,
}

impl Comparison {
    pub(super) fn is_clean(&self) -> bool {
        self.discrepancies.is_empty() && self.differing_buckets.is_empty()
    }

    /// Whether there are discrepancies, and a repair of the wallet corrects all of them.
    pub(super) fn is_repairable(&self) -> bool {
        self.discrepancies.is_repairable() && self.differing_buckets.is_empty()
    }
}

impl Ledger {
    /// Compares records with the wallet, if it is readable, and with the indexes.
    pub(super) async fn compare(
        &self,
        user: &UserId,
        wallet: Option<&Wallet>,
        snapshot: UserSnapshot,
        deadline: Timestamp,
    ) -> Result<Comparison, LedgerError> {
        if !snapshot.newer_formats.is_empty() {
            // This version cannot compare items of a newer format.
            let discrepancies = snapshot.newer_formats.clone();
            return Ok(Comparison { snapshot, discrepancies, differing_buckets: Vec::new() });
        }
        let mut discrepancies = snapshot.rebuild.discrepancies(wallet, self.now());
        let differing = self.differing_buckets(user, &snapshot.timeline, snapshot.as_of, deadline).await;
        let differing_buckets = match differing {
            Err(LedgerError::Internal(reason)) => {
                discrepancies.insert(Discrepancy::UnreadableItem(reason));
                Vec::new()
            }
            differing => differing?,
        };
        for (generation, trans_no) in snapshot.charges.values() {
            let is_in_index = || self.store.is_in_generation_index(user, generation, *trans_no);
            if !self.read(deadline, is_in_index).await? {
                discrepancies.insert(Discrepancy::GenerationIndex(*trans_no));
            }
        }
        discrepancies.extend(self.order_discrepancies(user, &snapshot, deadline).await?);
        Ok(Comparison { snapshot, discrepancies, differing_buckets })
    }

    /// Compares grants with the items of their orders.
    async fn order_discrepancies(
        &self,
        user: &UserId,
        snapshot: &UserSnapshot,
        deadline: Timestamp,
    ) -> Result<Vec<Discrepancy>, LedgerError> {
        let compare = |grant: &OrderGrant| {
            let grant = grant.clone();
            async move {
                let stored = self.read(deadline, || self.store.stored_order(&grant.order_no)).await?;
                Ok(match stored.map(readable).transpose() {
                    Ok(order) => grant.compare(user, order.as_ref()),
                    Err(discrepancy) => Some(discrepancy),
                })
            }
        };
        let reads: Vec<_> = snapshot.orders.values().map(compare).collect();
        let found: Vec<_> = stream::iter(reads).buffer_unordered(CONCURRENT_READS).try_collect().await?;
        Ok(found.into_iter().flatten().collect())
    }

    /// Identifies the records that differ in the timeline index.
    pub(super) async fn identify_discrepancies(
        &self,
        user: &UserId,
        comparison: &mut Comparison,
        deadline: Timestamp,
    ) -> Result<(), LedgerError> {
        let (as_of, buckets) = (comparison.snapshot.as_of, std::mem::take(&mut comparison.differing_buckets));
        if !buckets.is_empty() {
            let of_timeline = self.identify_timeline_discrepancies(user, as_of, &buckets, deadline).await?;
            comparison.discrepancies.extend(of_timeline.listed().cloned());
            comparison.discrepancies.insert_unlisted(of_timeline.unlisted());
        }
        Ok(())
    }

    /// Waits until recent writes are visible in all reads.
    ///
    /// # Errors
    /// `Busy` if the deadline is earlier.
    pub(super) async fn wait_before_next_comparison(&self, deadline: Timestamp) -> Result<(), LedgerError> {
        if self.now().plus_millis(COMPARISON_PAUSE_MILLIS.into()) >= deadline {
            return Err(LedgerError::Busy);
        }
        sleep(Duration::from_millis(COMPARISON_PAUSE_MILLIS.into())).await;
        Ok(())
    }
}
