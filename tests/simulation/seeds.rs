//! Runs plan after plan, on every core, and shrinks the first one that fails.

use std::{
    collections::BTreeMap,
    ops::Range,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use proptest::{
    strategy::{Strategy, ValueTree},
    test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner},
};

use crate::{
    judge::judge,
    plan::{Fault, Plan, plans},
    world::{Run, run},
};

/// How often progress is told.
const TOLD_EVERY: Duration = Duration::from_secs(60);

/// What was run.
#[derive(Debug, Default)]
pub struct CreditSum {
    seeds: u64,
    invocations: usize,
    requests: usize,
    faults: BTreeMap<Fault, usize>,
}

/// The plan of a seed.
pub fn plan_of(seed: u64) -> Plan {
    plans().new_tree(&mut runner(seed, 0)).expect("a strategy that refuses nothing").current()
}

fn runner(seed: u64, shrinks: u32) -> TestRunner {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let config = Config { max_shrink_iters: shrinks, failure_persistence: None, ..Config::default() };
    TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes))
}

/// What to run.
pub struct Errand {
    /// These seeds.
    pub seeds: Range<u64>,
    /// At most for so long.
    pub limit: Duration,
    /// How often a failing plan is run, at most, to make it smaller.
    pub shrinks: u32,
}

/// Runs seeds; says what failed, and how it can be seen again.
pub fn run_all(errand: &Errand) -> Result<(), String> {
    let Errand { seeds, limit, shrinks } = errand;
    let (next, began) = (AtomicU64::new(seeds.start), Instant::now());
    let (tally, failure) = (Mutex::new(CreditSum::default()), Mutex::new(None));
    let is_over = || began.elapsed() >= *limit || failure.lock().expect("no panic").is_some();
    let work = || {
        while !is_over() {
            let seed = next.fetch_add(1, Ordering::SeqCst);
            if seed >= seeds.end {
                return;
            }
            if let Err(why) = run_one(seed, *shrinks, &tally) {
                failure.lock().expect("no panic").get_or_insert(why);
            }
        }
    };
    thread::scope(|scope| {
        let workers: Vec<_> =
            (0..thread::available_parallelism().map_or(1, usize::from)).map(|_| scope.spawn(work)).collect();
        let mut told = began;
        while !workers.iter().all(thread::ScopedJoinHandle::is_finished) {
            thread::sleep(Duration::from_millis(20));
            if told.elapsed() >= TOLD_EVERY {
                told = Instant::now();
                eprintln!("{}", tally.lock().expect("no panic").told(began.elapsed()));
            }
        }
    });
    let tally = tally.into_inner().expect("no panic");
    eprintln!("{}: {:?}", tally.told(began.elapsed()), tally.faults);
    failure.into_inner().expect("no panic").map_or(Ok(()), Err)
}

/// Runs a seed; a plan that fails is told as small as it can be made.
fn run_one(seed: u64, shrinks: u32, tally: &Mutex<CreditSum>) -> Result<(), String> {
    let mut runner = runner(seed, shrinks);
    let tree = plans().new_tree(&mut runner).expect("a strategy that refuses nothing");
    let ended = runner.run_one(tree, |plan| {
        let run = run(plan);
        tally.lock().expect("no panic").count(&run);
        judge(&run).map_err(TestCaseError::fail)
    });
    let Err(TestError::Fail(why, plan)) = ended else { return Ok(()) };
    let log = run(plan.clone()).log.lines.join("\n");
    Err(format!(
        "seed {seed}: {why}\n\nthe plan, shrunk: {plan:#?}\n\nwhat happened in it:\n{log}\n\n\
         seed {seed}: run it again with SCRIP_SEED={seed} SCRIP_SEEDS=1"
    ))
}

impl CreditSum {
    fn count(&mut self, run: &Run) {
        self.seeds += 1;
        self.invocations += run.attempts.len();
        self.requests += run.log.requests;
        for (fault, times) in &run.log.faults {
            *self.faults.entry(*fault).or_default() += times;
        }
    }

    fn told(&self, elapsed: Duration) -> String {
        let CreditSum { seeds, invocations, requests, faults } = self;
        let millis = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX).max(1);
        let (seconds, tenths) = (millis / 1_000, seeds * 10_000 / millis);
        let struck: usize = faults.values().sum();
        format!(
            "{seeds} runs in {seconds} s ({}.{} a second), {invocations} invocations, {requests} requests, {struck} faults",
            tenths / 10,
            tenths % 10
        )
    }
}
