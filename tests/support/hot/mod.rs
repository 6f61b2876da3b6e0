//! A hot wallet on simulated time: many callers at one user, through the functions' own
//! handler or a rival of it, on an engine that conflicts and throttles as DynamoDB does.

mod expression;
mod line;
pub mod one_trip;

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

pub use line::{Line, Pace, Traffic};
use one_trip::{Charged, Guard, OneTrip};
use scrip::{
    ledger::{ClockAndRandom, Ledger},
    store::{Store, TABLE},
    transport::{
        App,
        functions::{DECREASE, GRANT},
    },
};
use serde_json::json;
use tokio::{
    runtime::Builder,
    task::JoinSet,
    time::{Instant, sleep},
};
use uuid::Uuid;

use crate::{
    Clock, drawn,
    event::{WEBHOOK_SECRET, callbacks_signed_with, invoke},
};

/// How one wallet is charged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// By the function, at so many wallets: more than one share one user's money.
    Function(u64),
    /// By the prototype; its charges stay in the wallet for so many milliseconds.
    Prototype(Guard, i64),
}

/// Who comes when.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// Charges a second. They come independently of each other.
    pub rate: u64,
    /// For how many seconds.
    pub seconds: u64,
    /// How long one invocation may take, in milliseconds: the function's `Timeout`.
    pub limit: i64,
    /// What draws when they come, and all chance there is.
    pub seed: u64,
    /// How long DynamoDB takes.
    pub pace: Pace,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Figures {
    /// How many were asked for.
    pub asked: u64,
    /// How long each took that succeeded, in milliseconds, in order.
    pub millis: Vec<u64>,
    /// How many of those were done while others still came.
    pub in_time: u64,
    /// How many were told `Busy`.
    pub busy: u64,
    /// How many ended otherwise.
    pub failed: u64,
    /// The most invocations in flight at once.
    pub in_flight: u64,
    /// What was sent, of what follows the stream too.
    pub traffic: Traffic,
    /// What the table has: credits left, and credits in records.
    pub credits: (u64, u64),
}

/// What a wallet has at the start: more than anybody asks for.
pub const GRANTED: u64 = 1_000_000;
/// How often what follows the stream looks.
const FOLLOW_MILLIS: u64 = 250;

/// What a function keeps of its invocation's time for the answer, in milliseconds.
const ANSWER_MILLIS: i64 = 500;

/// How one charge ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Done,
    Busy,
    Failed,
}

/// Runs it: the same load gives the same figures.
pub fn run(way: Way, load: Load) -> Figures {
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime");
    runtime.block_on(async {
        let world = Arc::new(World::new(way, load).await);
        let mut running = JoinSet::new();
        let window = Duration::from_secs(load.seconds);
        let began = Instant::now();
        for nth in 0..load.rate * load.seconds {
            let wait = drawn(&format!("{}/wait/{nth}", load.seed)).as_u128() % window.as_millis();
            let (world, wait) = (world.clone(), Duration::from_millis(u64::try_from(wait).expect("short")));
            running.spawn(async move {
                sleep(wait).await;
                let in_flight = world.in_flight.fetch_add(1, Ordering::SeqCst) + 1;
                world.most_in_flight.fetch_max(in_flight, Ordering::SeqCst);
                let end = world.charge(nth).await;
                world.in_flight.fetch_sub(1, Ordering::SeqCst);
                (end, began.elapsed() <= window, (began.elapsed() - wait).as_millis())
            });
        }
        let follower = tokio::spawn(world.clone().follow());
        let ended = running.join_all().await;
        follower.abort();
        let count = |end| u64::try_from(ended.iter().filter(|ended| ended.0 == end).count()).expect("some");
        let done = ended.iter().filter(|ended| ended.0 == End::Done);
        let mut millis: Vec<_> = done.clone().map(|ended| u64::try_from(ended.2).expect("short")).collect();
        millis.sort_unstable();
        let traffic = world.line.take();
        world.settle().await;
        Figures {
            asked: load.rate * load.seconds,
            in_time: u64::try_from(done.filter(|ended| ended.1).count()).expect("some"),
            busy: count(End::Busy),
            failed: count(End::Failed),
            in_flight: world.most_in_flight.load(Ordering::SeqCst),
            millis,
            traffic,
            credits: world.credits(),
        }
    })
}

struct World {
    way: Way,
    load: Load,
    line: Line,
    clock: Clock,
    app: Arc<App>,
    /// Functions that wait for an invocation.
    idle: Mutex<Vec<OneTrip>>,
    started: AtomicU64,
    in_flight: AtomicU64,
    most_in_flight: AtomicU64,
}

impl World {
    async fn new(way: Way, load: Load) -> World {
        let (line, clock) = (Line::new(load.pace), Clock::running());
        let store = Store::new(line.client(), TABLE);
        store.create_table().await.expect("a table");
        let (now, nth) = (clock.clone(), AtomicU64::new(0));
        let sources = ClockAndRandom {
            now: Box::new(move || now.now()),
            random: Box::new(move || drawn(&format!("{}/{}", load.seed, nth.fetch_add(1, Ordering::SeqCst)))),
        };
        let callbacks = callbacks_signed_with(WEBHOOK_SECRET);
        let app = App::new(Ledger::new(store, sources)).without_authentication().with_callbacks(callbacks);
        let world = World {
            way,
            load,
            line,
            clock,
            app: Arc::new(app),
            idle: Mutex::default(),
            started: AtomicU64::new(0),
            in_flight: AtomicU64::new(0),
            most_in_flight: AtomicU64::new(0),
        };
        match way {
            Way::Function(wallets) => {
                for wallet in 0..wallets {
                    let grant = json!({
                        "user_uuid": format!("org:{wallet}"), "trans_type": "system_add", "credits": GRANTED,
                    });
                    let deadline = world.clock.now().plus_millis(load.limit);
                    let granted = invoke(&world.app, GRANT, grant.to_string(), deadline).await;
                    assert!(granted.is_ok(), "no grant");
                }
            }
            Way::Prototype(..) => world.process().seed("org:0", &[(GRANTED, None)]).await,
        }
        world.line.take();
        world
    }

    async fn charge(&self, nth: u64) -> End {
        let generation = format!("generation-{nth}");
        match self.way {
            Way::Function(wallets) => {
                let payload = json!({
                    "user_uuid": format!("org:{}", nth % wallets), "trans_type": "image_generation",
                    "credits": 1, "generation_uuid": generation,
                });
                let deadline = self.clock.now().plus_millis(self.load.limit);
                match invoke(&self.app, DECREASE, payload.to_string(), deadline).await {
                    Ok(_) => End::Done,
                    Err(failure) => match lambda_runtime::Diagnostic::from(failure).error_type.as_str() {
                        "Busy" => End::Busy,
                        _ => End::Failed,
                    },
                }
            }
            Way::Prototype(..) => {
                let idle = self.idle.lock().expect("no panic").pop();
                let mut process = idle.unwrap_or_else(|| self.process());
                let limit = self.load.limit - ANSWER_MILLIS;
                let end = process.charge("org:0", &generation, 1, true, limit).await;
                self.idle.lock().expect("no panic").push(process);
                match end {
                    Charged::Done { .. } => End::Done,
                    Charged::Busy => End::Busy,
                    Charged::Insufficient => End::Failed,
                }
            }
        }
    }

    fn process(&self) -> OneTrip {
        let guard = if let Way::Prototype(guard, _) = self.way { guard } else { Guard::Version };
        let (process, seed, mut nth) = (self.started.fetch_add(1, Ordering::SeqCst), self.load.seed, 0);
        let random = move || -> Uuid {
            nth += 1;
            drawn(&format!("{seed}/{process}/{nth}"))
        };
        OneTrip::new(self.line.client(), self.clock.clone(), guard, random)
    }

    /// What follows the stream, until it is stopped.
    async fn follow(self: Arc<World>) {
        let Way::Prototype(Guard::Version | Guard::Packs, stays) = self.way else { return };
        let (process, mut recorded) = (self.process(), BTreeMap::new());
        loop {
            sleep(Duration::from_millis(FOLLOW_MILLIS)).await;
            let until = self.clock.now().millis() - stays;
            process.follow("org:0", until, &mut recorded).await;
        }
    }

    /// Lets a follower that knows nothing do what is left.
    async fn settle(&self) {
        let Way::Prototype(Guard::Version | Guard::Packs, _) = self.way else { return };
        let (process, mut recorded) = (self.process(), BTreeMap::new());
        while !process.wallet("org:0").await.recent.is_empty() {
            process.follow("org:0", i64::MAX, &mut recorded).await;
            sleep(Duration::from_secs(1)).await;
        }
    }

    fn credits(&self) -> (u64, u64) {
        let items = self.line.scan();
        let number = |of: &serde_json::Value| of["N"].as_str().and_then(|text| text.parse::<i64>().ok());
        let packs = |item: &serde_json::Value| -> i64 {
            let list = item["packs"]["L"].as_array().into_iter().flatten();
            let map = item["packs"]["M"].as_object().into_iter().flat_map(|packs| packs.values());
            list.chain(map).filter_map(|pack| number(&pack["M"]["n"])).sum()
        };
        let left: i64 = items.iter().map(packs).sum();
        let charged = items.iter().filter_map(|item| number(&item["credits"])).filter(|credits| *credits < 0);
        (left.unsigned_abs(), charged.sum::<i64>().unsigned_abs())
    }
}
