//! Matches refunds, which are positive rows, with the charges of their generation.

use std::collections::BTreeMap;

use scrip::domain::{GenerationId, Timestamp};

use super::{
    classify::{ClassifiedRow, RowKind},
    expiry_bucket::ExpiryBucket,
};

/// The refunds of each charge, by the index of its row.
pub(super) type Refunds = BTreeMap<usize, Refund>;

/// How a charge was refunded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Refund {
    /// By a row that cancels it out: the same credits and expiry. Index of that row.
    Cancelled(usize),
    /// By rows of other credits or another expiry, which stay grants: the credits, at most
    /// those of the charge, and the indexes of these rows.
    Elsewhere(u64, Vec<usize>),
    /// By a mark in its own row, in the layout `lots`.
    Marked(Timestamp),
}

impl Refund {
    /// Whether the charge costs nothing, and its packs have its credits back.
    pub(super) fn is_restored(&self) -> bool {
        matches!(self, Refund::Cancelled(_) | Refund::Marked(_))
    }
}

/// Matches the refunds of each generation with its charges. The rows are in the order of time.
///
/// First each refund cancels the oldest charge of the same type, credits and expiry. Such
/// charges are alike, so any of them may be voided. The credits of the
/// other refunds are assigned to the remaining charges, one of the same credits first, so that
/// no later refund returns them again.
pub(super) fn match_refunds(rows: &[ClassifiedRow], as_of: Timestamp) -> Refunds {
    let mut refunds = marked_refunds(rows);
    for generation in by_generation(rows).into_values().filter(|generation| !generation.refunds.is_empty()) {
        let mut remaining = Vec::new();
        for refund in generation.refunds {
            let is_alike = |charge: &usize| {
                let (charge, refund) = (&rows[*charge], &rows[refund]);
                let bucket = |row: &ClassifiedRow| ExpiryBucket::new(row.old.expired_at, as_of);
                charge.kind.charge_type() == refund.kind.charge_type()
                    && charge.credits == refund.credits
                    && bucket(charge) == bucket(refund)
            };
            let is_open = |charge: &usize| !refunds.contains_key(charge) && is_alike(charge);
            match generation.charges.iter().copied().find(is_open) {
                Some(charge) => _ = refunds.insert(charge, Refund::Cancelled(refund)),
                None => remaining.push(refund),
            }
        }
        for refund in remaining {
            assign(rows, &generation.charges, refund, &mut refunds);
        }
    }
    refunds
}

fn marked_refunds(rows: &[ClassifiedRow]) -> Refunds {
    let mark = |(index, row): (usize, &ClassifiedRow)| {
        let at = row.old.lot.as_ref()?.refunded_at?;
        matches!(row.kind, RowKind::Charge(..)).then_some((index, Refund::Marked(at)))
    };
    rows.iter().enumerate().filter_map(mark).collect()
}

/// Assigns the credits of a refund to charges of its generation that are not refunded yet.
fn assign(rows: &[ClassifiedRow], charges: &[usize], refund: usize, refunds: &mut Refunds) {
    let mut credits = rows[refund].credits.as_u64();
    let is_equal = |charge: &&usize| rows[**charge].credits.as_u64() == credits;
    let (equal, others): (Vec<_>, Vec<_>) = charges.iter().partition(is_equal);
    for charge in equal.into_iter().chain(others) {
        let assigned = match refunds.get(charge) {
            Some(Refund::Cancelled(_) | Refund::Marked(_)) => continue,
            Some(Refund::Elsewhere(assigned, _)) => *assigned,
            None => 0,
        };
        let part = credits.min(rows[*charge].credits.as_u64() - assigned);
        if part > 0
            && let Refund::Elsewhere(assigned, by) =
                refunds.entry(*charge).or_insert(Refund::Elsewhere(0, Vec::new()))
        {
            (*assigned, credits) = (*assigned + part, credits - part);
            by.push(refund);
        }
    }
}

/// Indexes of the charges and refunds of a generation, in the order of time.
#[derive(Default)]
struct Generation {
    charges: Vec<usize>,
    refunds: Vec<usize>,
}

fn by_generation<'a>(rows: &'a [ClassifiedRow]) -> BTreeMap<&'a GenerationId, Generation> {
    let mut generations = BTreeMap::<_, Generation>::new();
    for (index, row) in rows.iter().enumerate() {
        match &row.kind {
            RowKind::Charge(_, Some(generation), _) => {
                generations.entry(generation).or_default().charges.push(index);
            }
            RowKind::Refund(_, Some(generation)) => {
                generations.entry(generation).or_default().refunds.push(index);
            }
            _ => {}
        }
    }
    generations
}
