//! The embedded engine with the behaviour of a distributed one: transactions that
//! overlap on an item conflict, strong reads beside a transaction are read-committed,
//! and indexes and weak reads lag.

use std::{
    collections::BTreeMap,
    iter::empty,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use aws_smithy_runtime_api::client::{http::SharedHttpClient, result::ConnectorError};
use dynoxide::{Database, DynoxideError};
use scrip::store::TABLE;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::stand_in::{answered, asked, operation, stand_in};

/// An answer: the HTTP status and the body.
pub type Answer = (u16, Value);

/// The place of an item: its user and sort key.
pub type Place = (String, String);

/// How long an engine takes for a request, in milliseconds.
#[derive(Clone, Copy, Debug, Default)]
pub struct Timing {
    /// How long a transaction locks its items before it commits.
    pub work: u64,
    /// How long after the commit an item becomes visible to strong reads. The items of
    /// a transaction take these delays in turn, and each stays locked until then.
    pub visible: [u64; 2],
    /// How long after that the indexes, and weak reads, still show the item of before.
    pub lag: u64,
}

/// The timings of the next transactions, one each. Those after the last take no time.
#[derive(Clone)]
pub struct Schedule(Arc<Mutex<Timings>>);

type Timings = Box<dyn Iterator<Item = Timing> + Send>;

/// A table on three databases.
pub struct Engine {
    /// What is committed: transactions and their conditions see this.
    table: Database,
    /// What strong reads see.
    visible: Database,
    /// What indexes and weak reads see.
    copy: Database,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The items that transactions have locked, and their tokens.
    locked: BTreeMap<Place, Value>,
    /// What the copy does not know yet, in the order in which it will learn it.
    behind: BTreeMap<(Instant, u64), Value>,
    /// From when to when a committed item was not visible to strong reads, where that took time.
    gaps: BTreeMap<Place, Vec<(Instant, Instant)>>,
    /// When the copy learns the last write of a place.
    learned_at: BTreeMap<Place, Instant>,
    written: u64,
}

impl Default for Engine {
    /// Without a table.
    fn default() -> Engine {
        let empty = || Database::memory().expect("an engine");
        Engine { table: empty(), visible: empty(), copy: empty(), state: Mutex::default() }
    }
}

impl Default for Schedule {
    fn default() -> Schedule {
        Schedule(Arc::new(Mutex::new(Box::new(empty()))))
    }
}

impl Schedule {
    /// Gives the transactions from now on these timings.
    pub fn set(&self, timings: impl IntoIterator<Item = Timing, IntoIter: Send + 'static>) {
        *self.timings() = Box::new(timings.into_iter());
    }

    fn next(&self) -> Timing {
        self.timings().next().unwrap_or_default()
    }

    fn timings(&self) -> MutexGuard<'_, Timings> {
        self.0.lock().expect("nothing panics while it holds this")
    }
}

impl Engine {
    /// An HTTP client for an SDK. A request that was sent is executed even if its sender
    /// gives up.
    pub fn client(self, schedule: Schedule) -> SharedHttpClient {
        let engine = Arc::new(self);
        client(move |operation, request| {
            let is_transaction = operation == "TransactWriteItems";
            let timing = if is_transaction { schedule.next() } else { Timing::default() };
            let engine = engine.clone();
            let called = tokio::spawn(async move { engine.call(&operation, &request, timing).await });
            async { Ok(called.await.expect("an engine that does not panic")) }
        })
    }

    /// Executes a request.
    pub async fn call(&self, operation: &str, request: &Value, timing: Timing) -> Answer {
        match operation {
            "TransactWriteItems" => self.write(request, timing).await,
            "TransactGetItems" => self.read_at_once(request),
            "CreateTable" => {
                run(&self.copy, operation, request);
                run(&self.visible, operation, request);
                run(&self.table, operation, request)
            }
            "PutItem" | "UpdateItem" => self.write_one(operation, request, timing.lag),
            _ if is_weak(operation, request) => {
                self.catch_up();
                run(&self.copy, operation, request)
            }
            _ => run(&self.visible, operation, request),
        }
    }

    /// Writes of one item do not conflict with each other, only with a transaction.
    fn write_one(&self, operation: &str, request: &Value, lag: u64) -> Answer {
        let action = json!({ operation.trim_end_matches("Item"): request });
        if self.state().locked.contains_key(&place(&action)) {
            return refused(400, "TransactionConflictException");
        }
        let answer = run(&self.table, operation, request);
        if answer.0 == 200 {
            self.show(&place(&action), lag);
        }
        answer
    }

    /// From when to when committed items were not visible to strong reads, by user and sort
    /// key, where that took time.
    pub fn gaps(&self) -> BTreeMap<Place, Vec<(Instant, Instant)>> {
        self.state().gaps.clone()
    }

    /// Every item of the table.
    pub fn scan(&self) -> Vec<Value> {
        let mut request = json!({ "TableName": TABLE });
        let mut items = Vec::new();
        loop {
            let (_, mut answer) = run(&self.table, "Scan", &request);
            items.append(answer["Items"].as_array_mut().expect("items"));
            if answer["LastEvaluatedKey"].is_null() {
                return items;
            }
            request["ExclusiveStartKey"] = answer["LastEvaluatedKey"].take();
        }
    }

    /// A transaction locks its items, commits, and then shows each item after a delay of
    /// its own. Another transaction that needs a locked item is cancelled. The answer comes
    /// when all items are visible.
    async fn write(&self, request: &Value, timing: Timing) -> Answer {
        let places: Vec<_> = actions(request).map(place).collect();
        let token = &request["ClientRequestToken"];
        if let Some(refusal) = self.conflict(request, &places, token) {
            return refusal;
        }
        let locked = places.iter().map(|place| (place.clone(), token.clone()));
        self.state().locked.extend(locked);
        pause(timing.work).await;
        let answer = run(&self.table, "TransactWriteItems", request);
        if answer.0 != 200 {
            self.state().locked.retain(|place, _| !places.contains(place));
            return answer;
        }
        let mut delays: Vec<_> = timing.visible.into_iter().cycle().zip(&places).collect();
        delays.sort_by_key(|(delay, _)| *delay);
        let (mut waited, committed_at) = (0, Instant::now());
        for (delay, place) in delays {
            pause(delay - waited).await;
            waited = delay;
            if delay > 0 {
                let gap = (committed_at, Instant::now());
                self.state().gaps.entry(place.clone()).or_default().push(gap);
            }
            self.show(place, timing.lag);
            self.state().locked.remove(place);
        }
        answer
    }

    /// Reads items as of one moment, unless a transaction has locked one of them.
    fn read_at_once(&self, request: &Value) -> Answer {
        let is_locked = |action| self.state().locked.contains_key(&place(action));
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
        self.state.lock().expect("nothing panics while it holds this")
    }

    fn conflict(&self, request: &Value, places: &[Place], token: &Value) -> Option<Answer> {
        let state = self.state();
        if places.iter().any(|place| state.locked.get(place) == Some(token)) {
            return Some(refused(400, "TransactionInProgressException"));
        }
        let is_free = |place: &Place| !state.locked.contains_key(place);
        if places.iter().all(is_free) {
            return None;
        }
        // The conditions of the other items are evaluated all the same.
        let (free, locked): (Vec<_>, Vec<_>) = (0..places.len()).partition(|at| is_free(&places[*at]));
        let mut reasons = self.evaluate(request, &free);
        for at in locked {
            reasons.insert(at, json!({ "Code": "TransactionConflict" }));
        }
        Some(cancelled(&reasons))
    }

    /// How the conditions of some of a transaction's actions end when nothing is
    /// written: they run together with one that always fails.
    fn evaluate(&self, request: &Value, places: &[usize]) -> Vec<Value> {
        let mut chosen: Vec<_> = places.iter().map(|at| request["TransactItems"][*at].clone()).collect();
        chosen.push(json!({ "ConditionCheck": {
            "TableName": TABLE, "Key": { "user_uuid": { "S": "nobody" }, "sk": { "S": "nothing" } },
            "ConditionExpression": "attribute_exists(sk)",
        } }));
        let (_, answer) = run(&self.table, "TransactWriteItems", &json!({ "TransactItems": chosen }));
        let mut reasons = answer["CancellationReasons"].as_array().cloned().expect("a cancellation");
        reasons.pop();
        reasons
    }

    /// Shows a committed item to strong reads, and to the copy after the lag, no sooner
    /// than what the place held before.
    fn show(&self, place: &Place, lag: u64) {
        let (user, sort) = place;
        let key = json!({ "user_uuid": { "S": user }, "sk": { "S": sort } });
        let get = json!({ "TableName": TABLE, "Key": key, "ConsistentRead": true });
        let (_, got) = run(&self.table, "GetItem", &get);
        // A condition that was only checked may be about an item that does not exist.
        if got["Item"].is_null() {
            return;
        }
        let put = json!({ "TableName": TABLE, "Item": got["Item"] });
        write_through(&self.visible, &put);
        let mut state = self.state();
        state.written += 1;
        let written = state.written;
        let learned_at = state.learned_at.entry(place.clone()).or_insert_with(Instant::now);
        *learned_at = (*learned_at).max(Instant::now() + Duration::from_millis(lag));
        let at = (*learned_at, written);
        state.behind.insert(at, put);
    }

    fn catch_up(&self) {
        let mut state = self.state();
        let later = state.behind.split_off(&(Instant::now(), u64::MAX));
        for put in std::mem::replace(&mut state.behind, later).into_values() {
            write_through(&self.copy, &put);
        }
    }
}

fn write_through(database: &Database, put: &Value) {
    let (status, answer) = run(database, "PutItem", put);
    assert_eq!(status, 200, "the engine refuses {put}: {answer}");
}

/// An HTTP client for an SDK, whose requests this function answers: it gets the operation
/// and the body.
pub fn client<Called>(call: impl Fn(String, Value) -> Called + Send + Sync + 'static) -> SharedHttpClient
where
    Called: Future<Output = Result<Answer, ConnectorError>> + Send + 'static,
{
    stand_in(move |request| {
        let called = call(operation(request), asked(request));
        async move {
            let (status, body) = called.await?;
            Ok(answered(status, body.to_string()))
        }
    })
}

/// A pause of zero is one of a millisecond to Tokio's clock.
pub(crate) async fn pause(millis: u64) {
    if millis > 0 {
        sleep(Duration::from_millis(millis)).await;
    }
}

/// An answer that says why nothing was done.
pub fn refused(status: u16, code: &str) -> Answer {
    (status, json!({ "__type": format!("com.amazonaws.dynamodb.v20120810#{code}") }))
}

/// An answer that cancels a transaction.
fn cancelled(reasons: &[Value]) -> Answer {
    let (status, mut body) = refused(400, "TransactionCanceledException");
    body["CancellationReasons"] = json!(reasons);
    (status, body)
}

/// An answer that says that others are at every item of a transaction.
pub fn conflict(request: &Value) -> Answer {
    cancelled(&actions(request).map(|_| json!({ "Code": "TransactionConflict" })).collect::<Vec<_>>())
}

/// Whether DynamoDB may answer with what was true some time ago.
fn is_weak(operation: &str, request: &Value) -> bool {
    let reads = match operation {
        "GetItem" | "Query" => vec![request],
        "BatchGetItem" => {
            request["RequestItems"].as_object().into_iter().flat_map(|of| of.values()).collect()
        }
        _ => Vec::new(),
    };
    reads.iter().any(|read| read["ConsistentRead"] != true)
}

fn actions(request: &Value) -> impl Iterator<Item = &Value> {
    request["TransactItems"].as_array().into_iter().flatten()
}

fn place(action: &Value) -> Place {
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

fn run(database: &Database, operation: &str, request: &Value) -> Answer {
    match operation {
        "CreateTable" => answer(request, |request| database.create_table(request)),
        "DescribeTable" => answer(request, |request| database.describe_table(request)),
        "GetItem" => answer(request, |request| database.get_item(request)),
        "PutItem" => answer(request, |request| database.put_item(request)),
        "BatchGetItem" => answer(request, |request| database.batch_get_item(request)),
        "UpdateItem" => answer(request, |request| database.update_item(request)),
        "Query" => answer(request, |request| database.query(request)),
        "Scan" => answer(request, |request| database.scan(request)),
        "TransactWriteItems" => answer(request, |request| database.transact_write_items(request)),
        "TransactGetItems" => answer(request, |request| database.transact_get_items(request)),
        _ => panic!("{operation} is no operation of the ledger"),
    }
}

fn answer<Request: DeserializeOwned, Done: Serialize>(
    request: &Value,
    call: impl FnOnce(Request) -> Result<Done, DynoxideError>,
) -> Answer {
    let request = serde_json::from_value(request.clone()).expect("a request of the SDK");
    match call(request) {
        Ok(done) => (200, serde_json::to_value(done).expect("JSON")),
        Err(error) => (error.status_code(), serde_json::from_str(&error.to_json()).expect("JSON")),
    }
}
