//! Refunds, which were positive rows, and the charges that they are of.

use std::collections::BTreeMap;

use scrip::domain::{ChargeType, Credits, GenerationId, Timestamp};

use super::{
    class::{Kind, Line},
    span::Span,
};

/// What a charge and its refund have in common. Rows whose credits stop to count
/// at different times do not cancel out, so they are no pair.
type Common<'a> = (&'a ChargeType, &'a GenerationId, Credits, Span);

/// Finds the refund of each charge, where it is certain, by their places among the
/// lines, which are in the order of time: charge to refund.
///
/// It is certain where all charges that are alike were refunded. Of some of them
/// nobody knows which it were.
pub(super) fn pairs(lines: &[Line], now: Timestamp) -> BTreeMap<usize, usize> {
    let mut alike = BTreeMap::<Common, (Vec<usize>, Vec<usize>)>::new();
    for (place, line) in lines.iter().enumerate() {
        let span = Span::of(line.row.expired_at, now);
        match &line.kind {
            Kind::Charge(of, Some(generation), _) => {
                alike.entry((of, generation, line.credits, span)).or_default().0.push(place);
            }
            Kind::Refund(of, Some(generation)) => {
                alike.entry((of, generation, line.credits, span)).or_default().1.push(place);
            }
            _ => {}
        }
    }
    let certain = alike.into_values().filter_map(|(charges, refunds)| {
        let pairs: Vec<_> = charges.iter().copied().zip(refunds).collect();
        let is_certain = pairs.len() == charges.len() && pairs.iter().all(|(charge, refund)| charge < refund);
        is_certain.then_some(pairs)
    });
    certain.flatten().collect()
}
