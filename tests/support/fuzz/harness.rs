use std::{
    future::ready,
    sync::{Arc, Mutex, MutexGuard},
};

use aws_sdk_dynamodb::{Client, Config, config::BehaviorVersion};
use scrip::{
    domain::Timestamp,
    ledger::{ClockAndRandom, Ledger},
    store::{Store, TABLE},
    transport::{App, Function},
};
use serde_json::{Map, Value, json};
use tokio::runtime::{Builder, Runtime};
use uuid::Uuid;

use super::Response;
use crate::{
    event::{STRIPE_SECRET, WEBHOOK_SECRET, callbacks_signed_with, invoke, payments_signed_with},
    mock_http::mock_json_client,
};

/// The items of the table for a request, as JSON objects of their attributes' values.
const ITEMS: &str = include_str!("table.jsonl");

/// Start time of every input, in milliseconds since 1970: 2026-01-01T00:00:00Z.
pub(super) const START: i64 = 1_767_225_600_000;

/// Time of a response of the table, in milliseconds of the functions' clock: retries reach the
/// deadline after a few.
const RESPONSE_MILLIS: i64 = 5_000;

/// Time limit of an invocation, in milliseconds.
const INVOCATION_MILLIS: i64 = 60_000;

/// Random numbers are multiples of this. Every bound of a pause divides it, so every pause is 0.
const RANDOM_STEP: u128 = 16_000;

/// The functions on a mock table.
pub(super) struct Harness {
    /// The functions' store.
    pub(super) store: Store,
    table: Table,
    app: Arc<App>,
    runtime: Runtime,
    /// The items of the table for a request.
    items: Vec<Value>,
}

/// A mock of DynamoDB.
#[derive(Clone)]
struct Table(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    items: Vec<Value>,
    /// Whether every read returns the items.
    matches_any_key: bool,
    writes: Vec<Value>,
    now: i64,
    last_random: u128,
}

thread_local! {
    static HARNESS: Harness = Harness::new();
}

/// Calls a function with this thread's harness, which is expensive to create.
pub(super) fn with<T>(work: impl FnOnce(&Harness) -> T) -> T {
    HARNESS.with(work)
}

/// Invokes a function with a payload, which must be JSON. Returns its response, and whether it
/// wrote.
///
/// # Panics
/// If the response is `Internal`, or a rejected request wrote.
pub(super) fn invoke_checked(function: Function, payload: String) -> (Response, bool) {
    with(|harness| {
        harness.reset(harness.items.clone());
        let response = harness.invoke(function, payload);
        response.assert_not_internal();
        let has_written = !harness.take_writes().is_empty();
        assert!(response.is_success() || !has_written, "a rejected request wrote: {response:?}");
        (response, has_written)
    })
}

impl Harness {
    fn new() -> Harness {
        let table = Table(Arc::default());
        let mock = table.clone();
        let client = mock_json_client(move |operation, request| {
            ready(Ok(mock.state().response(&operation, &request)))
        });
        let config = Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(aws_sdk_dynamodb::config::Region::new("us-east-1"))
            .allow_no_auth()
            .http_client(client);
        let store = Store::new(Client::from_conf(Store::with_timeouts(config).build()), TABLE);
        let (clock, chance) = (table.clone(), table.clone());
        let sources =
            ClockAndRandom { now: Box::new(move || clock.now()), random: Box::new(move || chance.draw()) };
        let callbacks = callbacks_signed_with(WEBHOOK_SECRET);
        let ledger = Ledger::new(store.clone(), sources);
        let payments = payments_signed_with(STRIPE_SECRET);
        let app = Arc::new(App::new(ledger).with_callbacks(callbacks).with_payments(payments));
        let runtime = Builder::new_current_thread().enable_time().build().expect("a runtime");
        let items = ITEMS.lines().map(|line| item(&serde_json::from_str(line).expect("an object")));
        Harness { store, table, app, runtime, items: items.collect() }
    }

    /// Resets the table to these items.
    pub(super) fn reset(&self, items: Vec<Value>) {
        *self.table.state() = State { items, now: START, ..State::default() };
    }

    /// Resets the table to one item that every read returns.
    pub(super) fn reset_to_any_key(&self, item: Value) {
        *self.table.state() =
            State { items: vec![item], matches_any_key: true, now: START, ..State::default() };
    }

    /// Invokes a function with a payload, which must be JSON.
    pub(super) fn invoke(&self, function: Function, payload: String) -> Response {
        let deadline = self.table.now().plus_millis(INVOCATION_MILLIS);
        Response::from_reply(self.wait(invoke(&self.app, function, payload, deadline)))
    }

    /// Runs a call of the store.
    pub(super) fn wait<T>(&self, call: impl Future<Output = T>) -> T {
        self.runtime.block_on(call)
    }

    /// The actions of the committed transactions since the last call.
    pub(super) fn take_writes(&self) -> Vec<Value> {
        std::mem::take(&mut self.table.state().writes)
    }
}

impl Table {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("no panic under the lock")
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.state().now).expect("a moment")
    }

    fn draw(&self) -> Uuid {
        let mut state = self.state();
        state.last_random += RANDOM_STEP;
        Uuid::from_u128(state.last_random)
    }
}

impl State {
    fn response(&mut self, operation: &str, request: &Value) -> (u16, Value) {
        self.now += RESPONSE_MILLIS;
        match operation {
            "GetItem" => (200, self.at(&request["Key"]).map_or(json!({}), |item| json!({ "Item": item }))),
            "BatchGetItem" => {
                let keys = request["RequestItems"][TABLE]["Keys"].as_array().into_iter().flatten();
                let items: Vec<_> = keys.filter_map(|key| self.at(key)).collect();
                (200, json!({ "Responses": { TABLE: items } }))
            }
            "TransactGetItems" => {
                let actions = request["TransactItems"].as_array().into_iter().flatten();
                let item = |action: &Value| {
                    self.at(&action["Get"]["Key"]).map_or(json!({}), |item| json!({ "Item": item }))
                };
                (200, json!({ "Responses": actions.map(item).collect::<Vec<_>>() }))
            }
            "Query" => {
                let found = |item: &&Value| self.matches_any_key || matches_query(request, item);
                let items: Vec<_> = self.items.iter().filter(found).collect();
                (200, json!({ "Items": items, "Count": items.len() }))
            }
            "TransactWriteItems" => self.write(request),
            other => panic!("the store does not call {other}"),
        }
    }

    /// Commits a transaction, unless an item exists that it would create.
    fn write(&mut self, request: &Value) -> (u16, Value) {
        let actions = request["TransactItems"].as_array().cloned().unwrap_or_default();
        let creates = |put: &Value| {
            let condition = put["ConditionExpression"].as_str();
            condition.is_none_or(|condition| condition.starts_with("attribute_not_exists"))
        };
        let stopped = |put: &Value| self.at(&put["Item"]).filter(|_| creates(put));
        let stopped: Vec<_> = actions.iter().map(|action| stopped(&action["Put"])).collect();
        if stopped.iter().all(Option::is_none) {
            self.writes.extend(actions);
            return (200, json!({}));
        }
        let reason = |item: &Option<&Value>| match item {
            Some(item) => json!({ "Code": "ConditionalCheckFailed", "Item": item }),
            None => json!({ "Code": "None" }),
        };
        let reasons: Vec<_> = stopped.iter().map(reason).collect();
        let kind = "com.amazonaws.dynamodb.v20120810#TransactionCanceledException";
        (400, json!({ "__type": kind, "CancellationReasons": reasons }))
    }

    /// The item at a key. Every user has the records and the wallet of the table, but an order
    /// has its own item.
    fn at(&self, key: &Value) -> Option<&Value> {
        let is_order = key["sk"]["S"] == "order";
        let is_there = |item: &&Value| {
            let is_partition = !is_order || item["user_uuid"] == key["user_uuid"];
            self.matches_any_key || (key["sk"].is_object() && item["sk"] == key["sk"] && is_partition)
        };
        self.items.iter().find(is_there)
    }
}

/// Whether a query selects the kind of this item.
fn matches_query(request: &Value, item: &Value) -> bool {
    let value = |name: &str| request["ExpressionAttributeValues"][name]["S"].as_str().unwrap_or_default();
    match request["IndexName"].as_str() {
        None => item["sk"]["S"].as_str().is_some_and(|sort| sort.starts_with(value(":charges"))),
        Some("timeline") => item["trans_no"].is_object(),
        Some(_) => item["generation_uuid"]["S"] == value(":generation"),
    }
}

/// The attribute of a JSON value. The ledger has no sets and no bytes.
pub(super) fn attribute(value: &Value) -> Value {
    match value {
        Value::Null => json!({ "NULL": true }),
        Value::Bool(boolean) => json!({ "BOOL": boolean }),
        Value::Number(number) => json!({ "N": number.to_string() }),
        Value::String(text) => json!({ "S": text }),
        Value::Array(values) => json!({ "L": values.iter().map(attribute).collect::<Vec<_>>() }),
        Value::Object(fields) => json!({ "M": item(fields) }),
    }
}

/// The item of a JSON object.
pub(super) fn item(fields: &Map<String, Value>) -> Value {
    fields.iter().map(|(name, value)| (name.clone(), attribute(value))).collect()
}
