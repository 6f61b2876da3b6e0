//! What must be left of what was granted, so that the new balance is the old one.

use std::collections::BTreeMap;

use super::{Why, span::Span};

/// What must be left of all packs of a span together.
pub(super) type Left = BTreeMap<Span, i128>;

/// Finds what must be left, span by span, from the sums of the old rows of each.
///
/// The old balance was the sum of what had not run out, and a charge was one row,
/// with the expiry of the last pack that it took from. So a span may have been
/// charged for more than was granted in it: the rest was of earlier ones. Nothing
/// that is left can be below zero, and nothing comes back when something else runs
/// out: a sum that does neither fits.
pub(super) fn left(sums: &BTreeMap<Span, i128>) -> Result<Left, Why> {
    let mut left = Left::new();
    let (mut sum, mut balance) = (0, 0);
    for (span, of_span) in sums.iter().rev().filter(|(span, _)| **span != Span::Over) {
        sum += of_span;
        let earlier = sum.max(0);
        if earlier < balance {
            return Err(if sum < 0 { Why::Negative } else { Why::Rising });
        }
        left.insert(*span, earlier - balance);
        balance = earlier;
    }
    if sum < 0 { Err(Why::Negative) } else { Ok(left) }
}

#[cfg(test)]
mod tests {
    use scrip::domain::Timestamp;

    use super::*;

    /// Sums of spans that end at 1, 2, …, the last never; and what must be left.
    fn check(sums: &[i128], expected: Result<&[i128], Why>) {
        let span = |(nth, sum): (usize, &i128)| {
            let ends = Timestamp::from_millis(i64::try_from(nth).unwrap() + 1).unwrap();
            (if nth + 1 == sums.len() { Span::Ever } else { Span::Until(ends) }, *sum)
        };
        let found = left(&sums.iter().enumerate().map(span).collect());
        let found = found.map(|left| left.into_values().collect::<Vec<_>>());
        assert_eq!(found.as_deref().map_err(|why| *why), expected, "{sums:?}");
    }

    #[test]
    fn the_balance_is_what_it_was_at_every_expiry() {
        check(&[5, 2], Ok(&[5, 2]));
        check(&[5, 0], Ok(&[5, 0]));
        // Packs of 5 and 10, and a charge of 12 in the row of the second.
        check(&[5, -2], Ok(&[3, 0]));
        check(&[5, -2, -1], Ok(&[2, 0, 0]));
        check(&[5, 3, -1], Ok(&[5, 2, 0]));
        check(&[5, -5], Ok(&[0, 0]));
        check(&[5, -6], Err(Why::Negative));
        check(&[-1, 5], Err(Why::Rising));
        check(&[10, -3, 5], Err(Why::Rising));
        check(&[10, -6, 5], Err(Why::Negative));
        check(&[-1], Err(Why::Negative));
        check(&[0], Ok(&[0]));
    }
}
