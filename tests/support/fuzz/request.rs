use percent_encoding::percent_decode_str;
use scrip::{
    domain::Timestamp,
    transport::{Function, ROUTES},
};
use serde_json::{Map, Value, json, value::RawValue};

use super::{
    Answer,
    world::{START, ask},
};
use crate::event::{WEBHOOK_SECRET, function_at, http_event, signature};

/// A secret, which no answer may repeat. Its characters are in no identifier.
const PLANTED: &str = "planted/5ecret+of=a+caller";

/// Fields that hold the secret: one that no operation takes, and some that do
/// not take this.
const PLANTED_IN: [&str; 6] = ["planted", "user_uuid", "generation_uuid", "credits", "expired_at", "cursor"];

/// Sends a request through API Gateway's event: as its caller, and as one who
/// may do everything, then through the other door too.
///
/// The input looks like HTTP: a line of method and URL, lines of headers, an
/// empty line, and the body. The header `claims` is the claims, as JSON; with the
/// header `signed`, whatever it says, the body is signed as a call-back is.
///
/// # Panics
/// Where an answer is none of the contract's, or is `Internal`, or tells a
/// secret; where something is written though it was refused; where a caller
/// does what it may not; where the doors differ.
pub fn request(input: &[u8]) {
    if let Some(request) = Request::parse(input).filter(|request| !request.repeats_the_secret()) {
        request.is_answered_as_its_caller_may();
        request.is_answered_alike_by_both_doors();
        request.is_refused_without_its_secrets();
    }
}

#[derive(Clone)]
struct Request {
    method: String,
    url: String,
    headers: Map<String, Value>,
    claims: Option<Value>,
    is_signed: bool,
    body: Vec<u8>,
}

impl Request {
    fn parse(input: &[u8]) -> Option<Request> {
        let blank = input.windows(2).position(|pair| pair == b"\n\n").unwrap_or(input.len());
        let (head, body) = input.split_at(blank);
        let (first, rest) =
            str::from_utf8(head).ok().map(|head| head.split_once('\n').unwrap_or((head, "")))?;
        let (method, url) = first.split_once(' ')?;
        let mut headers: Map<_, _> = rest
            .lines()
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_lowercase(), Value::from(value)))
            .collect();
        let claims = headers.remove("claims").and_then(|claims| serde_json::from_str(claims.as_str()?).ok());
        let is_signed = headers.remove("signed").is_some();
        headers.insert("authorization".to_owned(), Value::from(PLANTED));
        Some(Request {
            method: method.to_owned(),
            url: url.to_owned(),
            headers,
            claims,
            is_signed,
            body: body.get(2..).unwrap_or_default().to_vec(),
        })
    }

    /// Whether the secret stands where an answer may show it.
    fn repeats_the_secret(&self) -> bool {
        self.url.contains(PLANTED) || String::from_utf8_lossy(&self.body).contains(PLANTED)
    }

    fn path_and_query(&self) -> (&str, &str) {
        self.url.split_once('?').unwrap_or((&self.url, ""))
    }

    fn function(&self) -> Function {
        function_at(&self.method, self.path_and_query().0)
    }

    /// Whether it is a signature that admits its caller.
    fn is_callback(&self) -> bool {
        ROUTES.iter().any(|route| route.is_signed && route.path == self.path_and_query().0)
    }

    fn send(&self, claims: Option<Value>) -> (Answer, bool) {
        let mut headers = Value::from(self.headers.clone());
        if self.is_signed {
            let now = Timestamp::from_millis(START).expect("a moment");
            headers["x-signature"] = Value::from(signature(WEBHOOK_SECRET, now, &self.body));
        }
        let event = http_event(&self.method, &self.url, self.body.clone(), claims, &headers);
        let (answer, has_written) = ask(self.function(), event.to_string());
        assert!(!format!("{answer:?}").contains(PLANTED), "a secret is told: {answer:?}");
        (answer, has_written)
    }

    /// As a caller who may do everything.
    fn send_as_all(&self) -> (Answer, bool) {
        let signed = Request { is_signed: true, ..self.clone() };
        signed.send(Some(json!({ "scope": "credits:read credits:write" })))
    }

    fn is_answered_as_its_caller_may(&self) {
        let mut claims = self.claims.clone();
        let subject = claims.as_ref().map(|claims| claims["sub"].clone()).unwrap_or_default();
        let said = claims.as_ref().map(Value::to_string).unwrap_or_default();
        if let Some(claims) = claims.as_mut().and_then(Value::as_object_mut) {
            claims.insert("email".to_owned(), Value::from(PLANTED));
        }
        let (answer, has_written) = self.send(claims);
        if self.is_callback() {
            assert!(self.is_signed || !answer.is_done(), "done without a signature: {answer:?}");
            return;
        }
        assert!(!has_written || said.contains("credits:write"), "written by {said}: {answer:?}");
        if let Answer::Done(body) = answer {
            assert!(self.claims.is_some(), "done for nobody: {body}");
            let is_own = body.get("user_uuid").is_none_or(|user| *user == subject);
            assert!(is_own || said.contains("credits:"), "{said} is told {body}");
        }
    }

    fn is_answered_alike_by_both_doors(&self) {
        let Some(payload) = self.payload() else { return };
        let mut trimmed = self.clone();
        if self.method == "POST" {
            trimmed.body = payload.clone().into_bytes();
        }
        let (over_http, _) = trimmed.send_as_all();
        let (directly, _) = ask(self.function(), payload);
        assert_eq!(over_http, directly, "the doors differ");
    }

    /// The direct payload that means the same, where there is one.
    fn payload(&self) -> Option<String> {
        let (path, query) = self.path_and_query();
        let segments: Vec<_> = path.split('/').collect();
        let payload = match (self.method.as_str(), segments.as_slice()) {
            ("POST", ["", "credits", "grant" | "decrease" | "refund"] | ["", "webhooks", "generation"]) => {
                self.posted(query)?
            }
            ("GET", ["", "credits", user, "balance"]) => object(("user_uuid", user), query, None),
            ("GET", ["", "credits", user, operation @ ("timeline" | "summary")]) => {
                object(("user_uuid", user), query, Some(operation))
            }
            ("GET", ["", "generations", generation]) => {
                object(("generation_uuid", generation), query, Some("generation"))
            }
            _ => return None,
        };
        // These would mean something else in a payload than in a request.
        let parsed: Value = serde_json::from_str(&payload).unwrap_or_default();
        let is_event = parsed.get("requestContext").is_some();
        let names_operation = decoded(query).any(|(name, _)| name == "operation");
        (!is_event && !names_operation).then_some(payload)
    }

    /// The body, without what surrounds the JSON; unless the request has more
    /// than its body.
    fn posted(&self, query: &str) -> Option<String> {
        if decoded(query).next().is_some() || self.headers.contains_key("idempotency-key") {
            return None;
        }
        let body = if self.body.is_empty() { b"{}" } else { self.body.as_slice() };
        serde_json::from_slice::<&RawValue>(body).ok().map(|body| body.get().to_owned())
    }

    fn is_refused_without_its_secrets(&self) {
        let planted = self.planted();
        let (answer, _) = planted.send_as_all();
        assert!(!answer.is_done(), "secrets are taken: {answer:?}");
    }

    /// This request, with secrets in it that make it invalid.
    fn planted(&self) -> Request {
        let mut planted = self.clone();
        planted.headers.insert("idempotency-key".to_owned(), Value::from(PLANTED));
        let body = self.body.trim_ascii_start();
        if let Some(rest) = body.strip_prefix(b"{") {
            let fields = PLANTED_IN.map(|name| json!(name).to_string() + ":" + &json!(PLANTED).to_string());
            planted.body = [b"{", fields.join(",").as_bytes(), b",", rest].concat();
        }
        let parameters = PLANTED_IN.map(|name| format!("{name}={PLANTED}")).join("&");
        planted.url += if self.url.contains('?') { "&" } else { "?" };
        planted.url += &parameters;
        planted
    }
}

/// The JSON object of a named segment, a query and an operation, with what is
/// given twice given twice.
fn object((name, segment): (&str, &str), query: &str, operation: Option<&str>) -> String {
    let segment = percent_decode_str(segment).decode_utf8_lossy().into_owned();
    let fields = std::iter::once((name.to_owned(), segment))
        .chain(decoded(query))
        .chain(operation.map(|operation| ("operation".to_owned(), operation.to_owned())));
    let fields: Vec<_> = fields.map(|(name, value)| format!("{}:{}", json!(name), json!(value))).collect();
    format!("{{{}}}", fields.join(","))
}

fn decoded(query: &str) -> impl Iterator<Item = (String, String)> {
    let text = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    query.split('&').filter(|pair| !pair.is_empty()).map(move |pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (text(name), text(value))
    })
}
