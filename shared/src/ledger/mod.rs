//! The use cases: commands through one write path, reads, audit and repair.

mod audit;
mod audit_batch;
mod balance;
mod comparison;
mod execute;
mod generation;
mod order;
mod refund;
mod repair;
mod retry;
mod revoke;
mod summary;
mod sweep;
mod table_scan;
mod timeline;
mod timeline_sums;
mod user_snapshot;

use std::{
    ops::RangeInclusive,
    time::{SystemTime, UNIX_EPOCH},
};

use uuid::Uuid;

pub use audit::AuditReport;
pub use audit_batch::{AuditDeadline, AuditSummary};
pub use execute::Invocation;
pub use generation::GenerationPage;
pub use order::{OrderAudit, OrderReadError, PaidOrder};
pub use repair::Repair;
pub use revoke::AliasOutcome;
pub use summary::SummaryRange;
pub use sweep::SweepSummary;
pub use table_scan::UserScan;
pub use timeline::{Page, TimelineRequest};

use crate::{
    domain::{InvocationId, Timestamp},
    store::{RequestToken, Store},
};

/// The ledger of one DynamoDB table.
pub struct Ledger {
    store: Store,
    clock_and_random: ClockAndRandom,
    contention_millis: i64,
}

/// The time since the last commit after which a call in contention returns `Busy`. A hot
/// wallet must not occupy an account's concurrency until the deadlines of its invocations.
const CONTENTION_MILLIS: i64 = 3_000;

/// The clock and the random source of a ledger. It uses no others, so a test can replace
/// both.
pub struct ClockAndRandom {
    /// Returns the time.
    pub now: Box<dyn Fn() -> Timestamp + Send + Sync>,
    /// Returns a random UUID version 4.
    pub random: Box<dyn Fn() -> Uuid + Send + Sync>,
}

impl ClockAndRandom {
    /// The clock and the random source of the system.
    pub fn system() -> ClockAndRandom {
        ClockAndRandom { now: Box::new(system_time), random: Box::new(Uuid::new_v4) }
    }
}

fn system_time() -> Timestamp {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let millis = i64::try_from(elapsed.as_millis()).ok();
    millis.and_then(Timestamp::from_millis).expect("the system clock is between the years 1970 and 9999")
}

impl Ledger {
    /// The ledger of the table of a store.
    pub fn new(store: Store, clock_and_random: ClockAndRandom) -> Ledger {
        Ledger { store, clock_and_random, contention_millis: CONTENTION_MILLIS }
    }

    /// Sets the time, in milliseconds, for which a call retries under contention. The default
    /// is 3 s. An operator's command can wait longer for a throttled table.
    pub fn with_contention_budget(self, millis: i64) -> Ledger {
        Ledger { contention_millis: millis, ..self }
    }

    /// The time of the clock.
    pub fn now(&self) -> Timestamp {
        (self.clock_and_random.now)()
    }

    /// Connects to the table; see [`Store::warm`].
    pub async fn warm(&self) {
        self.store.warm().await;
    }

    /// A random number of a range.
    pub fn random_number(&self, range: RangeInclusive<u64>) -> u64 {
        let (_, bits) = (self.clock_and_random.random)().as_u64_pair();
        range.start() + bits % (range.end() - range.start() + 1)
    }

    fn invocation_id(&self) -> InvocationId {
        InvocationId::new((self.clock_and_random.random)())
    }

    fn request_token(&self) -> RequestToken {
        RequestToken::new((self.clock_and_random.random)())
    }
}
