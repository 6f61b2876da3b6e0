//! Matches refunds, which are positive rows, with their charges.

use std::collections::BTreeMap;

use scrip::domain::{ChargeType, Credits, GenerationId, Timestamp};

use super::{
    classify::{ClassifiedRow, RowKind},
    expiry_bucket::ExpiryBucket,
};

/// The values that a charge and its refund share. Rows of different expiry do not cancel
/// out, so they do not match.
type RefundMatch<'a> = (&'a ChargeType, &'a GenerationId, Credits, ExpiryBucket);

/// Maps the index of each charge whose refund is certain to the index of that refund. The
/// rows are in the order of time.
///
/// Refunds are certain if every charge with the same values was refunded. If only some
/// were, the rows do not say which.
pub(super) fn match_refunds(rows: &[ClassifiedRow], now: Timestamp) -> BTreeMap<usize, usize> {
    let mut groups = BTreeMap::<RefundMatch, (Vec<usize>, Vec<usize>)>::new();
    for (index, row) in rows.iter().enumerate() {
        let bucket = ExpiryBucket::new(row.old.expired_at, now);
        match &row.kind {
            RowKind::Charge(charge_type, Some(generation), _) => {
                groups.entry((charge_type, generation, row.credits, bucket)).or_default().0.push(index);
            }
            RowKind::Refund(charge_type, Some(generation)) => {
                groups.entry((charge_type, generation, row.credits, bucket)).or_default().1.push(index);
            }
            _ => {}
        }
    }
    let matches = groups.into_values().filter_map(|(charges, refunds)| {
        let pairs: Vec<_> = charges.iter().copied().zip(refunds).collect();
        let is_certain = pairs.len() == charges.len() && pairs.iter().all(|(charge, refund)| charge < refund);
        is_certain.then_some(pairs)
    });
    matches.flatten().collect()
}
