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

use crate::stand_in::{answered, asked, operation};

/// What lies between the SDK and the engine: it notes every request and its
/// answer, and can do to them what a network and a distributed engine do.
#[derive(Clone)]
pub struct Wire {
    inner: SharedHttpClient,
    state: Arc<Mutex<State>>,
}

/// What happens to a request, if anything.
type Faults = Box<dyn FnMut(&Sent) -> Option<Fault> + Send>;

#[derive(Default)]
struct State {
    sent: Vec<Sent>,
    faults: Option<Faults>,
}

/// A request that went out, and what came back.
#[derive(Clone, Debug)]
pub struct Sent {
    /// The operation's name.
    pub operation: String,
    /// The request's body.
    pub request: Value,
    /// The same as it was sent, with the members in their order.
    pub body: String,
    /// The answer's body; absent where a fault took it.
    pub answer: Option<Value>,
}

/// What can happen to a request.
#[derive(Clone, Debug)]
pub enum Fault {
    /// It never arrives.
    Lost,
    /// It arrives, and its answer does not.
    AnswerLost,
    /// It arrives, its answer does not, and the engine forgets its token, as
    /// DynamoDB does after ten minutes.
    AnswerLostTokenForgotten,
    /// It leaves only after so many milliseconds.
    Late(u64),
    /// It leaves only when this is notified.
    StoredItem(Arc<Notify>),
    /// It arrives twice.
    Twice,
    /// It is answered with this error by DynamoDB, and not done.
    Refused(u16, &'static str),
    /// It is answered with this body, and not done.
    Answered(&'static str),
    /// It is a transaction and is cancelled with these reasons, and not done.
    Cancelled(&'static [&'static str]),
}

impl Sent {
    /// Whether it may write.
    pub fn is_write(&self) -> bool {
        self.operation == "TransactWriteItems"
    }

    /// The units of the table that it consumed, as the engine told: those of indexes inside
    /// a transaction are told differently by each.
    pub fn table_units(&self) -> f64 {
        let consumed =
            self.answer.as_ref().map(|answer| answer["ConsumedCapacity"].clone()).unwrap_or_default();
        let all = consumed.as_array().cloned().unwrap_or_else(|| vec![consumed.clone()]);
        all.iter().filter_map(|consumed| consumed["Table"]["CapacityUnits"].as_f64()).sum()
    }
}

impl Wire {
    /// A wire over HTTP on which nothing happens.
    pub fn new() -> Wire {
        Wire::over(Builder::new().build_http())
    }

    /// A wire over this client on which nothing happens.
    pub fn over(inner: SharedHttpClient) -> Wire {
        Wire { inner, state: Arc::default() }
    }

    /// Asks for the fault of every request from now on.
    pub fn inject(&self, faults: impl FnMut(&Sent) -> Option<Fault> + Send + 'static) {
        self.state().faults = Some(Box::new(faults));
    }

    /// Gives the first transactions from now on these faults, one each, and the others none.
    pub fn fail_writes(&self, faults: impl IntoIterator<Item = Fault>) {
        let mut faults: VecDeque<_> = faults.into_iter().collect();
        self.inject(move |sent| if sent.is_write() { faults.pop_front() } else { None });
    }

    /// What was sent since the last call.
    pub fn take(&self) -> Vec<Sent> {
        std::mem::take(&mut self.state().sent)
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().expect("no test panics while it holds this")
    }
}

impl Default for Wire {
    fn default() -> Wire {
        Wire::new()
    }
}

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Wire")
    }
}

impl HttpClient for Wire {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        parts: &RuntimeComponents,
    ) -> SharedHttpConnector {
        let inner = self.inner.http_connector(settings, parts);
        SharedHttpConnector::new(Connector { inner, wire: self.clone() })
    }
}

#[derive(Debug)]
struct Connector {
    inner: SharedHttpConnector,
    wire: Wire,
}

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let (inner, wire) = (self.inner.clone(), self.wire.clone());
        HttpConnectorFuture::new(async move {
            let body = String::from_utf8_lossy(request.body().bytes().unwrap_or_default()).into_owned();
            let mut sent =
                Sent { operation: operation(&request), request: asked(&request), body, answer: None };
            let fault = wire.state().faults.as_mut().and_then(|faults| faults(&sent));
            let ended = match fault {
                Some(Fault::Lost) => Err(broken()),
                Some(Fault::Refused(status, code)) => {
                    thrown(status, &json!({ "__type": kind(code), "message": message(code, &request) }))
                }
                Some(Fault::Answered(body)) => thrown(200, &json(body.as_bytes())),
                Some(Fault::Cancelled(codes)) => {
                    let reasons: Vec<_> = codes.iter().map(|code| json!({ "Code": code })).collect();
                    thrown(
                        400,
                        &json!({ "__type": kind("TransactionCanceledException"), "CancellationReasons": reasons }),
                    )
                }
                Some(Fault::AnswerLost) => forward(&inner, &request).await.and(Err(broken())),
                Some(Fault::AnswerLostTokenForgotten) => {
                    forward(&inner, &under_another_token(&request, &sent.request)).await.and(Err(broken()))
                }
                Some(Fault::Late(millis)) => {
                    tokio::time::sleep(Duration::from_millis(millis)).await;
                    forward(&inner, &request).await
                }
                Some(Fault::StoredItem(released)) => {
                    released.notified().await;
                    forward(&inner, &request).await
                }
                Some(Fault::Twice) => {
                    forward(&inner, &request).await?;
                    forward(&inner, &request).await
                }
                None => forward(&inner, &request).await,
            };
            sent.answer = ended.as_ref().ok().and_then(|answer| answer.body().bytes()).map(json);
            wire.state().sent.push(sent);
            ended
        })
    }
}

/// Sends a request and reads the whole answer.
async fn forward(inner: &SharedHttpConnector, request: &HttpRequest) -> Result<HttpResponse, ConnectorError> {
    let mut answer = inner.call(request.try_clone().expect("a body in memory")).await?;
    let body = std::mem::replace(answer.body_mut(), SdkBody::taken());
    let body = body.collect().await.map_err(ConnectorError::io)?.to_bytes();
    *answer.body_mut() = SdkBody::from(body);
    Ok(answer)
}

fn under_another_token(request: &HttpRequest, body: &Value) -> HttpRequest {
    let (mut request, mut body) = (request.try_clone().expect("a body in memory"), body.clone());
    body["ClientRequestToken"] = Value::from(uuid::Uuid::new_v4().to_string());
    *request.body_mut() = SdkBody::from(body.to_string());
    request
}

fn thrown(status: u16, body: &Value) -> Result<HttpResponse, ConnectorError> {
    Ok(answered(status, body.to_string()))
}

/// What DynamoDB says with an error; of a signature, what it should have signed.
fn message(code: &str, request: &HttpRequest) -> String {
    if !code.contains("Signature") {
        return format!("{code} is thrown");
    }
    request.headers().iter().map(|(name, value)| format!("{name}:{value}\n")).collect()
}

fn kind(code: &str) -> String {
    format!("com.amazonaws.dynamodb.v20120810#{code}")
}

fn json(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap_or_default()
}

fn broken() -> ConnectorError {
    ConnectorError::io("the wire broke".into())
}
