//! A caller: its requests, and their outcomes.

use std::sync::Arc;

use lambda_runtime::Diagnostic;
use scrip::{
    domain::Timestamp,
    transport::{
        App, Function, Reply,
        functions::{BALANCE, DECREASE, GRANT, HISTORY, REFUND, WEBHOOK},
    },
};
use scrip_tests::{WEBHOOK_SECRET, deliver, http_event, signature};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    linearizability::{Observation, Operation, StateChange},
    model::Record,
    plan::{Call, Grant, SKEW_MAX_MILLIS, Step},
};

/// One invocation, as its caller sees it.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// Its name. Its writes contain it: as `order_no` of a charge and of a grant without an
    /// order, as `reason` of a refund.
    pub tag: String,
    pub call: Call,
    /// The request id of the event. Deliveries of one event share it.
    pub request_id: String,
    /// Expiry of the pack that it grants, in milliseconds since 1970.
    pub expired_at: Option<i64>,
    pub started: SimulatedTime,
    pub ended: SimulatedTime,
    pub outcome: AttemptOutcome,
    /// Whether it started long after every other request had ended.
    pub is_quiescent: bool,
}

/// A moment of the simulation. Moments within one millisecond are ordered too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SimulatedTime {
    /// Milliseconds since 1970.
    pub millis: i64,
    /// Sequence number among all recorded moments.
    pub sequence: u64,
}

#[derive(Clone, Debug)]
pub enum AttemptOutcome {
    /// The response's body.
    Success(Value),
    Error {
        code: String,
        /// `balance` in the body, if it has one.
        balance: Option<u64>,
        /// The errorMessage, or the problem document's `detail`.
        detail: String,
    },
    /// The invocation reached its time limit, or its process died.
    CutOff,
}

/// Grants with the same identity conflict if their expiries differ by a day, in milliseconds.
const DAY_MILLIS: u64 = 86_400_000;

impl Attempt {
    pub fn response(&self) -> Option<&Value> {
        if let AttemptOutcome::Success(response) = &self.outcome { Some(response) } else { None }
    }

    /// Whether the outcome states if the request was executed. `Busy` means that it was not,
    /// except for a refund, which may have committed some of its transactions.
    pub fn has_certain_outcome(&self) -> bool {
        match &self.outcome {
            AttemptOutcome::Success(_) => true,
            AttemptOutcome::Error { code, .. } if code == "Busy" => !matches!(self.call, Call::Refund { .. }),
            AttemptOutcome::Error { code, .. } => code != "StoreUnavailable" && code != "Internal",
            AttemptOutcome::CutOff => false,
        }
    }

    /// Whether its caller has no reason to retry.
    pub fn is_final(&self) -> bool {
        let is_busy = matches!(&self.outcome, AttemptOutcome::Error { code, .. } if code == "Busy");
        self.has_certain_outcome() && !is_busy
    }

    /// The earliest and the latest time that a machine's clock can have shown during the
    /// attempt, in milliseconds since 1970.
    pub fn clock_range(&self) -> (i64, i64) {
        (self.started.millis - SKEW_MAX_MILLIS, self.ended.millis + SKEW_MAX_MILLIS)
    }

    pub fn operation<'a>(&'a self, change: StateChange, observation: Observation<'a>) -> Operation<'a> {
        let to = self.has_certain_outcome().then_some(self.ended.sequence);
        Operation { tag: &self.tag, change, from: self.started.sequence, to, observation }
    }

    /// Whether its request or its response names this user.
    pub fn concerns(&self, user: &str) -> bool {
        match &self.call {
            Call::Grant { user: owner, .. } | Call::Charge { user: owner, .. } => *owner == user,
            Call::Refund { user: Some(owner), .. } | Call::Balance(owner) | Call::Summary(owner) => {
                *owner == user
            }
            Call::Refund { user: None, .. } => {
                self.response().is_some_and(|response| response["user_uuid"] == user)
            }
            Call::Timeline(_) | Call::Generation(_) => false,
        }
    }

    /// Whether it can have written the item of this user and sort key.
    pub fn may_write(&self, owner: &str, sort: &str) -> bool {
        match &self.call {
            Call::Grant { user, .. } | Call::Charge { user, .. } => {
                *user == owner && self.sort_key().is_some_and(|own| own == sort)
            }
            Call::Refund { user, .. } => user.is_none_or(|user| user == owner) && self.addresses(sort),
            _ => false,
        }
    }

    /// The sort key of the record that a grant or a charge requests. Without an identity of
    /// its own, the request has the identity of its delivery.
    pub fn sort_key(&self) -> Option<String> {
        match &self.call {
            Call::Grant { grant: Grant::NewUser, .. } => Some("grant#new_user#".to_owned()),
            Call::Grant { grant: Grant::Order(order_no), .. } => Some(format!("grant#order#{order_no}")),
            Call::Grant { grant: Grant::Added(None), .. } => {
                Some(format!("grant#unkeyed#{}", self.event_uuid()))
            }
            Call::Grant { grant: Grant::Added(Some(key)), .. } => Some(format!("grant#key#{key}")),
            Call::Charge { generation: None, key: None, .. } => {
                Some(format!("charge###{}", self.event_uuid()))
            }
            Call::Charge { generation, key, .. } => {
                Some(format!("charge#{}#{}", generation.unwrap_or_default(), key.unwrap_or_default()))
            }
            _ => None,
        }
    }

    fn event_uuid(&self) -> Uuid {
        Uuid::new_v5(&Uuid::NAMESPACE_OID, self.request_id.as_bytes())
    }

    /// Whether a record has the content that it requests.
    pub fn matches(&self, record: &Record) -> bool {
        match &self.call {
            // The gift of a new user is the same whatever its amount and expiry.
            Call::Grant { grant: Grant::NewUser, .. } if !self.has_tagged(record) => true,
            Call::Grant { credits, .. } => {
                let is_close = match (self.expired_at, record.expired_at()) {
                    (Some(requested), Some(stored)) => requested.abs_diff(stored) < DAY_MILLIS,
                    (requested, stored) => requested == stored,
                };
                is_close && record.credits.unsigned_abs() == *credits
            }
            Call::Charge { credits, trans_type, .. } => {
                record.credits.unsigned_abs() == *credits && record.item["trans_type"] == *trans_type
            }
            _ => false,
        }
    }

    /// Whether a record contains its tag.
    pub fn has_tagged(&self, record: &Record) -> bool {
        record.item["order_no"] == self.tag.as_str()
    }

    /// Whether it is a refund of the charge with this sort key.
    pub fn addresses(&self, sort: &str) -> bool {
        match &self.call {
            Call::Refund { generation, key: Some(key), .. } => sort == format!("charge#{generation}#{key}"),
            Call::Refund { generation, key: None, .. } => sort.starts_with(&format!("charge#{generation}#")),
            _ => false,
        }
    }
}

/// A request, for HTTP and for a direct invocation.
struct Request {
    function: Function,
    method: &'static str,
    url: String,
    /// The payload of a direct invocation, and the body of a `POST`.
    payload: Value,
}

/// Invokes the function of a step, directly or over HTTP.
pub async fn send(
    app: &Arc<App>,
    step: &Step,
    tag: &str,
    request_id: &str,
    expired_at: Option<i64>,
) -> AttemptOutcome {
    let Request { function, method, url, payload } = request(&step.call, tag, expired_at);
    let payload = if step.is_http {
        let body = if method == "POST" { payload.to_string() } else { String::new() };
        let headers = json!({ "x-signature": signature(WEBHOOK_SECRET, app.ledger.now(), body.as_bytes()) });
        http_event(method, &url, body.into_bytes(), None, &headers)
    } else {
        payload
    };
    let deadline = app.ledger.now().plus_millis(i64::try_from(step.time_limit).expect("a limit of seconds"));
    match deliver(app, function, payload.to_string(), deadline, request_id).await {
        Ok(Reply::Direct(response)) => {
            AttemptOutcome::Success(serde_json::from_str(response.get()).expect("JSON"))
        }
        Ok(Reply::Http(response)) => {
            let body = serde_json::from_slice(response.body.as_deref().unwrap_or_default()).expect("JSON");
            if response.status_code < 300 { AttemptOutcome::Success(body) } else { error_of(&body) }
        }
        Err(failure) => {
            let detail = format!("{:?}", failure.0);
            AttemptOutcome::Error { code: Diagnostic::from(failure).error_type, balance: None, detail }
        }
    }
}

fn error_of(problem: &Value) -> AttemptOutcome {
    AttemptOutcome::Error {
        code: problem["code"].as_str().expect("a code").to_owned(),
        balance: problem["balance"].as_u64(),
        detail: problem["detail"].to_string(),
    }
}

fn request(call: &Call, tag: &str, expired_at: Option<i64>) -> Request {
    let post =
        |function, url: &str, payload| Request { function, method: "POST", url: url.to_owned(), payload };
    let get = |function, url, payload| Request { function, method: "GET", url, payload };
    match call {
        Call::Grant { user, grant, credits, .. } => {
            let (trans_type, order_no, key) = match grant {
                Grant::NewUser => ("new_user", tag, None),
                Grant::Order(order_no) => ("order_pay", *order_no, None),
                Grant::Added(key) => ("system_add", tag, *key),
            };
            let expired_at = expired_at.and_then(Timestamp::from_millis).map(|at| at.to_string());
            let payload = json!({
                "user_uuid": user, "trans_type": trans_type, "credits": credits, "order_no": order_no,
                "expired_at": expired_at, "idempotency_key": key,
            });
            post(GRANT, "/credits/grant", payload)
        }
        Call::Charge { user, generation, key, credits, trans_type } => {
            let payload = json!({
                "user_uuid": user, "trans_type": trans_type, "credits": credits, "order_no": tag,
                "generation_uuid": generation, "idempotency_key": key,
            });
            post(DECREASE, "/credits/decrease", payload)
        }
        Call::Refund { user, generation, key, is_callback: true } => {
            let payload = json!({
                "user_uuid": user, "generation_uuid": generation, "idempotency_key": key, "status": "failed",
                "error": tag,
            });
            post(WEBHOOK, "/webhooks/generation", payload)
        }
        Call::Refund { user, generation, key, is_callback: false } => {
            let payload = json!({
                "user_uuid": user, "generation_uuid": generation, "idempotency_key": key, "reason": tag,
            });
            post(REFUND, "/credits/refund", payload)
        }
        Call::Balance(user) => get(BALANCE, format!("/credits/{user}/balance"), json!({ "user_uuid": user })),
        Call::Summary(user) => {
            let payload = json!({ "operation": "summary", "user_uuid": user });
            get(HISTORY, format!("/credits/{user}/summary"), payload)
        }
        Call::Timeline(user) => {
            let url = format!("/credits/{user}/timeline?limit=100&include_voided=true");
            let payload = json!({
                "operation": "timeline", "user_uuid": user, "limit": 100, "include_voided": true,
            });
            get(HISTORY, url, payload)
        }
        Call::Generation(generation) => {
            let payload = json!({
                "operation": "generation", "generation_uuid": generation, "limit": 100,
            });
            get(HISTORY, format!("/generations/{generation}?limit=100"), payload)
        }
    }
}
