//! Random calls in the proportions of an app.

use std::{collections::VecDeque, time::Duration};

use clap::ValueEnum;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use serde::Serialize;
use serde_json::{Value, json};

/// From a charge to the failure of its generation.
const FAILURE_DELAY: Duration = Duration::from_secs(2);
/// Credits.
const CHARGE_MAX: u64 = 20;
/// Credits.
pub(super) const GRANT: u64 = 1_000_000;

/// The app whose calls are generated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Mix {
    /// Generations; some fail and are refunded
    Generation,
    /// Chats: a charge for each message of a session, and few refunds
    Chat,
    /// An organisation with one wallet that all users charge
    Hot,
}

/// Percent of the calls that are no refunds.
struct Shares {
    grants: u32,
    balances: u32,
    /// Percent of the charges.
    failing: u32,
}

impl Mix {
    fn shares(self) -> Shares {
        match self {
            Mix::Generation => Shares { grants: 5, balances: 25, failing: 15 },
            Mix::Chat => Shares { grants: 1, balances: 19, failing: 2 },
            Mix::Hot => Shares { grants: 1, balances: 4, failing: 5 },
        }
    }

    /// The number of wallets for this number of users.
    pub(super) fn wallets(self, users: u32) -> u32 {
        if self == Mix::Hot { 1 } else { users }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Call {
    /// Number of the wallet.
    pub(super) user: u32,
    pub(super) kind: CallKind,
}

/// The operation, and the number that identifies a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CallKind {
    Grant { nth: u64 },
    Charge { nth: u64, credits: u64 },
    Refund { nth: u64 },
    Balance,
}

/// An HTTP request.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) path: String,
    /// `None` for GET.
    pub(super) body: Option<Value>,
}

impl Call {
    pub(super) fn operation(self) -> &'static str {
        match self.kind {
            CallKind::Grant { .. } => "grant",
            CallKind::Charge { .. } => "decrease",
            CallKind::Refund { .. } => "refund",
            CallKind::Balance => "balance",
        }
    }

    /// The request; `run` is the prefix of all names.
    pub(super) fn request(self, mix: Mix, run: &str) -> Request {
        let user = user_name(run, self.user);
        let post = |path: &str, body| Request { path: path.to_owned(), body: Some(body) };
        let charge = |nth| match mix {
            Mix::Chat => (format!("{user}-session"), Some(format!("message-{nth}"))),
            Mix::Generation | Mix::Hot => (format!("{run}-{nth}"), None),
        };
        match self.kind {
            CallKind::Balance => Request { path: format!("/credits/{user}/balance"), body: None },
            CallKind::Grant { nth } => {
                let key = format!("{run}-{nth}");
                let body = json!({
                    "user_uuid": user, "trans_type": "system_add", "credits": GRANT, "idempotency_key": key,
                });
                post("/credits/grant", body)
            }
            CallKind::Charge { nth, credits } => {
                let (generation, key) = charge(nth);
                let trans_type = if mix == Mix::Chat { "chat" } else { "image_generation" };
                let body = json!({
                    "user_uuid": user, "trans_type": trans_type, "credits": credits,
                    "generation_uuid": generation, "idempotency_key": key,
                });
                post("/credits/decrease", body)
            }
            CallKind::Refund { nth } => {
                let (generation, key) = charge(nth);
                let body = json!({
                    "user_uuid": user, "generation_uuid": generation, "idempotency_key": key,
                    "reason": "the generation failed",
                });
                post("/credits/refund", body)
            }
        }
    }
}

fn user_name(run: &str, user: u32) -> String {
    format!("{run}-user-{user}")
}

/// Draws the calls of a mix.
pub(super) struct CallGenerator {
    mix: Mix,
    wallets: u32,
    rng: StdRng,
    last_number: u64,
    /// Refunds of failing generations, by the time of the failure.
    pending_refunds: VecDeque<(Duration, Call)>,
}

impl CallGenerator {
    pub(super) fn new(mix: Mix, users: u32, seed: u64) -> CallGenerator {
        let rng = StdRng::seed_from_u64(seed);
        CallGenerator {
            mix,
            wallets: mix.wallets(users),
            rng,
            last_number: 0,
            pending_refunds: VecDeque::new(),
        }
    }

    /// A first grant for each wallet.
    pub(super) fn first_grants(&mut self) -> Vec<Call> {
        (0..self.wallets)
            .map(|user| Call { user, kind: CallKind::Grant { nth: self.next_number() } })
            .collect()
    }

    /// The call that arrives at this time since the start.
    pub(super) fn next_call(&mut self, at: Duration) -> Call {
        if let Some((_, refund)) = self.pending_refunds.pop_front_if(|(due, _)| *due <= at) {
            return refund;
        }
        let Shares { grants, balances, failing } = self.mix.shares();
        let (user, percentile) = (self.rng.random_range(0..self.wallets), self.rng.random_range(0..100));
        let kind = if percentile < grants {
            CallKind::Grant { nth: self.next_number() }
        } else if percentile < grants + balances {
            CallKind::Balance
        } else {
            let (nth, credits) = (self.next_number(), self.rng.random_range(1..=CHARGE_MAX));
            if self.rng.random_range(0..100) < failing {
                self.pending_refunds
                    .push_back((at + FAILURE_DELAY, Call { user, kind: CallKind::Refund { nth } }));
            }
            CallKind::Charge { nth, credits }
        };
        Call { user, kind }
    }

    fn next_number(&mut self) -> u64 {
        self.last_number += 1;
        self.last_number
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn draw(mix: Mix, seed: u64) -> Vec<Call> {
        let mut calls = CallGenerator::new(mix, 50, seed);
        (0..20_000).map(|millis| calls.next_call(Duration::from_millis(millis))).collect()
    }

    #[test]
    fn calls_of_a_seed_are_reproducible() {
        for mix in [Mix::Generation, Mix::Chat, Mix::Hot] {
            assert_eq!(draw(mix, 7), draw(mix, 7), "{mix:?}");
            assert_ne!(draw(mix, 7), draw(mix, 8), "{mix:?}");
        }
    }

    #[test]
    fn mix_has_its_shares_of_operations() {
        // Percent: grants, charges, refunds, balances.
        for (mix, shares) in
            [(Mix::Generation, [4, 63, 8, 22]), (Mix::Chat, [0, 78, 1, 18]), (Mix::Hot, [0, 90, 4, 3])]
        {
            let mut counts = BTreeMap::new();
            draw(mix, 7).iter().for_each(|call| *counts.entry(call.operation()).or_insert(0) += 1);
            let found = ["grant", "decrease", "refund", "balance"].map(|operation| counts[operation] / 200);
            for (found, share) in found.into_iter().zip(shares) {
                assert!((share..=share + 2).contains(&found), "{mix:?}: {counts:?}");
            }
        }
    }

    #[test]
    fn refund_follows_its_charge_and_is_drawn_once() {
        for mix in [Mix::Generation, Mix::Chat, Mix::Hot] {
            let mut charged = BTreeMap::new();
            for call in draw(mix, 7) {
                match call.kind {
                    CallKind::Charge { nth, .. } => assert_eq!(charged.insert(nth, call.user), None),
                    CallKind::Refund { nth } => assert_eq!(charged.remove(&nth), Some(call.user), "{mix:?}"),
                    CallKind::Grant { .. } | CallKind::Balance => {}
                }
            }
        }
    }

    #[test]
    fn messages_share_a_generation_and_differ_by_key() {
        let charge = |nth| Call { user: 3, kind: CallKind::Charge { nth, credits: 5 } };
        let body = |mix, nth| charge(nth).request(mix, "run").body.unwrap();
        let (first, second) = (body(Mix::Chat, 1), body(Mix::Chat, 2));
        assert_eq!(first["generation_uuid"], second["generation_uuid"]);
        assert_ne!(first["idempotency_key"], second["idempotency_key"]);
        let (first, second) = (body(Mix::Generation, 1), body(Mix::Generation, 2));
        assert_ne!(first["generation_uuid"], second["generation_uuid"]);
        assert!(first["idempotency_key"].is_null());
    }
}
