//! Computes what users lost because a charge was one row with the expiry of the last pack:
//! earlier packs that should have paid for it expired unused.

use std::collections::{BTreeMap, BTreeSet};

use scrip::domain::{Credits, Timestamp, Wallet};

use super::{
    classify::{ClassifiedRow, RowKind},
    expiry_bucket::ExpiryBucket,
    match_refunds::{Refund, Refunds},
};

/// Expiry and remaining credits.
type RemainingPack = (Option<Timestamp>, u64);

/// The credits that the user would have beyond the wallet, by expiry, if each charge had
/// taken from the pack that expires first.
pub(super) fn shortfall(
    rows: &[ClassifiedRow],
    refunds: &Refunds,
    wallet: Option<&Wallet>,
    now: Timestamp,
) -> Vec<(Option<Timestamp>, Credits)> {
    let mut differences = BTreeMap::<ExpiryBucket, i128>::new();
    for (expired_at, credits) in replay(rows, refunds) {
        *differences.entry(ExpiryBucket::new(expired_at, now)).or_default() += i128::from(credits);
    }
    for pack in wallet.into_iter().flat_map(|wallet| wallet.usable(now)) {
        *differences.entry(ExpiryBucket::new(pack.grant.expired_at, now)).or_default() -=
            i128::from(pack.remaining.as_u64());
    }
    differences.remove(&ExpiryBucket::Expired);
    // A grant counts until its expiry, so it may be no more than the difference at any
    // earlier expiry.
    let mut ahead = differences.values().sum::<i128>();
    let mut lacking = ahead.max(0);
    let mut shortfall = Vec::new();
    for (bucket, difference) in differences {
        ahead -= difference;
        let lacking_later = lacking.min(ahead.max(0));
        if let Some(credits) =
            u64::try_from(lacking - lacking_later).ok().and_then(|part| Credits::try_from(part).ok())
            && !credits.is_zero()
        {
            shortfall.push((bucket.expired_at(), credits));
        }
        lacking = lacking_later;
    }
    shortfall
}

/// Replays the rows with each charge taken from the pack that expires first. An overdrawn
/// amount is paid by the next grant.
fn replay(rows: &[ClassifiedRow], refunds: &Refunds) -> Vec<RemainingPack> {
    let cancelled = |(charge, refund): (&usize, &Refund)| match refund {
        Refund::Cancelled(refund) => vec![*charge, *refund],
        Refund::Marked(_) => vec![*charge],
        Refund::Elsewhere(..) => Vec::new(),
    };
    let voided: BTreeSet<_> = refunds.iter().flat_map(cancelled).collect();
    let mut packs = Vec::<RemainingPack>::new();
    let mut unpaid = 0;
    for (_, row) in rows.iter().enumerate().filter(|(index, _)| !voided.contains(index)) {
        match row.kind {
            RowKind::Grant(..) | RowKind::Refund(..) => {
                let paid = unpaid.min(row.credits.as_u64());
                unpaid -= paid;
                let pack = (row.old.expired_at, row.credits.as_u64() - paid);
                let order = |(expired_at, _): &RemainingPack| (expired_at.is_none(), *expired_at);
                packs.insert(packs.partition_point(|other| order(other) <= order(&pack)), pack);
            }
            RowKind::Charge(..) => {
                unpaid += row.credits.as_u64();
                let is_usable = |expiry: Option<Timestamp>| expiry.is_none_or(|at| row.old.created_at < at);
                for (_, remaining) in packs.iter_mut().filter(|(expiry, _)| is_usable(*expiry)) {
                    let taken = unpaid.min(*remaining);
                    (unpaid, *remaining) = (unpaid - taken, *remaining - taken);
                }
                packs.retain(|(_, remaining)| *remaining > 0);
            }
            RowKind::ZeroCredits => {}
        }
    }
    packs
}
