//! The balances that a migrated user must have, computed from the rows alone.

use std::collections::BTreeMap;

use scrip::domain::Timestamp;

use super::OldRow;

/// The balance as of the migration and after each later expiry, by moment: the least sum of
/// unexpired rows from the migration until then, and at least 0.
pub fn expected_balances(rows: &[OldRow], as_of: Timestamp) -> BTreeMap<Timestamp, i128> {
    let is_unexpired = |row: &&OldRow| row.expired_at.is_none_or(|expiry| as_of < expiry);
    let mut sum: i128 = rows.iter().filter(is_unexpired).map(OldRow::counted_credits).sum();
    let mut expiring = BTreeMap::<Timestamp, i128>::new();
    for row in rows.iter().filter(is_unexpired) {
        if let Some(expiry) = row.expired_at {
            *expiring.entry(expiry).or_default() += row.counted_credits();
        }
    }
    let mut least = sum.max(0);
    let mut balances = BTreeMap::from([(as_of, least)]);
    for (expiry, credits) in expiring {
        sum -= credits;
        least = least.min(sum.max(0));
        balances.insert(expiry, least);
    }
    balances
}
