//! Charges, their allocations and their voids.

use std::iter::once;

use super::{Change, ChangeOrigin, Effect, Grant};
use crate::domain::{
    ChargeType, Credits, GenerationId, InvocationId, Metadata, OrderNo, Reason, Timestamp, TransNo, TransType,
};

/// The record of a charge.
///
/// The charge owns the first `live` credits of `allocations`, followed by `extra`. A void
/// returns the credits that the charge owns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Charge {
    /// The identity, with the creation time.
    pub trans_no: TransNo,
    /// The type.
    pub trans_type: ChargeType,
    /// The credits that it took first, as a positive number.
    pub credits: Credits,
    /// The generation that it pays for.
    pub generation: Option<GenerationId>,
    /// The order of the request.
    pub order_no: Option<OrderNo>,
    /// The caller's own fields.
    pub metadata: Metadata,
    /// The origin of `credits`, in spending order. It never changes, because replays return
    /// it.
    pub allocations: Vec<Allocation>,
    /// The origin of credits that later changes took, in the order taken.
    pub extra: Vec<Allocation>,
    /// The present cost, or the cost until the void.
    pub live: Credits,
    /// The void, if the charge was refunded.
    pub void: Option<Void>,
}

/// The part of a charge that one pack paid. It contains the grant, so that a refund can
/// restore a pack that is no longer in the wallet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allocation {
    /// The grant of the pack.
    pub grant: Grant,
    /// The credits taken from the pack.
    pub credits: Credits,
}

/// The mark of a refund: on a charge, or as a fence at its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Void {
    /// The time of the refund.
    pub at: Timestamp,
    /// The reason of the refund.
    pub reason: Reason,
    /// The invocation that refunded.
    pub invocation: InvocationId,
}

impl Charge {
    /// The credits that it owns, or owned until its void, by pack in the order taken.
    pub fn owned(&self) -> impl Iterator<Item = (&Grant, Credits)> {
        let mut remaining = self.live;
        self.allocations.iter().chain(&self.extra).map_while(move |part| {
            let owned = part.credits.min(remaining);
            remaining = remaining.checked_sub(owned)?;
            (!owned.is_zero()).then_some((&part.grant, owned))
        })
    }

    /// The effects of its void.
    pub(in crate::domain) fn void_effects(&self) -> impl Iterator<Item = Effect<'_>> {
        let voided = Effect::Voided(TransType::Charge(self.trans_type.clone()), self.live);
        once(voided).chain(self.owned().map(|(grant, credits)| Effect::Returned(grant, credits)))
    }

    /// The effects of the charge.
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
