//! Compares a charge of the function with one of the single-round-trip prototype: requests,
//! capacity units, and time on the embedded engine in the same process, in alternation.

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
    contention::{GRANTED, ServiceModel, SimulatedDynamoDb, Traffic},
    invoke,
    single_round_trip::{ChargeResult, SingleRoundTrip, WriteCondition},
};
use serde_json::json;
use uuid::Uuid;

const CHARGES: u64 = 1_000;
/// Charges in one pass of the stream's follower.
const BATCHES: [u64; 3] = [1, 10, 50];

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let mut rows = vec![];
    for batch in BATCHES {
        let (function, prototype) = (Function::new().await, Prototype::new().await);
        let (mut prototype, mut recorded) = (prototype, BTreeMap::new());
        let (mut micros, mut charge_traffic, mut follower_traffic) =
            ([vec![], vec![]], Traffic::default(), Traffic::default());
        function.dynamodb.take_traffic();
        for nth in 0..CHARGES {
            let started = Instant::now();
            function.charge(nth).await;
            micros[0].push(started.elapsed().as_micros());
            let started = Instant::now();
            prototype.charge(nth).await;
            micros[1].push(started.elapsed().as_micros());
            add(&mut charge_traffic, &prototype.dynamodb.take_traffic());
            if (nth + 1) % batch == 0 {
                prototype.process.write_records("u", i64::MAX, &mut recorded).await;
                add(&mut follower_traffic, &prototype.dynamodb.take_traffic());
            }
        }
        // The stream would contain the wallet that the follower reads here.
        (follower_traffic.read_units, follower_traffic.requests) = (0, BTreeMap::new());
        if rows.is_empty() {
            rows.push(row("the function", &function.dynamodb.take_traffic(), &micros[0]));
        }
        rows.push(row(&format!("single round trip; {batch} recent at most"), &charge_traffic, &micros[1]));
        rows.push(row(&format!("its follower, {batch} at once"), &follower_traffic, &[]));
    }
    println!("| a charge | round trips | read units | write units | index units | median time |");
    println!("| --- | --- | --- | --- | --- | --- |");
    println!("{}", rows.join("\n"));
}

struct Function {
    dynamodb: SimulatedDynamoDb,
    app: Arc<App>,
}

impl Function {
    async fn new() -> Function {
        let dynamodb = SimulatedDynamoDb::new(ServiceModel::INSTANT);
        let store = Store::new(dynamodb.client(), TABLE);
        store.create_table().await.expect("a table");
        let callbacks = callbacks_signed_with(WEBHOOK_SECRET);
        let app = App::new(Ledger::new(store, ClockAndRandom::system()))
            .without_authentication()
            .with_callbacks(callbacks);
        let function = Function { dynamodb, app: Arc::new(app) };
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
    dynamodb: SimulatedDynamoDb,
    process: SingleRoundTrip,
}

impl Prototype {
    async fn new() -> Prototype {
        let dynamodb = SimulatedDynamoDb::new(ServiceModel::INSTANT);
        Store::new(dynamodb.client(), TABLE).create_table().await.expect("a table");
        let mut process =
            SingleRoundTrip::new(dynamodb.client(), Clock::running(), WriteCondition::Packs, Uuid::new_v4);
        process.create_wallet("u", &[(GRANTED, None)]).await;
        // The first charge of a process reads the wallet; later ones have it in the cache.
        process.charge("u", "first", 1, true, 60_000).await;
        process.write_records("u", i64::MAX, &mut BTreeMap::new()).await;
        dynamodb.take_traffic();
        Prototype { dynamodb, process }
    }

    async fn charge(&mut self, nth: u64) {
        let result = self.process.charge("u", &format!("generation-{nth}"), 1, true, 60_000).await;
        assert!(matches!(result, ChargeResult::Charged { replayed: false, .. }), "{result:?}");
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
    let per_charge = |sum: u64| format!("{}.{:02}", sum / CHARGES, 100 * (sum % CHARGES) / CHARGES);
    let mut sorted = micros.to_vec();
    sorted.sort_unstable();
    let median = sorted.get(sorted.len() / 2).map_or(String::new(), |micros| format!("{micros} µs"));
    let trips = traffic.requests.values().sum();
    let [trips, reads, writes, index] =
        [trips, traffic.read_units, traffic.write_units, traffic.index_units].map(per_charge);
    let trips = if micros.is_empty() { String::new() } else { trips };
    format!("| {name} | {trips} | {reads} | {writes} | {index} | {median} |")
}
