//! Runs a plan: the functions' own handlers and the real SDK, in processes that start and
//! die, on one engine and one clock that jumps to the next event.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
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
    caller::{Attempt, AttemptOutcome, RequestValues, SimulatedTime, send},
    network::{EventLog, Network, PlannedRoundTrips},
    plan::{Address, Call, GENERATIONS, Plan, Step, USERS},
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
    /// What an audit of every user finds at the end.
    pub discrepancies: Vec<String>,
    pub log: EventLog,
}

/// A Lambda process.
struct Process {
    app: Arc<App>,
    network: Network,
    /// The random UUIDs that it drew since its last invocation.
    drawn: Arc<Mutex<BTreeSet<String>>>,
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
        let discrepancies = simulator.audit().await;
        let items = simulator.engine.scan();
        let moment = |at: Instant| millis(at - simulator.started);
        let gap = |(from, to): (Instant, Instant)| (moment(from), moment(to));
        let gaps = simulator.engine.gaps().into_iter();
        let gaps = gaps.map(|(key, gaps)| (key, gaps.into_iter().map(gap).collect())).collect();
        let attempts = std::mem::take(&mut *simulator.attempts.lock().expect("no panic"));
        let log = std::mem::take(&mut *simulator.log.lock().expect("no panic"));
        RunResult { attempts, items, gaps, discrepancies, log }
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
        let values = self.values_of(&step.call);
        for attempt in 0..step.attempts_max {
            let tag = format!("s{number}.{attempt}");
            let request_id = if step.is_redelivered { format!("s{number}") } else { tag.clone() };
            let is_final = self.attempt(&step, tag, request_id, &values, &round_trips, false).await;
            if is_final && !step.is_redelivered {
                return;
            }
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// The values of a request that its caller has from the clock, or from earlier responses.
    fn values_of(&self, call: &Call) -> RequestValues {
        let lifetime = if let Call::Grant { lifetime, .. } = call { *lifetime } else { None };
        let expired_at = lifetime.and_then(|lifetime| i64::try_from(lifetime).ok());
        let expired_at = expired_at.map(|lifetime| self.now() + lifetime);
        let trans_no = match call {
            Call::Refund { address, .. } | Call::Success(address) if address.is_by_trans_no => {
                self.charge_of(address)
            }
            _ => None,
        };
        RequestValues { expired_at, trans_no }
    }

    /// The first charge of a generation that a response named.
    fn charge_of(&self, address: &Address) -> Option<String> {
        self.attempts.lock().expect("no panic").iter().find_map(|attempt| {
            let Call::Charge { user, generation, .. } = &attempt.call else { return None };
            let is_addressed = *generation == Some(address.generation)
                && address.user.is_none_or(|addressed| addressed == *user);
            let response = attempt.response().filter(|_| is_addressed)?;
            response["trans_no"].as_str().map(str::to_owned)
        })
    }

    /// Ends every hold, then reads every user and generation, after all other requests have
    /// ended.
    async fn read_everything(&self) {
        let calls_of = |user| [Call::Balance(user), Call::Summary(user), Call::Timeline(user)];
        let reads = USERS.into_iter().flat_map(calls_of).chain(GENERATIONS.map(Call::Generation));
        for (number, call) in [Call::Sweep].into_iter().chain(reads).enumerate() {
            let step = Step { is_cold: true, ..Step::new(0, call) };
            let (tag, values) = (format!("quiescent{number}"), RequestValues::default());
            self.attempt(&step, tag.clone(), tag, &values, &Arc::default(), true).await;
        }
    }

    /// Compares the wallet and the indexes of every user with the records.
    async fn audit(&self) -> Vec<String> {
        let ledger = &self.start_process(0).0.app.ledger;
        let mut found = Vec::new();
        for user in USERS {
            let (user, deadline) =
                (user.to_owned().try_into().expect("a user"), ledger.now().plus_millis(60_000));
            match ledger.audit(&user, deadline).await {
                Ok(report) => found.extend(report.discrepancies.listed().map(ToString::to_string)),
                Err(error) => found.push(format!("{error:?}")),
            }
        }
        found
    }

    /// Sends a request once. Returns whether its outcome is final.
    async fn attempt(
        &self,
        step: &Step,
        tag: String,
        request_id: String,
        values: &RequestValues,
        round_trips: &PlannedRoundTrips,
        is_quiescent: bool,
    ) -> bool {
        let process = self.take_process(step);
        process.network.begin_invocation(round_trips);
        let started = self.record_moment();
        let time_limit = Duration::from_millis(step.time_limit);
        let outcome = tokio::select! {
            biased;
            outcome = send(&process.app, step, &tag, &request_id, values) => outcome,
            () = process.network.wait_for_death() => AttemptOutcome::CutOff,
            () = sleep(time_limit) => {
                process.network.kill();
                AttemptOutcome::CutOff
            }
        };
        let drawn = std::mem::take(&mut *process.drawn.lock().expect("no panic"));
        if !process.network.is_dead() {
            self.idle.lock().expect("no panic")[step.machine].push(process);
        }
        let (call, values, ended) = (step.call.clone(), values.clone(), self.record_moment());
        let attempt = Attempt { tag, call, request_id, values, drawn, started, ended, outcome, is_quiescent };
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
        let drawn = Arc::<Mutex<BTreeSet<String>>>::default();
        let drawn_by = drawn.clone();
        let sources = ClockAndRandom {
            now: Box::new(move || timestamp(now(started) + skew)),
            random: Box::new(move || {
                let uuid = seeded_uuid(&format!("{number}/{}", drawn_count.fetch_add(1, Ordering::SeqCst)));
                drawn_by.lock().expect("no panic").insert(uuid.to_string());
                uuid
            }),
        };
        let ledger = Ledger::new(store.clone(), sources);
        let app =
            App::new(ledger).without_authentication().with_callbacks(callbacks_signed_with(WEBHOOK_SECRET));
        (Process { app: Arc::new(app), network, drawn }, store)
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
