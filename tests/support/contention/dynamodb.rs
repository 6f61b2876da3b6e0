//! The embedded engine with the service times and the partition limit of DynamoDB; it counts
//! requests and capacity units.

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

use crate::{
    engine::{Engine, Response, Timing, error_response, pause},
    mock_http::mock_json_client,
};

/// Service times in milliseconds, and the capacity of a partition.
#[derive(Clone, Copy, Debug)]
pub struct ServiceModel {
    /// Time of a request to DynamoDB, and of a response back.
    pub network: u64,
    /// Time that DynamoDB takes to write one item.
    pub write: u64,
    /// Time for which a transaction locks its items: others conflict meanwhile.
    pub transaction: u64,
    /// Write units a second of one user's partition: a multiple of 1,000, or no limit.
    pub write_units: u64,
}

impl ServiceModel {
    /// A read takes 4 ms, a write 6, a transaction 12.
    pub const TYPICAL: ServiceModel =
        ServiceModel { network: 2, write: 2, transaction: 8, write_units: 1_000 };
    /// No time passes, and there is no limit.
    pub const INSTANT: ServiceModel =
        ServiceModel { network: 0, write: 0, transaction: 0, write_units: u64::MAX };
}

/// Requests to DynamoDB and their capacity units, which are whole numbers here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Requests by operation.
    pub requests: BTreeMap<String, u64>,
    /// Writes that were rejected because of a conflict with a transaction.
    pub conflicts: u64,
    /// Writes that were rejected because of the partition's limit.
    pub throttled: u64,
    /// Read units of the table.
    pub read_units: u64,
    /// Write units of the table, those of rejected writes included.
    pub write_units: u64,
    /// Write units of the indexes.
    pub index_units: u64,
}

impl Traffic {
    /// The number of requests of this operation.
    pub fn requests_of(&self, operation: &str) -> u64 {
        self.requests.get(operation).copied().unwrap_or_default()
    }
}

/// A DynamoDB with one engine. Clones share it.
#[derive(Clone)]
pub struct SimulatedDynamoDb(Arc<Inner>);

struct Inner {
    engine: Engine,
    model: ServiceModel,
    state: Mutex<State>,
}

struct State {
    traffic: Traffic,
    /// Write units that each user may still consume, negative if overdrawn, as of a time.
    available_units: BTreeMap<String, (i64, Instant)>,
    /// Units of the last write of one item. A write with a failed condition costs as much.
    last_write_units: u64,
}

impl SimulatedDynamoDb {
    /// A DynamoDB without a table.
    pub fn new(model: ServiceModel) -> SimulatedDynamoDb {
        let state =
            State { traffic: Traffic::default(), available_units: BTreeMap::new(), last_write_units: 1 };
        SimulatedDynamoDb(Arc::new(Inner { engine: Engine::default(), model, state: Mutex::new(state) }))
    }

    /// A client with the timeouts of the functions.
    pub fn client(&self) -> Client {
        let dynamodb = self.clone();
        let execute = move |operation, request| {
            let response = dynamodb.clone().execute(operation, request);
            async { Ok(response.await) }
        };
        let config = Store::with_timeouts(Config::builder())
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("us-east-1"))
            .credentials_provider(Credentials::new("test", "test", None, None, "test"))
            .endpoint_url("http://engine")
            .http_client(mock_json_client(execute));
        Client::from_conf(config.build())
    }

    /// Every item of the table.
    pub fn scan(&self) -> Vec<Value> {
        self.0.engine.scan()
    }

    /// The traffic since the last call.
    pub fn take_traffic(&self) -> Traffic {
        std::mem::take(&mut self.state().traffic)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().expect("no panic under the lock")
    }

    async fn execute(self, operation: String, request: Value) -> Response {
        let model = self.0.model;
        pause(model.network).await;
        *self.state().traffic.requests.entry(operation.clone()).or_default() += 1;
        let response = if is_write(&operation) && !self.has_capacity(&request) {
            self.state().traffic.throttled += 1;
            error_response(400, "ThrottlingException")
        } else {
            if operation.ends_with("Item") && is_write(&operation) {
                pause(model.write).await;
            }
            let timing = Timing { work: model.transaction, ..Timing::default() };
            let response = self.0.engine.call(&operation, &request, timing).await;
            self.count(&operation, &request, &response);
            response
        };
        pause(model.network).await;
        response
    }

    /// Whether the user's partition has units available. The units of a write are subtracted
    /// after it, when they are counted.
    fn has_capacity(&self, request: &Value) -> bool {
        let Ok(limit) = i64::try_from(self.0.model.write_units) else { return true };
        let mut state = self.state();
        let (available, at) =
            state.available_units.entry(user(request)).or_insert_with(|| (limit, Instant::now()));
        let elapsed = i64::try_from(at.elapsed().as_millis()).expect("a span of days");
        // The limit is a multiple of 1,000, so a millisecond adds a whole number of units.
        (*available, *at) = (limit.min(*available + elapsed * limit / 1_000), Instant::now());
        *available > 0
    }

    fn count(&self, operation: &str, request: &Value, (status, body): &Response) {
        let mut state = self.state();
        let consumed = &body["ConsumedCapacity"];
        let consumed = consumed.as_array().cloned().unwrap_or_else(|| vec![consumed.clone()]);
        let table: u64 = consumed.iter().map(|consumed| capacity_units(&consumed["Table"])).sum();
        let indexes = consumed.iter().filter_map(|consumed| consumed["GlobalSecondaryIndexes"].as_object());
        let index: u64 = indexes.flat_map(|indexes| indexes.values()).map(capacity_units).sum();
        if !is_write(operation) {
            state.traffic.read_units += table;
            return;
        }
        let text = body.to_string();
        state.traffic.conflicts += u64::from(text.contains("TransactionConflict"));
        let actions = request["TransactItems"].as_array().map_or(0, Vec::len);
        let units = match (status, u64::try_from(actions)) {
            (200, Ok(0)) => {
                state.last_write_units = table;
                table
            }
            (200, _) => table,
            (_, Ok(actions @ 1..)) => 2 * actions,
            _ if text.contains("ConditionalCheckFailed") => state.last_write_units,
            _ => 1,
        };
        state.traffic.write_units += units;
        state.traffic.index_units += index;
        if let Some((available, _)) = state.available_units.get_mut(&user(request)) {
            *available -= i64::try_from(units).expect("a small number");
        }
    }
}

fn is_write(operation: &str) -> bool {
    matches!(operation, "TransactWriteItems" | "UpdateItem" | "PutItem")
}

/// The user of a write. All its items belong to one user.
fn user(request: &Value) -> String {
    let action = request["TransactItems"].get(0).and_then(Value::as_object);
    let body = action.and_then(|action| action.values().next()).unwrap_or(request);
    let key = if body["Key"].is_null() { &body["Item"] } else { &body["Key"] };
    key["user_uuid"]["S"].as_str().expect("a user").to_owned()
}

/// The units of writes and of strong reads are whole numbers.
fn capacity_units(consumed: &Value) -> u64 {
    let units = consumed["CapacityUnits"].as_f64().unwrap_or_default();
    format!("{units:.0}").parse().expect("a number")
}
