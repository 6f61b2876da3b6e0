//! Runs the plans of many seeds on every core, and shrinks the first one that fails.

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
    checker::check,
    plan::{Fault, Plan, plans},
    simulator::{RunResult, simulate},
};

/// Interval of progress messages.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(60);

#[derive(Debug, Default)]
struct RunStatistics {
    seeds: u64,
    invocations: usize,
    requests: usize,
    faults: BTreeMap<Fault, usize>,
}

/// The plan of a seed.
pub fn plan_of(seed: u64) -> Plan {
    plans().new_tree(&mut runner(seed, 0)).expect("a strategy without rejections").current()
}

fn runner(seed: u64, shrinks_max: u32) -> TestRunner {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let config = Config { max_shrink_iters: shrinks_max, failure_persistence: None, ..Config::default() };
    TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes))
}

pub struct RunOptions {
    pub seeds: Range<u64>,
    pub time_limit: Duration,
    /// Most runs of a failing plan to make it smaller.
    pub shrinks_max: u32,
}

/// Runs seeds. An error describes the failure, and how to repeat it.
pub fn run_all(options: &RunOptions) -> Result<(), String> {
    let RunOptions { seeds, time_limit, shrinks_max } = options;
    let (next, started) = (AtomicU64::new(seeds.start), Instant::now());
    let (statistics, failure) = (Mutex::new(RunStatistics::default()), Mutex::new(None));
    let is_over = || started.elapsed() >= *time_limit || failure.lock().expect("no panic").is_some();
    let work = || {
        while !is_over() {
            let seed = next.fetch_add(1, Ordering::SeqCst);
            if seed >= seeds.end {
                return;
            }
            if let Err(problem) = run_one(seed, *shrinks_max, &statistics) {
                failure.lock().expect("no panic").get_or_insert(problem);
            }
        }
    };
    thread::scope(|scope| {
        let workers: Vec<_> =
            (0..thread::available_parallelism().map_or(1, usize::from)).map(|_| scope.spawn(work)).collect();
        let mut reported_at = started;
        while !workers.iter().all(thread::ScopedJoinHandle::is_finished) {
            thread::sleep(Duration::from_millis(20));
            if reported_at.elapsed() >= PROGRESS_INTERVAL {
                reported_at = Instant::now();
                eprintln!("{}", statistics.lock().expect("no panic").summary(started.elapsed()));
            }
        }
    });
    let statistics = statistics.into_inner().expect("no panic");
    eprintln!("{}: {:?}", statistics.summary(started.elapsed()), statistics.faults);
    failure.into_inner().expect("no panic").map_or(Ok(()), Err)
}

/// Runs a seed. An error has the smallest plan that still fails.
fn run_one(seed: u64, shrinks_max: u32, statistics: &Mutex<RunStatistics>) -> Result<(), String> {
    let mut runner = runner(seed, shrinks_max);
    let tree = plans().new_tree(&mut runner).expect("a strategy without rejections");
    let result = runner.run_one(tree, |plan| {
        let run = simulate(plan);
        statistics.lock().expect("no panic").add(&run);
        check(&run).map_err(TestCaseError::fail)
    });
    let Err(TestError::Fail(problem, plan)) = result else { return Ok(()) };
    let log = simulate(plan.clone()).log.lines.join("\n");
    Err(format!(
        "seed {seed}: {problem}\n\nthe plan, shrunk: {plan:#?}\n\nits log:\n{log}\n\n\
         seed {seed}: repeat it with SCRIP_SEED={seed} SCRIP_SEEDS=1"
    ))
}

impl RunStatistics {
    fn add(&mut self, run: &RunResult) {
        self.seeds += 1;
        self.invocations += run.attempts.len();
        self.requests += run.log.requests;
        for (fault, times) in &run.log.faults {
            *self.faults.entry(*fault).or_default() += times;
        }
    }

    fn summary(&self, elapsed: Duration) -> String {
        let RunStatistics { seeds, invocations, requests, faults } = self;
        let millis = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX).max(1);
        let (seconds, tenths) = (millis / 1_000, seeds * 10_000 / millis);
        let injected: usize = faults.values().sum();
        format!(
            "{seeds} runs in {seconds} s ({}.{} a second), {invocations} invocations, {requests} requests, {injected} faults",
            tenths / 10,
            tenths % 10
        )
    }
}
