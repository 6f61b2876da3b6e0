//! Compares `decrease` with the calls of the SDK that it needs.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use aws_sdk_dynamodb::Client;
use scrip::transport::{App, functions::GRANT};
use scrip_tests::invoke;
use serde_json::json;

use crate::{
    cases::{self, charge, charge_event},
    engine::{Engine, http_client},
    metrics_sink::MetricsSink,
    micro,
    report::{self, Table, median},
    sdk_baseline,
};

/// Charges that are timed together, and repetitions.
const BATCH: u64 = 60;
const ROUNDS: usize = 100;

/// A user that the function or the baseline charges.
struct ChargedUser {
    user: String,
    app: Arc<App>,
    client: Client,
    metrics_sink: &'static MetricsSink,
    nth: AtomicU64,
}

/// The handler and the baseline by themselves.
pub(crate) fn alone() -> Table {
    let mut table = Table::new(&["", "packs", "time", "instructions", "allocations", "bytes"]);
    for packs in [1, 10, 200] {
        for name in [cases::DECREASE, cases::BASELINE] {
            micro::add(&mut table, name, packs);
        }
    }
    table
}

/// The handler and the baseline in alternation.
pub(crate) async fn against_baseline() -> Table {
    let head = ["callers", "decrease", "bare calls", "throughput of decrease / of the bare calls"];
    let mut table = Table::new(&head);
    for callers in [1, 4] {
        eprintln!("decrease and bare calls, {callers} callers");
        // The engine of `cargo run`.
        let folder = tempfile::tempdir().expect("a folder");
        let engine = Engine::start(&folder.path().join("engine")).await;
        let mut charged = Vec::new();
        for caller in 0..callers {
            charged.push(Arc::new(ChargedUser::new(&engine, &format!("user-{caller}")).await));
        }
        let (mut whole, mut bare, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
        // The first round is a warm-up. The order alternates.
        for round in 0..=ROUNDS {
            let mut times = [0.0; 2];
            for turn in [round % 2, 1 - round % 2] {
                times[turn] = timed(&charged, turn == 0).await;
            }
            if round > 0 {
                whole.push(times[0]);
                bare.push(times[1]);
                ratios.push(times[1] / times[0]);
            }
        }
        let [whole, bare, ratio] = [whole, bare, ratios].map(median);
        table.row([callers.to_string(), report::time(whole), report::time(bare), format!("{ratio:.3}")]);
    }
    table
}

/// Time for one charge, in nanoseconds, with all callers at once. The events are created
/// before.
async fn timed(charged: &[Arc<ChargedUser>], is_whole: bool) -> f64 {
    let mut batches = Vec::new();
    for charged in charged {
        let generations: Vec<_> = (0..BATCH).map(|_| charged.next()).collect();
        let event = |generation: &String| charge_event(&charged.app, &charged.user, generation);
        let events: Vec<_> = generations.iter().filter(|_| is_whole).map(event).collect();
        batches.push((charged.clone(), generations, events));
    }
    let started = Instant::now();
    let callers = batches.into_iter().map(|(charged, generations, events)| {
        tokio::spawn(async move {
            if is_whole {
                for event in events {
                    charge(&charged.app, charged.metrics_sink, event).await;
                }
            } else {
                for generation in generations {
                    sdk_baseline::charge(&charged.client, &charged.user, &generation).await;
                }
            }
        })
    });
    for caller in callers.collect::<Vec<_>>() {
        caller.await.expect("charges");
    }
    let charges = report::float(BATCH) * report::float(u64::try_from(charged.len()).unwrap_or(1));
    started.elapsed().as_secs_f64() * 1e9 / charges
}

impl ChargedUser {
    async fn new(engine: &Engine, user: &str) -> ChargedUser {
        let app = engine.app(http_client());
        let deadline = app.ledger.now().plus_millis(10_000);
        for order in ["first", "second", "third"] {
            let grant = json!({
                "user_uuid": user, "trans_type": "order_pay", "order_no": format!("{user}-{order}"),
                "credits": 1_000_000, "expired_at": "2099-01-01T00:00:00Z",
            });
            assert!(invoke(&app, GRANT, grant.to_string(), deadline).await.is_ok());
        }
        let client = engine.client(http_client());
        let charged = ChargedUser {
            user: user.to_owned(),
            app,
            client,
            metrics_sink: MetricsSink::start(),
            nth: AtomicU64::new(0),
        };
        let event = charge_event(&charged.app, user, &charged.next());
        charge(&charged.app, charged.metrics_sink, event).await;
        let ours = sdk_baseline::item(&charged.client, user, "charge#generation-1#").await;
        let items = [ours, sdk_baseline::charge(&charged.client, user, &charged.next()).await];
        let [ours, bare] = items.map(|item| item.keys().cloned().collect::<BTreeSet<_>>());
        assert_eq!(ours, bare, "both write the same attributes");
        charged
    }

    fn next(&self) -> String {
        format!("generation-{}", self.nth.fetch_add(1, Ordering::Relaxed) + 1)
    }
}
