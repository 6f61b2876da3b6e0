//! Revocations: how credits of a paid order are taken back, and returned.

use super::{Allocation, Effect, Grant, ShortfallFill};
use crate::domain::{Credits, InvocationId, Timestamp};

/// A change of a grant after its creation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revocation {
    /// The version of the wallet after the change.
    pub at: Timestamp,
    /// The invocation that made the change.
    pub invocation: InvocationId,
    /// What changed.
    pub kind: RevocationKind,
}

/// The kinds of revocations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RevocationKind {
    /// More was revoked.
    Revoked {
        /// The credits taken from the pack of the grant.
        taken: Credits,
        /// The credits taken from other packs, in spending order.
        paid: Vec<Allocation>,
        /// The spent credits that the caller left to the user.
        shortfall: Credits,
        /// The spent credits that the user owes.
        owed: Credits,
    },
    /// Less was revoked.
    Restored {
        /// The reduction of the debt.
        owed: Credits,
        /// The reduction of the shortfall.
        shortfall: Credits,
        /// The credits returned to other packs, last taken first.
        paid: Credits,
        /// The credits returned to the pack of the grant.
        returned: Credits,
        /// The returned credits that filled shortfalls of other orders.
        fills: Vec<ShortfallFill>,
    },
    /// Credits of packs repaid debt of this order.
    Repaid(Vec<Allocation>),
}

/// The state of a grant after some of its revocations.
#[derive(Clone, Debug)]
pub struct RevocationState<'a> {
    grant: &'a Grant,
    /// The revoked credits, including shortfall and debt.
    pub total: Credits,
    /// The debt of the order.
    pub owed: Credits,
    paid: Vec<(&'a Grant, Credits)>,
}

impl<'a> RevocationState<'a> {
    /// The state after the creation.
    pub(super) fn new(grant: &'a Grant) -> RevocationState<'a> {
        RevocationState { grant, total: Credits::ZERO, owed: Credits::ZERO, paid: Vec::new() }
    }

    /// The credits of other packs that paid for it.
    pub fn paid(&self) -> Credits {
        self.paid.iter().map(|(_, credits)| *credits).sum()
    }

    /// The number of parts of other packs that paid for it.
    pub fn parts(&self) -> usize {
        self.paid.len()
    }

    /// Applies a revocation. Returns its effects on the wallet.
    pub(in crate::domain) fn apply(&mut self, kind: &'a RevocationKind) -> Vec<Effect<'a>> {
        let mut effects = Vec::new();
        match kind {
            RevocationKind::Revoked { taken, paid, shortfall, owed } => {
                let sum = [*taken, paid.iter().map(|part| part.credits).sum(), *owed].into_iter().sum();
                self.total = [self.total, sum, *shortfall].into_iter().sum();
                effects.push(Effect::Taken(self.grant, *taken));
                self.pay(paid, &mut effects);
                effects.extend([Effect::Revoked(sum), Effect::ShortfallAdded(self.grant, *shortfall)]);
                self.owed = [self.owed, *owed].into_iter().sum();
                effects.push(Effect::OrderOwed(self.grant, *owed, self.paid.len()));
            }
            RevocationKind::Restored { owed, shortfall, paid, returned, fills } => {
                let sum = [*owed, *paid, *returned].into_iter().sum();
                let total = [sum, *shortfall].into_iter().sum();
                self.total = self.total.checked_sub(total).unwrap_or_default();
                self.owed = self.owed.checked_sub(*owed).unwrap_or_default();
                effects.push(Effect::Repaid(self.grant.trans_no, *owed, 0));
                effects.push(Effect::ShortfallReduced(self.grant, *shortfall));
                self.return_paid(*paid, &mut effects);
                effects.push(Effect::Returned(self.grant, *returned));
                Effect::add_fills(&mut effects, fills);
                effects.push(Effect::Restored(sum));
            }
            RevocationKind::Repaid(paid) => {
                let credits = self.pay(paid, &mut effects);
                self.owed = self.owed.checked_sub(credits).unwrap_or_default();
                effects.push(Effect::Repaid(self.grant.trans_no, credits, paid.len()));
            }
        }
        effects.retain(|effect| !effect.is_nothing());
        effects
    }

    fn pay(&mut self, paid: &'a [Allocation], effects: &mut Vec<Effect<'a>>) -> Credits {
        self.paid.extend(paid.iter().map(|part| (&part.grant, part.credits)));
        effects.extend(paid.iter().map(|part| Effect::Taken(&part.grant, part.credits)));
        paid.iter().map(|part| part.credits).sum()
    }

    /// Returns credits to the packs that paid, from the end.
    fn return_paid(&mut self, mut credits: Credits, effects: &mut Vec<Effect<'a>>) {
        while let Some((grant, paid)) = self.paid.pop() {
            let returned = paid.min(credits);
            credits = credits.checked_sub(returned).unwrap_or_default();
            effects.push(Effect::Returned(grant, returned));
            let rest = paid.checked_sub(returned).unwrap_or_default();
            if !rest.is_zero() {
                self.paid.push((grant, rest));
                break;
            }
        }
    }
}
