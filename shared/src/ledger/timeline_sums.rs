//! The comparison of the timeline index with the records, in constant memory.

use std::{
    collections::BTreeSet,
    hash::{DefaultHasher, Hash, Hasher},
};

use super::Ledger;
use crate::{
    domain::{Discrepancies, Discrepancy, Entry, LedgerError, Timestamp, TransNo, UserId},
    store::StoredItem,
};

/// The number of buckets for the records of a user, by hash. If buckets differ, the entries of
/// up to [`Discrepancies::LISTED_MAX`] of them are in memory at once.
const BUCKETS: usize = 4_096;

/// The number of entries of one read of the index.
const ENTRIES_PER_PAGE: usize = 5_000;

/// The number of entries in each bucket, and the sum of their fingerprints, which does not
/// depend on the order of entries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TimelineSums(Vec<(u64, u128)>);

impl Default for TimelineSums {
    fn default() -> TimelineSums {
        TimelineSums(vec![(0, 0); BUCKETS])
    }
}

impl TimelineSums {
    pub(super) fn add(&mut self, entry: &Entry) {
        if let Some((count, sum)) = self.0.get_mut(bucket(entry.trans_no)) {
            (*count, *sum) = (*count + 1, sum.wrapping_add(entry.fingerprint()));
        }
    }

    /// The buckets with different entries.
    fn differing(&self, other: &TimelineSums) -> Vec<usize> {
        let pairs = self.0.iter().zip(&other.0).enumerate();
        pairs.filter(|(_, (one, other))| one != other).map(|(bucket, _)| bucket).collect()
    }
}

fn bucket(trans_no: TransNo) -> usize {
    let mut hasher = DefaultHasher::new();
    trans_no.hash(&mut hasher);
    usize::try_from(hasher.finish() % BUCKETS as u64).unwrap_or(0)
}

impl Ledger {
    /// The buckets in which the index differs from these sums of the records.
    pub(super) async fn differing_buckets(
        &self,
        user: &UserId,
        sums: &TimelineSums,
        as_of: Option<Timestamp>,
        deadline: Timestamp,
    ) -> Result<Vec<usize>, LedgerError> {
        let mut in_index = TimelineSums::default();
        self.for_each_entry(user, as_of, deadline, |entry| in_index.add(&entry)).await?;
        Ok(sums.differing(&in_index))
    }

    /// The records of these buckets that are missing or different in the index. Reads all
    /// records again. Only counts the buckets after the first hundred.
    pub(super) async fn identify_timeline_discrepancies(
        &self,
        user: &UserId,
        as_of: Option<Timestamp>,
        buckets: &[usize],
        deadline: Timestamp,
    ) -> Result<Discrepancies, LedgerError> {
        let examined: BTreeSet<_> = buckets.iter().take(Discrepancies::LISTED_MAX).copied().collect();
        let fingerprint = |entry: Entry| {
            examined.contains(&bucket(entry.trans_no)).then(|| (entry.trans_no, entry.fingerprint()))
        };
        let (mut in_table, mut only_in_index) = (BTreeSet::new(), BTreeSet::new());
        self.for_each_item(user, deadline, |item| {
            if let StoredItem::Record { record, .. } = item {
                in_table.extend(record.entry().and_then(|entry| entry.as_of(as_of)).and_then(fingerprint));
            }
        })
        .await?;
        self.for_each_entry(user, as_of, deadline, |entry| {
            only_in_index.extend(fingerprint(entry).filter(|hash| !in_table.remove(hash)));
        })
        .await?;
        let differing: BTreeSet<_> =
            in_table.into_iter().chain(only_in_index).map(|(trans_no, _)| trans_no).collect();
        let mut discrepancies = Discrepancies::default();
        discrepancies.extend(differing.into_iter().map(Discrepancy::TimelineIndex));
        discrepancies.insert_unlisted((buckets.len() - examined.len()) as u64);
        Ok(discrepancies)
    }

    /// Calls `take` with each entry of the index as of a time.
    async fn for_each_entry(
        &self,
        user: &UserId,
        as_of: Option<Timestamp>,
        deadline: Timestamp,
        mut take: impl FnMut(Entry) + Send,
    ) -> Result<(), LedgerError> {
        let mut before = None;
        loop {
            let (entries, is_end) = self.entries(user, None, before, ENTRIES_PER_PAGE, deadline).await?;
            before = entries.last().map(|entry| entry.trans_no).or(before);
            entries.into_iter().filter_map(|entry| entry.as_of(as_of)).for_each(&mut take);
            if is_end {
                return Ok(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::domain::{Credits, Grant, GrantType, InvocationId, Record};

    fn entry(nth: u128, credits: u64) -> Entry {
        let trans_no =
            TransNo::new(Timestamp::from_millis(0).unwrap(), InvocationId::new(Uuid::from_u128(nth)));
        let (trans_type, credits) = (GrantType::SystemAdd.into(), Credits::try_from(credits).unwrap());
        let grant = Grant { trans_no, trans_type, credits, order_no: None, expired_at: None };
        Record::Grant(grant.into()).entry().unwrap()
    }

    fn sums(entries: impl IntoIterator<Item = Entry>) -> TimelineSums {
        let mut sums = TimelineSums::default();
        entries.into_iter().for_each(|entry| sums.add(&entry));
        sums
    }

    #[test]
    fn sums_differ_exactly_in_the_buckets_of_differing_entries() {
        let all = || (1..1_000).map(|nth| entry(nth, 5));
        let bucket_of = |nth| vec![bucket(entry(nth, 0).trans_no)];
        for (other, differing) in [
            (sums(all().rev()), Vec::new()),
            (sums(all().skip(1)), bucket_of(1)),
            (sums(all().chain([entry(5_000, 5)])), bucket_of(5_000)),
            (sums(all().skip(1).chain([entry(1, 6)])), bucket_of(1)),
            (sums(all().chain([entry(1, 5)])), bucket_of(1)),
        ] {
            assert_eq!(sums(all()).differing(&other), differing);
        }
    }
}
