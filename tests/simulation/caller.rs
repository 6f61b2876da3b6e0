//! A caller: what it sends, and what it is told.

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
    history::{Deed, Op, Sight},
    model::Record,
    plan::{Call, Grant, SKEW_MAX_MILLIS, Step},
};

/// One invocation, as its caller sees it.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// Names it. It stands in what it writes: as `order_no` of a charge and of a
    /// grant without an order, as `reason` of a refund.
    pub tag: String,
    /// What was asked for.
    pub call: Call,
    /// The request id of the event. Deliveries of one event share it.
    pub delivery: String,
    /// When a pack runs out that it grants, in milliseconds since 1970.
    pub expired_at: Option<i64>,
    /// When it began.
    pub began: Moment,
    /// When it ended.
    pub ended: Moment,
    /// How it ended.
    pub end: End,
    /// Whether it came long after all others.
    pub is_quiet: bool,
}

/// A moment of the simulation. Moments of one millisecond have an order too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment {
    /// Milliseconds since 1970.
    pub millis: i64,
    /// Which moment it is of all that were told.
    pub count: u64,
}

/// How an invocation ended.
#[derive(Clone, Debug)]
pub enum End {
    /// With an answer.
    Answered(Value),
    /// With an error.
    Refused {
        /// Its code.
        code: String,
        /// The `balance` that it told.
        balance: Option<u64>,
        /// The errorMessage, or the problem.
        detail: String,
    },
    /// It was cut off.
    CutOff,
}

impl Attempt {
    /// What it was answered, if it was.
    pub fn answer(&self) -> Option<&Value> {
        if let End::Answered(answer) = &self.end { Some(answer) } else { None }
    }

    /// Whether its caller knows what became of it. A refund may be busy after
    /// some of its transactions; anything else that is busy has done nothing.
    pub fn is_known(&self) -> bool {
        match &self.end {
            End::Answered(_) => true,
            End::Refused { code, .. } if code == "Busy" => !matches!(self.call, Call::Refund { .. }),
            End::Refused { code, .. } => code != "StoreUnavailable" && code != "Internal",
            End::CutOff => false,
        }
    }

    /// Whether its caller has no reason to ask again.
    pub fn is_over(&self) -> bool {
        let busy = matches!(&self.end, End::Refused { code, .. } if code == "Busy");
        self.is_known() && !busy
    }

    /// What a machine's clock can have shown meanwhile, in milliseconds since 1970.
    pub fn clocks(&self) -> (i64, i64) {
        (self.began.millis - SKEW_MAX_MILLIS, self.ended.millis + SKEW_MAX_MILLIS)
    }

    /// Something that it did or saw.
    pub fn op<'a>(&'a self, deed: Deed, sight: Sight<'a>) -> Op<'a> {
        let to = self.is_known().then_some(self.ended.count);
        Op { tag: &self.tag, deed, from: self.began.count, to, sight }
    }

    /// Whether it was about this user, as far as it was told.
    pub fn is_about(&self, user: &str) -> bool {
        match &self.call {
            Call::Grant { user: of, .. } | Call::Charge { user: of, .. } => *of == user,
            Call::Refund { user: Some(of), .. } | Call::Balance(of) | Call::Summary(of) => *of == user,
            Call::Refund { user: None, .. } => {
                self.answer().is_some_and(|answer| answer["user_uuid"] == user)
            }
            Call::Timeline(_) | Call::Generation(_) => false,
        }
    }

    /// Whether it can have written at this place.
    pub fn is_for(&self, of: &str, sort: &str) -> bool {
        match &self.call {
            Call::Grant { user, .. } | Call::Charge { user, .. } => {
                *user == of && self.identity().is_some_and(|place| place == sort)
            }
            Call::Refund { user, .. } => user.is_none_or(|user| user == of) && self.addresses(sort),
            _ => false,
        }
    }

    /// The place of the record that a grant or a charge asks for. Without an identity of its
    /// own it has that of its delivery.
    pub fn identity(&self) -> Option<String> {
        match &self.call {
            Call::Grant { grant: Grant::NewUser, .. } => Some("grant#new_user#".to_owned()),
            Call::Grant { grant: Grant::Order(order_no), .. } => Some(format!("grant#order#{order_no}")),
            Call::Grant { grant: Grant::Added(None), .. } => Some(format!("grant#unkeyed#{}", self.place())),
            Call::Grant { grant: Grant::Added(Some(key)), .. } => Some(format!("grant#key#{key}")),
            Call::Charge { generation: None, key: None, .. } => Some(format!("charge###{}", self.place())),
            Call::Charge { generation, key, .. } => {
                Some(format!("charge#{}#{}", generation.unwrap_or_default(), key.unwrap_or_default()))
            }
            _ => None,
        }
    }

    fn place(&self) -> Uuid {
        Uuid::new_v5(&Uuid::NAMESPACE_OID, self.delivery.as_bytes())
    }

    /// Whether a record at its place is what it asks for.
    pub fn asks_the_same(&self, record: &Record) -> bool {
        match &self.call {
            Call::Grant { credits, .. } => record.credits == i64::try_from(*credits).unwrap_or_default(),
            Call::Charge { credits, trans_type, .. } => {
                record.credits.unsigned_abs() == *credits && record.item["trans_type"] == *trans_type
            }
            _ => false,
        }
    }

    /// Whether a record bears its mark.
    pub fn is_marked(&self, record: &Record) -> bool {
        record.item["order_no"] == self.tag.as_str()
    }

    /// Whether it is a refund that is about this place.
    pub fn addresses(&self, sort: &str) -> bool {
        match &self.call {
            Call::Refund { generation, key: Some(key), .. } => sort == format!("charge#{generation}#{key}"),
            Call::Refund { generation, key: None, .. } => sort.starts_with(&format!("charge#{generation}#")),
            _ => false,
        }
    }
}

/// A request in both forms.
struct Request {
    function: Function,
    method: &'static str,
    url: String,
    /// The payload of a direct invocation, and the body of a `POST`.
    payload: Value,
}

/// Invokes the function of a step, through its door.
pub async fn ask(app: &Arc<App>, step: &Step, tag: &str, delivery: &str, expired_at: Option<i64>) -> End {
    let Request { function, method, url, payload } = request(&step.call, tag, expired_at);
    let payload = if step.over_http {
        let body = if method == "POST" { payload.to_string() } else { String::new() };
        let headers = json!({ "x-signature": signature(WEBHOOK_SECRET, app.ledger.now(), body.as_bytes()) });
        http_event(method, &url, body.into_bytes(), None, &headers)
    } else {
        payload
    };
    let deadline = app.ledger.now().plus_millis(i64::try_from(step.limit).expect("some seconds"));
    match deliver(app, function, payload.to_string(), deadline, delivery).await {
        Ok(Reply::Direct(answer)) => End::Answered(serde_json::from_str(answer.get()).expect("JSON")),
        Ok(Reply::Http(answer)) => {
            let body = serde_json::from_slice(answer.body.as_deref().unwrap_or_default()).expect("JSON");
            if answer.status_code < 300 { End::Answered(body) } else { refused(&body) }
        }
        Err(failure) => {
            let detail = format!("{:?}", failure.0);
            End::Refused { code: Diagnostic::from(failure).error_type, balance: None, detail }
        }
    }
}

fn refused(problem: &Value) -> End {
    End::Refused {
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
