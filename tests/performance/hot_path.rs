//! What `decrease` costs beyond the calls of the SDK that it cannot do without.

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
    bare,
    cases::{self, charge, charge_event},
    document::{self, Table, median},
    engine::{Engine, plain},
    pieces,
    telling::Telling,
};

/// How many charges are timed together, and how often by each of the two.
const BATCH: u64 = 60;
const ROUNDS: usize = 100;

/// A user, charged by the function or by the bare calls.
struct Charged {
    user: String,
    app: Arc<App>,
    client: Client,
    telling: &'static Telling,
    nth: AtomicU64,
}

/// The whole handler by itself.
pub(crate) fn alone() -> Table {
    let mut table = Table::new(&["", "packs", "time", "instructions", "allocations", "bytes"]);
    for packs in [1, 10, 200] {
        for name in [cases::DECREASE, cases::BARE] {
            pieces::add(&mut table, name, packs);
        }
    }
    table
}

/// The whole handler against the bare calls, one after the other in the same run.
pub(crate) async fn against_bare() -> Table {
    let head = ["callers", "decrease", "bare calls", "throughput of decrease / of the bare calls"];
    let mut table = Table::new(&head);
    for callers in [1, 4] {
        eprintln!("decrease and bare calls, {callers} callers");
        // As `cargo run` has it.
        let folder = tempfile::tempdir().expect("a folder");
        let engine = Engine::start(&folder.path().join("engine")).await;
        let mut charged = Vec::new();
        for caller in 0..callers {
            charged.push(Arc::new(Charged::new(&engine, &format!("user-{caller}")).await));
        }
        let (mut whole, mut bare, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
        // The first round warms both up; who goes first changes.
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
        table.row([callers.to_string(), document::time(whole), document::time(bare), format!("{ratio:.3}")]);
    }
    table
}

/// The time for one charge, in nanoseconds, with every caller at work. What is handed to
/// the function is made before.
async fn timed(charged: &[Arc<Charged>], is_whole: bool) -> f64 {
    let mut batches = Vec::new();
    for charged in charged {
        let generations: Vec<_> = (0..BATCH).map(|_| charged.next()).collect();
        let event = |generation: &String| charge_event(&charged.app, &charged.user, generation);
        let events: Vec<_> = generations.iter().filter(|_| is_whole).map(event).collect();
        batches.push((charged.clone(), generations, events));
    }
    let began = Instant::now();
    let callers = batches.into_iter().map(|(charged, generations, events)| {
        tokio::spawn(async move {
            if is_whole {
                for event in events {
                    charge(&charged.app, charged.telling, event).await;
                }
            } else {
                for generation in generations {
                    bare::charge(&charged.client, &charged.user, &generation).await;
                }
            }
        })
    });
    for caller in callers.collect::<Vec<_>>() {
        caller.await.expect("charges");
    }
    let charges = document::float(BATCH) * document::float(u64::try_from(charged.len()).unwrap_or(1));
    began.elapsed().as_secs_f64() * 1e9 / charges
}

impl Charged {
    async fn new(engine: &Engine, user: &str) -> Charged {
        let app = engine.app(plain());
        let deadline = app.ledger.now().plus_millis(10_000);
        for order in ["first", "second", "third"] {
            let grant = json!({
                "user_uuid": user, "trans_type": "order_pay", "order_no": order, "credits": 1_000_000,
                "expired_at": "2099-01-01T00:00:00Z",
            });
            assert!(invoke(&app, GRANT, grant.to_string(), deadline).await.is_ok());
        }
        let client = engine.client(plain());
        let charged =
            Charged { user: user.to_owned(), app, client, telling: Telling::start(), nth: AtomicU64::new(0) };
        let event = charge_event(&charged.app, user, &charged.next());
        charge(&charged.app, charged.telling, event).await;
        let ours = bare::item(&charged.client, user, "charge#generation-1#").await;
        let items = [ours, bare::charge(&charged.client, user, &charged.next()).await];
        let [ours, bare] = items.map(|item| item.keys().cloned().collect::<BTreeSet<_>>());
        assert_eq!(ours, bare, "both write the same attributes");
        charged
    }

    fn next(&self) -> String {
        format!("generation-{}", self.nth.fetch_add(1, Ordering::Relaxed) + 1)
    }
}
