//! Computes what must remain of each expiry, so that no expiry adds credits.

use std::collections::BTreeMap;

use super::expiry_bucket::ExpiryBucket;

/// The credits that remain of the packs of each bucket, and what differs from the old sums.
///
/// The old balance was the sum of the unexpired rows, or zero if that was negative. A charge
/// was one row with the expiry of one pack, so an expiry could add credits that were never
/// granted. The new balance equals the old one as of the migration. After each later expiry
/// it is the least old balance from the migration until then, so nothing comes back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct TargetBalance {
    /// Never negative, and at most the sum of the bucket's rows, so at most its grants.
    pub(super) remaining: BTreeMap<ExpiryBucket, i128>,
    /// By how much the old sum was below zero as of the migration.
    pub(super) forgiven: i128,
    /// The most by which the old balance would have exceeded the new one later.
    pub(super) returning: i128,
}

impl TargetBalance {
    /// From the sum of the rows of each bucket.
    pub(super) fn new(sums: &BTreeMap<ExpiryBucket, i128>) -> TargetBalance {
        let unexpired = sums.iter().filter(|(bucket, _)| **bucket != ExpiryBucket::Expired);
        let mut old_sum: i128 = unexpired.clone().map(|(_, sum)| sum).sum();
        let mut balance = old_sum.max(0);
        let mut target = TargetBalance { forgiven: (-old_sum).max(0), ..TargetBalance::default() };
        for (bucket, sum) in unexpired {
            old_sum -= sum;
            let next = balance.min(old_sum.max(0));
            target.remaining.insert(*bucket, balance - next);
            target.returning = target.returning.max(old_sum - next);
            balance = next;
        }
        target
    }
}

#[cfg(test)]
mod tests {
    use scrip::domain::Timestamp;

    use super::*;

    /// Sums of buckets that expire at 1, 2, …, the last one never; their remaining credits,
    /// and what was forgiven and would have come back.
    fn check(sums: &[i128], remaining: &[i128], forgiven: i128, returning: i128) {
        let bucket = |(nth, sum): (usize, &i128)| {
            let expired_at = Timestamp::from_millis(i64::try_from(nth).unwrap() + 1).unwrap();
            (if nth + 1 == sums.len() { ExpiryBucket::Never } else { ExpiryBucket::Until(expired_at) }, *sum)
        };
        let found = TargetBalance::new(&sums.iter().enumerate().map(bucket).collect());
        assert_eq!(found.remaining.into_values().collect::<Vec<_>>(), remaining, "{sums:?}");
        assert_eq!((found.forgiven, found.returning), (forgiven, returning), "{sums:?}");
    }

    #[test]
    fn balance_equals_the_old_one_and_never_rises() {
        check(&[5, 2], &[5, 2], 0, 0);
        check(&[5, 0], &[5, 0], 0, 0);
        // Packs of 5 and 10, and a charge of 12 with the expiry of the second.
        check(&[5, -2], &[3, 0], 0, 0);
        check(&[5, -2, -1], &[2, 0, 0], 0, 0);
        check(&[5, 3, -1], &[5, 2, 0], 0, 0);
        check(&[5, -5], &[0, 0], 0, 0);
        // The sum is below zero.
        check(&[5, -6], &[0, 0], 1, 0);
        check(&[-1], &[0], 1, 0);
        check(&[10, -20, 5], &[0, 0, 0], 5, 5);
        // An expiry would add credits.
        check(&[-1, 5], &[0, 4], 0, 1);
        check(&[10, -3, 5], &[10, 0, 2], 0, 3);
        check(&[10, -6, 5], &[9, 0, 0], 0, 5);
        check(&[10, -6, 2, -3, 5], &[8, 0, 0, 0, 0], 0, 5);
        check(&[0], &[0], 0, 0);
    }
}
