//! The HTTP API of API Gateway: a request becomes the event of a function, and the
//! function's answer becomes the response.

use std::sync::Arc;

use axum::{
    body::Bytes,
    http::{HeaderMap, StatusCode, header::CONTENT_TYPE, request::Parts},
    response::{IntoResponse, Response},
};
use base64::{Engine, prelude::BASE64_STANDARD};
use lambda_runtime::{Context, LambdaEvent};
use scrip::transport::{
    App, Function, Payload, Reply, Route,
    functions::{BALANCE, FUNCTIONS},
};
use serde_json::{Map, Value, json, value::to_raw_value};
use uuid::Uuid;

use crate::{
    authorizer::Authorizer,
    cost::{self, SERVER_TIMING},
};

/// The time limit of a function: an HTTP API waits 30 s at most.
const FUNCTION_MILLIS: i64 = 29_000;
/// The function behind the default route, which serves all paths without a route.
const DEFAULT: Function = BALANCE;

/// The functions behind an authorizer.
pub(crate) struct HttpApi {
    /// The state of the functions.
    pub(crate) app: Arc<App>,
    /// Checks tokens, if callers need one.
    pub(crate) authorizer: Option<Authorizer>,
}

impl HttpApi {
    /// Whether callers need a token.
    pub(crate) fn demands_tokens(&self) -> bool {
        self.authorizer.is_some()
    }

    /// The response of the function at the request's route.
    pub(crate) async fn answer(&self, parts: &Parts, body: &Bytes) -> Response {
        let (method, path) = (parts.method.as_str(), parts.uri.path());
        let served = |function: Function| Some((function, function.route_at(method, path)?));
        let (function, route) = FUNCTIONS.into_iter().find_map(served).unzip();
        let claims = self.authorizer.as_ref().and_then(|authorizer| authorizer.claims(&parts.headers));
        // Neither the default route nor a signed one has an authorizer.
        let has_authorizer = route.is_some_and(|route: Route| !route.is_signed);
        if self.demands_tokens() && claims.is_none() && has_authorizer {
            return refusal(StatusCode::UNAUTHORIZED, "Unauthorized");
        }
        let app = self.app.clone();
        let request_id = Uuid::new_v4().to_string();
        let Ok(payload) = to_raw_value(&event(parts, body, &request_id, claims)) else {
            return StatusCode::INTERNAL_SERVER_ERROR.into_response();
        };
        let mut context = Context::default();
        context.request_id = request_id;
        context.deadline = app.ledger.now().plus_millis(FUNCTION_MILLIS).millis().unsigned_abs();
        let event = LambdaEvent::<Payload>::new(payload, context);
        let (answered, cost) = cost::of(function.unwrap_or(DEFAULT).handle(&app, event)).await;
        match answered {
            Ok(Reply::Http(answer)) => {
                let status = u16::try_from(answer.status_code).ok();
                let status = status.and_then(|status| StatusCode::from_u16(status).ok());
                let body = answer.body.as_deref().map(Bytes::copy_from_slice).unwrap_or_default();
                let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
                (status, answer.headers, [(SERVER_TIMING, cost)], body).into_response()
            }
            Ok(Reply::Direct(_)) | Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        }
    }
}

/// A response of API Gateway itself, in its own form.
pub(crate) fn refusal(status: StatusCode, message: &str) -> Response {
    (status, [(CONTENT_TYPE, "application/json")], json!({ "message": message }).to_string()).into_response()
}

/// The event of an HTTP API, payload format 2.0.
fn event(parts: &Parts, body: &Bytes, request_id: &str, claims: Option<Map<String, Value>>) -> Value {
    let (text, is_base64) = match std::str::from_utf8(body) {
        Ok(text) => (text.to_owned(), false),
        Err(_) => (BASE64_STANDARD.encode(body), true),
    };
    json!({
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": parts.uri.path(),
        "rawQueryString": parts.uri.query().unwrap_or_default(),
        "headers": headers(&parts.headers),
        "requestContext": {
            "accountId": "local",
            "apiId": "local",
            "authorizer": claims.map(|claims| json!({ "jwt": { "claims": claims, "scopes": null } })),
            "domainName": "127.0.0.1",
            "http": {
                "method": parts.method.as_str(),
                "path": parts.uri.path(),
                "protocol": format!("{:?}", parts.version),
                "sourceIp": "127.0.0.1",
                "userAgent": "",
            },
            "requestId": request_id,
            "routeKey": "$default",
            "stage": "$default",
        },
        "body": text,
        "isBase64Encoded": is_base64,
    })
}

/// Headers in the form of API Gateway: names in lower case, the values of one name joined.
fn headers(headers: &HeaderMap) -> Map<String, Value> {
    let values = |name| {
        let texts =
            headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
        Value::String(texts.collect::<Vec<_>>().join(","))
    };
    headers.keys().map(|name| (name.to_string(), values(name))).collect()
}
