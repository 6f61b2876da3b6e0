//! A run of a plan: the functions' own handlers and the real SDK, in processes
//! that start and die, on one engine and one clock that jumps to whatever comes
//! next.

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
use scrip_tests::{Clock, WEBHOOK_SECRET, callbacks_signed_with, drawn, engine::Engine};
use serde_json::Value;
use tokio::{
    runtime::Builder,
    task::JoinSet,
    time::{Instant, sleep},
};

use crate::{
    caller::{Attempt, End, Moment, ask},
    line::{Line, Log, Ways},
    plan::{Call, GENERATIONS, Plan, Step, USERS},
};

/// After this many milliseconds without calls nothing is on its way any more.
const QUIET_MILLIS: u64 = 60 * 60 * 1_000;

/// Spans of time, by the user and the sort key of an item.
pub type Gaps = BTreeMap<(String, String), Vec<(i64, i64)>>;

/// What a run has brought about.
pub struct Run {
    /// What was asked and answered.
    pub attempts: Vec<Attempt>,
    /// The table at the end, item by item.
    pub items: Vec<Value>,
    /// From when to when strong reads did not show a committed item, in milliseconds since
    /// 1970, by user and sort key.
    pub gaps: Gaps,
    /// What happened on the way.
    pub log: Log,
}

/// A Lambda process.
struct Process {
    app: Arc<App>,
    line: Line,
}

struct World {
    engine: Arc<Engine>,
    log: Arc<Mutex<Log>>,
    began: Instant,
    skews: Vec<i64>,
    /// Processes that wait for an invocation, machine by machine.
    idle: Mutex<Vec<Vec<Process>>>,
    started: AtomicUsize,
    moments: AtomicU64,
    attempts: Mutex<Vec<Attempt>>,
}

/// Runs a plan.
pub fn run(plan: Plan) -> Run {
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime");
    runtime.block_on(async {
        let world = Arc::new(World::new(plan.skews).await);
        let mut running = JoinSet::new();
        for (number, step) in plan.steps.into_iter().enumerate() {
            sleep(Duration::from_millis(step.wait)).await;
            running.spawn(world.clone().take(number, step));
        }
        running.join_all().await;
        sleep(Duration::from_millis(QUIET_MILLIS)).await;
        world.look().await;
        let items = world.engine.scan();
        let moment = |at: Instant| millis(at - world.began);
        let gap = |(from, to): (Instant, Instant)| (moment(from), moment(to));
        let gaps = world.engine.gaps().into_iter();
        let gaps = gaps.map(|(place, all)| (place, all.into_iter().map(gap).collect())).collect();
        let attempts = std::mem::take(&mut *world.attempts.lock().expect("no panic"));
        let log = std::mem::take(&mut *world.log.lock().expect("no panic"));
        Run { attempts, items, gaps, log }
    })
}

impl World {
    async fn new(skews: Vec<i64>) -> World {
        let idle = skews.iter().map(|_| Vec::new()).collect();
        let world = World {
            engine: Arc::new(Engine::default()),
            log: Arc::default(),
            began: Instant::now(),
            skews,
            idle: Mutex::new(idle),
            started: AtomicUsize::new(0),
            moments: AtomicU64::new(0),
            attempts: Mutex::default(),
        };
        world.start(0).1.create_table().await.expect("a table");
        // The engine tells by its own clock when it made the table.
        *world.log.lock().expect("no panic") = Log::default();
        world
    }

    /// Takes a step: asks until there is nothing to ask again.
    async fn take(self: Arc<World>, number: usize, step: Step) {
        let ways = Arc::new(Mutex::new(VecDeque::from(step.ways.clone())));
        let expired_at = match step.call {
            Call::Grant { lasts: Some(lasts), .. } => {
                i64::try_from(lasts).ok().map(|lasts| self.now() + lasts)
            }
            _ => None,
        };
        for attempt in 0..step.tries {
            let tag = format!("s{number}.{attempt}");
            let delivery = if step.is_redelivered { format!("s{number}") } else { tag.clone() };
            let is_over = self.attempt(&step, tag, delivery, expired_at, &ways, false).await;
            if is_over && !step.is_redelivered {
                return;
            }
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// Reads all there is, when nothing is on its way any more.
    async fn look(&self) {
        let of_user = |user| [Call::Balance(user), Call::Summary(user), Call::Timeline(user)];
        let calls = USERS.into_iter().flat_map(of_user).chain(GENERATIONS.map(Call::Generation));
        for (number, call) in calls.enumerate() {
            let step = Step { is_cold: true, ..Step::new(0, call) };
            let tag = format!("quiet{number}");
            self.attempt(&step, tag.clone(), tag, None, &Arc::default(), true).await;
        }
    }

    /// Asks once; says whether that is the end of it.
    async fn attempt(
        &self,
        step: &Step,
        tag: String,
        delivery: String,
        expired_at: Option<i64>,
        ways: &Ways,
        is_quiet: bool,
    ) -> bool {
        let process = self.process(step);
        process.line.begin(ways);
        let began = self.moment();
        let limit = Duration::from_millis(step.limit);
        let end = tokio::select! {
            biased;
            end = ask(&process.app, step, &tag, &delivery, expired_at) => end,
            () = process.line.died() => End::CutOff,
            () = sleep(limit) => {
                process.line.die();
                End::CutOff
            }
        };
        if !process.line.is_dead() {
            self.idle.lock().expect("no panic")[step.machine].push(process);
        }
        let (call, ended) = (step.call.clone(), self.moment());
        let attempt = Attempt { tag, delivery, call, expired_at, began, ended, end, is_quiet };
        let is_over = attempt.is_over();
        self.attempts.lock().expect("no panic").push(attempt);
        is_over
    }

    /// A process for an invocation: an idle one, or a new one.
    fn process(&self, step: &Step) -> Process {
        let idle = self.idle.lock().expect("no panic")[step.machine].pop();
        idle.filter(|_| !step.is_cold).unwrap_or_else(|| self.start(step.machine).0)
    }

    fn start(&self, machine: usize) -> (Process, Store) {
        let number = self.started.fetch_add(1, Ordering::SeqCst);
        let line = Line::new(self.engine.clone(), self.log.clone(), self.began, number);
        let config = Store::with_timeouts(Config::builder())
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("us-east-1"))
            .credentials_provider(Credentials::new("test", "test", None, None, "test"))
            .endpoint_url("http://engine")
            .http_client(line.client());
        let store = Store::new(Client::from_conf(config.build()), TABLE);
        let (began, skew, nth) = (self.began, self.skews[machine], AtomicU64::new(0));
        let sources = ClockAndRandom {
            now: Box::new(move || timestamp(now(began) + skew)),
            random: Box::new(move || drawn(&format!("{number}/{}", nth.fetch_add(1, Ordering::SeqCst)))),
        };
        let ledger = Ledger::new(store.clone(), sources);
        let app =
            App::new(ledger).without_authentication().with_callbacks(callbacks_signed_with(WEBHOOK_SECRET));
        (Process { app: Arc::new(app), line }, store)
    }

    fn now(&self) -> i64 {
        now(self.began)
    }

    fn moment(&self) -> Moment {
        Moment { millis: self.now(), count: self.moments.fetch_add(1, Ordering::SeqCst) }
    }
}

/// The simulation's time, in milliseconds since 1970.
fn now(began: Instant) -> i64 {
    millis(began.elapsed())
}

fn millis(since_the_start: Duration) -> i64 {
    let start = Timestamp::parse(Clock::START).expect("a timestamp").millis();
    start + i64::try_from(since_the_start.as_millis()).expect("some days")
}

fn timestamp(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis).expect("a moment of this millennium")
}
