//! From which packs the old charges took, which their rows do not say.

use std::collections::BTreeMap;

use scrip::domain::{Allocation, Credits, Grant, Pack, Timestamp};

use super::span::Span;

/// A pack, and what may still be taken from it.
struct Source<'a> {
    grant: &'a Grant,
    span: Span,
    left: u64,
}

/// The packs of a user, in spending order, and what all charges together take from
/// those of each span: no more and no less.
pub(super) struct Sources<'a> {
    packs: Vec<Source<'a>>,
    to_take: BTreeMap<Span, u64>,
}

impl<'a> Sources<'a> {
    pub(super) fn new(packs: &'a [Grant], to_take: BTreeMap<Span, u64>, now: Timestamp) -> Sources<'a> {
        let source = |grant: &'a Grant| Source {
            grant,
            span: Span::of(grant.expired_at, now),
            left: grant.credits.as_u64(),
        };
        Sources { packs: packs.iter().map(source).collect(), to_take }
    }

    /// Takes for a charge of then: from the packs that it could have taken from, and
    /// if they do not suffice, because two requests overdrew or the clocks of two
    /// machines differed, from any.
    pub(super) fn take(&mut self, credits: Credits, then: Timestamp) -> Vec<Allocation> {
        let mut owed = credits.as_u64();
        let mut taken = Vec::new();
        let could = |grant: &Grant| grant.trans_no.created_at() <= then && grant.is_usable(then);
        self.take_from(&mut owed, &mut taken, could);
        self.take_from(&mut owed, &mut taken, |_| true);
        self.packs.retain(|pack| pack.left > 0);
        taken
    }

    /// What is left in the packs that have not run out.
    pub(super) fn left(&self) -> Vec<Pack> {
        let packs = self.packs.iter().filter(|pack| pack.span != Span::Over && pack.left > 0);
        let pack = |pack: &Source| Pack {
            grant: pack.grant.clone(),
            remaining: Credits::try_from(pack.left).expect("no more than was granted"),
        };
        packs.map(pack).collect()
    }

    fn take_from(&mut self, owed: &mut u64, taken: &mut Vec<Allocation>, may: impl Fn(&Grant) -> bool) {
        for pack in self.packs.iter_mut().filter(|pack| may(pack.grant)) {
            let Some(of_span) = self.to_take.get_mut(&pack.span) else { continue };
            let part = (*owed).min(pack.left).min(*of_span);
            if part > 0 {
                (*owed, pack.left, *of_span) = (*owed - part, pack.left - part, *of_span - part);
                add(taken, pack.grant, part);
            }
            if *owed == 0 {
                return;
            }
        }
    }
}

/// What a charge took that was given back, so that it is nobody's any more: from the
/// packs of its time, and if they do not suffice, from any.
pub(super) fn given_back(packs: &[Grant], credits: Credits, then: Timestamp) -> Vec<Allocation> {
    let mut owed = credits.as_u64();
    let mut taken = Vec::new();
    let could = |grant: &&Grant| grant.trans_no.created_at() <= then && grant.is_usable(then);
    for grant in packs.iter().filter(could).chain(packs.iter().filter(|grant| !could(grant))) {
        let part = owed.min(grant.credits.as_u64());
        if part > 0 {
            owed -= part;
            add(&mut taken, grant, part);
        }
    }
    taken
}

/// Adds to what was taken from a pack.
fn add(taken: &mut Vec<Allocation>, grant: &Grant, part: u64) {
    let before = taken.iter_mut().find(|allocation| allocation.grant.trans_no == grant.trans_no);
    let sum = part + before.as_ref().map_or(0, |allocation| allocation.credits.as_u64());
    let credits = Credits::try_from(sum).expect("no more than its pack");
    match before {
        Some(allocation) => allocation.credits = credits,
        None => taken.push(Allocation { grant: grant.clone(), credits }),
    }
}
