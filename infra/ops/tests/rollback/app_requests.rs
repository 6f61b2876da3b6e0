//! Requests of an app after its migration.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use futures_util::{StreamExt, stream};
use scrip::{
    domain::{
        ChargeRequest, ChargeType, Credits, GrantRequest, GrantType, Id, RefundRequest, RefundSource,
        RevokeRequest, RevokedAmount, ShortfallPolicy, Timestamp, Unblock, UserId,
    },
    ledger::{Invocation, Ledger},
};
use serde_json::Value;
use support::workspace::Workspace;

use super::*;

/// Requests of the app after a migration.
pub(crate) struct AppRequests {
    ledger: Ledger,
    deadline: Timestamp,
}

impl AppRequests {
    pub(crate) fn new(ledger: Ledger) -> AppRequests {
        let deadline = ledger.now().plus_millis(DAY);
        AppRequests { ledger, deadline }
    }

    /// All kinds of requests by many users.
    pub(crate) async fn send_all(&self, workspace: &Workspace) {
        let (balances, generations) =
            (workspace.balances(self.ledger.now().millis()), generations(workspace));
        let orders = migrated_orders(workspace);
        let new_users =
            quarantined(workspace).into_iter().filter(|user| UserId::try_from(user.clone()).is_ok());
        let users = balances.keys().cloned().chain(new_users.take(20)).chain(["newcomer".to_owned()]);
        let some = users.enumerate().map(async |(nth, user)| {
            let generations = generations.get(&user).into_iter().flatten().map(String::as_str);
            let orders = orders.get(&user).into_iter().flatten();
            match balances.get(&user) {
                Some(_) if nth % 8 == 7 => self.revoke_orders(orders, nth).await,
                Some(balance) => self.migrated_user(nth, &user, *balance, generations.collect()).await,
                None => self.new_user(&user).await,
            }
        });
        stream::iter(some).buffer_unordered(16).collect::<Vec<()>>().await;
    }

    /// Requests of a migrated user.
    async fn migrated_user(&self, nth: usize, user: &str, balance: i64, generations: Vec<&str>) {
        let (most, now) = (balance.unsigned_abs().min(1_000), self.ledger.now().millis());
        match nth % 8 {
            0 => self.grant(user, GrantType::SystemAdd, 30, None).await,
            1 => {
                self.grant(user, GrantType::OrderPay, 7, Some(now + 5 * DAY)).await;
                self.charge(user, most / 2 + 1, Some("several"), None).await;
                self.charge(user, most / 3 + 1, None, None).await;
                self.revoke_orders([&format!("order-since-{user}")], nth).await;
            }
            2 => {
                self.grant(user, GrantType::SystemAdd, 3, Some(now + DAY)).await;
                self.charge(user, most + 3, Some("refunded"), None).await;
                self.refund(Some(user), "refunded", None).await;
            }
            3 => {
                self.grant(user, GrantType::SystemAdd, 3, None).await;
                for key in ["m1", "m2", "m3"] {
                    self.charge(user, 1, Some("chat"), Some(key)).await;
                }
                self.refund(Some(user), "chat", Some("m2")).await;
                self.refund(Some(user), "chat", Some("m9")).await;
            }
            4 => self.refund(Some(user), "never", None).await,
            5 | 6 => {
                for generation in generations.into_iter().take(3) {
                    self.refund(nth.is_multiple_of(2).then_some(user), generation, None).await;
                }
            }
            _ => {}
        }
    }

    /// Revokes half of each order, all of it, and a third again.
    async fn revoke_orders(&self, orders: impl IntoIterator<Item = &String>, nth: usize) {
        let shortfall = if nth.is_multiple_of(3) { ShortfallPolicy::Debt } else { ShortfallPolicy::Keep };
        for order_no in orders {
            for (millis, part) in [(1, 3), (2, 6), (3, 2)] {
                let request = RevokeRequest {
                    order_no: id(order_no),
                    user: None,
                    source: id("refund"),
                    amount: RevokedAmount::Share { part, of: 6 },
                    as_of: Timestamp::from_millis(millis).unwrap(),
                    shortfall,
                    reason: "it was refunded".to_owned().try_into().unwrap(),
                    metadata: Default::default(),
                };
                self.ledger.revoke(&request, &Invocation::until(self.deadline)).await.unwrap();
            }
        }
    }

    /// Requests of a new or quarantined user.
    async fn new_user(&self, user: &str) {
        let unblock = Unblock { user: id(user) };
        self.ledger.execute(&unblock, &Invocation::until(self.deadline)).await.unwrap();
        self.grant(user, GrantType::NewUser, 20, None).await;
        self.charge(user, 3, Some("first"), None).await;
    }

    pub(crate) async fn grant(&self, user: &str, trans_type: GrantType, credits: u64, ends: Option<i64>) {
        let request = GrantRequest {
            user: id(user),
            trans_type,
            credits: Credits::requested(credits).unwrap(),
            order_no: (trans_type == GrantType::OrderPay).then(|| id(&format!("order-since-{user}"))),
            expired_at: ends.and_then(Timestamp::from_millis),
            key: None,
            metadata: Default::default(),
        };
        self.ledger.execute(&request, &Invocation::until(self.deadline)).await.unwrap();
    }

    pub(crate) async fn charge(&self, user: &str, credits: u64, generation: Option<&str>, key: Option<&str>) {
        let request = ChargeRequest {
            user: id(user),
            trans_type: ChargeType::Generation("anime".to_owned()),
            credits: Credits::requested(credits).unwrap(),
            generation: generation.map(id),
            order_no: generation.is_none().then(|| id("noted")),
            key: key.map(id),
            metadata: Default::default(),
            outputs: None,
            hold_millis: None,
        };
        self.ledger.execute(&request, &Invocation::until(self.deadline)).await.unwrap();
    }

    async fn refund(&self, user: Option<&str>, generation: &str, key: Option<&str>) {
        let request = RefundRequest {
            user: user.map(id),
            generation: id(generation),
            key: key.map(id),
            reason: "the model output: \"no\"\0 🎨".to_owned().try_into().unwrap(),
            trans_no: None,
            outputs: None,
            source: RefundSource::Caller,
        };
        self.ledger.refund(&request, &Invocation::until(self.deadline)).await.unwrap();
    }
}

fn id<Kind>(text: &str) -> Id<Kind> {
    text.to_owned().try_into().unwrap()
}

/// The generations of migrated charges that were not refunded, by user.
pub(crate) fn generations(workspace: &Workspace) -> BTreeMap<String, BTreeSet<String>> {
    let mut found = BTreeMap::<String, BTreeSet<String>>::new();
    for item in workspace.items() {
        let item: Value = serde_json::from_str(&item).unwrap();
        if let (Some(generation), Some(false)) =
            (item["generation_uuid"]["S"].as_str(), item["is_voided"]["BOOL"].as_bool())
        {
            let user = item["user_uuid"]["S"].as_str().unwrap().to_owned();
            found.entry(user).or_default().insert(generation.to_owned());
        }
    }
    found
}

/// The migrated orders of each user.
pub(crate) fn migrated_orders(workspace: &Workspace) -> BTreeMap<String, BTreeSet<String>> {
    let mut found = BTreeMap::<String, BTreeSet<String>>::new();
    for item in workspace.items() {
        let item: Value = serde_json::from_str(&item).unwrap();
        let order_no = item["user_uuid"]["S"].as_str().unwrap().strip_prefix("order#");
        if let (Some(order_no), Some(user)) = (order_no, item["owner"]["S"].as_str()) {
            found.entry(user.to_owned()).or_default().insert(order_no.to_owned());
        }
    }
    found
}

/// Users in quarantine.
pub(crate) fn quarantined(workspace: &Workspace) -> BTreeSet<String> {
    let lines = fs::read_to_string(workspace.path("quarantine.jsonl")).unwrap();
    let user = |line| serde_json::from_str::<Value>(line).unwrap()["user_uuid"].as_str().unwrap().to_owned();
    lines.lines().map(user).collect()
}
