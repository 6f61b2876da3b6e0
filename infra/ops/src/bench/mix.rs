//! What calls are about: drawn beforehand, as the moments are.

use std::{collections::VecDeque, time::Duration};

use clap::ValueEnum;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use serde::Serialize;
use serde_json::{Value, json};

/// How long after its charge a generation fails that will.
const FAILS_AFTER: Duration = Duration::from_secs(2);
/// What a charge takes at most.
const CHARGE_MAX: u64 = 20;
/// What a grant brings.
pub(super) const GRANT: u64 = 1_000_000;

/// Which app calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Mix {
    /// Generations, some of which fail and are refunded
    Generation,
    /// Chats: a charge for each message of a session, and few refunds
    Chat,
    /// An organisation whose one wallet everybody charges
    Hot,
}

/// Of a hundred calls that are no refunds.
struct Shares {
    grants: u32,
    balances: u32,
    /// Of a hundred charges.
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

    /// How many wallets it has, of those that there are.
    pub(super) fn wallets(self, users: u32) -> u32 {
        if self == Mix::Hot { 1 } else { users }
    }
}

/// One call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Call {
    /// Whose wallet it is about, by number.
    pub(super) user: u32,
    pub(super) what: CallKind,
}

/// What is called, and the number that makes a write the same one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CallKind {
    Grant { nth: u64 },
    Charge { nth: u64, credits: u64 },
    Refund { nth: u64 },
    Balance,
}

/// A request over HTTP.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) path: String,
    /// What is posted; nothing is got.
    pub(super) body: Option<Value>,
}

impl Call {
    pub(super) fn operation(self) -> &'static str {
        match self.what {
            CallKind::Grant { .. } => "grant",
            CallKind::Charge { .. } => "decrease",
            CallKind::Refund { .. } => "refund",
            CallKind::Balance => "balance",
        }
    }

    /// The request, of a run whose users are its own.
    pub(super) fn request(self, mix: Mix, run: &str) -> Request {
        let user = user(run, self.user);
        let posted = |path: &str, body| Request { path: path.to_owned(), body: Some(body) };
        let charge = |nth| match mix {
            Mix::Chat => (format!("{user}-session"), Some(format!("message-{nth}"))),
            Mix::Generation | Mix::Hot => (format!("{run}-{nth}"), None),
        };
        match self.what {
            CallKind::Balance => Request { path: format!("/credits/{user}/balance"), body: None },
            CallKind::Grant { nth } => {
                let key = format!("{run}-{nth}");
                let body = json!({
                    "user_uuid": user, "trans_type": "system_add", "credits": GRANT, "idempotency_key": key,
                });
                posted("/credits/grant", body)
            }
            CallKind::Charge { nth, credits } => {
                let (generation, key) = charge(nth);
                let trans_type = if mix == Mix::Chat { "chat" } else { "image_generation" };
                let body = json!({
                    "user_uuid": user, "trans_type": trans_type, "credits": credits,
                    "generation_uuid": generation, "idempotency_key": key,
                });
                posted("/credits/decrease", body)
            }
            CallKind::Refund { nth } => {
                let (generation, key) = charge(nth);
                let body = json!({
                    "user_uuid": user, "generation_uuid": generation, "idempotency_key": key,
                    "reason": "the generation failed",
                });
                posted("/credits/refund", body)
            }
        }
    }
}

/// What a user is called.
fn user(run: &str, user: u32) -> String {
    format!("{run}-user-{user}")
}

/// The calls of a mix, one after the other.
pub(super) struct CallGenerator {
    mix: Mix,
    wallets: u32,
    chance: StdRng,
    drawn: u64,
    /// Charges of generations that will fail, by when they do.
    failing: VecDeque<(Duration, Call)>,
}

impl CallGenerator {
    pub(super) fn new(mix: Mix, users: u32, seed: u64) -> CallGenerator {
        let chance = StdRng::seed_from_u64(seed);
        CallGenerator { mix, wallets: mix.wallets(users), chance, drawn: 0, failing: VecDeque::new() }
    }

    /// A first grant for each wallet.
    pub(super) fn first_grants(&mut self) -> Vec<Call> {
        (0..self.wallets).map(|user| Call { user, what: CallKind::Grant { nth: self.number() } }).collect()
    }

    /// The call that arrives at a moment.
    pub(super) fn at(&mut self, at: Duration) -> Call {
        if let Some((_, failed)) = self.failing.pop_front_if(|(due, _)| *due <= at) {
            return failed;
        }
        let Shares { grants, balances, failing } = self.mix.shares();
        let (user, drawn) = (self.chance.random_range(0..self.wallets), self.chance.random_range(0..100));
        let what = if drawn < grants {
            CallKind::Grant { nth: self.number() }
        } else if drawn < grants + balances {
            CallKind::Balance
        } else {
            let (nth, credits) = (self.number(), self.chance.random_range(1..=CHARGE_MAX));
            if self.chance.random_range(0..100) < failing {
                self.failing.push_back((at + FAILS_AFTER, Call { user, what: CallKind::Refund { nth } }));
            }
            CallKind::Charge { nth, credits }
        };
        Call { user, what }
    }

    fn number(&mut self) -> u64 {
        self.drawn += 1;
        self.drawn
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn drawn(mix: Mix, seed: u64) -> Vec<Call> {
        let mut calls = CallGenerator::new(mix, 50, seed);
        (0..20_000).map(|millis| calls.at(Duration::from_millis(millis))).collect()
    }

    #[test]
    fn the_same_seed_gives_the_same_calls() {
        for mix in [Mix::Generation, Mix::Chat, Mix::Hot] {
            assert_eq!(drawn(mix, 7), drawn(mix, 7), "{mix:?}");
            assert_ne!(drawn(mix, 7), drawn(mix, 8), "{mix:?}");
        }
    }

    #[test]
    fn each_mix_has_its_shares() {
        // In a hundred: grants, charges, refunds, balances.
        for (mix, shares) in
            [(Mix::Generation, [4, 63, 8, 22]), (Mix::Chat, [0, 78, 1, 18]), (Mix::Hot, [0, 90, 4, 3])]
        {
            let mut counts = BTreeMap::new();
            drawn(mix, 7).iter().for_each(|call| *counts.entry(call.operation()).or_insert(0) += 1);
            let found = ["grant", "decrease", "refund", "balance"].map(|operation| counts[operation] / 200);
            for (found, share) in found.into_iter().zip(shares) {
                assert!((share..=share + 2).contains(&found), "{mix:?}: {counts:?}");
            }
        }
    }

    #[test]
    fn a_refund_is_of_a_charge_before_it_and_of_each_once() {
        for mix in [Mix::Generation, Mix::Chat, Mix::Hot] {
            let mut charged = BTreeMap::new();
            for call in drawn(mix, 7) {
                match call.what {
                    CallKind::Charge { nth, .. } => assert_eq!(charged.insert(nth, call.user), None),
                    CallKind::Refund { nth } => assert_eq!(charged.remove(&nth), Some(call.user), "{mix:?}"),
                    CallKind::Grant { .. } | CallKind::Balance => {}
                }
            }
        }
    }

    #[test]
    fn a_message_has_a_key_in_its_session_and_a_generation_is_its_own() {
        let charge = |nth| Call { user: 3, what: CallKind::Charge { nth, credits: 5 } };
        let body = |mix, nth| charge(nth).request(mix, "run").body.unwrap();
        let (first, second) = (body(Mix::Chat, 1), body(Mix::Chat, 2));
        assert_eq!(first["generation_uuid"], second["generation_uuid"]);
        assert_ne!(first["idempotency_key"], second["idempotency_key"]);
        let (first, second) = (body(Mix::Generation, 1), body(Mix::Generation, 2));
        assert_ne!(first["generation_uuid"], second["generation_uuid"]);
        assert!(first["idempotency_key"].is_null());
    }
}
