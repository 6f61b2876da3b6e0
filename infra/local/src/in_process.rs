//! The embedded engine as an HTTP client of the SDK: the functions reach it without a socket.

use std::{
    collections::{HashMap, VecDeque},
    fmt,
    hash::{DefaultHasher, Hash, Hasher},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use aws_sdk_dynamodb::{
    Client, Config,
    config::{BehaviorVersion, Region},
};
use aws_smithy_runtime_api::{
    client::{
        http::{
            HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
            SharedHttpConnector,
        },
        orchestrator::{HttpRequest, HttpResponse},
        result::ConnectorError,
        runtime_components::RuntimeComponents,
    },
    http::StatusCode,
};
use dynoxide::{Database, DynoxideError, actions::transact_write_items::TransactWriteItemsRequest};
use scrip::store::Store;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::json;
use uuid::Uuid;

use crate::log_sync::LogSync;

/// The time for which a token is remembered. An invocation ends within 30 s, so that no token
/// is sent later. DynamoDB remembers tokens for ten minutes.
const TOKEN_LIFETIME: Duration = Duration::from_secs(60);

/// The operations that change nothing.
const READS: [&str; 6] = ["DescribeTable", "GetItem", "BatchGetItem", "Query", "Scan", "TransactGetItems"];

/// HTTP status and body.
type Response = (u16, Vec<u8>);

/// An SDK client that executes its requests on this database, and reports changes to its log,
/// if it has one. It signs nothing, because only this process uses it.
pub(crate) fn client(database: Database, log: Option<Arc<LogSync>>) -> Client {
    let connection = InProcess(Arc::new(Connection { database, log, tokens: Mutex::default() }));
    let config = Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("local"))
        .endpoint_url("http://in-process")
        .allow_no_auth()
        .http_client(SharedHttpClient::new(connection));
    Client::from_conf(Store::with_timeouts(config).build())
}

#[derive(Clone)]
struct InProcess(Arc<Connection>);

struct Connection {
    database: Database,
    /// `None` for a database in memory.
    log: Option<Arc<LogSync>>,
    tokens: Mutex<Tokens>,
}

impl fmt::Debug for InProcess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("InProcess")
    }
}

impl HttpClient for InProcess {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for InProcess {
    /// Executes the request on this thread: to give it to another one and to wait for that
    /// takes longer than most requests do.
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let target = request.headers().get("x-amz-target").unwrap_or_default();
        let operation = target.rsplit('.').next().unwrap_or_default();
        let (status, body) = self.0.answer(operation, request.body().bytes().unwrap_or_default());
        let response = StatusCode::try_from(status).map(|status| HttpResponse::new(status, body.into()));
        HttpConnectorFuture::ready(response.map_err(|error| ConnectorError::other(error.into(), None)))
    }
}

impl Connection {
    /// Executes a request, and reports a change to the log.
    fn answer(&self, operation: &str, body: &[u8]) -> Response {
        match &self.log {
            Some(log) if !READS.contains(&operation) => log.write(|| self.execute(operation, body)),
            _ => self.execute(operation, body),
        }
    }

    fn execute(&self, operation: &str, body: &[u8]) -> Response {
        let database = &self.database;
        match operation {
            "CreateTable" => respond(body, |request| database.create_table(request)),
            "DescribeTable" => respond(body, |request| database.describe_table(request)),
            "GetItem" => respond(body, |request| database.get_item(request)),
            "PutItem" => respond(body, |request| database.put_item(request)),
            "BatchGetItem" => respond(body, |request| database.batch_get_item(request)),
            "Query" => respond(body, |request| database.query(request)),
            "Scan" => respond(body, |request| database.scan(request)),
            "TransactWriteItems" => self.transact(body),
            "TransactGetItems" => respond(body, |request| database.transact_get_items(request)),
            _ => error("UnknownOperationException"),
        }
    }

    /// Executes a transaction once for each token. The engine would do the same, but looks at
    /// all of its tokens in each transaction.
    fn transact(&self, body: &[u8]) -> Response {
        let request: TransactWriteItemsRequest = match serde_json::from_slice(body) {
            Ok(request) => request,
            Err(_) => return error("SerializationException"),
        };
        let token = request.client_request_token.as_deref();
        let Some(token) = token.and_then(|token| Uuid::parse_str(token).ok()) else {
            return response_of(self.database.transact_write_items(request));
        };
        let request = TransactWriteItemsRequest { client_request_token: None, ..request };
        let fingerprint = fingerprint(body);
        // Held during the transaction, so that two requests with one token do not both execute.
        let mut tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        tokens.forget_old(Instant::now());
        match tokens.fingerprints.get(&token) {
            Some(of) if *of != fingerprint => error("IdempotentParameterMismatchException"),
            Some(_) => (200, b"{}".to_vec()),
            None => {
                let response = response_of(self.database.transact_write_items(request));
                if response.0 == 200 {
                    tokens.remember(token, fingerprint, Instant::now());
                }
                response
            }
        }
    }
}

/// The tokens of executed transactions.
#[derive(Default)]
struct Tokens {
    /// Fingerprints of their requests.
    fingerprints: HashMap<Uuid, u64>,
    /// Oldest first.
    by_age: VecDeque<(Instant, Uuid)>,
}

impl Tokens {
    fn remember(&mut self, token: Uuid, fingerprint: u64, now: Instant) {
        self.by_age.push_back((now, token));
        self.fingerprints.insert(token, fingerprint);
    }

    fn forget_old(&mut self, now: Instant) {
        let is_old = |(since, _): &mut (Instant, Uuid)| now.duration_since(*since) > TOKEN_LIFETIME;
        while let Some((_, token)) = self.by_age.pop_front_if(is_old) {
            self.fingerprints.remove(&token);
        }
    }
}

fn fingerprint(body: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    body.hash(&mut hasher);
    hasher.finish()
}

fn respond<Request: DeserializeOwned, Done: Serialize>(
    body: &[u8],
    execute: impl FnOnce(Request) -> Result<Done, DynoxideError>,
) -> Response {
    match serde_json::from_slice(body) {
        Ok(request) => response_of(execute(request)),
        Err(_) => error("SerializationException"),
    }
}

fn response_of<Done: Serialize>(result: Result<Done, DynoxideError>) -> Response {
    match result {
        Ok(done) => {
            serde_json::to_vec(&done).map_or_else(|_| error("InternalServerError"), |body| (200, body))
        }
        Err(error) => (error.status_code(), error.to_json().into_bytes()),
    }
}

fn error(code: &str) -> Response {
    let body = json!({ "__type": format!("com.amazonaws.dynamodb.v20120810#{code}") });
    (if code == "InternalServerError" { 500 } else { 400 }, body.to_string().into_bytes())
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn connection() -> Connection {
        let connection =
            Connection { database: Database::memory().unwrap(), log: None, tokens: Mutex::default() };
        let table = json!({
            "TableName": "table", "BillingMode": "PAY_PER_REQUEST",
            "AttributeDefinitions": [{ "AttributeName": "k", "AttributeType": "S" }],
            "KeySchema": [{ "AttributeName": "k", "KeyType": "HASH" }],
        });
        assert_eq!(execute(&connection, "CreateTable", &table).0, 200);
        connection
    }

    fn execute(connection: &Connection, operation: &str, request: &Value) -> (u16, Value) {
        let (status, body) = connection.execute(operation, request.to_string().as_bytes());
        (status, serde_json::from_slice(&body).unwrap())
    }

    fn put(key: &str, token: Option<&str>) -> Value {
        let put = json!({
            "TableName": "table", "Item": { "k": { "S": key } }, "ConditionExpression": "attribute_not_exists(k)",
        });
        json!({ "TransactItems": [{ "Put": put }], "ClientRequestToken": token })
    }

    const ONE: &str = "00000000-0000-4000-8000-000000000001";
    const TWO: &str = "00000000-0000-4000-8000-000000000002";

    #[test]
    fn transaction_is_executed_once_for_each_token() {
        let connection = connection();
        for (request, status, code) in [
            (put("a", Some(ONE)), 200, ""),
            (put("a", Some(ONE)), 200, ""),
            (put("b", Some(ONE)), 400, "IdempotentParameterMismatchException"),
            (put("a", Some(TWO)), 400, "TransactionCanceledException"),
            (put("a", None), 400, "TransactionCanceledException"),
            (put("b", Some(TWO)), 200, ""),
        ] {
            let (found, body) = execute(&connection, "TransactWriteItems", &request);
            let name = body["__type"].as_str().unwrap_or_default().rsplit('#').next();
            assert_eq!((found, name), (status, Some(code)), "{request}");
        }
    }

    #[test]
    fn tokens_are_forgotten_in_the_order_of_age() {
        let (mut tokens, start) = (Tokens::default(), Instant::now());
        for nth in 0..3_u64 {
            let at = start + Duration::from_secs(nth);
            tokens.remember(Uuid::from_u128(nth.into()), nth, at);
        }
        tokens.forget_old(start + TOKEN_LIFETIME + Duration::from_millis(1_500));
        assert_eq!((tokens.fingerprints.len(), tokens.by_age.len()), (1, 1));
        assert!(tokens.fingerprints.contains_key(&Uuid::from_u128(2)));
    }

    #[test]
    fn requests_that_the_engine_cannot_read_are_errors() {
        let connection = connection();
        for (operation, body) in [("GetItem", "{"), ("TransactWriteItems", "[]"), ("DeleteTable", "{}")] {
            assert_eq!(connection.execute(operation, body.as_bytes()).0, 400, "{operation}");
        }
    }
}
