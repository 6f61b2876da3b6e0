//! What the balance of each user must be, from what was answered.

use std::{collections::BTreeMap, ops::RangeInclusive};

use super::mix::{Call, CallKind, GRANT};

/// What is known of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CallOutcome {
    Done,
    NotDone,
    /// No response arrived, or one that does not say whether the write was done.
    Unknown,
}

/// What is known of a charge and of its refund.
#[derive(Clone, Copy, Debug)]
struct Charge {
    credits: u64,
    made: CallOutcome,
    refunded: CallOutcome,
}

/// Of which there is no answer yet.
const UNKNOWN_CHARGE: Charge =
    Charge { credits: 0, made: CallOutcome::Unknown, refunded: CallOutcome::NotDone };

/// One user's.
#[derive(Debug, Default)]
struct ExpectedBalance {
    granted: u64,
    /// Grants of which nobody knows.
    perhaps_granted: u64,
    charges: BTreeMap<u64, Charge>,
}

/// All that a run has written.
#[derive(Debug, Default)]
pub(super) struct ExpectedBalances {
    users: BTreeMap<u32, ExpectedBalance>,
}

impl ExpectedBalances {
    /// InvocationMetrics what is known of a call.
    pub(super) fn note(&mut self, call: Call, known: CallOutcome) {
        let book = self.users.entry(call.user).or_default();
        match call.what {
            CallKind::Balance => {}
            CallKind::Grant { .. } => match known {
                CallOutcome::Done => book.granted += GRANT,
                CallOutcome::Unknown => book.perhaps_granted += GRANT,
                CallOutcome::NotDone => {}
            },
            CallKind::Charge { nth, credits } => {
                let charge = book.charges.entry(nth).or_insert(UNKNOWN_CHARGE);
                (charge.credits, charge.made) = (credits, known);
            }
            // Once it was answered, no charge is live, and none comes later.
            CallKind::Refund { nth } => book.charges.entry(nth).or_insert(UNKNOWN_CHARGE).refunded = known,
        }
    }

    /// Who has anything, and from where to where the balance may be: one number, unless
    /// something is open.
    pub(super) fn balances(&self) -> impl Iterator<Item = (u32, RangeInclusive<u64>)> {
        self.users.iter().map(|(user, book)| {
            let sum = |is: fn(&Charge) -> bool| {
                book.charges.values().filter(|charge| is(charge)).map(|charge| charge.credits).sum::<u64>()
            };
            let (surely, perhaps) = (sum(Charge::is_surely_live), sum(Charge::is_perhaps_live));
            let lowest = book.granted.saturating_sub(perhaps);
            (*user, lowest..=(book.granted + book.perhaps_granted).saturating_sub(surely))
        })
    }
}

impl Charge {
    fn is_surely_live(&self) -> bool {
        self.made == CallOutcome::Done && self.refunded == CallOutcome::NotDone
    }

    fn is_perhaps_live(&self) -> bool {
        self.made != CallOutcome::NotDone && self.refunded != CallOutcome::Done
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use CallOutcome::{Done, NotDone, Unknown};

    #[test]
    fn a_balance_is_what_was_granted_less_live_charges() {
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
            let mut books = ExpectedBalances::default();
            for (what, known) in [(grant, Done)].into_iter().chain(calls.clone()) {
                books.note(Call { user: 3, what }, known);
            }
            let found: Vec<_> = books.balances().collect();
            assert_eq!(found, [(3, GRANT - below..=GRANT - above)], "{calls:?}");
        }
    }

    #[test]
    fn a_grant_that_nobody_knows_of_may_be_there() {
        for (known, from, to) in [(Done, GRANT, GRANT), (NotDone, 0, 0), (Unknown, 0, GRANT)] {
            let mut books = ExpectedBalances::default();
            books.note(Call { user: 3, what: CallKind::Grant { nth: 1 } }, known);
            assert_eq!(books.balances().collect::<Vec<_>>(), [(3, from..=to)], "{known:?}");
        }
    }
}
