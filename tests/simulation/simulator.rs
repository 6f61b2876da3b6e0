//! Runs a plan: the functions' own handlers and the real SDK, in processes that start and
//! die, on one engine and one clock that jumps to the next event.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use aws_sdk_dynamodb::{
    Client, Config,
    config::{BehaviorVersion, Credentials, Region},
};
use scrip::{
    domain::Timestamp,
    ledger::{ClockAndRandom, Ledger},
    store::{Store, TABLE},
    transport::App,
};
use scrip_tests::{Clock, WEBHOOK_SECRET, callbacks_signed_with, engine::Engine, seeded_uuid};
use serde_json::Value;
use tokio::{
    runtime::Builder,
    task::JoinSet,
    time::{Instant, sleep},
};

use crate::{
    caller::{Attempt, AttemptOutcome, SimulatedTime, send},
    network::{EventLog, Network, PlannedRoundTrips},
    plan::{Call, GENERATIONS, Plan, Step, USERS},
};

/// After this many milliseconds without calls every request has ended.
const QUIESCENCE_MILLIS: u64 = 60 * 60 * 1_000;

/// The times in which strong reads did not show a committed item, from and to, in
/// milliseconds since 1970, by user and sort key.
pub type VisibilityGaps = BTreeMap<(String, String), Vec<(i64, i64)>>;

pub struct RunResult {
    pub attempts: Vec<Attempt>,
    /// All items of the table at the end.
    pub items: Vec<Value>,
    pub gaps: VisibilityGaps,
    pub log: EventLog,
}

/// A Lambda process.
struct Process {
    app: Arc<App>,
    network: Network,
}

struct Simulator {
    engine: Arc<Engine>,
    log: Arc<Mutex<EventLog>>,
    started: Instant,
    skews: Vec<i64>,
    /// Processes that wait for an invocation, by machine.
    idle: Mutex<Vec<Vec<Process>>>,
    processes: AtomicUsize,
    recorded_moments: AtomicU64,
    attempts: Mutex<Vec<Attempt>>,
}

pub fn simulate(plan: Plan) -> RunResult {
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime");
    runtime.block_on(async {
        let simulator = Arc::new(Simulator::new(plan.skews).await);
        let mut running = JoinSet::new();
        for (number, step) in plan.steps.into_iter().enumerate() {
            sleep(Duration::from_millis(step.wait)).await;
            running.spawn(simulator.clone().run_step(number, step));
        }
        running.join_all().await;
        sleep(Duration::from_millis(QUIESCENCE_MILLIS)).await;
        simulator.read_everything().await;
        let items = simulator.engine.scan();
        let moment = |at: Instant| millis(at - simulator.started);
        let gap = |(from, to): (Instant, Instant)| (moment(from), moment(to));
        let gaps = simulator.engine.gaps().into_iter();
        let gaps = gaps.map(|(key, gaps)| (key, gaps.into_iter().map(gap).collect())).collect();
        let attempts = std::mem::take(&mut *simulator.attempts.lock().expect("no panic"));
        let log = std::mem::take(&mut *simulator.log.lock().expect("no panic"));
        RunResult { attempts, items, gaps, log }
    })
}

impl Simulator {
    async fn new(skews: Vec<i64>) -> Simulator {
        let idle = skews.iter().map(|_| Vec::new()).collect();
        let simulator = Simulator {
            engine: Arc::new(Engine::default()),
            log: Arc::default(),
            started: Instant::now(),
            skews,
            idle: Mutex::new(idle),
            processes: AtomicUsize::new(0),
            recorded_moments: AtomicU64::new(0),
            attempts: Mutex::default(),
        };
        simulator.start_process(0).1.create_table().await.expect("a table");
        // The engine stamps the table's creation with the real time, which differs in every run.
        *simulator.log.lock().expect("no panic") = EventLog::default();
        simulator
    }

    /// Sends a step's request, and retries it until its outcome is final.
    async fn run_step(self: Arc<Simulator>, number: usize, step: Step) {
        let round_trips = Arc::new(Mutex::new(VecDeque::from(step.round_trips.clone())));
        let expired_at = match step.call {
            Call::Grant { lifetime: Some(lifetime), .. } => {
                i64::try_from(lifetime).ok().map(|lifetime| self.now() + lifetime)
            }
            _ => None,
        };
        for attempt in 0..step.attempts_max {
            let tag = format!("s{number}.{attempt}");
            let request_id = if step.is_redelivered { format!("s{number}") } else { tag.clone() };
            let is_final = self.attempt(&step, tag, request_id, expired_at, &round_trips, false).await;
            if is_final && !step.is_redelivered {
                return;
            }
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// Reads every user and generation, after all other requests have ended.
    async fn read_everything(&self) {
        let calls_of = |user| [Call::Balance(user), Call::Summary(user), Call::Timeline(user)];
        let calls = USERS.into_iter().flat_map(calls_of).chain(GENERATIONS.map(Call::Generation));
        for (number, call) in calls.enumerate() {
            let step = Step { is_cold: true, ..Step::new(0, call) };
            let tag = format!("quiescent{number}");
            self.attempt(&step, tag.clone(), tag, None, &Arc::default(), true).await;
        }
    }

    /// Sends a request once. Returns whether its outcome is final.
    async fn attempt(
        &self,
        step: &Step,
        tag: String,
        request_id: String,
        expired_at: Option<i64>,
        round_trips: &PlannedRoundTrips,
        is_quiescent: bool,
    ) -> bool {
        let process = self.take_process(step);
        process.network.begin_invocation(round_trips);
        let started = self.record_moment();
        let time_limit = Duration::from_millis(step.time_limit);
        let outcome = tokio::select! {
            biased;
            outcome = send(&process.app, step, &tag, &request_id, expired_at) => outcome,
            () = process.network.wait_for_death() => AttemptOutcome::CutOff,
            () = sleep(time_limit) => {
                process.network.kill();
                AttemptOutcome::CutOff
            }
        };
        if !process.network.is_dead() {
            self.idle.lock().expect("no panic")[step.machine].push(process);
        }
        let (call, ended) = (step.call.clone(), self.record_moment());
        let attempt = Attempt { tag, request_id, call, expired_at, started, ended, outcome, is_quiescent };
        let is_final = attempt.is_final();
        self.attempts.lock().expect("no panic").push(attempt);
        is_final
    }

    /// An idle process, or a new one.
    fn take_process(&self, step: &Step) -> Process {
        let idle = self.idle.lock().expect("no panic")[step.machine].pop();
        idle.filter(|_| !step.is_cold).unwrap_or_else(|| self.start_process(step.machine).0)
    }

    fn start_process(&self, machine: usize) -> (Process, Store) {
        let number = self.processes.fetch_add(1, Ordering::SeqCst);
        let network = Network::new(self.engine.clone(), self.log.clone(), self.started, number);
        let config = Store::with_timeouts(Config::builder())
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("us-east-1"))
            .credentials_provider(Credentials::new("test", "test", None, None, "test"))
            .endpoint_url("http://engine")
            .http_client(network.client());
        let store = Store::new(Client::from_conf(config.build()), TABLE);
        let (started, skew, drawn_count) = (self.started, self.skews[machine], AtomicU64::new(0));
        let sources = ClockAndRandom {
            now: Box::new(move || timestamp(now(started) + skew)),
            random: Box::new(move || {
                seeded_uuid(&format!("{number}/{}", drawn_count.fetch_add(1, Ordering::SeqCst)))
            }),
        };
        let ledger = Ledger::new(store.clone(), sources);
        let app =
            App::new(ledger).without_authentication().with_callbacks(callbacks_signed_with(WEBHOOK_SECRET));
        (Process { app: Arc::new(app), network }, store)
    }

    fn now(&self) -> i64 {
        now(self.started)
    }

    fn record_moment(&self) -> SimulatedTime {
        let sequence = self.recorded_moments.fetch_add(1, Ordering::SeqCst);
        SimulatedTime { millis: self.now(), sequence }
    }
}

/// The simulation's time, in milliseconds since 1970.
fn now(started: Instant) -> i64 {
    millis(started.elapsed())
}

fn millis(since_start: Duration) -> i64 {
    let start = Timestamp::parse(Clock::START).expect("a timestamp").millis();
    start + i64::try_from(since_start.as_millis()).expect("a span of days")
}

fn timestamp(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis).expect("a valid timestamp")
}
