//! The clock and the random numbers of a test.

use std::sync::{
    Arc,
    atomic::{AtomicI64, AtomicU64, Ordering},
};

use scrip::{domain::Timestamp, ledger::ClockAndRandom};
use tokio::time::Instant;
use uuid::{Builder, Uuid};

/// A clock and a source of random numbers. Clones share both.
#[derive(Clone)]
pub struct Clock {
    offset: Arc<AtomicI64>,
    seeded_uuid: Arc<AtomicU64>,
    /// First bytes of the random numbers of a stopped clock: tests that share an engine must
    /// not send equal tokens.
    salt: u32,
    /// Start of a running clock; absent for a stopped one.
    running: Option<Instant>,
}

impl Clock {
    /// Start time of every clock.
    pub const START: &str = "2026-01-01T00:00:00.000Z";

    /// Runs with Tokio's clock, which may be simulated. Its random numbers differ in each run.
    pub fn running() -> Clock {
        Clock { offset: Arc::default(), seeded_uuid: Arc::default(), salt: 0, running: Some(Instant::now()) }
    }

    /// Moves only by `pass_millis` and `pass_days`. Its random numbers are equal in each run,
    /// except for their salt.
    pub fn stopped() -> Clock {
        Clock { running: None, salt: Uuid::new_v4().as_fields().0, ..Clock::running() }
    }

    /// Replaces the salt in a text by zeros.
    pub fn unsalted(&self, text: &str) -> String {
        text.replace(&format!("{:08x}-0000-4000-", self.salt), "00000000-0000-4000-")
    }

    /// The present time.
    pub fn now(&self) -> Timestamp {
        let elapsed =
            self.running.map_or(0, |start| i64::try_from(start.elapsed().as_millis()).expect("a short run"));
        Timestamp::parse(Clock::START)
            .expect("a timestamp")
            .plus_millis(self.offset.load(Ordering::SeqCst) + elapsed)
    }

    /// Moves the clock forward.
    pub fn pass_millis(&self, millis: i64) {
        self.offset.fetch_add(millis, Ordering::SeqCst);
    }

    /// Moves the clock forward by days.
    pub fn pass_days(&self, days: i64) {
        self.pass_millis(days * 24 * 60 * 60 * 1_000);
    }

    /// The sources of a ledger.
    pub fn sources(&self) -> ClockAndRandom {
        let (now, random) = (self.clone(), self.clone());
        ClockAndRandom { now: Box::new(move || now.now()), random: Box::new(move || random.draw()) }
    }

    fn draw(&self) -> Uuid {
        if self.running.is_some() {
            return Uuid::new_v4();
        }
        let seeded_uuid = self.seeded_uuid.fetch_add(1, Ordering::SeqCst) + 1;
        let salted = u128::from(self.salt) << 96 | u128::from(seeded_uuid);
        Builder::from_random_bytes(salted.to_be_bytes()).into_uuid()
    }
}

/// A UUID with the form of a random one that depends on a name only.
pub fn seeded_uuid(name: &str) -> Uuid {
    let hashed = Uuid::new_v5(&Uuid::NAMESPACE_OID, name.as_bytes());
    Builder::from_random_bytes(hashed.into_bytes()).into_uuid()
}
