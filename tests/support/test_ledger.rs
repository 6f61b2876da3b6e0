//! A ledger with a table of its own, for one test.

use std::{
    collections::{BTreeMap, HashMap},
    env,
    sync::Arc,
};

use aws_sdk_dynamodb::{
    Client, Config,
    config::{BehaviorVersion, Credentials, Region},
    types::{AttributeValue, PutRequest, WriteRequest},
};
use aws_smithy_http_client::Builder;
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use dynoxide::{Database, server};
use lambda_runtime::{Diagnostic, LambdaEvent};
use scrip::{
    domain::{Plan, Wallet},
    ledger::Ledger,
    store::{Commit, RequestToken, Store, TABLE, Transaction, UnknownAttributes},
    transport::{
        App, Audit, Failure, Function, Payload, Reply, Sweep,
        functions::{BALANCE, DECREASE, GRANT, HISTORY, REFUND},
    },
};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use uuid::Uuid;

use crate::{
    Clock, FaultInjectingClient,
    engine::{Engine, Schedule},
    event::{
        STRIPE_SECRET, WEBHOOK_SECRET, callbacks_signed_with, direct_event, function_at, http_event,
        payments_signed_with, signature,
    },
    planted_secrets::{self, PREFIX, planted_secret},
};

/// Environment variable with the endpoint of another engine. Without it the tests use the
/// embedded one.
const ENDPOINT: &str = "SCRIP_TEST_DYNAMODB_ENDPOINT";

/// Time limit of an invocation, in milliseconds.
const INVOCATION_MILLIS: i64 = 120_000;

/// A table and the functions on it.
pub struct TestLedger {
    /// The functions' clock.
    pub clock: Clock,
    /// The HTTP client of the functions.
    pub http_client: FaultInjectingClient,
    /// A client of the engine without recording and faults.
    pub client: Client,
    /// The table's name.
    pub table: String,
    app: Arc<App>,
}

/// An HTTP response.
#[derive(Debug)]
pub struct HttpResponse {
    /// Status code.
    pub status: i64,
    /// Headers by name.
    pub headers: HashMap<String, String>,
    /// JSON body.
    pub body: Value,
}

impl HttpResponse {
    /// The response of a function to API Gateway.
    ///
    /// # Panics
    /// If it is a direct one or an error.
    pub fn from_reply(reply: Result<Reply, Failure>) -> HttpResponse {
        let Ok(Reply::Http(response)) = reply else { panic!("no HTTP response") };
        let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
        let headers = response.headers.iter();
        HttpResponse {
            status: response.status_code,
            headers: headers.map(|(name, value)| (name.to_string(), text(value.as_bytes()))).collect(),
            body: serde_json::from_slice(response.body.as_deref().unwrap_or_default()).expect("JSON"),
        }
    }
}

/// Whether the tests run on an engine other than the embedded one.
pub fn engine_is_external() -> bool {
    env::var(ENDPOINT).is_ok()
}

impl TestLedger {
    /// A new table, on a clock that runs.
    pub async fn new() -> TestLedger {
        TestLedger::with(Clock::running()).await
    }

    /// A new table, on this clock.
    pub async fn with(clock: Clock) -> TestLedger {
        match env::var(ENDPOINT) {
            Ok(endpoint) => TestLedger::at(&endpoint, clock).await,
            Err(_) => TestLedger::at(&start_embedded_engine().await, clock).await,
        }
    }

    /// A new table of the engine at this endpoint.
    pub async fn at(endpoint: &str, clock: Clock) -> TestLedger {
        let table = format!("credits-{}", Uuid::new_v4());
        TestLedger::over(Builder::new().build_http(), endpoint, table, clock).await
    }

    /// A new table of an engine in process that shows each item of a committed transaction
    /// after a delay of its own, and the schedule of these delays. Tests use it on simulated
    /// time.
    pub async fn with_delays() -> (TestLedger, Schedule) {
        let schedule = Schedule::default();
        let client = Engine::default().client(schedule.clone());
        (TestLedger::over(client, "http://engine", TABLE.to_owned(), Clock::running()).await, schedule)
    }

    async fn over(http: SharedHttpClient, endpoint: &str, table: String, clock: Clock) -> TestLedger {
        planted_secrets::start_log();
        let (key, token) = (planted_secret("access-key"), planted_secret("session-token"));
        let config = || {
            Store::with_timeouts(Config::builder())
                .behavior_version(BehaviorVersion::latest())
                .region(Region::new("us-east-1"))
                .credentials_provider(Credentials::new("test", &*key, Some(token.clone()), None, "test"))
                .endpoint_url(endpoint)
        };
        let http_client = FaultInjectingClient::over(http.clone());
        let client = Client::from_conf(config().http_client(http).build());
        Store::new(client.clone(), &table).create_table().await.expect("a table");
        let store = Store::new(Client::from_conf(config().http_client(http_client.clone()).build()), &table);
        let app = app(store, &clock);
        TestLedger { clock, http_client, client, table, app }
    }

    /// Another process: the same table and clock, with an HTTP client of its own.
    pub fn second_process(&self) -> TestLedger {
        TestLedger {
            clock: self.clock.clone(),
            http_client: FaultInjectingClient::new(),
            client: self.client.clone(),
            table: self.table.clone(),
            app: app(self.store(), &self.clock),
        }
    }

    /// Invokes a function directly: its answer, or the errorType and message.
    pub async fn invoke(&self, function: Function, payload: Value) -> Result<Value, (String, String)> {
        direct_result(self.send(function, payload.to_string()).await)
    }

    /// Sends a request through the event that API Gateway would make of it, to
    /// the function whose route it is, or to the default one.
    pub async fn http(
        &self,
        method: &str,
        url: &str,
        body: impl Into<Vec<u8>>,
        claims: Option<Value>,
    ) -> HttpResponse {
        self.http_with(method, url, body, claims, json!({})).await
    }

    /// The same, with headers.
    pub async fn http_with(
        &self,
        method: &str,
        url: &str,
        body: impl Into<Vec<u8>>,
        claims: Option<Value>,
        headers: Value,
    ) -> HttpResponse {
        let function = function_at(method, url.split('?').next().unwrap_or_default());
        let event = planted_secrets::plant(http_event(method, url, body.into(), claims, &headers));
        HttpResponse::from_reply(self.send(function, event.to_string()).await)
    }

    /// Sends a call-back, signed now.
    pub async fn callback(&self, body: Value) -> HttpResponse {
        let body = body.to_string();
        let signature = signature(WEBHOOK_SECRET, self.clock.now(), body.as_bytes());
        self.http_with("POST", "/webhooks/generation", body, None, json!({ "x-signature": signature })).await
    }

    /// Sends an event of Stripe, signed now.
    pub async fn stripe_event(&self, event: &Value) -> HttpResponse {
        let body = event.to_string();
        let signature = signature(STRIPE_SECRET, self.clock.now(), body.as_bytes());
        self.http_with("POST", "/webhooks/stripe", body, None, json!({ "stripe-signature": signature })).await
    }

    /// Hands a payload to a function as it is.
    ///
    /// # Errors
    /// For a direct invocation.
    pub async fn send(&self, function: Function, payload: String) -> Result<Reply, Failure> {
        self.handle(function, direct_event(payload, self.clock.now().plus_millis(INVOCATION_MILLIS))).await
    }

    /// Invokes a function directly, under this request id of Lambda and with so many
    /// milliseconds left.
    pub async fn deliver(
        &self,
        function: Function,
        payload: &Value,
        request_id: &str,
        millis: i64,
    ) -> Result<Value, (String, String)> {
        let mut event = direct_event(payload.to_string(), self.clock.now().plus_millis(millis));
        request_id.clone_into(&mut event.context.request_id);
        direct_result(self.handle(function, event).await)
    }

    async fn handle(&self, function: Function, event: LambdaEvent<Payload>) -> Result<Reply, Failure> {
        let reply = function.handle(&self.app, event).await;
        let text = match &reply {
            Ok(reply) => serde_json::to_string(reply).expect("JSON"),
            Err(Failure(error)) => Diagnostic::from(Failure(error.clone())).error_message,
        };
        assert!(!text.contains(PREFIX), "a secret is in a response: {text}");
        reply
    }

    /// Grants a pack; panics where that is refused.
    pub async fn grant(&self, user: &str, credits: u64, expired_at: Option<&str>) -> Value {
        let order_no = Uuid::new_v4();
        let request = json!({
            "user_uuid": user, "trans_type": "order_pay", "order_no": order_no, "credits": credits,
            "expired_at": expired_at,
        });
        self.invoke(GRANT, request).await.expect("a grant")
    }

    /// Charges for a generation, under a key where one is given.
    pub async fn charge(
        &self,
        user: &str,
        credits: u64,
        generation: &str,
        key: Option<&str>,
    ) -> Result<Value, (String, String)> {
        self.charge_with(user, credits, generation, json!({ "idempotency_key": key })).await
    }

    /// Charges for a generation, with further fields.
    pub async fn charge_with(
        &self,
        user: &str,
        credits: u64,
        generation: &str,
        fields: Value,
    ) -> Result<Value, (String, String)> {
        let mut request = json!({
            "user_uuid": user, "trans_type": "anime_generation", "credits": credits, "generation_uuid": generation,
        });
        let fields = fields.as_object().cloned().unwrap_or_default();
        request.as_object_mut().expect("an object").extend(fields);
        self.invoke(DECREASE, request).await
    }

    /// Refunds a generation, or the charge of one key.
    pub async fn refund(
        &self,
        user: Option<&str>,
        generation: &str,
        key: Option<&str>,
    ) -> Result<Value, (String, String)> {
        let request = json!({
            "user_uuid": user, "generation_uuid": generation, "idempotency_key": key, "reason": "it failed",
        });
        self.invoke(REFUND, request).await
    }

    /// The balance, with packs.
    pub async fn balance(&self, user: &str) -> Value {
        self.invoke(BALANCE, json!({ "user_uuid": user })).await.expect("a balance")
    }

    /// The sum of the usable packs, checked as in [`TestLedger::sound_balance`] and by an audit.
    pub async fn audited_balance(&self, user: &str) -> u64 {
        let balance = self.sound_balance(user).await;
        let deadline = self.clock.now().plus_millis(INVOCATION_MILLIS);
        let user = user.to_owned().try_into().expect("an id");
        let report = self.ledger().audit(&user, deadline).await.expect("an audit");
        let discrepancies: Vec<_> = report.discrepancies.listed().map(ToString::to_string).collect();
        assert_eq!(discrepancies, [""; 0]);
        balance
    }

    /// The sum of the usable packs, checked against the records, the summary and
    /// the packs themselves.
    pub async fn sound_balance(&self, user: &str) -> u64 {
        let balance = self.balance(user).await;
        let summary = self.invoke(HISTORY, json!({ "operation": "summary", "user_uuid": user })).await;
        let summary = summary.expect("a summary");
        let sum = |pointer: &str| summary.pointer(pointer).and_then(Value::as_u64).expect(pointer);
        let total = balance["balance"].as_u64().expect("a balance");
        let packs = balance["packs"].as_array().expect("packs").iter();
        assert_eq!(packs.map(|pack| pack["remaining"].as_u64().expect("remaining")).sum::<u64>(), total);
        let debt = balance["debt"].as_u64().expect("a debt");
        assert!(total == 0 || debt == 0, "debt and balance: {balance}");
        assert_eq!(
            sum("/granted/credits") + debt,
            sum("/revoked/credits") + total + sum("/spent/credits") + sum("/expired/credits"),
            "granted + debt = revoked + remaining + live charges + expired: {summary}"
        );
        let records = self.records(user).await;
        let live = |record: &&Value| record["is_voided"] == false;
        let credits = |record: &Value| record["credits"].as_i64().expect("credits");
        let spent: i64 = records.iter().filter(live).map(credits).filter(|credits| *credits < 0).sum();
        assert_eq!(spent.unsigned_abs(), sum("/spent/credits"), "the summary is the records': {summary}");
        total
    }

    /// All of a user's records, newest first, voided ones too.
    pub async fn records(&self, user: &str) -> Vec<Value> {
        let mut records = Vec::new();
        let mut cursor = Value::Null;
        loop {
            let request = json!({
                "operation": "timeline", "user_uuid": user, "limit": 100, "include_voided": true, "cursor": cursor,
            });
            let mut page = self.invoke(HISTORY, request).await.expect("a page");
            records.append(page["records"].as_array_mut().expect("records"));
            cursor = page["cursor"].take();
            if cursor.is_null() {
                return records;
            }
        }
    }

    /// Invokes the audit with so many milliseconds left.
    pub async fn audit(&self, audit: Audit, payload: &Value, millis: i64) -> Result<Value, (String, String)> {
        let event = direct_event(payload.to_string(), self.clock.now().plus_millis(millis));
        direct_result(audit.handle(&self.app, event).await)
    }

    /// Invokes the sweep of holds.
    pub async fn sweep(&self) -> Result<Value, (String, String)> {
        let deadline = self.clock.now().plus_millis(INVOCATION_MILLIS);
        direct_result(Sweep.handle(&self.app, direct_event("{}".to_owned(), deadline)).await)
    }

    /// The ledger of the functions.
    pub fn ledger(&self) -> &Ledger {
        &self.app.ledger
    }

    /// The table itself, without the functions and the HTTP client.
    pub fn store(&self) -> Store {
        Store::new(self.client.clone(), &self.table)
    }

    /// Puts a wallet in place of none.
    pub async fn seed(&self, user: &str, wallet: &Wallet) {
        let user = user.to_owned().try_into().expect("an id");
        let plan = Plan { wallet: Some(wallet.clone()), ..Plan::default() };
        let unknown = UnknownAttributes::default();
        let transaction =
            Transaction { user: &user, from: &Wallet::default(), unknown: &unknown, plan: &plan };
        let token = RequestToken::new(Uuid::new_v4());
        let commit = self.store().commit(&transaction, token).await.expect("a commit");
        assert!(matches!(commit, Commit::Done), "{commit:?}");
    }

    /// Writes copies of the record at this key, each a millisecond older than
    /// the one before, under keys of their own.
    pub async fn copy(&self, user: &str, sort: &str, copies: i64) {
        let original = self.item(user, sort).await.expect("a record");
        let trans_no: Uuid = original["trans_no"].as_s().expect("text").parse().expect("a UUID");
        let mut copies = (1..=copies).map(|copy| {
            let older = Uuid::from_u128(trans_no.as_u128() - (u128::from(copy.unsigned_abs()) << 80));
            let mut item = original.clone();
            item.insert("sk".to_owned(), AttributeValue::S(format!("{sort}copy{copy}")));
            item.insert("trans_no".to_owned(), AttributeValue::S(older.to_string()));
            item.insert("user_trans".to_owned(), AttributeValue::S(format!("{user}#{older}")));
            let put = PutRequest::builder().set_item(Some(item)).build().expect("an item");
            WriteRequest::builder().put_request(put).build()
        });
        loop {
            let batch: Vec<_> = copies.by_ref().take(25).collect();
            if batch.is_empty() {
                return;
            }
            let written = self.client.batch_write_item().request_items(&self.table, batch).send().await;
            assert!(written.expect("a response").unprocessed_items.is_none_or(|left| left.is_empty()));
        }
    }

    /// All items of the table by their keys, without the functions.
    pub async fn items(&self) -> BTreeMap<[String; 2], HashMap<String, AttributeValue>> {
        let scan = self.client.scan().table_name(&self.table).consistent_read(true);
        let items = scan.into_paginator().items().send().collect::<Result<Vec<_>, _>>().await;
        let key = |item: &HashMap<_, AttributeValue>| {
            ["user_uuid", "sk"].map(|name| item[name].as_s().expect("text").clone())
        };
        items.expect("a response").into_iter().map(|item| (key(&item), item)).collect()
    }

    /// Sets an attribute of an item, without the functions. A name with dots and indexes in
    /// brackets is inside a map or a list.
    pub async fn set(&self, user: &str, sort: &str, attribute: &str, value: AttributeValue) {
        let key = |text: &str| AttributeValue::S(text.to_owned());
        let update = self.client.update_item().table_name(&self.table);
        let update = update.key("user_uuid", key(user)).key("sk", key(sort));
        let update = update.update_expression(format!("SET {attribute} = :value"));
        update.expression_attribute_values(":value", value).send().await.expect("a response");
    }

    /// An item of the table, without the functions.
    pub async fn item(&self, user: &str, sort: &str) -> Option<HashMap<String, AttributeValue>> {
        let key = |text: &str| AttributeValue::S(text.to_owned());
        let got =
            self.client.get_item().table_name(&self.table).key("user_uuid", key(user)).key("sk", key(sort));
        got.consistent_read(true).send().await.expect("a response").item
    }
}

/// The response to a direct payload, or the errorType and message.
fn direct_result(reply: Result<Reply, Failure>) -> Result<Value, (String, String)> {
    match reply {
        Ok(Reply::Direct(response)) => Ok(serde_json::from_str(response.get()).expect("JSON")),
        Ok(Reply::Http(response)) => panic!("an HTTP response to a direct payload: {response:?}"),
        Err(failure) => {
            if let Some(reason) = failure.0.internal_reason() {
                eprintln!("Internal: {reason}");
            }
            let Diagnostic { error_type, error_message } = failure.into();
            Err((error_type, error_message))
        }
    }
}

fn app(store: Store, clock: &Clock) -> Arc<App> {
    let callbacks = callbacks_signed_with(WEBHOOK_SECRET);
    let app = App::new(Ledger::new(store, clock.sources())).with_callbacks(callbacks);
    Arc::new(app.with_payments(payments_signed_with(STRIPE_SECRET)))
}

/// Starts an embedded engine. Returns its endpoint.
pub async fn start_embedded_engine() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(server::serve_on(listener, Database::memory().expect("an engine")));
    format!("http://{address}")
}
