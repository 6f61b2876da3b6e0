//! The embedded engine with the behaviour of a distributed one: transactions that
//! overlap on an item conflict, strong reads beside a transaction are read-committed,
//! and indexes and weak reads lag.

use std::{
    collections::BTreeMap,
    iter::empty,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use aws_smithy_runtime_api::client::http::SharedHttpClient;
use dynoxide::{Database, DynoxideError};
use scrip::store::TABLE;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::mock_http::mock_json_client;

/// HTTP status and body.
pub type Response = (u16, Value);

/// User and sort key of an item.
pub type ItemKey = (String, String);

/// Times of a request in the engine, in milliseconds.
#[derive(Clone, Copy, Debug, Default)]
pub struct Timing {
    /// Time for which a transaction locks its items before it commits.
    pub work: u64,
    /// Time from the commit until strong reads see an item. The items of a transaction have
    /// these delays in turn, and each is locked until then.
    pub visible: [u64; 2],
    /// Time from then until indexes and weak reads see it.
    pub lag: u64,
}

/// Timings of the next transactions, one each. Later transactions take no time.
#[derive(Clone)]
pub struct Schedule(Arc<Mutex<Timings>>);

type Timings = Box<dyn Iterator<Item = Timing> + Send>;

/// A table on three databases.
pub struct Engine {
    /// Committed items: transactions and their conditions read these.
    table: Database,
    /// The items that strong reads see.
    visible: Database,
    /// The items that indexes and weak reads see.
    replica: Database,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Locked items, with the token of their transaction.
    locked: BTreeMap<ItemKey, Value>,
    /// Writes that the replica does not show yet, by the time of their application.
    pending: BTreeMap<(Instant, u64), Value>,
    /// Times in which a committed item was not visible to strong reads, from and to.
    gaps: BTreeMap<ItemKey, Vec<(Instant, Instant)>>,
    /// Time at which the replica shows the last write of an item.
    replicated_at: BTreeMap<ItemKey, Instant>,
    written: u64,
}

impl Default for Engine {
    /// Without a table.
    fn default() -> Engine {
        let empty = || Database::memory().expect("an engine");
        Engine { table: empty(), visible: empty(), replica: empty(), state: Mutex::default() }
    }
}

impl Default for Schedule {
    fn default() -> Schedule {
        Schedule(Arc::new(Mutex::new(Box::new(empty()))))
    }
}

impl Schedule {
    /// Sets the timings of the next transactions.
    pub fn set(&self, timings: impl IntoIterator<Item = Timing, IntoIter: Send + 'static>) {
        *self.timings() = Box::new(timings.into_iter());
    }

    fn next(&self) -> Timing {
        self.timings().next().unwrap_or_default()
    }

    fn timings(&self) -> MutexGuard<'_, Timings> {
        self.0.lock().expect("no panic under the lock")
    }
}

impl Engine {
    /// An HTTP client for an SDK. A request is executed even if its sender gives up.
    pub fn client(self, schedule: Schedule) -> SharedHttpClient {
        let engine = Arc::new(self);
        mock_json_client(move |operation, request| {
            let is_transaction = operation == "TransactWriteItems";
            let timing = if is_transaction { schedule.next() } else { Timing::default() };
            let engine = engine.clone();
            let response = tokio::spawn(async move { engine.call(&operation, &request, timing).await });
            async { Ok(response.await.expect("an engine that does not panic")) }
        })
    }

    /// Executes a request.
    pub async fn call(&self, operation: &str, request: &Value, timing: Timing) -> Response {
        match operation {
            "TransactWriteItems" => self.write(request, timing).await,
            "TransactGetItems" => self.read_at_once(request),
            "CreateTable" => {
                run(&self.replica, operation, request);
                run(&self.visible, operation, request);
                run(&self.table, operation, request)
            }
            "PutItem" | "UpdateItem" => self.write_one(operation, request, timing.lag),
            _ if is_weak(operation, request) => {
                self.update_replica();
                run(&self.replica, operation, request)
            }
            _ => run(&self.visible, operation, request),
        }
    }

    /// Writes of one item do not conflict with each other, only with a transaction.
    fn write_one(&self, operation: &str, request: &Value, lag: u64) -> Response {
        let action = json!({ operation.trim_end_matches("Item"): request });
        if self.state().locked.contains_key(&key(&action)) {
            return error_response(400, "TransactionConflictException");
        }
        let response = run(&self.table, operation, request);
        if response.0 == 200 {
            self.show(&key(&action), lag);
        }
        response
    }

    /// Times in which a committed item was not visible to strong reads, from and to.
    pub fn gaps(&self) -> BTreeMap<ItemKey, Vec<(Instant, Instant)>> {
        self.state().gaps.clone()
    }

    /// Every item of the table.
    pub fn scan(&self) -> Vec<Value> {
        let mut request = json!({ "TableName": TABLE });
        let mut items = Vec::new();
        loop {
            let (_, mut response) = run(&self.table, "Scan", &request);
            items.append(response["Items"].as_array_mut().expect("items"));
            if response["LastEvaluatedKey"].is_null() {
                return items;
            }
            request["ExclusiveStartKey"] = response["LastEvaluatedKey"].take();
        }
    }

    /// A transaction locks its items, commits, and then shows each item after a delay of
    /// its own. Another transaction with a locked item is cancelled. The response comes when
    /// all items are visible.
    async fn write(&self, request: &Value, timing: Timing) -> Response {
        let keys: Vec<_> = actions(request).map(key).collect();
        let token = &request["ClientRequestToken"];
        if let Some(rejection) = self.conflict(request, &keys, token) {
            return rejection;
        }
        let locked = keys.iter().map(|key| (key.clone(), token.clone()));
        self.state().locked.extend(locked);
        pause(timing.work).await;
        let response = run(&self.table, "TransactWriteItems", request);
        if response.0 != 200 {
            self.state().locked.retain(|key, _| !keys.contains(key));
            return response;
        }
        let mut delays: Vec<_> = timing.visible.into_iter().cycle().zip(&keys).collect();
        delays.sort_by_key(|(delay, _)| *delay);
        let (mut waited, committed_at) = (0, Instant::now());
        for (delay, key) in delays {
            pause(delay - waited).await;
            waited = delay;
            if delay > 0 {
                let gap = (committed_at, Instant::now());
                self.state().gaps.entry(key.clone()).or_default().push(gap);
            }
            self.show(key, timing.lag);
            self.state().locked.remove(key);
        }
        response
    }

    /// Reads items as of one moment, unless a transaction has locked one of them.
    fn read_at_once(&self, request: &Value) -> Response {
        let is_locked = |action| self.state().locked.contains_key(&key(action));
        if actions(request).any(is_locked) {
            let reason = |action| match is_locked(action) {
                true => json!({ "Code": "TransactionConflict" }),
                false => json!({ "Code": "None" }),
            };
            return cancelled(&actions(request).map(reason).collect::<Vec<_>>());
        }
        run(&self.table, "TransactGetItems", request)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no panic under the lock")
    }

    fn conflict(&self, request: &Value, keys: &[ItemKey], token: &Value) -> Option<Response> {
        let state = self.state();
        if keys.iter().any(|key| state.locked.get(key) == Some(token)) {
            return Some(error_response(400, "TransactionInProgressException"));
        }
        let is_free = |key: &ItemKey| !state.locked.contains_key(key);
        if keys.iter().all(is_free) {
            return None;
        }
        // The conditions of the other items are evaluated all the same.
        let (free, locked): (Vec<_>, Vec<_>) = (0..keys.len()).partition(|at| is_free(&keys[*at]));
        let mut reasons = self.evaluate(request, &free);
        for at in locked {
            reasons.insert(at, json!({ "Code": "TransactionConflict" }));
        }
        Some(cancelled(&reasons))
    }

    /// Evaluates the conditions of some of a transaction's actions without a write: a
    /// condition that always fails runs with them.
    fn evaluate(&self, request: &Value, keys: &[usize]) -> Vec<Value> {
        let mut chosen: Vec<_> = keys.iter().map(|at| request["TransactItems"][*at].clone()).collect();
        chosen.push(json!({ "ConditionCheck": {
            "TableName": TABLE, "Key": { "user_uuid": { "S": "none" }, "sk": { "S": "none" } },
            "ConditionExpression": "attribute_exists(sk)",
        } }));
        let (_, response) = run(&self.table, "TransactWriteItems", &json!({ "TransactItems": &chosen }));
        let reasons = response["CancellationReasons"].as_array().cloned();
        let mut reasons = reasons.unwrap_or_else(|| panic!("the engine rejects {chosen:?}: {response}"));
        reasons.pop();
        reasons
    }

    /// Shows a committed item to strong reads, and after the lag to the replica, never before
    /// an earlier write of the item.
    fn show(&self, key: &ItemKey, lag: u64) {
        let (user, sort) = key;
        let attributes = json!({ "user_uuid": { "S": user }, "sk": { "S": sort } });
        let get = json!({ "TableName": TABLE, "Key": attributes, "ConsistentRead": true });
        let (_, got) = run(&self.table, "GetItem", &get);
        // A condition check may name an item that does not exist.
        if got["Item"].is_null() {
            return;
        }
        let put = json!({ "TableName": TABLE, "Item": got["Item"] });
        write_through(&self.visible, &put);
        let mut state = self.state();
        state.written += 1;
        let written = state.written;
        let replicated_at = state.replicated_at.entry(key.clone()).or_insert_with(Instant::now);
        *replicated_at = (*replicated_at).max(Instant::now() + Duration::from_millis(lag));
        let at = (*replicated_at, written);
        state.pending.insert(at, put);
    }

    fn update_replica(&self) {
        let mut state = self.state();
        let later = state.pending.split_off(&(Instant::now(), u64::MAX));
        for put in std::mem::replace(&mut state.pending, later).into_values() {
            write_through(&self.replica, &put);
        }
    }
}

fn write_through(database: &Database, put: &Value) {
    let (status, response) = run(database, "PutItem", put);
    assert_eq!(status, 200, "the engine rejects {put}: {response}");
}

/// A pause of zero is one of a millisecond to Tokio's clock.
pub(crate) async fn pause(millis: u64) {
    if millis > 0 {
        sleep(Duration::from_millis(millis)).await;
    }
}

/// The response of an error.
pub fn error_response(status: u16, code: &str) -> Response {
    (status, json!({ "__type": format!("com.amazonaws.dynamodb.v20120810#{code}") }))
}

/// The response of a cancelled transaction.
fn cancelled(reasons: &[Value]) -> Response {
    let (status, mut body) = error_response(400, "TransactionCanceledException");
    body["CancellationReasons"] = json!(reasons);
    (status, body)
}

/// The response of a transaction that conflicts on every item.
pub fn conflict_response(request: &Value) -> Response {
    cancelled(&actions(request).map(|_| json!({ "Code": "TransactionConflict" })).collect::<Vec<_>>())
}

/// Whether DynamoDB may return stale items.
fn is_weak(operation: &str, request: &Value) -> bool {
    let reads = match operation {
        "GetItem" | "Query" => vec![request],
        "BatchGetItem" => {
            request["RequestItems"].as_object().into_iter().flat_map(|tables| tables.values()).collect()
        }
        _ => Vec::new(),
    };
    reads.iter().any(|read| read["ConsistentRead"] != true)
}

fn actions(request: &Value) -> impl Iterator<Item = &Value> {
    request["TransactItems"].as_array().into_iter().flatten()
}

fn key(action: &Value) -> ItemKey {
    let bodies = [
        &action["Put"]["Item"],
        &action["Update"]["Key"],
        &action["ConditionCheck"]["Key"],
        &action["Get"]["Key"],
    ];
    let key = bodies.into_iter().find(|key| !key.is_null()).expect("an action of these four");
    let text = |name: &str| key[name]["S"].as_str().expect("a key").to_owned();
    (text("user_uuid"), text("sk"))
}

fn run(database: &Database, operation: &str, request: &Value) -> Response {
    match operation {
        "CreateTable" => call_engine(request, |request| database.create_table(request)),
        "DescribeTable" => call_engine(request, |request| database.describe_table(request)),
        "GetItem" => call_engine(request, |request| database.get_item(request)),
        "PutItem" => call_engine(request, |request| database.put_item(request)),
        "BatchGetItem" => call_engine(request, |request| database.batch_get_item(request)),
        "UpdateItem" => call_engine(request, |request| database.update_item(request)),
        "Query" => call_engine(request, |request| database.query(request)),
        "Scan" => call_engine(request, |request| database.scan(request)),
        "TransactWriteItems" => call_engine(request, |request| database.transact_write_items(request)),
        "TransactGetItems" => call_engine(request, |request| database.transact_get_items(request)),
        _ => panic!("the ledger does not use {operation}"),
    }
}

fn call_engine<Request: DeserializeOwned, Done: Serialize>(
    request: &Value,
    call: impl FnOnce(Request) -> Result<Done, DynoxideError>,
) -> Response {
    let request = serde_json::from_value(request.clone()).expect("a request of the SDK");
    match call(request) {
        Ok(done) => (200, serde_json::to_value(done).expect("JSON")),
        Err(error) => (error.status_code(), serde_json::from_str(&error.to_json()).expect("JSON")),
    }
}
