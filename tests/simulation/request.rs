//! Whether an attempt requests a change of a charge or a grant.

use std::collections::BTreeSet;

use crate::{
    caller::Attempt,
    plan::{Call, Overage, Shortfall},
    record::{AdjustmentKind, Record},
    state::State,
};

/// The reason of the voids of a sweep.
const SWEEP_REASON: &str = "hold timed out";

/// Whether an attempt requests this adjustment of a charge in this state.
pub fn is_adjustment_requested(
    attempt: &Attempt,
    user: &str,
    (sort, record): (&String, &Record),
    kind: &AdjustmentKind,
    before: &State,
) -> bool {
    let charge = &before.records[sort];
    match (kind, &attempt.call) {
        (
            AdjustmentKind::Settled { requested, uncovered, taken },
            Call::Settle { user: owner, credits, overage, .. },
        ) => {
            let taken: i64 = taken.iter().map(|(_, credits)| credits).sum();
            let debt_added = (requested + charge.credits - taken - uncovered).max(0);
            let is_allowed = match overage {
                Overage::Refuse => *uncovered == 0 && debt_added == 0,
                Overage::Available => debt_added == 0,
                Overage::Debt(limit) => {
                    let debt = (before.debt() + debt_added).unsigned_abs();
                    *uncovered == 0 && (debt_added == 0 || limit.is_none_or(|limit| debt <= limit))
                }
            };
            *owner == user
                && attempt.sort_key().as_ref() == Some(sort)
                && requested.unsigned_abs() == *credits
                && is_allowed
        }
        (AdjustmentKind::Settled { requested, .. }, Call::Success(_)) => {
            attempt.addresses(user, sort, record) && *requested == -charge.credits
        }
        (AdjustmentKind::Revoked { paid, shortfall, owed, .. }, Call::Revoke { shortfall: policy, .. }) => {
            let is_policy = match policy {
                Shortfall::Keep => paid.is_empty() && *owed == 0,
                Shortfall::Debt => *shortfall == 0,
            };
            is_policy && attempt.revokes(user, sort)
        }
        (AdjustmentKind::Restored { .. }, Call::Revoke { .. }) => attempt.revokes(user, sort),
        (AdjustmentKind::Delivered, Call::Success(_)) => attempt.addresses(user, sort, record),
        (AdjustmentKind::OutputsReturned(returned), Call::Refund { outputs, is_callback, .. }) => {
            let new = outputs.iter().filter(|output| !charge.returned_outputs.contains(output));
            attempt.addresses(user, sort, record)
                && returned.iter().eq(new)
                && !(*is_callback && charge.is_final())
        }
        _ => false,
    }
}

/// Whether an attempt requests the void of a charge in this state.
pub fn is_void_requested(
    attempt: &Attempt,
    user: &str,
    (sort, record): (&String, &Record),
    before: &State,
) -> bool {
    let (Some(charge), Some(void)) = (before.records.get(sort), &record.void) else { return false };
    match &attempt.call {
        Call::Refund { outputs, is_callback, .. } => {
            let returned: BTreeSet<_> = charge.returned_outputs.iter().chain(*outputs).copied().collect();
            let is_all = record.outputs().is_some_and(|count| returned == (1..=count).collect());
            attempt.addresses(user, sort, record)
                && void.reason == attempt.tag
                && attempt.drawn.contains(&void.by)
                && (outputs.is_empty() || is_all)
                && !(*is_callback && charge.is_final())
        }
        Call::Sweep => {
            let is_overdue = record.hold_until().is_some_and(|until| until <= void.at);
            void.reason == SWEEP_REASON && is_overdue && !charge.is_final()
        }
        _ => false,
    }
}
