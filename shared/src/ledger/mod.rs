//! The use cases: commands through one write path, and the reads, one file each.

mod audit;
mod audit_batch;
mod balance;
mod comparison;
mod execute;
mod generation;
mod refund;
mod repair;
mod retry;
mod summary;
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
pub use repair::Repair;
pub use summary::SummaryRange;
pub use table_scan::UserScan;
pub use timeline::{Page, TimelineRequest};

use crate::{
    domain::{InvocationId, Timestamp},
    store::{RequestToken, Store},
};

/// The ledger on one table.
pub struct Ledger {
    store: Store,
    clock_and_random: ClockAndRandom,
    contention_millis: i64,
}

/// How long contention is fought, since the last progress, before a call is `Busy`. A hot
/// wallet must not hold an account's concurrency for as long as its invocations may take.
const CONTENTION_MILLIS: i64 = 3_000;

/// Where time and chance come from. Nothing else in the ledger asks for either,
/// so that a test can give both.
pub struct ClockAndRandom {
    /// The time.
    pub now: Box<dyn Fn() -> Timestamp + Send + Sync>,
    /// A random UUID version 4.
    pub random: Box<dyn Fn() -> Uuid + Send + Sync>,
}

impl ClockAndRandom {
    /// The machine's own.
    pub fn system() -> ClockAndRandom {
        ClockAndRandom { now: Box::new(system_time), random: Box::new(Uuid::new_v4) }
    }
}

/// The machine's time, cut to milliseconds.
fn system_time() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let millis = i64::try_from(since.as_millis()).ok();
    millis
        .and_then(Timestamp::from_millis)
        .expect("the machine's clock stands between the years 1970 and 9999")
}

impl Ledger {
    /// The ledger on this table.
    pub fn new(store: Store, clock_and_random: ClockAndRandom) -> Ledger {
        Ledger { store, clock_and_random, contention_millis: CONTENTION_MILLIS }
    }

    /// The same with another time for contention, in milliseconds: an operator's command
    /// waits until a table that throttles has grown.
    pub fn with_contention_budget(self, millis: i64) -> Ledger {
        Ledger { contention_millis: millis, ..self }
    }

    /// The time.
    pub fn now(&self) -> Timestamp {
        (self.clock_and_random.now)()
    }

    /// Makes the way to the table, as [`Store::warm`] says.
    pub async fn warm(&self) {
        self.store.warm().await;
    }

    /// A random number of this range.
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
