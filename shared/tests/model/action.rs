//! The random steps.

use proptest::{option, prelude::*, sample::Index, sample::select};
use scrip::domain::{ChargeType, Credits, GrantType, Overage, RevokedAmount, ShortfallPolicy};

use super::{MINUTE, SECOND, WEEK, credits};

/// An action after a time, by a clock with an error.
#[derive(Clone, Debug)]
pub struct Step {
    pub elapsed: i64,
    pub clock_error: i64,
    pub action: Action,
}

#[derive(Clone, Debug)]
pub enum Action {
    Grant {
        trans_type: GrantType,
        credits: u64,
        lifetime: Option<i64>,
    },
    /// Charges a share of the balance, but at least one credit, for one of the generations.
    Charge {
        trans_type: ChargeType,
        percent: u64,
        outputs: Option<u64>,
        generation: usize,
    },
    /// Settles a live charge to a share of its credits and of 10 more.
    Settle {
        charge: Index,
        percent: u64,
        overage: Overage,
    },
    /// Refunds some outputs of a live charge, by number from 1.
    RefundOutputs {
        charge: Index,
        outputs: Vec<u8>,
    },
    /// Refunds the live charges of a generation.
    Refund(usize),
    /// States what one of two sources revokes of an order.
    Revoke {
        order: Index,
        source: &'static str,
        amount: RevokedAmount,
        shortfall: ShortfallPolicy,
    },
}

pub const GENERATIONS: [&str; 4] = ["a", "b", "c", "d"];

/// From zero to weeks, often about the time for which an expired pack remains.
fn duration() -> impl Strategy<Value = i64> {
    prop_oneof![0..=2i64, 0..SECOND, 0..MINUTE, 0..3 * MINUTE, 0..3 * WEEK]
}

fn action() -> impl Strategy<Value = Action> {
    let grant_type = select(vec![GrantType::NewUser, GrantType::OrderPay, GrantType::SystemAdd]);
    let charge_type = select(vec![ChargeType::Chat, ChargeType::Generation("image".to_owned())]);
    let lifetime = option::weighted(0.8, prop_oneof![1 => -SECOND..=0, 9 => duration()]);
    let percent = || prop_oneof![3 => 0..=60u64, 1 => Just(100), 1 => 90..=120u64];
    let overage = prop_oneof![
        1 => Just(Overage::Refuse),
        1 => Just(Overage::Available),
        2 => option::of(0..30u64).prop_map(|limit| Overage::Debt { limit: limit.map(credits) }),
    ];
    let outputs = option::weighted(0.2, 1..=3u64);
    let refunded = select(vec![vec![1], vec![2], vec![3], vec![1, 2], vec![1, 2, 3]]);
    prop_oneof![
        4 => (grant_type, 1..=30u64, lifetime)
            .prop_map(|(trans_type, credits, lifetime)| Action::Grant { trans_type, credits, lifetime }),
        4 => (charge_type, percent(), outputs, 0..GENERATIONS.len()).prop_map(
            |(trans_type, percent, outputs, generation)| Action::Charge { trans_type, percent, outputs, generation }
        ),
        3 => (any::<Index>(), percent(), overage)
            .prop_map(|(charge, percent, overage)| Action::Settle { charge, percent, overage }),
        1 => (any::<Index>(), refunded)
            .prop_map(|(charge, outputs)| Action::RefundOutputs { charge, outputs }),
        2 => (0..GENERATIONS.len()).prop_map(Action::Refund),
        3 => revocation(),
    ]
}

fn revocation() -> impl Strategy<Value = Action> {
    let share = |(part, of)| RevokedAmount::Share { part, of };
    let amount = prop_oneof![
        1 => Just(RevokedAmount::Credits(Credits::ZERO)),
        3 => (1..=30u64).prop_map(|amount| RevokedAmount::Credits(credits(amount))),
        3 => select(vec![(0, 1), (1, 3), (1, 2), (1, 1)]).prop_map(share),
    ];
    let shortfall = select(vec![ShortfallPolicy::Keep, ShortfallPolicy::Debt]);
    (any::<Index>(), select(vec!["refund", "dispute"]), amount, shortfall)
        .prop_map(|(order, source, amount, shortfall)| Action::Revoke { order, source, amount, shortfall })
}

pub fn step() -> impl Strategy<Value = Step> {
    (duration(), -3 * SECOND..=3 * SECOND, action()).prop_map(|(elapsed, clock_error, action)| Step {
        elapsed,
        clock_error,
        action,
    })
}
