//! Generates old data as the old app left it: replays its code for months, with gifts, monthly
//! and long packs, charges that span packs, refunds and races. The same seed gives the same
//! data.
//!
//! The old code read the unexpired rows by expiry, added them up until the sum reached the
//! cost, and wrote one row with the expiry of that row. So charges went on being written to a
//! pack that was used up, and its expiry added credits.

use proptest::{
    prelude::Rng,
    test_runner::{RngAlgorithm, TestRng},
};
use scrip::domain::Timestamp;
use scrip_ops::plan::{OldRow, ReferenceOwner};
use tokio_postgres::Client;

use super::{
    legacy_data_gen::{MINUTE, NOW, uuid},
    legacy_tables::{OldUser, Row, load_users},
};

const DAY: i64 = 24 * 60 * MINUTE;

/// Largest number of rows of a user.
const USER_ROWS_MAX: i64 = 2_000;

/// The size and seed of the generated data.
#[derive(Clone, Copy, Debug)]
pub struct OriginData {
    /// Seed of the random generator.
    pub seed: u64,
    /// Number of users.
    pub users: u64,
}

impl OriginData {
    /// Generates all users.
    pub fn users(self) -> impl Iterator<Item = OldUser> {
        (0..self.users).map(move |number| Replay::new(self.seed, number).run())
    }

    /// Creates and fills the tables.
    pub async fn load(self, client: &Client) {
        load_users(client, self.users()).await;
    }
}

/// The old app for one user.
struct Replay {
    rng: TestRng,
    number: u64,
    user: String,
    /// In milliseconds since 1970.
    now: i64,
    rows: Vec<OldRow>,
    output: OldUser,
}

impl Replay {
    fn new(seed: u64, number: u64) -> Replay {
        let mut bytes = [1; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        bytes[8..16].copy_from_slice(&number.to_le_bytes());
        let mut rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
        let user = uuid(&mut rng);
        Replay { rng, number, user, now: 0, rows: Vec::new(), output: OldUser::default() }
    }

    fn run(mut self) -> OldUser {
        let days = 100 + self.below(250);
        self.now = NOW - days * DAY;
        self.insert("new_user", 10, None, self.now + 365 * DAY, 0);
        let (is_monthly, is_payer) = (self.below(2) == 0, self.below(3) > 0);
        for day in 0..days - 1 {
            self.now = NOW - (days - day) * DAY + self.below(600) * MINUTE;
            if is_payer && is_monthly && day % 30 == 3 {
                self.buy(40, 30);
            }
            if is_payer && self.below(60) == 0 {
                self.buy(200, 365);
            }
            for _ in 0..self.below(4) {
                self.now += self.below(120) * MINUTE;
                let cost = if self.below(12) == 0 { 20 + self.below(40) } else { 1 + self.below(6) };
                self.spend(cost);
            }
        }
        for row in std::mem::take(&mut self.rows) {
            self.output.rows.push(Row::new(row, &mut self.rng));
        }
        self.output
    }

    /// A pack. The payment's webhook may run twice at once.
    fn buy(&mut self, credits: i64, days: i64) {
        let order_no = format!("order-{}-{}", self.number, self.rows.len());
        self.output.orders.push((order_no.clone(), Some(self.user.clone())));
        for _ in 0..=i64::from(self.below(25) == 0) {
            self.insert("order_pay", credits, Some(order_no.clone()), self.now + days * DAY, 0);
        }
    }

    /// One call, or two at once, which see the same rows.
    fn spend(&mut self, cost: i64) {
        let Some((order_no, expired_at)) = self.paying_row(cost) else { return };
        for delay in 0..=i64::from(self.below(15) == 0) {
            self.charge(cost, order_no.clone(), expired_at, delay);
        }
    }

    fn charge(&mut self, cost: i64, order_no: Option<String>, expired_at: i64, delay: i64) {
        if self.below(4) == 0 {
            return self.insert("chat", -cost, order_no, expired_at, delay);
        }
        let generation = uuid(&mut self.rng);
        self.output.generations.push((generation.clone(), Some(self.user.clone())));
        self.insert("anime_generation", -cost, Some(generation.clone()), expired_at, delay);
        if self.below(10) == 0 {
            // Some versions of the app gave refunds an expiry of their own.
            let expiry = if self.below(4) == 0 { self.now + 90 * DAY } else { expired_at };
            self.insert("anime_generation_refund", cost, Some(generation), expiry, delay + 1);
        }
    }

    /// `order_no` and expiry of the row at which the sum reaches the cost, if the balance
    /// suffices.
    fn paying_row(&self, cost: i64) -> Option<(Option<String>, i64)> {
        let is_unexpired = |row: &&OldRow| row.expired_at.unwrap().millis() >= self.now;
        let mut unexpired: Vec<_> = self.rows.iter().filter(is_unexpired).collect();
        if unexpired.iter().map(|row| row.credits).sum::<i64>() < cost {
            return None;
        }
        unexpired.sort_by_key(|row| row.expired_at);
        let mut sum = 0;
        let row = unexpired.into_iter().find(|row| {
            sum += row.credits;
            sum >= cost
        })?;
        Some((row.order_no.clone(), row.expired_at?.millis()))
    }

    fn insert(&mut self, trans_type: &str, credits: i64, order_no: Option<String>, expiry: i64, delay: i64) {
        let index = i64::try_from(self.rows.len()).unwrap();
        let owner = |pairs: &[(String, Option<String>)]| {
            let is_own = pairs.iter().rev().any(|(key, _)| Some(key) == order_no.as_ref());
            if is_own { ReferenceOwner::SameUser } else { ReferenceOwner::Missing }
        };
        let row = OldRow {
            id: self.number.cast_signed() * USER_ROWS_MAX + index,
            trans_no: uuid(&mut self.rng),
            created_at: Timestamp::from_millis(self.now + delay).unwrap(),
            user_uuid: self.user.clone(),
            trans_type: trans_type.to_owned(),
            credits,
            order_owner: owner(&self.output.orders),
            generation_owner: owner(&self.output.generations),
            order_no,
            expired_at: Timestamp::from_millis(expiry),
            lot: None,
        };
        self.rows.push(row);
    }

    fn below(&mut self, end: i64) -> i64 {
        i64::from(self.rng.next_u32()) % end
    }
}
