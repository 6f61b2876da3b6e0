//! The network between the SDK of one process and the engine, with its delays and faults.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    future::pending,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use aws_smithy_runtime_api::client::{http::SharedHttpClient, result::ConnectorError};
use scrip_tests::{
    engine::{Engine, Response, Timing, conflict_response, error_response},
    mock_json_client,
};
use serde_json::Value;
use tokio::{
    sync::Notify,
    task::JoinHandle,
    time::{Instant, sleep},
};
use uuid::Uuid;

use crate::plan::{Fault, RoundTrip};

/// Requests and faults of a run, in order.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct EventLog {
    pub lines: Vec<String>,
    /// Number of requests that reached the engine.
    pub requests: usize,
    /// Number of injected faults by kind.
    pub faults: BTreeMap<Fault, usize>,
}

/// The round trips that are planned for the further requests of a step.
pub type PlannedRoundTrips = Arc<Mutex<VecDeque<RoundTrip>>>;

/// The network of one process, which has one invocation at a time.
#[derive(Clone)]
pub struct Network(Arc<Inner>);

struct Inner {
    engine: Arc<Engine>,
    log: Arc<Mutex<EventLog>>,
    started: Instant,
    process: usize,
    state: Mutex<State>,
    death: Notify,
}

#[derive(Default)]
struct State {
    round_trips: PlannedRoundTrips,
    /// Tokens of the transactions that were sent.
    tokens: BTreeSet<String>,
    is_dead: bool,
}

impl Network {
    /// The network of the process with this number. `started` is the time of the run's start.
    pub fn new(engine: Arc<Engine>, log: Arc<Mutex<EventLog>>, started: Instant, process: usize) -> Network {
        let (state, death) = (Mutex::default(), Notify::new());
        Network(Arc::new(Inner { engine, log, started, process, state, death }))
    }

    /// The HTTP client that sends over it.
    pub fn client(&self) -> SharedHttpClient {
        let network = self.clone();
        mock_json_client(move |operation, request| network.clone().exchange(operation, request))
    }

    /// Begins an invocation whose requests take these round trips.
    pub fn begin_invocation(&self, round_trips: &PlannedRoundTrips) {
        self.state().round_trips = round_trips.clone();
    }

    /// Ends the process: it sends and receives nothing more.
    pub fn kill(&self) {
        self.state().is_dead = true;
        self.0.death.notify_one();
    }

    pub async fn wait_for_death(&self) {
        self.0.death.notified().await;
    }

    pub fn is_dead(&self) -> bool {
        self.state().is_dead
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().expect("no panic under the lock")
    }

    fn log(&self, event: &str) {
        let mut log = self.0.log.lock().expect("no panic under the lock");
        let millis = self.0.started.elapsed().as_millis();
        log.lines.push(format!("{millis} ms, process {}: {event}", self.0.process));
    }

    async fn exchange(self, operation: String, request: Value) -> Result<Response, ConnectorError> {
        if self.is_dead() {
            return pending().await;
        }
        let round_trip =
            self.state().round_trips.lock().expect("no panic under the lock").pop_front().unwrap_or_default();
        let is_write = operation == "TransactWriteItems";
        let token = request["ClientRequestToken"].to_string();
        let is_resent = is_write && !self.state().tokens.insert(token);
        let fault = round_trip.fault.filter(|fault| match fault {
            Fault::Conflict => is_write,
            Fault::TokenMismatch => is_resent,
            _ => true,
        });
        if let Some(fault) = fault {
            self.log(&format!("{fault:?}: {operation} {request}"));
            *self.0.log.lock().expect("no panic under the lock").faults.entry(fault.kind()).or_default() += 1;
        }
        let response = self.respond(fault, &round_trip, operation, request).await;
        if self.is_dead() { pending().await } else { response }
    }

    /// The response that the process gets to a request with this fault.
    async fn respond(
        &self,
        fault: Option<Fault>,
        round_trip: &RoundTrip,
        operation: String,
        mut request: Value,
    ) -> Result<Response, ConnectorError> {
        let send = |request: &Value, extra_delay: u64| {
            self.send(extra_delay, round_trip, operation.clone(), request.clone())
        };
        let reject = |response: Response| async move {
            sleep(Duration::from_millis(round_trip.request_millis + round_trip.response_millis)).await;
            Ok(response)
        };
        match fault {
            None => received(send(&request, 0)).await,
            Some(Fault::RequestLost) => pending().await,
            Some(Fault::RequestAborted) => {
                sleep(Duration::from_millis(round_trip.request_millis)).await;
                Err(connection_error())
            }
            Some(Fault::ResponseLost) => {
                send(&request, 0);
                pending().await
            }
            Some(Fault::ResponseAborted) => received(send(&request, 0)).await.and(Err(connection_error())),
            Some(Fault::TokenForgotten) => {
                if let Some(token) = request.get_mut("ClientRequestToken") {
                    let other = Uuid::new_v5(&Uuid::NAMESPACE_OID, token.to_string().as_bytes());
                    *token = Value::from(other.to_string());
                }
                received(send(&request, 0)).await.and(Err(connection_error()))
            }
            Some(Fault::Duplicated(delay)) => {
                send(&request, delay);
                received(send(&request, 0)).await
            }
            Some(Fault::Throttled) => reject(error_response(400, "ThrottlingException")).await,
            Some(Fault::Conflict) => reject(conflict_response(&request)).await,
            Some(Fault::InternalError) => reject(error_response(500, "InternalServerError")).await,
            Some(Fault::InternalErrorAfterCommit) => {
                received(send(&request, 0)).await.and(Ok(error_response(500, "InternalServerError")))
            }
            Some(Fault::TokenMismatch) => {
                reject(error_response(400, "IdempotentParameterMismatchException")).await
            }
            Some(Fault::KilledBeforeSend) => {
                self.kill();
                pending().await
            }
            Some(Fault::KilledAfterSend) => {
                send(&request, 0);
                self.kill();
                pending().await
            }
        }
    }

    /// Sends a request, which arrives even if the process dies meanwhile.
    fn send(
        &self,
        extra_delay: u64,
        round_trip: &RoundTrip,
        operation: String,
        request: Value,
    ) -> JoinHandle<Response> {
        let (network, round_trip) = (self.clone(), round_trip.clone());
        tokio::spawn(async move {
            sleep(Duration::from_millis(extra_delay + round_trip.request_millis)).await;
            let timing = Timing {
                work: round_trip.engine_millis,
                visible: round_trip.visibility_delays,
                lag: round_trip.index_lag,
            };
            let response = network.0.engine.call(&operation, &request, timing).await;
            network.log(&format!("{operation} {request} -> {} {}", response.0, response.1));
            network.0.log.lock().expect("no panic under the lock").requests += 1;
            sleep(Duration::from_millis(round_trip.response_millis)).await;
            response
        })
    }
}

async fn received(request: JoinHandle<Response>) -> Result<Response, ConnectorError> {
    Ok(request.await.expect("an engine that does not panic"))
}

fn connection_error() -> ConnectorError {
    ConnectorError::io("connection closed".into())
}
