//! An HTTP client that records requests and injects the faults of a network and of DynamoDB.

use std::{
    collections::VecDeque,
    fmt,
    sync::{Arc, Mutex},
    time::Duration,
};

use aws_smithy_http_client::Builder;
use aws_smithy_runtime_api::client::{
    http::{
        HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
        SharedHttpConnector,
    },
    orchestrator::{HttpRequest, HttpResponse},
    result::ConnectorError,
    runtime_components::RuntimeComponents,
};
use aws_smithy_types::body::SdkBody;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::mock_http::{http_response, json_body, operation};

/// Records every request of an SDK with its response, and injects faults. Clones share both.
#[derive(Clone)]
pub struct FaultInjectingClient {
    inner: SharedHttpClient,
    state: Arc<Mutex<State>>,
}

/// Selects the fault of a request.
type Faults = Box<dyn FnMut(&RecordedRequest) -> Option<Fault> + Send>;

#[derive(Default)]
struct State {
    requests: Vec<RecordedRequest>,
    faults: Option<Faults>,
}

/// A request and its response.
#[derive(Clone, Debug)]
pub struct RecordedRequest {
    /// Name of the operation.
    pub operation: String,
    /// The request's body.
    pub request: Value,
    /// The same body as text, with its members in their order.
    pub body: String,
    /// Body of the response; absent if a fault lost it.
    pub response: Option<Value>,
}

/// A fault of a request.
#[derive(Clone, Debug)]
pub enum Fault {
    /// The request never arrives.
    RequestLost,
    /// The request is executed, and its response never arrives.
    ResponseLost,
    /// As `ResponseLost`, and the engine forgets the request's token, as DynamoDB does after
    /// ten minutes.
    ResponseAndTokenLost,
    /// The request is sent after this number of milliseconds.
    Delayed(u64),
    /// The request is sent when this is notified.
    DelayedUntil(Arc<Notify>),
    /// The request is executed twice.
    Duplicated,
    /// The response is an error with this status and code; the request is not executed.
    Error(u16, &'static str),
    /// The response has this body; the request is not executed.
    Response(&'static str),
    /// The transaction is cancelled with these reasons, and not executed.
    Cancelled(&'static [&'static str]),
}

impl RecordedRequest {
    /// Whether it is a transaction of writes.
    pub fn is_write(&self) -> bool {
        self.operation == "TransactWriteItems"
    }

    /// Capacity units of the table that it consumed. Engines differ in the units of indexes
    /// inside a transaction.
    pub fn table_units(&self) -> f64 {
        let consumed =
            self.response.as_ref().map(|response| response["ConsumedCapacity"].clone()).unwrap_or_default();
        let all = consumed.as_array().cloned().unwrap_or_else(|| vec![consumed.clone()]);
        all.iter().filter_map(|consumed| consumed["Table"]["CapacityUnits"].as_f64()).sum()
    }
}

impl FaultInjectingClient {
    /// A client over HTTP without faults.
    pub fn new() -> FaultInjectingClient {
        FaultInjectingClient::over(Builder::new().build_http())
    }

    /// A client over another one, without faults.
    pub fn over(inner: SharedHttpClient) -> FaultInjectingClient {
        FaultInjectingClient { inner, state: Arc::default() }
    }

    /// Selects the fault of every later request.
    pub fn inject(&self, faults: impl FnMut(&RecordedRequest) -> Option<Fault> + Send + 'static) {
        self.state().faults = Some(Box::new(faults));
    }

    /// Injects these faults into the next transactions, one each.
    pub fn fail_writes(&self, faults: impl IntoIterator<Item = Fault>) {
        let mut faults: VecDeque<_> = faults.into_iter().collect();
        self.inject(move |request| if request.is_write() { faults.pop_front() } else { None });
    }

    /// The requests since the last call.
    pub fn take_requests(&self) -> Vec<RecordedRequest> {
        std::mem::take(&mut self.state().requests)
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().expect("no panic under the lock")
    }
}

impl Default for FaultInjectingClient {
    fn default() -> FaultInjectingClient {
        FaultInjectingClient::new()
    }
}

impl fmt::Debug for FaultInjectingClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FaultInjectingClient")
    }
}

impl HttpClient for FaultInjectingClient {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        parts: &RuntimeComponents,
    ) -> SharedHttpConnector {
        let inner = self.inner.http_connector(settings, parts);
        SharedHttpConnector::new(Connector { inner, http_client: self.clone() })
    }
}

#[derive(Debug)]
struct Connector {
    inner: SharedHttpConnector,
    http_client: FaultInjectingClient,
}

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let (inner, http_client) = (self.inner.clone(), self.http_client.clone());
        HttpConnectorFuture::new(async move {
            let body = String::from_utf8_lossy(request.body().bytes().unwrap_or_default()).into_owned();
            let mut record = RecordedRequest {
                operation: operation(&request),
                request: json_body(&request),
                body,
                response: None,
            };
            let fault = http_client.state().faults.as_mut().and_then(|faults| faults(&record));
            let response = match fault {
                Some(Fault::RequestLost) => Err(connection_error()),
                Some(Fault::Error(status, code)) => {
                    respond(status, &json!({ "__type": kind(code), "message": message(code, &request) }))
                }
                Some(Fault::Response(body)) => respond(200, &json(body.as_bytes())),
                Some(Fault::Cancelled(codes)) => {
                    let reasons: Vec<_> = codes.iter().map(|code| json!({ "Code": code })).collect();
                    respond(
                        400,
                        &json!({ "__type": kind("TransactionCanceledException"), "CancellationReasons": reasons }),
                    )
                }
                Some(Fault::ResponseLost) => forward(&inner, &request).await.and(Err(connection_error())),
                Some(Fault::ResponseAndTokenLost) => {
                    forward(&inner, &under_another_token(&request, &record.request))
                        .await
                        .and(Err(connection_error()))
                }
                Some(Fault::Delayed(millis)) => {
                    tokio::time::sleep(Duration::from_millis(millis)).await;
                    forward(&inner, &request).await
                }
                Some(Fault::DelayedUntil(released)) => {
                    released.notified().await;
                    forward(&inner, &request).await
                }
                Some(Fault::Duplicated) => {
                    forward(&inner, &request).await?;
                    forward(&inner, &request).await
                }
                None => forward(&inner, &request).await,
            };
            record.response = response.as_ref().ok().and_then(|response| response.body().bytes()).map(json);
            http_client.state().requests.push(record);
            response
        })
    }
}

/// Sends a request and reads the whole response.
async fn forward(inner: &SharedHttpConnector, request: &HttpRequest) -> Result<HttpResponse, ConnectorError> {
    let mut response = inner.call(request.try_clone().expect("a body in memory")).await?;
    let body = std::mem::replace(response.body_mut(), SdkBody::taken());
    let body = body.collect().await.map_err(ConnectorError::io)?.to_bytes();
    *response.body_mut() = SdkBody::from(body);
    Ok(response)
}

fn under_another_token(request: &HttpRequest, body: &Value) -> HttpRequest {
    let (mut request, mut body) = (request.try_clone().expect("a body in memory"), body.clone());
    body["ClientRequestToken"] = Value::from(uuid::Uuid::new_v4().to_string());
    *request.body_mut() = SdkBody::from(body.to_string());
    request
}

fn respond(status: u16, body: &Value) -> Result<HttpResponse, ConnectorError> {
    Ok(http_response(status, body.to_string()))
}

/// Message of an error. That of a signature error contains the headers, as DynamoDB's does.
fn message(code: &str, request: &HttpRequest) -> String {
    if !code.contains("Signature") {
        return format!("the test injected {code}");
    }
    request.headers().iter().map(|(name, value)| format!("{name}:{value}\n")).collect()
}

fn kind(code: &str) -> String {
    format!("com.amazonaws.dynamodb.v20120810#{code}")
}

fn json(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap_or_default()
}

fn connection_error() -> ConnectorError {
    ConnectorError::io("connection closed".into())
}
