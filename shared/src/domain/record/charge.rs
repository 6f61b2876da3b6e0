//! Charges: credits that went, from which packs, and whether they were given back.

use std::iter::once;

use super::{Change, ChangeOrigin, Effect, Grant};
use crate::domain::{
    ChargeType, Credits, GenerationId, InvocationId, OrderNo, Reason, Timestamp, TransNo, TransType,
};

/// Credits taken.
///
/// The charge owns the first `live` credits of `allocations` and then `extra`; giving
/// back cuts from the end. A void gives back all that it owned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Charge {
    /// Its identity and its time.
    pub trans_no: TransNo,
    /// What for.
    pub trans_type: ChargeType,
    /// How many it took first, as a positive number.
    pub credits: Credits,
    /// The generation it pays for.
    pub generation: Option<GenerationId>,
    /// The order that the caller noted.
    pub order_no: Option<OrderNo>,
    /// Where these came from, in the order taken. Never changed: it is the first answer.
    pub allocations: Vec<Allocation>,
    /// What later changes took beside them, in the order taken; only ever added to.
    pub extra: Vec<Allocation>,
    /// How many it costs now, or cost until it was voided.
    pub live: Credits,
    /// The refund, if there was one.
    pub void: Option<Void>,
}

/// How much a charge took from which pack, with all that is needed to restore the pack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allocation {
    /// The pack's grant.
    pub grant: Grant,
    /// How many were taken from it.
    pub credits: Credits,
}

/// The mark of a refund on a charge, or in the place of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Void {
    /// When.
    pub at: Timestamp,
    /// Why.
    pub reason: Reason,
    /// Which invocation did it.
    pub invocation: InvocationId,
}

impl Charge {
    /// What it owns, or owned until it was voided, in the order taken.
    pub fn owned(&self) -> impl Iterator<Item = (&Grant, Credits)> {
        let mut left = self.live;
        self.allocations.iter().chain(&self.extra).map_while(move |part| {
            let owned = part.credits.min(left);
            left = left.checked_sub(owned)?;
            (!owned.is_zero()).then_some((&part.grant, owned))
        })
    }

    /// What its void does, or did.
    pub(in crate::domain) fn void_effects(&self) -> impl Iterator<Item = Effect<'_>> {
        let voided = Effect::Voided(TransType::Charge(self.trans_type.clone()), self.live);
        once(voided).chain(self.owned().map(|(grant, credits)| Effect::Returned(grant, credits)))
    }

    /// What charging did.
    pub(in crate::domain) fn effects(&self) -> impl Iterator<Item = Effect<'_>> {
        let created = Effect::Created(TransType::Charge(self.trans_type.clone()), self.credits);
        once(created).chain(self.allocations.iter().map(|part| Effect::Taken(&part.grant, part.credits)))
    }

    pub(super) fn changes(&self) -> Vec<Change<'_>> {
        let (at, origin) = (self.trans_no.created_at(), ChangeOrigin::TransNo(self.trans_no));
        let mut changes: Vec<_> = self.effects().map(|effect| Change { at, origin, effect }).collect();
        if let Some(void) = &self.void {
            let (at, origin) = (void.at, ChangeOrigin::Invocation(void.invocation));
            changes.extend(self.void_effects().map(|effect| Change { at, origin, effect }));
        }
        changes
    }
}
