//! What a charge costs and owns, step by step through its changes.

use super::{AdjustmentKind, Allocation, Charge, Effect, Grant, ShortfallFill};
use crate::domain::{Credits, TransType};

/// The state of a charge after some of its changes.
///
/// The charge owns credits of packs in the order taken. What is returned is cut from the end.
/// While it owns less than it costs, the difference is its debt.
#[derive(Clone, Debug)]
pub struct ChargeState<'a> {
    charge: &'a Charge,
    /// What the charge costs.
    pub cost: Credits,
    owned: Vec<(&'a Grant, Credits)>,
}

impl<'a> ChargeState<'a> {
    /// The state after the creation.
    pub(super) fn new(charge: &'a Charge) -> ChargeState<'a> {
        let owned = charge.allocations.iter().map(|part| (&part.grant, part.credits)).collect();
        ChargeState { charge, cost: charge.credits, owned }
    }

    /// The credits that it owns, by pack in the order taken.
    pub fn owned(&self) -> impl Iterator<Item = (&'a Grant, Credits)> + '_ {
        self.owned.iter().copied()
    }

    /// What it costs and does not own.
    pub fn debt(&self) -> Credits {
        let owned = self.owned().map(|(_, credits)| credits).sum();
        self.cost.checked_sub(owned).unwrap_or_default()
    }

    /// Applies an adjustment. Returns its effects on the wallet.
    pub(in crate::domain) fn adjust(&mut self, kind: &'a AdjustmentKind) -> Vec<Effect<'a>> {
        let mut effects = Vec::new();
        match kind {
            AdjustmentKind::Settled(settlement) => {
                self.set_cost(settlement.cost(), &mut effects);
                Effect::add_fills(&mut effects, &settlement.fills);
                self.take(&settlement.taken, &mut effects);
                let debt = self.debt();
                if !debt.is_zero() {
                    let parts = self.charge.allocations.len() + settlement.taken.len();
                    effects.push(Effect::Owed(self.charge, debt, parts));
                }
            }
            AdjustmentKind::Returned { outputs, fills, .. } => {
                let worth =
                    self.charge.outputs.map_or(Credits::ZERO, |of| of.worth(self.charge.credits, outputs));
                self.set_cost(self.cost.checked_sub(worth).unwrap_or_default(), &mut effects);
                Effect::add_fills(&mut effects, fills);
            }
            AdjustmentKind::Repaid(taken) => {
                self.take(taken, &mut effects);
                let credits = taken.iter().map(|part| part.credits).sum();
                effects.push(Effect::Repaid(self.charge.trans_no, credits, taken.len()));
            }
            AdjustmentKind::Delivered => {}
        }
        effects
    }

    /// The effects of the void of a charge in this state, with its fills of shortfalls.
    pub(in crate::domain) fn void(&self, fills: &[ShortfallFill]) -> Vec<Effect<'a>> {
        let mut effects = vec![Effect::Voided(self.trans_type(), self.cost)];
        effects.extend(self.owned().map(|(grant, credits)| Effect::Returned(grant, credits)));
        let debt = self.debt();
        if !debt.is_zero() {
            effects.push(Effect::Repaid(self.charge.trans_no, debt, 0));
        }
        Effect::add_fills(&mut effects, fills);
        effects
    }

    fn trans_type(&self) -> TransType {
        TransType::Charge(self.charge.trans_type.clone())
    }

    fn take(&mut self, taken: &'a [Allocation], effects: &mut Vec<Effect<'a>>) {
        self.owned.extend(taken.iter().map(|part| (&part.grant, part.credits)));
        effects.extend(taken.iter().map(|part| Effect::Taken(&part.grant, part.credits)));
    }

    /// Changes the cost, and returns from the end what the charge owns beyond it.
    fn set_cost(&mut self, cost: Credits, effects: &mut Vec<Effect<'a>>) {
        effects.push(Effect::Adjusted(self.trans_type(), self.cost, cost));
        self.cost = cost;
        let owned: Credits = self.owned().map(|(_, credits)| credits).sum();
        let mut surplus = owned.checked_sub(cost).unwrap_or_default();
        while let Some((grant, credits)) = self.owned.pop() {
            let returned = credits.min(surplus);
            surplus = surplus.checked_sub(returned).unwrap_or_default();
            if !returned.is_zero() {
                effects.push(Effect::Returned(grant, returned));
            }
            let rest = credits.checked_sub(returned).unwrap_or_default();
            if !rest.is_zero() {
                self.owned.push((grant, rest));
                break;
            }
        }
    }
}
