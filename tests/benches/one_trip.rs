//! The charge in one round trip beside today's: what each sends, what it costs, and how
//! long it takes on the embedded engine in the same process, one after the other in turn.

#![allow(clippy::expect_used, reason = "a benchmark ends by panicking")]

use std::{collections::BTreeMap, sync::Arc, time::Instant};

use scrip::{
    ledger::{ClockAndRandom, Ledger},
    store::{Store, TABLE},
    transport::{
        App,
        functions::{DECREASE, GRANT},
    },
};
use scrip_tests::{
    Clock, WEBHOOK_SECRET, callbacks_signed_with,
    hot::{
        GRANTED, Line, Pace, Traffic,
        one_trip::{Charged, Guard, OneTrip},
    },
    invoke,
};
use serde_json::json;
use uuid::Uuid;

const CHARGES: u64 = 1_000;
/// How many charges what follows the stream finds at once.
const BATCHES: [u64; 3] = [1, 10, 50];

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let mut rows = vec![];
    for batch in BATCHES {
        let (function, prototype) = (Function::new().await, Prototype::new().await);
        let (mut prototype, mut recorded) = (prototype, BTreeMap::new());
        let (mut micros, mut charged, mut followed) =
            ([vec![], vec![]], Traffic::default(), Traffic::default());
        function.line.take();
        for nth in 0..CHARGES {
            let began = Instant::now();
            function.charge(nth).await;
            micros[0].push(began.elapsed().as_micros());
            let began = Instant::now();
            prototype.charge(nth).await;
            micros[1].push(began.elapsed().as_micros());
            add(&mut charged, &prototype.line.take());
            if (nth + 1) % batch == 0 {
                prototype.process.follow("u", i64::MAX, &mut recorded).await;
                add(&mut followed, &prototype.line.take());
            }
        }
        // What follows is handed the wallet by the stream; here it reads it.
        (followed.read_units, followed.requests) = (0, BTreeMap::new());
        if rows.is_empty() {
            rows.push(row("the function", &function.line.take(), &micros[0]));
        }
        rows.push(row(&format!("one trip; {batch} recent at most"), &charged, &micros[1]));
        rows.push(row(&format!("what follows it, {batch} at once"), &followed, &[]));
    }
    println!("| a charge | round trips | read units | write units | index units | median time |");
    println!("| --- | --- | --- | --- | --- | --- |");
    println!("{}", rows.join("\n"));
}

struct Function {
    line: Line,
    app: Arc<App>,
}

impl Function {
    async fn new() -> Function {
        let line = Line::new(Pace::NONE);
        let store = Store::new(line.client(), TABLE);
        store.create_table().await.expect("a table");
        let callbacks = callbacks_signed_with(WEBHOOK_SECRET);
        let app = App::new(Ledger::new(store, ClockAndRandom::system()))
            .without_authentication()
            .with_callbacks(callbacks);
        let function = Function { line, app: Arc::new(app) };
        let grant = json!({ "user_uuid": "u", "trans_type": "system_add", "credits": GRANTED });
        function.invoke(GRANT, grant.to_string()).await;
        function
    }

    async fn charge(&self, nth: u64) {
        let charge = json!({
            "user_uuid": "u", "trans_type": "image_generation", "credits": 1,
            "generation_uuid": format!("generation-{nth}"),
        });
        self.invoke(DECREASE, charge.to_string()).await;
    }

    async fn invoke(&self, function: scrip::transport::Function, payload: String) {
        let deadline = self.app.ledger.now().plus_millis(60_000);
        assert!(invoke(&self.app, function, payload, deadline).await.is_ok(), "an error");
    }
}

struct Prototype {
    line: Line,
    process: OneTrip,
}

impl Prototype {
    async fn new() -> Prototype {
        let line = Line::new(Pace::NONE);
        Store::new(line.client(), TABLE).create_table().await.expect("a table");
        let mut process = OneTrip::new(line.client(), Clock::running(), Guard::Packs, Uuid::new_v4);
        process.seed("u", &[(GRANTED, None)]).await;
        // The first charge of a process reads the wallet; the others have seen it.
        process.charge("u", "first", 1, true, 60_000).await;
        process.follow("u", i64::MAX, &mut BTreeMap::new()).await;
        line.take();
        Prototype { line, process }
    }

    async fn charge(&mut self, nth: u64) {
        let charged = self.process.charge("u", &format!("generation-{nth}"), 1, true, 60_000).await;
        assert!(matches!(charged, Charged::Done { replayed: false, .. }), "{charged:?}");
    }
}

fn add(sum: &mut Traffic, more: &Traffic) {
    for (operation, count) in &more.requests {
        *sum.requests.entry(operation.clone()).or_default() += count;
    }
    sum.read_units += more.read_units;
    sum.write_units += more.write_units;
    sum.index_units += more.index_units;
}

fn row(name: &str, traffic: &Traffic, micros: &[u128]) -> String {
    let each = |sum: u64| format!("{}.{:02}", sum / CHARGES, 100 * (sum % CHARGES) / CHARGES);
    let mut sorted = micros.to_vec();
    sorted.sort_unstable();
    let median = sorted.get(sorted.len() / 2).map_or(String::new(), |micros| format!("{micros} µs"));
    let trips = traffic.requests.values().sum();
    let [trips, reads, writes, index] =
        [trips, traffic.read_units, traffic.write_units, traffic.index_units].map(each);
    let trips = if micros.is_empty() { String::new() } else { trips };
    format!("| {name} | {trips} | {reads} | {writes} | {index} | {median} |")
}
