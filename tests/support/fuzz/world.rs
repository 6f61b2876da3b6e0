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

use super::Answer;
use crate::{
    event::{WEBHOOK_SECRET, callbacks_signed_with, invoke},
    stand_in::{answered, asked, operation, stand_in},
};

/// What stands in the table when a client asks, as JSON objects of the
/// attributes' values.
const ITEMS: &str = include_str!("table.jsonl");

/// When every input begins, in milliseconds since 1970: 2026-01-01T00:00:00Z.
pub(super) const START: i64 = 1_767_225_600_000;

/// How long the table takes for an answer, in milliseconds of the functions'
/// clock: what is tried again and again reaches its deadline after a few.
const ANSWER_MILLIS: i64 = 5_000;

/// How long an invocation may take, in milliseconds.
const INVOCATION_MILLIS: i64 = 60_000;

/// What is drawn is a multiple of this, so that a pause, which is drawn evenly
/// from zero to its bound, is none: every bound divides it.
const DRAWN_STEP: u128 = 16_000;

/// The functions, on a table that answers at once.
pub(super) struct World {
    /// The table, as the functions reach it.
    pub(super) store: Store,
    table: Table,
    app: Arc<App>,
    runtime: Runtime,
    /// What stands in the table when a client asks.
    items: Vec<Value>,
}

/// Stands in for DynamoDB.
#[derive(Clone)]
struct Table(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    items: Vec<Value>,
    /// Whether the items are the answer to whatever is read.
    anywhere: bool,
    written: Vec<Value>,
    now: i64,
    drawn: u128,
}

thread_local! {
    static WORLD: World = World::new();
}

/// Works in this thread's world: making one takes longer than using it.
pub(super) fn with<T>(work: impl FnOnce(&World) -> T) -> T {
    WORLD.with(work)
}

/// What a function answers to a client, whose payload must be JSON, and whether
/// anything was written.
///
/// # Panics
/// Where it is `Internal`, or something was written though it was refused.
pub(super) fn ask(function: Function, payload: String) -> (Answer, bool) {
    with(|world| {
        world.lay(world.items.clone());
        let answer = world.invoke(function, payload);
        answer.assert_not_internal();
        let has_written = !world.take_written().is_empty();
        assert!(answer.is_done() || !has_written, "refused, and written: {answer:?}");
        (answer, has_written)
    })
}

impl World {
    fn new() -> World {
        let table = Table(Arc::default());
        let asks = table.clone();
        let client = stand_in(move |request| {
            let (status, answer) = asks.state().answer(&operation(request), &asked(request));
            ready(Ok(answered(status, answer.to_string())))
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
        let app = Arc::new(App::new(ledger).with_callbacks(callbacks));
        let runtime = Builder::new_current_thread().enable_time().build().expect("a runtime");
        let items = ITEMS.lines().map(|line| item(&serde_json::from_str(line).expect("an object")));
        World { store, table, app, runtime, items: items.collect() }
    }

    /// Begins again, on these items.
    pub(super) fn lay(&self, items: Vec<Value>) {
        *self.table.state() = State { items, now: START, ..State::default() };
    }

    /// Begins again, on one item that is read wherever something is.
    pub(super) fn lay_anywhere(&self, item: Value) {
        *self.table.state() = State { items: vec![item], anywhere: true, now: START, ..State::default() };
    }

    /// Hands a payload, which must be JSON, to a function.
    pub(super) fn invoke(&self, function: Function, payload: String) -> Answer {
        let deadline = self.table.now().plus_millis(INVOCATION_MILLIS);
        Answer::of(self.wait(invoke(&self.app, function, payload, deadline)))
    }

    /// Waits for a call of the store.
    pub(super) fn wait<T>(&self, call: impl Future<Output = T>) -> T {
        self.runtime.block_on(call)
    }

    /// The actions of the transactions that were done since the last call.
    pub(super) fn take_written(&self) -> Vec<Value> {
        std::mem::take(&mut self.table.state().written)
    }
}

impl Table {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("nothing panics while it holds this")
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.state().now).expect("a moment")
    }

    fn draw(&self) -> Uuid {
        let mut state = self.state();
        state.drawn += DRAWN_STEP;
        Uuid::from_u128(state.drawn)
    }
}

impl State {
    fn answer(&mut self, operation: &str, request: &Value) -> (u16, Value) {
        self.now += ANSWER_MILLIS;
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
                let found = |item: &&Value| self.anywhere || is_asked_for(request, item);
                let items: Vec<_> = self.items.iter().filter(found).collect();
                (200, json!({ "Items": items, "Count": items.len() }))
            }
            "TransactWriteItems" => self.write(request),
            other => panic!("{other} is none of the store's calls"),
        }
    }

    /// Does a transaction, unless a record stands where one would be put.
    fn write(&mut self, request: &Value) -> (u16, Value) {
        let actions = request["TransactItems"].as_array().cloned().unwrap_or_default();
        let standing: Vec<_> = actions.iter().map(|action| self.at(&action["Put"]["Item"])).collect();
        if standing.iter().all(Option::is_none) {
            self.written.extend(actions);
            return (200, json!({}));
        }
        let reason = |item: &Option<&Value>| match item {
            Some(item) => json!({ "Code": "ConditionalCheckFailed", "Item": item }),
            None => json!({ "Code": "None" }),
        };
        let reasons: Vec<_> = standing.iter().map(reason).collect();
        let kind = "com.amazonaws.dynamodb.v20120810#TransactionCanceledException";
        (400, json!({ "__type": kind, "CancellationReasons": reasons }))
    }

    fn at(&self, key: &Value) -> Option<&Value> {
        let is_there = |item: &&Value| self.anywhere || (key["sk"].is_object() && item["sk"] == key["sk"]);
        self.items.iter().find(is_there)
    }
}

/// Whether a query would find an item, as far as the kind of item goes.
fn is_asked_for(request: &Value, item: &Value) -> bool {
    let value = |name: &str| request["ExpressionAttributeValues"][name]["S"].as_str().unwrap_or_default();
    match request["IndexName"].as_str() {
        None => item["sk"]["S"].as_str().is_some_and(|sort| sort.starts_with(value(":charges"))),
        Some("timeline") => item["trans_no"].is_object(),
        Some(_) => item["generation_uuid"]["S"] == value(":generation"),
    }
}

/// The attribute that a JSON value stands for: no set and no bytes, which the
/// ledger has no use for.
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

/// The item whose attributes a JSON object stands for.
pub(super) fn item(fields: &Map<String, Value>) -> Value {
    fields.iter().map(|(name, value)| (name.clone(), attribute(value))).collect()
}
