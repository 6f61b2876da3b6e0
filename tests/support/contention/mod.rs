//! Contention on simulated time: many callers of one wallet, through the function's own
//! handler or a prototype, on an engine with the conflicts and the limits of DynamoDB.

mod dynamodb;

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

pub use dynamodb::{ServiceModel, SimulatedDynamoDb, Traffic};
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
    Clock,
    event::{WEBHOOK_SECRET, callbacks_signed_with, invoke},
    seeded_uuid,
    single_round_trip::{ChargeResult, SingleRoundTrip, WriteCondition},
};

/// The code that charges, and its wallets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Implementation {
    /// The function, on this number of wallets. Several wallets share one user's credits.
    Function(u64),
    /// The prototype. Charges remain in its wallet for this number of milliseconds.
    Prototype(WriteCondition, i64),
}

/// Charges at random times.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// Charges a second, independent of each other.
    pub rate: u64,
    /// Duration of the arrivals, in seconds.
    pub seconds: u64,
    /// Time limit of an invocation, in milliseconds: the function's `Timeout`.
    pub time_limit: i64,
    /// Seed of the arrival times, and of everything else that is random.
    pub seed: u64,
    /// Service times of DynamoDB.
    pub model: ServiceModel,
}

/// What a load results in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadResult {
    /// Number of requested charges.
    pub requested: u64,
    /// Latencies of the successful charges in milliseconds, sorted.
    pub latencies: Vec<u64>,
    /// Number of charges that succeeded before the last arrival.
    pub completed_in_window: u64,
    /// Number of `Busy` errors.
    pub busy: u64,
    /// Number of other errors.
    pub failed: u64,
    /// The most invocations in flight at once.
    pub in_flight_max: u64,
    /// All requests, those of the stream's follower included.
    pub traffic: Traffic,
    /// In the table at the end: credits that remain in packs, and credits of charges.
    pub credits: (u64, u64),
}

/// Credits of a wallet at the start, more than any load charges.
pub const GRANTED: u64 = 1_000_000;
/// Interval at which the follower reads the stream.
const FOLLOW_MILLIS: u64 = 250;

/// Time that a function reserves for its response, in milliseconds.
const RESPONSE_MILLIS: i64 = 500;

#[derive(Clone, Copy, PartialEq, Eq)]
enum ChargeOutcome {
    Charged,
    Busy,
    Failed,
}

/// Runs a load. The same load gives the same result.
pub fn run(implementation: Implementation, load: Load) -> LoadResult {
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime");
    runtime.block_on(async {
        let simulation = Arc::new(LoadSimulation::new(implementation, load).await);
        let mut running = JoinSet::new();
        let window = Duration::from_secs(load.seconds);
        let started = Instant::now();
        for nth in 0..load.rate * load.seconds {
            let wait = seeded_uuid(&format!("{}/wait/{nth}", load.seed)).as_u128() % window.as_millis();
            let (simulation, wait) =
                (simulation.clone(), Duration::from_millis(u64::try_from(wait).expect("short")));
            running.spawn(async move {
                sleep(wait).await;
                let in_flight = simulation.in_flight.fetch_add(1, Ordering::SeqCst) + 1;
                simulation.in_flight_max.fetch_max(in_flight, Ordering::SeqCst);
                let outcome = simulation.charge(nth).await;
                simulation.in_flight.fetch_sub(1, Ordering::SeqCst);
                (outcome, started.elapsed() <= window, (started.elapsed() - wait).as_millis())
            });
        }
        let follower = tokio::spawn(simulation.clone().follow_stream());
        let charges = running.join_all().await;
        follower.abort();
        let count = |outcome| charges.iter().filter(|charge| charge.0 == outcome).count() as u64;
        let succeeded = charges.iter().filter(|charge| charge.0 == ChargeOutcome::Charged);
        let latencies = succeeded.clone().map(|charge| u64::try_from(charge.2).expect("short"));
        let mut latencies: Vec<_> = latencies.collect();
        latencies.sort_unstable();
        let traffic = simulation.dynamodb.take_traffic();
        simulation.write_remaining_records().await;
        LoadResult {
            requested: load.rate * load.seconds,
            completed_in_window: succeeded.filter(|charge| charge.1).count() as u64,
            busy: count(ChargeOutcome::Busy),
            failed: count(ChargeOutcome::Failed),
            in_flight_max: simulation.in_flight_max.load(Ordering::SeqCst),
            latencies,
            traffic,
            credits: simulation.credits(),
        }
    })
}

struct LoadSimulation {
    implementation: Implementation,
    load: Load,
    dynamodb: SimulatedDynamoDb,
    clock: Clock,
    app: Arc<App>,
    /// Processes that wait for an invocation.
    idle: Mutex<Vec<SingleRoundTrip>>,
    processes: AtomicU64,
    in_flight: AtomicU64,
    in_flight_max: AtomicU64,
}

impl LoadSimulation {
    async fn new(implementation: Implementation, load: Load) -> LoadSimulation {
        let (dynamodb, clock) = (SimulatedDynamoDb::new(load.model), Clock::running());
        let store = Store::new(dynamodb.client(), TABLE);
        store.create_table().await.expect("a table");
        let (now, nth) = (clock.clone(), AtomicU64::new(0));
        let sources = ClockAndRandom {
            now: Box::new(move || now.now()),
            random: Box::new(move || {
                seeded_uuid(&format!("{}/{}", load.seed, nth.fetch_add(1, Ordering::SeqCst)))
            }),
        };
        let callbacks = callbacks_signed_with(WEBHOOK_SECRET);
        let app = App::new(Ledger::new(store, sources)).without_authentication().with_callbacks(callbacks);
        let simulation = LoadSimulation {
            implementation,
            load,
            dynamodb,
            clock,
            app: Arc::new(app),
            idle: Mutex::default(),
            processes: AtomicU64::new(0),
            in_flight: AtomicU64::new(0),
            in_flight_max: AtomicU64::new(0),
        };
        match implementation {
            Implementation::Function(wallets) => {
                for wallet in 0..wallets {
                    let grant = json!({
                        "user_uuid": format!("org:{wallet}"), "trans_type": "system_add", "credits": GRANTED,
                    });
                    let deadline = simulation.clock.now().plus_millis(load.time_limit);
                    let granted = invoke(&simulation.app, GRANT, grant.to_string(), deadline).await;
                    assert!(granted.is_ok(), "no grant");
                }
            }
            Implementation::Prototype(..) => {
                simulation.start_process().create_wallet("org:0", &[(GRANTED, None)]).await
            }
        }
        simulation.dynamodb.take_traffic();
        simulation
    }

    async fn charge(&self, nth: u64) -> ChargeOutcome {
        let generation = format!("generation-{nth}");
        match self.implementation {
            Implementation::Function(wallets) => {
                let payload = json!({
                    "user_uuid": format!("org:{}", nth % wallets), "trans_type": "image_generation",
                    "credits": 1, "generation_uuid": generation,
                });
                let deadline = self.clock.now().plus_millis(self.load.time_limit);
                match invoke(&self.app, DECREASE, payload.to_string(), deadline).await {
                    Ok(_) => ChargeOutcome::Charged,
                    Err(failure) => match lambda_runtime::Diagnostic::from(failure).error_type.as_str() {
                        "Busy" => ChargeOutcome::Busy,
                        _ => ChargeOutcome::Failed,
                    },
                }
            }
            Implementation::Prototype(..) => {
                let idle = self.idle.lock().expect("no panic").pop();
                let mut process = idle.unwrap_or_else(|| self.start_process());
                let time_limit = self.load.time_limit - RESPONSE_MILLIS;
                let result = process.charge("org:0", &generation, 1, true, time_limit).await;
                self.idle.lock().expect("no panic").push(process);
                match result {
                    ChargeResult::Charged { .. } => ChargeOutcome::Charged,
                    ChargeResult::Busy => ChargeOutcome::Busy,
                    ChargeResult::InsufficientCredits => ChargeOutcome::Failed,
                }
            }
        }
    }

    fn start_process(&self) -> SingleRoundTrip {
        let condition = match self.implementation {
            Implementation::Prototype(condition, _) => condition,
            Implementation::Function(_) => WriteCondition::Version,
        };
        let (process, seed, mut nth) = (self.processes.fetch_add(1, Ordering::SeqCst), self.load.seed, 0);
        let random = move || -> Uuid {
            nth += 1;
            seeded_uuid(&format!("{seed}/{process}/{nth}"))
        };
        SingleRoundTrip::new(self.dynamodb.client(), self.clock.clone(), condition, random)
    }

    /// Follows the stream until the task is aborted.
    async fn follow_stream(self: Arc<LoadSimulation>) {
        let Implementation::Prototype(WriteCondition::Version | WriteCondition::Packs, retention) =
            self.implementation
        else {
            return;
        };
        let (process, mut recorded) = (self.start_process(), BTreeMap::new());
        loop {
            sleep(Duration::from_millis(FOLLOW_MILLIS)).await;
            let cutoff = self.clock.now().millis() - retention;
            process.write_records("org:0", cutoff, &mut recorded).await;
        }
    }

    /// Writes the records that the follower has not written, as a new follower.
    async fn write_remaining_records(&self) {
        let Implementation::Prototype(WriteCondition::Version | WriteCondition::Packs, _) =
            self.implementation
        else {
            return;
        };
        let (process, mut recorded) = (self.start_process(), BTreeMap::new());
        while !process.wallet("org:0").await.recent.is_empty() {
            process.write_records("org:0", i64::MAX, &mut recorded).await;
            sleep(Duration::from_secs(1)).await;
        }
    }

    fn credits(&self) -> (u64, u64) {
        let items = self.dynamodb.scan();
        let number =
            |attribute: &serde_json::Value| attribute["N"].as_str().and_then(|text| text.parse::<i64>().ok());
        let packs = |item: &serde_json::Value| -> i64 {
            let list = item["packs"]["L"].as_array().into_iter().flatten();
            let map = item["packs"]["M"].as_object().into_iter().flat_map(|packs| packs.values());
            list.chain(map).filter_map(|pack| number(&pack["M"]["n"])).sum()
        };
        let remaining: i64 = items.iter().map(packs).sum();
        let charged = items.iter().filter_map(|item| number(&item["credits"])).filter(|credits| *credits < 0);
        (remaining.unsigned_abs(), charged.sum::<i64>().unsigned_abs())
    }
}
