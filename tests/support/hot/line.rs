use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard},
};

use aws_sdk_dynamodb::{
    Client, Config,
    config::{BehaviorVersion, Credentials, Region},
};
use scrip::store::Store;
use serde_json::Value;
use tokio::time::Instant;

use crate::engine::{Answer, Engine, Timing, client, pause, refused};

/// How long DynamoDB takes, in milliseconds, and how much it takes.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// The way there of every request, and the way back of its answer.
    pub way: u64,
    /// What the write of one item takes there.
    pub write: u64,
    /// What a transaction takes there; what else comes to its items meanwhile conflicts.
    pub transaction: u64,
    /// How many write units one user's items take a second: a partition's share.
    pub write_units: u64,
}

impl Pace {
    /// A read takes 4 ms, a write 6, a transaction 12.
    pub const USUAL: Pace = Pace { way: 2, write: 2, transaction: 8, write_units: 1_000 };
    /// No time passes, and there is no limit.
    pub const NONE: Pace = Pace { way: 0, write: 0, transaction: 0, write_units: u64::MAX };
}

/// What went over a line, in whole units of DynamoDB.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Requests, by operation.
    pub requests: BTreeMap<String, u64>,
    /// Those that were refused because others were at the item.
    pub conflicts: u64,
    /// Those that were refused because of the partition's limit.
    pub throttled: u64,
    /// Read units of the table.
    pub read_units: u64,
    /// Write units of the table, those of refused writes too.
    pub write_units: u64,
    /// Write units of the indexes.
    pub index_units: u64,
}

impl Traffic {
    /// How many requests there were of this operation.
    pub fn of(&self, operation: &str) -> u64 {
        self.requests.get(operation).copied().unwrap_or_default()
    }
}

/// What lies between the SDK and the engine: time passes, and what is sent is counted.
#[derive(Clone)]
pub struct Line(Arc<Inner>);

struct Inner {
    engine: Engine,
    pace: Pace,
    state: Mutex<State>,
}

struct State {
    traffic: Traffic,
    /// Write units that one user has left, or owes, and when that was reckoned.
    left: BTreeMap<String, (i64, Instant)>,
    /// What the last write of one item cost: what one costs that its condition refused.
    last_write: u64,
}

impl Line {
    /// A line to an engine of its own, without a table.
    pub fn new(pace: Pace) -> Line {
        let state = State { traffic: Traffic::default(), left: BTreeMap::new(), last_write: 1 };
        Line(Arc::new(Inner { engine: Engine::default(), pace, state: Mutex::new(state) }))
    }

    /// A client at its end, as the ledger has one.
    pub fn client(&self) -> Client {
        let line = self.clone();
        let carry = move |operation, request| {
            let carried = line.clone().carry(operation, request);
            async { Ok(carried.await) }
        };
        let config = Store::with_timeouts(Config::builder())
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("us-east-1"))
            .credentials_provider(Credentials::new("test", "test", None, None, "test"))
            .endpoint_url("http://engine")
            .http_client(client(carry));
        Client::from_conf(config.build())
    }

    /// Every item of the table.
    pub fn scan(&self) -> Vec<Value> {
        self.0.engine.scan()
    }

    /// What went over it since the last call.
    pub fn take(&self) -> Traffic {
        std::mem::take(&mut self.state().traffic)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().expect("nothing panics while it holds this")
    }

    async fn carry(self, operation: String, request: Value) -> Answer {
        let pace = self.0.pace;
        pause(pace.way).await;
        *self.state().traffic.requests.entry(operation.clone()).or_default() += 1;
        let answer = if is_write(&operation) && !self.admits(&request) {
            self.state().traffic.throttled += 1;
            refused(400, "ThrottlingException")
        } else {
            if operation.ends_with("Item") && is_write(&operation) {
                pause(pace.write).await;
            }
            let timing = Timing { work: pace.transaction, ..Timing::default() };
            let answer = self.0.engine.call(&operation, &request, timing).await;
            self.count(&operation, &request, &answer);
            answer
        };
        pause(pace.way).await;
        answer
    }

    /// Whether the user's partition has anything left; what it gives is reckoned when it is known.
    fn admits(&self, request: &Value) -> bool {
        let Ok(most) = i64::try_from(self.0.pace.write_units) else { return true };
        let mut state = self.state();
        let (left, at) = state.left.entry(user(request)).or_insert_with(|| (most, Instant::now()));
        let passed = i64::try_from(at.elapsed().as_millis()).expect("some days");
        // What a millisecond brings is whole, because the limit is so many thousands.
        (*left, *at) = (most.min(*left + passed * most / 1_000), Instant::now());
        *left > 0
    }

    fn count(&self, operation: &str, request: &Value, (status, body): &Answer) {
        let mut state = self.state();
        let consumed = &body["ConsumedCapacity"];
        let consumed = consumed.as_array().cloned().unwrap_or_else(|| vec![consumed.clone()]);
        let table: u64 = consumed.iter().map(|of| units(&of["Table"])).sum();
        let indexes = consumed.iter().filter_map(|of| of["GlobalSecondaryIndexes"].as_object());
        let index: u64 = indexes.flat_map(|of| of.values()).map(units).sum();
        if !is_write(operation) {
            state.traffic.read_units += table;
            return;
        }
        let text = body.to_string();
        state.traffic.conflicts += u64::from(text.contains("TransactionConflict"));
        let actions = request["TransactItems"].as_array().map_or(0, Vec::len);
        let spent = match (status, u64::try_from(actions)) {
            (200, Ok(0)) => {
                state.last_write = table;
                table
            }
            (200, _) => table,
            (_, Ok(actions @ 1..)) => 2 * actions,
            _ if text.contains("ConditionalCheckFailed") => state.last_write,
            _ => 1,
        };
        state.traffic.write_units += spent;
        state.traffic.index_units += index;
        if let Some((left, _)) = state.left.get_mut(&user(request)) {
            *left -= i64::try_from(spent).expect("few");
        }
    }
}

fn is_write(operation: &str) -> bool {
    matches!(operation, "TransactWriteItems" | "UpdateItem" | "PutItem")
}

/// Whose items a write is about: each of them is of one user.
fn user(request: &Value) -> String {
    let action = request["TransactItems"].get(0).and_then(Value::as_object);
    let body = action.and_then(|action| action.values().next()).unwrap_or(request);
    let key = if body["Key"].is_null() { &body["Item"] } else { &body["Key"] };
    key["user_uuid"]["S"].as_str().expect("a user").to_owned()
}

/// Units of writes and of strong reads are whole.
fn units(of: &Value) -> u64 {
    let units = of["CapacityUnits"].as_f64().unwrap_or_default();
    format!("{units:.0}").parse().expect("a number")
}
