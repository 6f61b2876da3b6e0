//! A caller: its requests, and their outcomes.

use std::{collections::BTreeSet, sync::Arc};

use lambda_runtime::Diagnostic;
use scrip::{
    domain::Timestamp,
    transport::{
        App, Failure, Function, Reply, Sweep,
        functions::{BALANCE, DECREASE, GRANT, HISTORY, REFUND, WEBHOOK},
    },
};
use scrip_tests::{WEBHOOK_SECRET, deliver, direct_event, http_event, signature};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    linearizability::{Observation, Operation, StateChange},
    plan::{Address, Amount, Call, Grant, Overage, SKEW_MAX_MILLIS, Shortfall, Statement, Step},
    record::Record,
};

/// One invocation, as its caller sees it.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// Its name. Its records contain it in their metadata, and its voids as their reason.
    pub tag: String,
    pub call: Call,
    /// The request id of the event. Deliveries of one event share it.
    pub request_id: String,
    pub values: RequestValues,
    /// The random UUIDs that it drew. Every change contains one of its writer.
    pub drawn: BTreeSet<String>,
    pub started: SimulatedTime,
    pub ended: SimulatedTime,
    pub outcome: AttemptOutcome,
    /// Whether it started long after every other request had ended.
    pub is_quiescent: bool,
}

/// Values of a request that are drawn from the run.
#[derive(Clone, Debug, Default)]
pub struct RequestValues {
    /// Expiry of the pack that it grants, in milliseconds since 1970.
    pub expired_at: Option<i64>,
    /// The one charge that it addresses.
    pub trans_no: Option<String>,
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
        /// `balance` and debt in the body, if it has them.
        funds: Option<(i64, i64)>,
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
    /// except for calls that may have committed some of their transactions.
    pub fn has_certain_outcome(&self) -> bool {
        let is_one_transaction = !matches!(self.call, Call::Refund { .. } | Call::Success(_) | Call::Sweep);
        match &self.outcome {
            AttemptOutcome::Success(response) => !matches!(self.call, Call::Sweep) || response["failed"] == 0,
            AttemptOutcome::Error { code, .. } if code == "Busy" => is_one_transaction,
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
            Call::Grant { user: owner, .. }
            | Call::Charge { user: owner, .. }
            | Call::Settle { user: owner, .. }
            | Call::Balance(owner)
            | Call::Summary(owner) => *owner == user,
            Call::Refund { address, .. } | Call::Success(address) => match address.user {
                Some(owner) => owner == user,
                None => self.response().is_some_and(|response| response["user_uuid"] == user),
            },
            Call::Revoke { .. } => self.response().is_some_and(|response| response["user_uuid"] == user),
            Call::Timeline(_) | Call::Generation(_) | Call::Sweep => false,
        }
    }

    /// Whether it requests the record of this user and sort key.
    pub fn creates(&self, owner: &str, sort: &str) -> bool {
        match &self.call {
            Call::Grant { user, .. } | Call::Charge { user, .. } => {
                *user == owner && self.sort_key().is_some_and(|own| own == sort)
            }
            _ => false,
        }
    }

    /// Whether it revokes the order that was granted to this user at this sort key.
    pub fn revokes(&self, owner: &str, sort: &str) -> bool {
        let Call::Revoke { user, .. } = &self.call else { return false };
        user.is_none_or(|user| user == owner) && self.sort_key().is_some_and(|own| own == sort)
    }

    /// The address of a refund or a success.
    pub fn address(&self) -> Option<&Address> {
        match &self.call {
            Call::Refund { address, .. } | Call::Success(address) => Some(address),
            _ => None,
        }
    }

    /// The key at which a refund writes a fence.
    pub fn fence_key(&self) -> Option<String> {
        self.address().map(|address| charge_key(Some(address.generation), address.key))
    }

    /// Whether a refund or a success of this user addresses the charge with this sort key.
    /// Outputs are those of one charge.
    pub fn addresses(&self, owner: &str, sort: &str, record: &Record) -> bool {
        let is_one = matches!(&self.call, Call::Refund { outputs, .. } if !outputs.is_empty());
        self.address().is_some_and(|Address { user, generation, key, .. }| {
            let is_key = if key.is_some() || is_one {
                sort == charge_key(Some(generation), *key)
            } else {
                sort.starts_with(&charge_key(Some(generation), None))
            };
            let is_trans_no =
                self.values.trans_no.as_ref().is_none_or(|trans_no| *trans_no == record.trans_no);
            is_key && is_trans_no && user.is_none_or(|user| user == owner)
        })
    }

    /// Whether it is about every charge of its generation.
    pub fn is_about_session(&self) -> bool {
        match &self.call {
            Call::Refund { address, outputs, .. } => address.key.is_none() && outputs.is_empty(),
            Call::Success(address) => address.key.is_none(),
            _ => false,
        }
    }

    /// The sort key of the record that a grant, a charge, a settlement or a revocation is about.
    /// Without an identity of its own, the request has the identity of its delivery.
    pub fn sort_key(&self) -> Option<String> {
        match &self.call {
            Call::Grant { grant: Grant::NewUser, .. } => Some("grant#new_user#".to_owned()),
            Call::Grant { grant: Grant::Order(order_no), .. } | Call::Revoke { order_no, .. } => {
                Some(order_key(order_no))
            }
            Call::Grant { grant: Grant::Added(None), .. } => {
                Some(format!("grant#unkeyed#{}", self.event_uuid()))
            }
            Call::Grant { grant: Grant::Added(Some(key)), .. } => Some(format!("grant#key#{key}")),
            Call::Charge { generation: None, key: None, .. } => {
                Some(format!("charge###{}", self.event_uuid()))
            }
            Call::Charge { generation, key, .. } => Some(charge_key(*generation, *key)),
            Call::Settle { generation, key, .. } => Some(charge_key(Some(generation), *key)),
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
                let is_close = match (self.values.expired_at, record.expired_at()) {
                    (Some(requested), Some(stored)) => requested.abs_diff(stored) < DAY_MILLIS,
                    (requested, stored) => requested == stored,
                };
                is_close && record.credits.unsigned_abs() == *credits
            }
            Call::Charge { credits, trans_type, outputs, hold_seconds, .. } => {
                let hold_millis = record.hold_until().map(|until| until.abs_diff(record.created_at));
                record.credits.unsigned_abs() == *credits
                    && record.item["trans_type"] == *trans_type
                    && record.outputs() == *outputs
                    && hold_millis == hold_seconds.map(|seconds| 1_000 * seconds)
            }
            _ => false,
        }
    }

    /// Whether a record contains its tag.
    pub fn has_tagged(&self, record: &Record) -> bool {
        record.item["metadata"]["attempt"] == self.tag.as_str()
    }
}

/// The sort key of the grant of an order.
pub fn order_key(order_no: &str) -> String {
    format!("grant#order#{order_no}")
}

/// The sort key of a charge.
fn charge_key(generation: Option<&str>, key: Option<&str>) -> String {
    format!("charge#{}#{}", generation.unwrap_or_default(), key.unwrap_or_default())
}

/// A request, for HTTP and for a direct invocation.
struct Request {
    function: Function,
    method: &'static str,
    url: String,
    /// The payload of a direct invocation, and the body of a `POST`.
    payload: Value,
    /// The fields of the payload that the route names over HTTP.
    route_fields: &'static [&'static str],
}

/// Invokes the function of a step, directly or over HTTP.
pub async fn send(
    app: &Arc<App>,
    step: &Step,
    tag: &str,
    request_id: &str,
    values: &RequestValues,
) -> AttemptOutcome {
    let deadline = app.ledger.now().plus_millis(i64::try_from(step.time_limit).expect("a limit of seconds"));
    let Some(request) = request(&step.call, tag, values) else {
        return outcome_of(Sweep.handle(app, direct_event("{}".to_owned(), deadline)).await);
    };
    let Request { function, method, url, mut payload, route_fields } = request;
    let payload = if step.is_http {
        payload.as_object_mut().expect("an object").retain(|name, _| !route_fields.contains(&name.as_str()));
        let body = if method == "POST" { payload.to_string() } else { String::new() };
        let headers = json!({ "x-signature": signature(WEBHOOK_SECRET, app.ledger.now(), body.as_bytes()) });
        http_event(method, &url, body.into_bytes(), None, &headers)
    } else {
        payload
    };
    outcome_of(deliver(app, function, payload.to_string(), deadline, request_id).await)
}

fn outcome_of(reply: Result<Reply, Failure>) -> AttemptOutcome {
    match reply {
        Ok(Reply::Direct(response)) => {
            AttemptOutcome::Success(serde_json::from_str(response.get()).expect("JSON"))
        }
        Ok(Reply::Http(response)) => {
            let body = serde_json::from_slice(response.body.as_deref().unwrap_or_default()).expect("JSON");
            if response.status_code < 300 { AttemptOutcome::Success(body) } else { error_of(&body) }
        }
        Err(failure) => {
            let detail = format!("{:?}", failure.0);
            AttemptOutcome::Error { code: Diagnostic::from(failure).error_type, funds: None, detail }
        }
    }
}

fn error_of(problem: &Value) -> AttemptOutcome {
    AttemptOutcome::Error {
        code: problem["code"].as_str().expect("a code").to_owned(),
        funds: problem["balance"].as_i64().map(|balance| (balance, problem["debt"].as_i64().unwrap_or(0))),
        detail: problem["detail"].to_string(),
    }
}

/// The request of a call; `None` for the sweep, which no caller requests.
fn request(call: &Call, tag: &str, values: &RequestValues) -> Option<Request> {
    let route_fields = &["operation"];
    let post = |function, url: &str, payload| {
        let (method, url) = ("POST", url.to_owned());
        Request { function, method, url, payload, route_fields }
    };
    let get = |function, url, payload| Request { function, method: "GET", url, payload, route_fields };
    Some(match call {
        Call::Grant { user, grant, credits, .. } => {
            let (trans_type, order_no, key) = match grant {
                Grant::NewUser => ("new_user", None, None),
                Grant::Order(order_no) => ("order_pay", Some(*order_no), None),
                Grant::Added(key) => ("system_add", None, *key),
            };
            let expired_at = values.expired_at.and_then(Timestamp::from_millis).map(|at| at.to_string());
            let payload = json!({
                "user_uuid": user, "trans_type": trans_type, "credits": credits, "order_no": order_no,
                "expired_at": expired_at, "idempotency_key": key, "metadata": { "attempt": tag },
            });
            post(GRANT, "/credits/grant", payload)
        }
        Call::Charge { user, generation, key, credits, trans_type, outputs, hold_seconds } => {
            let payload = json!({
                "user_uuid": user, "trans_type": trans_type, "credits": credits,
                "generation_uuid": generation, "idempotency_key": key, "outputs": outputs,
                "hold_seconds": hold_seconds, "metadata": { "attempt": tag },
            });
            post(DECREASE, "/credits/decrease", payload)
        }
        Call::Settle { user, generation, key, credits, overage } => {
            let (policy, limit) = match overage {
                Overage::Refuse => ("refuse", None),
                Overage::Available => ("available", None),
                Overage::Debt(limit) => ("debt", *limit),
            };
            let payload = json!({
                "operation": "settle", "user_uuid": user, "generation_uuid": generation,
                "idempotency_key": key, "credits": credits, "overage": policy, "debt_limit": limit,
            });
            post(DECREASE, "/credits/settle", payload)
        }
        Call::Refund { address, outputs, is_callback: false } => {
            let mut payload = addressed(address, values);
            payload["reason"] = json!(tag);
            payload["outputs"] = json!(Some(outputs).filter(|outputs| !outputs.is_empty()));
            post(REFUND, "/credits/refund", payload)
        }
        Call::Refund { address, outputs, is_callback: true } => {
            let mut payload = addressed(address, values);
            payload["status"] = json!("failed");
            payload["error"] = json!(tag);
            payload["output"] = json!(outputs.first());
            post(WEBHOOK, "/webhooks/generation", payload)
        }
        Call::Success(address) => {
            let mut payload = addressed(address, values);
            payload["status"] = json!("succeeded");
            post(WEBHOOK, "/webhooks/generation", payload)
        }
        Call::Revoke { order_no, user, statement, shortfall } => {
            let mut payload = stated(statement);
            payload["operation"] = json!("revoke");
            payload["order_no"] = json!(order_no);
            payload["user_uuid"] = json!(user);
            payload["shortfall"] = json!(if *shortfall == Shortfall::Debt { "debt" } else { "keep" });
            payload["reason"] = json!(tag);
            let post = post(GRANT, &format!("/credits/orders/{order_no}/revoke"), payload);
            Request { route_fields: &["operation", "order_no"], ..post }
        }
        Call::Sweep => return None,
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
    })
}

/// The fields by which a request addresses charges.
fn addressed(address: &Address, values: &RequestValues) -> Value {
    json!({
        "user_uuid": address.user, "generation_uuid": address.generation, "idempotency_key": address.key,
        "trans_no": values.trans_no,
    })
}

/// The fields by which a request states what a source revokes.
fn stated(Statement { source, as_of, amount }: &Statement) -> Value {
    let as_of = Timestamp::from_millis(*as_of).expect("a timestamp").to_string();
    match amount {
        Amount::Credits(credits) => json!({ "source": source, "as_of": as_of, "credits": credits }),
        Amount::Share(part, of) => json!({ "source": source, "as_of": as_of, "part": part, "of": of }),
    }
}
