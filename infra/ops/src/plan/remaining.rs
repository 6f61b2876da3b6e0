//! Computes how many credits must remain of each expiry so that the new balance equals the
//! old one.

use std::collections::BTreeMap;

use super::{RejectReason, expiry_bucket::ExpiryBucket};

/// Computes the remaining credits of each bucket from the sum of its old rows.
///
/// The old balance was the sum of the unexpired rows. A charge was one row with the expiry
/// of the last pack that it took from, so a bucket may have been charged for more than was
/// granted in it; the difference came from earlier ones. Remaining credits are never
/// negative and no expiry adds any, so sums that need that are rejected.
pub(super) fn remaining(
    sums: &BTreeMap<ExpiryBucket, i128>,
) -> Result<BTreeMap<ExpiryBucket, i128>, RejectReason> {
    let mut remaining = BTreeMap::new();
    let (mut sum, mut balance) = (0, 0);
    for (bucket, bucket_sum) in sums.iter().rev().filter(|(bucket, _)| **bucket != ExpiryBucket::Expired) {
        sum += bucket_sum;
        let balance_before = sum.max(0);
        if balance_before < balance {
            return Err(if sum < 0 { RejectReason::NegativeBalance } else { RejectReason::RisingBalance });
        }
        remaining.insert(*bucket, balance_before - balance);
        balance = balance_before;
    }
    if sum < 0 { Err(RejectReason::NegativeBalance) } else { Ok(remaining) }
}

#[cfg(test)]
mod tests {
    use scrip::domain::Timestamp;

    use super::*;

    /// Sums of buckets that expire at 1, 2, …, the last one never, and their remaining credits.
    fn check(sums: &[i128], expected: Result<&[i128], RejectReason>) {
        let bucket = |(nth, sum): (usize, &i128)| {
            let expired_at = Timestamp::from_millis(i64::try_from(nth).unwrap() + 1).unwrap();
            (if nth + 1 == sums.len() { ExpiryBucket::Never } else { ExpiryBucket::Until(expired_at) }, *sum)
        };
        let found = remaining(&sums.iter().enumerate().map(bucket).collect());
        let found = found.map(|remaining| remaining.into_values().collect::<Vec<_>>());
        assert_eq!(found.as_deref().map_err(|reason| *reason), expected, "{sums:?}");
    }

    #[test]
    fn balance_equals_the_old_one_at_every_expiry() {
        check(&[5, 2], Ok(&[5, 2]));
        check(&[5, 0], Ok(&[5, 0]));
        // Packs of 5 and 10, and a charge of 12 with the expiry of the second.
        check(&[5, -2], Ok(&[3, 0]));
        check(&[5, -2, -1], Ok(&[2, 0, 0]));
        check(&[5, 3, -1], Ok(&[5, 2, 0]));
        check(&[5, -5], Ok(&[0, 0]));
        check(&[5, -6], Err(RejectReason::NegativeBalance));
        check(&[-1, 5], Err(RejectReason::RisingBalance));
        check(&[10, -3, 5], Err(RejectReason::RisingBalance));
        check(&[10, -6, 5], Err(RejectReason::NegativeBalance));
        check(&[-1], Err(RejectReason::NegativeBalance));
        check(&[0], Ok(&[0]));
    }
}
