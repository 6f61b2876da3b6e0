//! What the balance of each user must be, from what was answered.

use std::{collections::BTreeMap, ops::RangeInclusive};

use super::mix::{Call, GRANT, What};

/// What is known of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Known {
    /// It was done.
    Done,
    /// Nothing was done.
    Refused,
    /// Either: no answer came, or one that leaves it open.
    Open,
}

/// What is known of a charge and of its refund.
#[derive(Clone, Copy, Debug)]
struct Charge {
    credits: u64,
    made: Known,
    refunded: Known,
}

/// Of which there is no answer yet.
const UNHEARD_OF: Charge = Charge { credits: 0, made: Known::Open, refunded: Known::Refused };

/// One user's.
#[derive(Debug, Default)]
struct Book {
    granted: u64,
    /// Grants of which nobody knows.
    perhaps_granted: u64,
    charges: BTreeMap<u64, Charge>,
}

/// All that a run has written.
#[derive(Debug, Default)]
pub(super) struct Books {
    users: BTreeMap<u32, Book>,
}

impl Books {
    /// InvocationMetrics what is known of a call.
    pub(super) fn note(&mut self, call: Call, known: Known) {
        let book = self.users.entry(call.user).or_default();
        match call.what {
            What::Balance => {}
            What::Grant { .. } => match known {
                Known::Done => book.granted += GRANT,
                Known::Open => book.perhaps_granted += GRANT,
                Known::Refused => {}
            },
            What::Charge { nth, credits } => {
                let charge = book.charges.entry(nth).or_insert(UNHEARD_OF);
                (charge.credits, charge.made) = (credits, known);
            }
            // Once it was answered, no charge is live, and none comes later.
            What::Refund { nth } => book.charges.entry(nth).or_insert(UNHEARD_OF).refunded = known,
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
        self.made == Known::Done && self.refunded == Known::Refused
    }

    fn is_perhaps_live(&self) -> bool {
        self.made != Known::Refused && self.refunded != Known::Done
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Known::{Done, Open, Refused};

    #[test]
    fn a_balance_is_what_was_granted_less_live_charges() {
        let grant = What::Grant { nth: 1 };
        let charge = What::Charge { nth: 2, credits: 5 };
        let refund = What::Refund { nth: 2 };
        for (calls, below, above) in [
            (vec![], 0, 0),
            (vec![(charge, Done)], 5, 5),
            (vec![(charge, Refused)], 0, 0),
            (vec![(charge, Open)], 5, 0),
            (vec![(charge, Done), (refund, Done)], 0, 0),
            (vec![(charge, Done), (refund, Refused)], 5, 5),
            (vec![(charge, Done), (refund, Open)], 5, 0),
            (vec![(charge, Open), (refund, Done)], 0, 0),
            (vec![(refund, Done), (charge, Refused)], 0, 0),
            (vec![(refund, Done), (charge, Open)], 0, 0),
            (vec![(refund, Open), (charge, Done)], 5, 0),
        ] {
            let mut books = Books::default();
            for (what, known) in [(grant, Done)].into_iter().chain(calls.clone()) {
                books.note(Call { user: 3, what }, known);
            }
            let found: Vec<_> = books.balances().collect();
            assert_eq!(found, [(3, GRANT - below..=GRANT - above)], "{calls:?}");
        }
    }

    #[test]
    fn a_grant_that_nobody_knows_of_may_be_there() {
        for (known, from, to) in [(Done, GRANT, GRANT), (Refused, 0, 0), (Open, 0, GRANT)] {
            let mut books = Books::default();
            books.note(Call { user: 3, what: What::Grant { nth: 1 } }, known);
            assert_eq!(books.balances().collect::<Vec<_>>(), [(3, from..=to)], "{known:?}");
        }
    }
}
