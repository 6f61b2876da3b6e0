//! What users lost by charges that were one row: as if each had taken from the last
//! pack alone, so that what should have been taken ran out unused.

use std::collections::{BTreeMap, BTreeSet};

use scrip::domain::{Credits, Timestamp, Wallet};

use super::{
    class::{Kind, Line},
    span::Span,
};

/// What is left of a pack: when it runs out, and how many.
type Rest = (Option<Timestamp>, u64);

/// What there would be more of now, span by span, if each charge had taken what runs
/// out first.
pub(super) fn shortfall(
    lines: &[Line],
    pairs: &BTreeMap<usize, usize>,
    wallet: Option<&Wallet>,
    now: Timestamp,
) -> Vec<(Option<Timestamp>, Credits)> {
    let mut more = BTreeMap::<Span, i128>::new();
    for (expired_at, credits) in replay(lines, pairs) {
        *more.entry(Span::of(expired_at, now)).or_default() += i128::from(credits);
    }
    for pack in wallet.into_iter().flat_map(|wallet| wallet.usable(now)) {
        *more.entry(Span::of(pack.grant.expired_at, now)).or_default() -= i128::from(pack.remaining.as_u64());
    }
    more.remove(&Span::Over);
    // What is more now, and for how long it stays so: never more than at a time before.
    let mut ahead = more.values().sum::<i128>();
    let mut least = ahead.max(0);
    let mut short = Vec::new();
    for (span, of_span) in more {
        ahead -= of_span;
        let stays = least.min(ahead.max(0));
        if let Some(credits) = u64::try_from(least - stays).ok().and_then(|part| Credits::try_from(part).ok())
            && !credits.is_zero()
        {
            short.push((span.expired_at(), credits));
        }
        least = stays;
    }
    short
}

/// The rows once more, each charge from what runs out first; what two requests
/// overdrew is owed, and paid by the next that comes.
fn replay(lines: &[Line], pairs: &BTreeMap<usize, usize>) -> Vec<Rest> {
    let void: BTreeSet<_> = pairs.iter().flat_map(|(charge, refund)| [*charge, *refund]).collect();
    let mut packs = Vec::<Rest>::new();
    let mut owed = 0;
    for (_, line) in lines.iter().enumerate().filter(|(place, _)| !void.contains(place)) {
        match line.kind {
            Kind::Grant(..) | Kind::Refund(..) => {
                let paid = owed.min(line.credits.as_u64());
                owed -= paid;
                let pack = (line.row.expired_at, line.credits.as_u64() - paid);
                let order = |(expired_at, _): &Rest| (expired_at.is_none(), *expired_at);
                packs.insert(packs.partition_point(|other| order(other) <= order(&pack)), pack);
            }
            Kind::Charge(..) => {
                owed += line.credits.as_u64();
                let is_usable = |end: Option<Timestamp>| end.is_none_or(|end| line.row.created_at < end);
                for (_, left) in packs.iter_mut().filter(|(end, _)| is_usable(*end)) {
                    let taken = owed.min(*left);
                    (owed, *left) = (owed - taken, *left - taken);
                }
                packs.retain(|(_, left)| *left > 0);
            }
            Kind::Nothing => {}
        }
    }
    packs
}
