//! Charges, their allocations, their later changes and their voids.

use std::{collections::BTreeMap, iter::once};

use super::{Change, ChangeOrigin, ChargeState, Effect, Grant, RecordVersion, ShortfallFill};
use crate::domain::{
    ChargeType, Credits, GenerationId, IdempotencyKey, InvocationId, Metadata, OrderNo, OutputSet, Outputs,
    Reason, RecordKey, Timestamp, TransNo, TransType,
};

/// The record of a charge.
///
/// What it costs and what it took are the results of its creation and its adjustments; see
/// [`Charge::state`].
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
    /// The idempotency key, which is part of the record's key.
    pub key: Option<IdempotencyKey>,
    /// The order of the request.
    pub order_no: Option<OrderNo>,
    /// The caller's own fields.
    pub metadata: Metadata,
    /// The number of parts that can be refunded on their own.
    pub outputs: Option<Outputs>,
    /// The time at which it is voided, unless it was settled or delivered before.
    pub hold_until: Option<Timestamp>,
    /// The origin of `credits`, in spending order. It never changes, because replays return
    /// it.
    pub allocations: Vec<Allocation>,
    /// The later changes but the void, oldest first.
    pub adjustments: Vec<Adjustment>,
    /// The void, if the charge was refunded.
    pub void: Option<Void>,
    /// When a provider reported success after the void.
    pub late_success_at: Option<Timestamp>,
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

/// A change of a charge after its creation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Adjustment {
    /// The version of the wallet after the change.
    pub at: Timestamp,
    /// The invocation that made the change.
    pub invocation: InvocationId,
    /// What changed.
    pub kind: AdjustmentKind,
}

/// The kinds of adjustments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AdjustmentKind {
    /// The charge was set to its actual cost.
    Settled(Settlement),
    /// Outputs were refunded.
    Returned {
        /// The outputs.
        outputs: OutputSet,
        /// The credits that repaid debts at once.
        repaid: Credits,
        /// The credits that filled shortfalls of revoked orders.
        fills: Vec<ShortfallFill>,
    },
    /// Credits of packs repaid debt of this charge.
    Repaid(Vec<Allocation>),
    /// A provider reported success of a charge with outputs. It ends the hold.
    Delivered,
}

/// How a charge was settled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settlement {
    /// The actual cost in the request.
    pub requested: Credits,
    /// The part of it that was written off.
    pub uncovered: Credits,
    /// The credits taken in addition, in spending order.
    pub taken: Vec<Allocation>,
    /// The returned credits that repaid debts at once.
    pub repaid: Credits,
    /// The returned credits that filled shortfalls of revoked orders.
    pub fills: Vec<ShortfallFill>,
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
    /// The returned credits that repaid debts at once.
    pub repaid: Credits,
    /// The returned credits that filled shortfalls of revoked orders.
    pub fills: Vec<ShortfallFill>,
}

impl Void {
    /// A void whose credits return to their packs alone.
    pub fn new(at: Timestamp, reason: Reason, invocation: InvocationId) -> Void {
        Void { at, reason, invocation, repaid: Credits::ZERO, fills: Vec::new() }
    }
}

impl Settlement {
    /// A settlement whose returned credits return to their packs alone.
    pub fn new(requested: Credits, uncovered: Credits, taken: Vec<Allocation>) -> Settlement {
        Settlement { requested, uncovered, taken, repaid: Credits::ZERO, fills: Vec::new() }
    }

    /// What the charge costs after it.
    pub fn cost(&self) -> Credits {
        self.requested.checked_sub(self.uncovered).unwrap_or_default()
    }
}

impl Charge {
    /// A charge of these allocations without generation, key, outputs or hold.
    pub fn new(
        trans_no: TransNo,
        trans_type: ChargeType,
        credits: Credits,
        allocations: Vec<Allocation>,
    ) -> Charge {
        Charge {
            trans_no,
            trans_type,
            credits,
            generation: None,
            key: None,
            order_no: None,
            metadata: Metadata::default(),
            outputs: None,
            hold_until: None,
            allocations,
            adjustments: Vec::new(),
            void: None,
            late_success_at: None,
        }
    }

    /// The key of the record, unless it is that of an invocation.
    pub fn record_key(&self) -> Option<RecordKey> {
        (self.generation.is_some() || self.key.is_some())
            .then(|| RecordKey::Charge { generation: self.generation.clone(), key: self.key.clone() })
    }

    /// What it costs and owns now, or before its void.
    pub fn state(&self) -> ChargeState<'_> {
        let mut state = ChargeState::new(self);
        for adjustment in &self.adjustments {
            state.adjust(&adjustment.kind);
        }
        state
    }

    /// What it cost and owned before this adjustment of it.
    pub fn state_before(&self, adjustment: &Adjustment) -> ChargeState<'_> {
        let mut state = ChargeState::new(self);
        for earlier in self.adjustments.iter().take_while(|earlier| *earlier != adjustment) {
            state.adjust(&earlier.kind);
        }
        state
    }

    /// The settlement, and the adjustment that contains it.
    pub fn settlement(&self) -> Option<(&Adjustment, &Settlement)> {
        self.adjustments.iter().find_map(|adjustment| match &adjustment.kind {
            AdjustmentKind::Settled(settlement) => Some((adjustment, settlement)),
            _ => None,
        })
    }

    /// The time between its creation and the end of its hold, in milliseconds.
    pub fn hold_millis(&self) -> Option<i64> {
        self.hold_until.map(|until| until.millis() - self.trans_no.created_at().millis())
    }

    /// Whether it was settled, or a provider reported success.
    pub fn is_final(&self) -> bool {
        let is_final =
            |kind: &AdjustmentKind| matches!(kind, AdjustmentKind::Settled(_) | AdjustmentKind::Delivered);
        self.adjustments.iter().any(|adjustment| is_final(&adjustment.kind))
    }

    /// The time and the cost of the settlement.
    pub fn settled(&self) -> Option<(Timestamp, Credits)> {
        self.settlement().map(|(adjustment, settlement)| (adjustment.at, settlement.cost()))
    }

    /// The outputs that were refunded, with the times; not those that a void refunded.
    pub fn returned_outputs(&self) -> BTreeMap<u8, Timestamp> {
        let returned = |adjustment: &Adjustment| match &adjustment.kind {
            AdjustmentKind::Returned { outputs, .. } => {
                outputs.numbers().map(|output| (output, adjustment.at)).collect()
            }
            _ => Vec::new(),
        };
        self.adjustments.iter().flat_map(returned).collect()
    }

    /// The last version of the wallet that the charge belongs to.
    pub fn changed_at(&self) -> Timestamp {
        let adjusted_at = self.adjustments.last().map(|adjustment| adjustment.at);
        let voided_at = self.void.as_ref().map(|void| void.at);
        voided_at.or(adjusted_at).unwrap_or(self.trans_no.created_at())
    }

    /// The state of its item.
    pub fn version(&self) -> RecordVersion {
        let is_first = self.outputs.is_none() && self.hold_until.is_none() && self.adjustments.is_empty();
        if is_first { RecordVersion::First } else { RecordVersion::ChangedAt(self.changed_at()) }
    }

    /// The effects of its creation.
    pub(in crate::domain) fn effects(&self) -> impl Iterator<Item = Effect<'_>> {
        let created = Effect::Created(TransType::Charge(self.trans_type.clone()), self.credits);
        once(created).chain(self.allocations.iter().map(|part| Effect::Taken(&part.grant, part.credits)))
    }

    pub(super) fn changes(&self) -> Vec<Change<'_>> {
        let (at, origin) = (self.trans_no.created_at(), ChangeOrigin::TransNo(self.trans_no));
        let mut changes: Vec<_> = self.effects().map(|effect| Change { at, origin, effect }).collect();
        let mut state = ChargeState::new(self);
        for adjustment in &self.adjustments {
            let (at, origin) = (adjustment.at, ChangeOrigin::Invocation(adjustment.invocation));
            let effects = state.adjust(&adjustment.kind);
            changes.extend(effects.into_iter().map(|effect| Change { at, origin, effect }));
        }
        if let Some(void) = &self.void {
            let (at, origin) = (void.at, ChangeOrigin::Invocation(void.invocation));
            changes.extend(state.void(&void.fills).into_iter().map(|effect| Change { at, origin, effect }));
        }
        changes
    }
}
