use percent_encoding::percent_decode_str;
use scrip::{
    domain::Timestamp,
    transport::{Function, ROUTES},
};
use serde_json::{Map, Value, json, value::RawValue};

use super::{
    Response,
    harness::{START, invoke_checked},
};
use crate::event::{
    STRIPE_SECRET, WEBHOOK_SECRET, callback_token, function_at, http_event, signature, standard_signature,
};

/// No response may contain this. No identifier can contain its characters.
const SECRET: &str = "planted/5ecret+of=a+caller";

/// Fields that get the secret: an unknown one, and some for which it is invalid.
const SECRET_FIELDS: [&str; 6] =
    ["planted", "user_uuid", "generation_uuid", "credits", "expired_at", "cursor"];

/// Sends a request as an event of API Gateway, as its caller and with all scopes, and as a
/// direct invocation.
///
/// The input looks like HTTP: a line of method and URL, lines of headers, an
/// empty line, and the body. The header `claims` is the claims, as JSON. With the
/// header `signed` the body is signed: `standard` by Standard Webhooks, any other value by
/// `X-Signature` and `Stripe-Signature`. The header `token` is the content of a call-back token,
/// which takes the place of the last segment of the path.
///
/// # Panics
/// If a response violates the contract, is `Internal` or contains the secret; if a rejected
/// request writes; if a caller exceeds its permissions; if HTTP and direct invocation differ.
pub fn request(input: &[u8]) {
    // A response may repeat a value of its request.
    if String::from_utf8_lossy(input).contains(SECRET) {
        return;
    }
    if let Some(request) = Request::parse(input) {
        request.check_authorization();
        request.check_http_equals_direct();
        request.check_secrets_stay_private();
    }
}

#[derive(Clone)]
struct Request {
    method: String,
    url: String,
    headers: Map<String, Value>,
    claims: Option<Value>,
    /// The form of the body's signature.
    signed: Option<String>,
    has_token: bool,
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
        let mut text = |name: &str| Some(headers.remove(name)?.as_str()?.to_owned());
        let (signed, token) = (text("signed"), text("token"));
        let token = token.map(|content| callback_token(WEBHOOK_SECRET, content));
        headers.insert("authorization".to_owned(), Value::from(SECRET));
        Some(Request {
            method: method.to_owned(),
            url: token.as_ref().map_or(url.to_owned(), |token| with_last_segment(url, token)),
            headers,
            claims,
            signed,
            has_token: token.is_some(),
            body: body.get(2..).unwrap_or_default().to_vec(),
        })
    }

    fn path_and_query(&self) -> (&str, &str) {
        self.url.split_once('?').unwrap_or((&self.url, ""))
    }

    fn function(&self) -> Function {
        function_at(&self.method, self.path_and_query().0)
    }

    /// Whether a signature or a call-back token admits its caller.
    fn is_callback(&self) -> bool {
        ROUTES.iter().any(|route| {
            let fixed = route.path.split('{').next().unwrap_or_default();
            route.is_signed && self.path_and_query().0.starts_with(fixed)
        })
    }

    fn send(&self, claims: Option<Value>) -> (Response, bool) {
        let mut headers = Value::from(self.headers.clone());
        let now = Timestamp::from_millis(START).expect("a moment");
        match self.signed.as_deref() {
            Some("standard") => {
                let signed = standard_signature(WEBHOOK_SECRET.as_bytes(), "msg_1", now, &self.body);
                signed
                    .as_object()
                    .into_iter()
                    .flatten()
                    .for_each(|(name, value)| headers[name] = value.clone());
            }
            Some(_) => {
                for (name, secret) in [("x-signature", WEBHOOK_SECRET), ("stripe-signature", STRIPE_SECRET)] {
                    headers[name] = Value::from(signature(secret, now, &self.body));
                }
            }
            None => {}
        }
        let event = http_event(&self.method, &self.url, self.body.clone(), claims, &headers);
        let (response, has_written) = invoke_checked(self.function(), event.to_string());
        assert!(!format!("{response:?}").contains(SECRET), "the response contains the secret: {response:?}");
        (response, has_written)
    }

    /// As a caller with all scopes and a signature.
    fn send_as_all(&self) -> (Response, bool) {
        let signed = Request { signed: Some("yes".to_owned()), ..self.clone() };
        signed.send(Some(json!({ "scope": "credits:read credits:write" })))
    }

    fn check_authorization(&self) {
        let mut claims = self.claims.clone();
        let subject = claims.as_ref().map(|claims| claims["sub"].clone()).unwrap_or_default();
        let scopes = claims.as_ref().map(Value::to_string).unwrap_or_default();
        if let Some(claims) = claims.as_mut().and_then(Value::as_object_mut) {
            claims.insert("email".to_owned(), Value::from(SECRET));
        }
        let (response, has_written) = self.send(claims);
        if self.is_callback() {
            let is_authentic = self.signed.is_some() || self.has_token;
            assert!(is_authentic || !response.is_success(), "done without a signature: {response:?}");
            return;
        }
        assert!(!has_written || scopes.contains("credits:write"), "written by {scopes}: {response:?}");
        if let Response::Success(body) = response {
            assert!(self.claims.is_some(), "success without claims: {body}");
            let is_own = body.get("user_uuid").is_none_or(|user| *user == subject);
            assert!(is_own || scopes.contains("credits:"), "{scopes} reads {body}");
        }
    }

    fn check_http_equals_direct(&self) {
        let Some(payload) = self.payload() else { return };
        let mut trimmed = self.clone();
        if self.method == "POST" {
            trimmed.body = payload.clone().into_bytes();
        }
        let (over_http, _) = trimmed.send_as_all();
        let Some(direct) = with_members(&payload, &self.direct_members()) else { return };
        let (directly, _) = invoke_checked(self.function(), direct);
        let (over_http, directly) = (over_http.without_position(), directly.without_position());
        assert_eq!(over_http, directly, "HTTP and direct invocation differ");
    }

    /// The members that a direct payload has in addition to the body: the operation, if it is not
    /// the function's default, and the parameters of the path.
    fn direct_members(&self) -> Vec<(&'static str, String)> {
        let segments: Vec<_> = self.path_and_query().0.split('/').collect();
        match segments.as_slice() {
            ["", "credits", "settle"] => vec![("operation", "settle".to_owned())],
            ["", "credits", "orders", order_no, "revoke"] => {
                vec![("operation", "revoke".to_owned()), ("order_no", decoded_text(order_no))]
            }
            _ => Vec::new(),
        }
    }

    /// The body of the equivalent direct payload, if there is one.
    fn payload(&self) -> Option<String> {
        let (path, query) = self.path_and_query();
        let segments: Vec<_> = path.split('/').collect();
        let payload = match (self.method.as_str(), segments.as_slice()) {
            (
                "POST",
                ["", "credits", "grant" | "decrease" | "settle" | "refund"]
                | ["", "credits", "orders", _, "revoke"]
                | ["", "webhooks", "generation"],
            ) => self.posted(query)?,
            ("GET", ["", "credits", user, "balance"]) => object(("user_uuid", user), query, None),
            ("GET", ["", "credits", user, operation @ ("timeline" | "summary")]) => {
                object(("user_uuid", user), query, Some(operation))
            }
            ("GET", ["", "generations", generation]) => {
                object(("generation_uuid", generation), query, Some("generation"))
            }
            _ => return None,
        };
        // These have another meaning in a payload than in a request.
        let parsed: Value = serde_json::from_str(&payload).unwrap_or_default();
        let is_event = parsed.get("requestContext").is_some();
        let names_operation = decoded(query).any(|(name, _)| name == "operation")
            || (self.method == "POST" && parsed.get("operation").is_some());
        (!is_event && !names_operation).then_some(payload)
    }

    /// The JSON of the body; none if the request has a query or a key.
    fn posted(&self, query: &str) -> Option<String> {
        if decoded(query).next().is_some() || self.headers.contains_key("idempotency-key") {
            return None;
        }
        let body = if self.body.is_empty() { b"{}" } else { self.body.as_slice() };
        serde_json::from_slice::<&RawValue>(body).ok().map(|body| body.get().to_owned())
    }

    fn check_secrets_stay_private(&self) {
        let planted = self.planted();
        let (response, _) = planted.send_as_all();
        // A call-back with a token ignores everything in the JSON of its provider but the status,
        // and an event of a payment everything that has no meaning for credits.
        let ignores_secrets = self.is_callback() && (self.has_token || self.function().name == "payments");
        assert!(ignores_secrets || !response.is_success(), "a request with secrets succeeds: {response:?}");
    }

    /// This request, with secrets in it that make it invalid.
    fn planted(&self) -> Request {
        let mut planted = self.clone();
        planted.headers.insert("idempotency-key".to_owned(), Value::from(SECRET));
        let body = self.body.trim_ascii_start();
        if let Some(rest) = body.strip_prefix(b"{") {
            let fields = SECRET_FIELDS.map(|name| json!(name).to_string() + ":" + &json!(SECRET).to_string());
            planted.body = [b"{", fields.join(",").as_bytes(), b",", rest].concat();
        }
        let parameters = SECRET_FIELDS.map(|name| format!("{name}={SECRET}")).join("&");
        planted.url += if self.url.contains('?') { "&" } else { "?" };
        planted.url += &parameters;
        planted
    }
}

/// The URL with another last segment of its path.
fn with_last_segment(url: &str, segment: &str) -> String {
    let (path, query) = url.split_once('?').map_or((url, None), |(path, query)| (path, Some(query)));
    let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
    format!("{folder}/{segment}{}", query.map(|query| format!("?{query}")).unwrap_or_default())
}

/// A JSON object of a segment, a query and an operation. Duplicates stay.
fn object((name, segment): (&str, &str), query: &str, operation: Option<&str>) -> String {
    let fields = std::iter::once((name.to_owned(), decoded_text(segment)))
        .chain(decoded(query))
        .chain(operation.map(|operation| ("operation".to_owned(), operation.to_owned())));
    let fields: Vec<_> = fields.map(|(name, value)| format!("{}:{}", json!(name), json!(value))).collect();
    format!("{{{}}}", fields.join(","))
}

/// The JSON object with further members before its own; none for another value.
fn with_members(payload: &str, members: &[(&str, String)]) -> Option<String> {
    if members.is_empty() {
        return Some(payload.to_owned());
    }
    let rest = payload.trim_ascii_start().strip_prefix('{')?;
    let comma = if rest.trim_ascii_start().starts_with('}') { "" } else { "," };
    let members: Vec<_> =
        members.iter().map(|(name, value)| format!("{}:{}", json!(name), json!(value))).collect();
    Some(format!("{{{}{comma}{rest}", members.join(",")))
}

fn decoded(query: &str) -> impl Iterator<Item = (String, String)> {
    query.split('&').filter(|pair| !pair.is_empty()).map(move |pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decoded_text(name), decoded_text(value))
    })
}

fn decoded_text(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}
