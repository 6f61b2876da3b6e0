//! What lies between the SDK of one process and the engine.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    future::pending,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use aws_smithy_runtime_api::client::{http::SharedHttpClient, result::ConnectorError};
use scrip_tests::engine::{Answer, Engine, Timing, client, conflict, refused};
use serde_json::Value;
use tokio::{
    sync::Notify,
    task::JoinHandle,
    time::{Instant, sleep},
};
use uuid::Uuid;

use crate::plan::{Fault, Way};

/// What was sent and what happened, in the order in which it happened.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Log {
    /// One line an event.
    pub lines: Vec<String>,
    /// How many requests reached the engine.
    pub requests: usize,
    /// How often each fault struck.
    pub faults: BTreeMap<Fault, usize>,
}

/// The ways that a step's requests still have before them.
pub type Ways = Arc<Mutex<VecDeque<Way>>>;

/// The line of one process, which has one invocation at a time.
#[derive(Clone)]
pub struct Line(Arc<Inner>);

struct Inner {
    engine: Arc<Engine>,
    log: Arc<Mutex<Log>>,
    began: Instant,
    process: usize,
    state: Mutex<State>,
    died: Notify,
}

#[derive(Default)]
struct State {
    ways: Ways,
    /// The tokens of the transactions that were sent.
    tokens: BTreeSet<String>,
    is_dead: bool,
}

impl Line {
    /// The line of a new process.
    pub fn new(engine: Arc<Engine>, log: Arc<Mutex<Log>>, began: Instant, process: usize) -> Line {
        Line(Arc::new(Inner { engine, log, began, process, state: Mutex::default(), died: Notify::new() }))
    }

    /// The HTTP client at its end.
    pub fn client(&self) -> SharedHttpClient {
        let line = self.clone();
        client(move |operation, request| line.clone().carry(operation, request))
    }

    /// An invocation begins, whose requests have these ways.
    pub fn begin(&self, ways: &Ways) {
        self.state().ways = ways.clone();
    }

    /// Ends the process: nothing leaves it any more, and nothing reaches it.
    pub fn die(&self) {
        self.state().is_dead = true;
        self.0.died.notify_one();
    }

    /// Waits until the process has died.
    pub async fn died(&self) {
        self.0.died.notified().await;
    }

    /// Whether the process has died.
    pub fn is_dead(&self) -> bool {
        self.state().is_dead
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().expect("nothing panics while it holds this")
    }

    fn note(&self, what: &str) {
        let mut log = self.0.log.lock().expect("nothing panics while it holds this");
        let millis = self.0.began.elapsed().as_millis();
        log.lines.push(format!("{millis} ms, process {}: {what}", self.0.process));
    }

    async fn carry(self, operation: String, request: Value) -> Result<Answer, ConnectorError> {
        if self.is_dead() {
            return pending().await;
        }
        let way = self.state().ways.lock().expect("as above").pop_front().unwrap_or_default();
        let is_write = operation == "TransactWriteItems";
        let token = request["ClientRequestToken"].to_string();
        let is_resent = is_write && !self.state().tokens.insert(token);
        let fault = way.fault.filter(|fault| match fault {
            Fault::Conflict => is_write,
            Fault::TokenMismatch => is_resent,
            _ => true,
        });
        if let Some(fault) = fault {
            self.note(&format!("{fault:?}: {operation} {request}"));
            *self.0.log.lock().expect("as above").faults.entry(fault.kind()).or_default() += 1;
        }
        let ended = self.meet(fault, &way, operation, request).await;
        if self.is_dead() { pending().await } else { ended }
    }

    /// What the process sees of a request that meets this fault.
    async fn meet(
        &self,
        fault: Option<Fault>,
        way: &Way,
        operation: String,
        mut request: Value,
    ) -> Result<Answer, ConnectorError> {
        let send = |request: &Value, later: u64| self.send(later, way, operation.clone(), request.clone());
        let refusal = |answer: Answer| async move {
            sleep(Duration::from_millis(way.there + way.back)).await;
            Ok(answer)
        };
        match fault {
            None => arrived(send(&request, 0)).await,
            Some(Fault::Lost) => pending().await,
            Some(Fault::Broken) => {
                sleep(Duration::from_millis(way.there)).await;
                Err(broken())
            }
            Some(Fault::AnswerLost) => {
                send(&request, 0);
                pending().await
            }
            Some(Fault::AnswerBroken) => arrived(send(&request, 0)).await.and(Err(broken())),
            Some(Fault::TokenForgotten) => {
                if let Some(token) = request.get_mut("ClientRequestToken") {
                    let forgotten = Uuid::new_v5(&Uuid::NAMESPACE_OID, token.to_string().as_bytes());
                    *token = Value::from(forgotten.to_string());
                }
                arrived(send(&request, 0)).await.and(Err(broken()))
            }
            Some(Fault::Twice(later)) => {
                send(&request, later);
                arrived(send(&request, 0)).await
            }
            Some(Fault::Throttled) => refusal(refused(400, "ThrottlingException")).await,
            Some(Fault::Conflict) => refusal(conflict(&request)).await,
            Some(Fault::Failed) => refusal(refused(500, "InternalServerError")).await,
            Some(Fault::FailedAfterwards) => {
                arrived(send(&request, 0)).await.and(Ok(refused(500, "InternalServerError")))
            }
            Some(Fault::TokenMismatch) => refusal(refused(400, "IdempotentParameterMismatchException")).await,
            Some(Fault::Killed) => {
                self.die();
                pending().await
            }
            Some(Fault::KilledAfterwards) => {
                send(&request, 0);
                self.die();
                pending().await
            }
        }
    }

    /// Sends a request on its way, which it goes whatever becomes of the process.
    fn send(&self, later: u64, way: &Way, operation: String, request: Value) -> JoinHandle<Answer> {
        let (line, Way { there, work, visible, back, lag, .. }) = (self.clone(), way.clone());
        tokio::spawn(async move {
            sleep(Duration::from_millis(later + there)).await;
            let answer = line.0.engine.call(&operation, &request, Timing { work, visible, lag }).await;
            line.note(&format!("{operation} {request} -> {} {}", answer.0, answer.1));
            line.0.log.lock().expect("as above").requests += 1;
            sleep(Duration::from_millis(back)).await;
            answer
        })
    }
}

async fn arrived(sent: JoinHandle<Answer>) -> Result<Answer, ConnectorError> {
    Ok(sent.await.expect("an engine that does not panic"))
}

fn broken() -> ConnectorError {
    ConnectorError::io("the line broke".into())
}
