//! Computes the expected balance of each user from the responses.

use std::{collections::BTreeMap, ops::RangeInclusive};

use super::mix::{Call, CallKind, GRANT};

/// The outcome of a write, as far as the response shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CallOutcome {
    Done,
    NotDone,
    /// No response arrived, or one that does not say whether the write was done.
    Unknown,
}

/// A charge and its refund.
#[derive(Clone, Copy, Debug)]
struct Charge {
    credits: u64,
    charged: CallOutcome,
    refunded: CallOutcome,
}

/// Before any response.
const UNKNOWN_CHARGE: Charge =
    Charge { credits: 0, charged: CallOutcome::Unknown, refunded: CallOutcome::NotDone };

#[derive(Debug, Default)]
struct ExpectedBalance {
    granted: u64,
    /// Grants of unknown outcome.
    possibly_granted: u64,
    charges: BTreeMap<u64, Charge>,
}

/// The writes of a run, by user.
#[derive(Debug, Default)]
pub(super) struct ExpectedBalances {
    users: BTreeMap<u32, ExpectedBalance>,
}

impl ExpectedBalances {
    pub(super) fn record(&mut self, call: Call, outcome: CallOutcome) {
        let expected = self.users.entry(call.user).or_default();
        match call.kind {
            CallKind::Balance => {}
            CallKind::Grant { .. } => match outcome {
                CallOutcome::Done => expected.granted += GRANT,
                CallOutcome::Unknown => expected.possibly_granted += GRANT,
                CallOutcome::NotDone => {}
            },
            CallKind::Charge { nth, credits } => {
                let charge = expected.charges.entry(nth).or_insert(UNKNOWN_CHARGE);
                (charge.credits, charge.charged) = (credits, outcome);
            }
            // After a successful refund no charge is live, and later ones are rejected.
            CallKind::Refund { nth } => {
                expected.charges.entry(nth).or_insert(UNKNOWN_CHARGE).refunded = outcome
            }
        }
    }

    /// Each user with the range of possible balances: one value, unless an outcome is unknown.
    pub(super) fn ranges(&self) -> impl Iterator<Item = (u32, RangeInclusive<u64>)> {
        self.users.iter().map(|(user, expected)| {
            let sum = |is_included: fn(&Charge) -> bool| {
                expected
                    .charges
                    .values()
                    .filter(|charge| is_included(charge))
                    .map(|charge| charge.credits)
                    .sum::<u64>()
            };
            let (certain, possible) = (sum(Charge::is_certainly_live), sum(Charge::is_possibly_live));
            let lowest = expected.granted.saturating_sub(possible);
            (*user, lowest..=(expected.granted + expected.possibly_granted).saturating_sub(certain))
        })
    }
}

impl Charge {
    fn is_certainly_live(&self) -> bool {
        self.charged == CallOutcome::Done && self.refunded == CallOutcome::NotDone
    }

    fn is_possibly_live(&self) -> bool {
        self.charged != CallOutcome::NotDone && self.refunded != CallOutcome::Done
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use CallOutcome::{Done, NotDone, Unknown};

    #[test]
    fn expected_balance_is_grants_less_live_charges() {
        let grant = CallKind::Grant { nth: 1 };
        let charge = CallKind::Charge { nth: 2, credits: 5 };
        let refund = CallKind::Refund { nth: 2 };
        for (calls, below, above) in [
            (vec![], 0, 0),
            (vec![(charge, Done)], 5, 5),
            (vec![(charge, NotDone)], 0, 0),
            (vec![(charge, Unknown)], 5, 0),
            (vec![(charge, Done), (refund, Done)], 0, 0),
            (vec![(charge, Done), (refund, NotDone)], 5, 5),
            (vec![(charge, Done), (refund, Unknown)], 5, 0),
            (vec![(charge, Unknown), (refund, Done)], 0, 0),
            (vec![(refund, Done), (charge, NotDone)], 0, 0),
            (vec![(refund, Done), (charge, Unknown)], 0, 0),
            (vec![(refund, Unknown), (charge, Done)], 5, 0),
        ] {
            let mut balances = ExpectedBalances::default();
            for (kind, outcome) in [(grant, Done)].into_iter().chain(calls.clone()) {
                balances.record(Call { user: 3, kind }, outcome);
            }
            let found: Vec<_> = balances.ranges().collect();
            assert_eq!(found, [(3, GRANT - below..=GRANT - above)], "{calls:?}");
        }
    }

    #[test]
    fn grant_of_unknown_outcome_widens_the_expected_balance() {
        for (outcome, lowest, highest) in [(Done, GRANT, GRANT), (NotDone, 0, 0), (Unknown, 0, GRANT)] {
            let mut balances = ExpectedBalances::default();
            balances.record(Call { user: 3, kind: CallKind::Grant { nth: 1 } }, outcome);
            assert_eq!(balances.ranges().collect::<Vec<_>>(), [(3, lowest..=highest)], "{outcome:?}");
        }
    }
}
