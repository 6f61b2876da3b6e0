//! A closed loop: each caller sends its next charge when the last one was answered.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use scrip_ops::cli_error::CliError;
use tokio::{task::JoinSet, time::timeout};
use uuid::Uuid;

use super::subject::{Answer, Caller};

/// API Gateway ends a request after 30 s.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// Bounds of the histogram, in microseconds.
const LATENCY_MAX: u64 = 60_000_000;
/// Parts of the charges whose rates are compared.
pub(super) const PARTS: u64 = 10;

/// When the callers stop.
#[derive(Clone, Copy, Debug)]
pub(super) enum Stop {
    /// After this time.
    Elapsed(Duration),
    /// When this many charges are written, or a few more: those in flight then.
    Written(u64),
    /// When this many charges are sent.
    Sent(u64),
}

/// The answers of a run.
pub(super) struct Outcome {
    /// Credits charged, by wallet.
    pub(super) charged: Vec<i64>,
    /// Number of other answers by their code.
    pub(super) errors: BTreeMap<String, u64>,
    /// Of all answers, in microseconds.
    pub(super) latency: Histogram<u64>,
    /// From the first charge to the last answer.
    pub(super) elapsed: Duration,
    /// When each part of `Stop::Written` was written, from the start.
    pub(super) parts: Vec<Duration>,
}

/// What the callers have in common.
struct Loop {
    stop: Stop,
    wallets: Vec<String>,
    started: Instant,
    sent: AtomicU64,
    written: AtomicU64,
    parts: Mutex<Vec<Duration>>,
}

/// Charges one credit at a time of random wallets until the end. The connections stay open: a
/// server of PostgreSQL that ends takes its processor time with it for a moment.
///
/// # Errors
/// If a subject gives no answer.
pub(super) async fn run(
    callers: &[Arc<Caller>],
    wallets: &[String],
    stop: Stop,
) -> Result<Outcome, CliError> {
    let mut outcome = Outcome::new(wallets.len());
    let common = Arc::new(Loop {
        stop,
        wallets: wallets.to_vec(),
        started: Instant::now(),
        sent: AtomicU64::new(0),
        written: AtomicU64::new(0),
        parts: Mutex::default(),
    });
    // Dropping the set ends the other callers after an error.
    let mut tasks = JoinSet::new();
    for (seed, caller) in (0..).zip(callers) {
        tasks.spawn(common.clone().charge_repeatedly(caller.clone(), seed));
    }
    while let Some(ended) = tasks.join_next().await {
        outcome.add(ended.expect("a caller that does not panic")?);
    }
    outcome.elapsed = common.started.elapsed();
    outcome.parts = std::mem::take(&mut common.parts.lock().expect("no panic"));
    Ok(outcome)
}

impl Loop {
    async fn charge_repeatedly(self: Arc<Self>, caller: Arc<Caller>, seed: u64) -> Result<Outcome, CliError> {
        let mut random = StdRng::seed_from_u64(seed);
        let mut outcome = Outcome::new(self.wallets.len());
        while self.continues() {
            let wallet = random.random_range(0..self.wallets.len());
            let generation = Uuid::new_v4().to_string();
            let started = Instant::now();
            let charge = timeout(ANSWER_TIMEOUT, caller.charge(&self.wallets[wallet], &generation));
            let no_answer = |_| CliError(format!("no answer in {} s", ANSWER_TIMEOUT.as_secs()));
            let answer = charge.await.map_err(no_answer)??;
            let micros = u64::try_from(started.elapsed().as_micros()).unwrap_or(LATENCY_MAX);
            outcome.latency.saturating_record(micros);
            match answer {
                Answer::Charged => {
                    outcome.charged[wallet] += 1;
                    self.count_written();
                }
                Answer::Error(code) => *outcome.errors.entry(code).or_default() += 1,
            }
        }
        Ok(outcome)
    }

    /// Whether a caller may send another charge.
    fn continues(&self) -> bool {
        let sent = self.sent.fetch_add(1, Ordering::Relaxed);
        match self.stop {
            Stop::Elapsed(duration) => self.started.elapsed() < duration,
            Stop::Written(charges) => self.written.load(Ordering::Relaxed) < charges,
            Stop::Sent(charges) => sent < charges,
        }
    }

    fn count_written(&self) {
        let written = self.written.fetch_add(1, Ordering::Relaxed) + 1;
        if let Stop::Written(charges) = self.stop
            && written <= charges
            && written.is_multiple_of(charges / PARTS)
        {
            self.parts.lock().expect("no panic").push(self.started.elapsed());
        }
    }
}

impl Outcome {
    fn new(wallets: usize) -> Outcome {
        Outcome {
            charged: vec![0; wallets],
            errors: BTreeMap::new(),
            latency: Histogram::new_with_bounds(1, LATENCY_MAX, 3).expect("valid bounds"),
            elapsed: Duration::ZERO,
            parts: Vec::new(),
        }
    }

    fn add(&mut self, caller: Outcome) {
        for (sum, charged) in self.charged.iter_mut().zip(caller.charged) {
            *sum += charged;
        }
        for (code, count) in caller.errors {
            *self.errors.entry(code).or_default() += count;
        }
        self.latency.add(caller.latency).expect("equal bounds");
    }

    /// Number of charges written.
    pub(super) fn written(&self) -> u64 {
        self.charged.iter().sum::<i64>().unsigned_abs()
    }
}
