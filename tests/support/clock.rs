use std::sync::{
    Arc,
    atomic::{AtomicI64, AtomicU64, Ordering},
};

use scrip::{domain::Timestamp, ledger::ClockAndRandom};
use tokio::time::Instant;
use uuid::{Builder, Uuid};

/// The time and the chance of a test.
#[derive(Clone)]
pub struct Clock {
    offset: Arc<AtomicI64>,
    drawn: Arc<AtomicU64>,
    /// Begins what is drawn by a clock that stands still: an engine that several
    /// tests share must not meet one token twice.
    salt: u32,
    /// When it began to run; a clock that stands still has none.
    running: Option<Instant>,
}

impl Clock {
    /// When every clock begins.
    pub const START: &str = "2026-01-01T00:00:00.000Z";

    /// Runs as the machine's does, or as the runtime's where that is simulated, and draws at random.
    pub fn running() -> Clock {
        Clock { offset: Arc::default(), drawn: Arc::default(), salt: 0, running: Some(Instant::now()) }
    }

    /// Moves only when told, and draws the same every time but for its salt.
    pub fn standing() -> Clock {
        Clock { running: None, salt: Uuid::new_v4().as_fields().0, ..Clock::running() }
    }

    /// What has been drawn by a clock that stands still, with a salt of zero.
    pub fn unsalted(&self, text: &str) -> String {
        text.replace(&format!("{:08x}-0000-4000-", self.salt), "00000000-0000-4000-")
    }

    /// The time.
    pub fn now(&self) -> Timestamp {
        let ran =
            self.running.map_or(0, |since| i64::try_from(since.elapsed().as_millis()).expect("a short run"));
        Timestamp::parse(Clock::START)
            .expect("a timestamp")
            .plus_millis(self.offset.load(Ordering::SeqCst) + ran)
    }

    /// Lets time pass.
    pub fn pass_millis(&self, millis: i64) {
        self.offset.fetch_add(millis, Ordering::SeqCst);
    }

    /// Lets days pass.
    pub fn pass_days(&self, days: i64) {
        self.pass_millis(days * 24 * 60 * 60 * 1_000);
    }

    /// This clock, as the ledger takes it.
    pub fn sources(&self) -> ClockAndRandom {
        let (now, random) = (self.clone(), self.clone());
        ClockAndRandom { now: Box::new(move || now.now()), random: Box::new(move || random.draw()) }
    }

    fn draw(&self) -> Uuid {
        if self.running.is_some() {
            return Uuid::new_v4();
        }
        let drawn = self.drawn.fetch_add(1, Ordering::SeqCst) + 1;
        let salted = u128::from(self.salt) << 96 | u128::from(drawn);
        Builder::from_random_bytes(salted.to_be_bytes()).into_uuid()
    }
}

/// Chance that is the same every time: a random UUID made of a name.
pub fn drawn(name: &str) -> Uuid {
    let hashed = Uuid::new_v5(&Uuid::NAMESPACE_OID, name.as_bytes());
    Builder::from_random_bytes(hashed.into_bytes()).into_uuid()
}
