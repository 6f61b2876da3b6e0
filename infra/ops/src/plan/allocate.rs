//! Chooses the packs that paid the old charges, which their rows do not name.

use std::collections::BTreeMap;

use scrip::domain::{Allocation, Credits, Grant, Pack, Timestamp, TransNo};

use super::expiry_bucket::ExpiryBucket;

/// Packs from which the charges together take a given sum: those of one expiry, or a single
/// one where the old table says what remains of it.
pub(super) type PackGroup = (ExpiryBucket, Option<TransNo>);

struct OpenPack<'a> {
    grant: &'a Grant,
    group: PackGroup,
    remaining: u64,
}

/// The packs of a user in spending order, and the credits that all live charges together
/// take from those of each group.
pub(super) struct PackAllocator<'a> {
    packs: Vec<OpenPack<'a>>,
    charged: BTreeMap<PackGroup, u64>,
}

impl<'a> PackAllocator<'a> {
    /// Packs are in the group of their own if there is one.
    pub(super) fn new(
        packs: &'a [Grant],
        charged: BTreeMap<PackGroup, u64>,
        as_of: Timestamp,
    ) -> PackAllocator<'a> {
        let pack = |grant: &'a Grant| {
            let bucket = ExpiryBucket::new(grant.expired_at, as_of);
            let own = Some(grant.trans_no).filter(|own| charged.contains_key(&(bucket, Some(*own))));
            OpenPack { grant, group: (bucket, own), remaining: grant.credits.as_u64() }
        };
        PackAllocator { packs: packs.iter().map(pack).collect(), charged }
    }

    /// Allocates a charge to the named packs, then to packs that were usable at `charged_at`,
    /// and beyond them to any pack: concurrent requests may have overdrawn, and clocks of
    /// machines differ.
    pub(super) fn allocate(
        &mut self,
        credits: Credits,
        charged_at: Timestamp,
        named: &BTreeMap<TransNo, u64>,
    ) -> Vec<Allocation> {
        let mut unpaid = credits.as_u64();
        let mut allocations = Vec::new();
        self.take_from(&mut unpaid, &mut allocations, |grant| {
            named.get(&grant.trans_no).copied().unwrap_or_default()
        });
        let no_limit = |is_allowed: bool| if is_allowed { u64::MAX } else { 0 };
        self.take_from(&mut unpaid, &mut allocations, |grant| no_limit(was_usable(grant, charged_at)));
        self.take_from(&mut unpaid, &mut allocations, |_| u64::MAX);
        self.packs.retain(|pack| pack.remaining > 0);
        allocations
    }

    /// Allocates everything that the charges did not take.
    pub(super) fn allocate_rest(&mut self) -> Vec<Allocation> {
        let (mut unpaid, mut allocations) = (u64::MAX, Vec::new());
        self.take_from(&mut unpaid, &mut allocations, |_| u64::MAX);
        allocations
    }

    /// Unexpired packs with remaining credits.
    pub(super) fn remaining_packs(&self) -> Vec<Pack> {
        let packs =
            self.packs.iter().filter(|pack| pack.group.0 != ExpiryBucket::Expired && pack.remaining > 0);
        let pack = |pack: &OpenPack<'_>| Pack {
            grant: pack.grant.clone(),
            remaining: Credits::try_from(pack.remaining).expect("no more than was granted"),
        };
        packs.map(pack).collect()
    }

    /// Takes from each pack at most `limit`.
    fn take_from(
        &mut self,
        unpaid: &mut u64,
        allocations: &mut Vec<Allocation>,
        limit: impl Fn(&Grant) -> u64,
    ) {
        for pack in &mut self.packs {
            let Some(charged) = self.charged.get_mut(&pack.group) else { continue };
            let part = (*unpaid).min(pack.remaining).min(*charged).min(limit(pack.grant));
            if part > 0 {
                (*unpaid, pack.remaining, *charged) =
                    (*unpaid - part, pack.remaining - part, *charged - part);
                add(allocations, pack.grant, part);
            }
            if *unpaid == 0 {
                return;
            }
        }
    }
}

/// Allocates a charge that was refunded, so it leaves the packs unchanged: to packs that
/// were usable at `charged_at`, and beyond them to any pack.
pub(super) fn allocate_refunded(packs: &[Grant], credits: Credits, charged_at: Timestamp) -> Vec<Allocation> {
    let mut unpaid = credits.as_u64();
    let mut allocations = Vec::new();
    let (usable, others): (Vec<_>, Vec<_>) = packs.iter().partition(|grant| was_usable(grant, charged_at));
    for grant in usable.into_iter().chain(others) {
        let part = unpaid.min(grant.credits.as_u64());
        if part > 0 {
            unpaid -= part;
            add(&mut allocations, grant, part);
        }
    }
    allocations
}

fn was_usable(grant: &Grant, at: Timestamp) -> bool {
    grant.trans_no.created_at() <= at && grant.is_usable(at)
}

/// Adds credits to the allocation of a pack.
fn add(allocations: &mut Vec<Allocation>, grant: &Grant, part: u64) {
    let existing = allocations.iter_mut().find(|allocation| allocation.grant.trans_no == grant.trans_no);
    let sum = part + existing.as_ref().map_or(0, |allocation| allocation.credits.as_u64());
    let credits = Credits::try_from(sum).expect("at most the credits of its pack");
    match existing {
        Some(allocation) => allocation.credits = credits,
        None => allocations.push(Allocation { grant: grant.clone(), credits }),
    }
}
