//! API Gateway's HTTP API: converts a request into a function's event, and the function's
//! reply into the response.

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
    functions::{BALANCE, DECREASE, FUNCTIONS, GRANT, REFUND},
};
use serde_json::{Map, Value, json, value::to_raw_value};
use uuid::Uuid;

use crate::{
    authorizer::Authorizer,
    server_timing::{self, SERVER_TIMING},
    wallet_locks::WalletLocks,
};

/// Time limit of a function, in milliseconds: an HTTP API waits 30 s at most.
const FUNCTION_MILLIS: i64 = 29_000;
/// Function of the default route, which serves every path without a route.
const DEFAULT: Function = BALANCE;
/// The functions whose requests name the wallet that they change.
const WRITERS: [&str; 3] = [GRANT.name, DECREASE.name, REFUND.name];

/// The functions behind an authorizer.
pub(crate) struct HttpApi {
    /// State shared by all functions.
    pub(crate) app: Arc<App>,
    /// Validates tokens, if callers need one.
    pub(crate) authorizer: Option<Authorizer>,
    /// Held by calls that may change a wallet.
    pub(crate) locks: WalletLocks,
}

impl HttpApi {
    /// Whether callers need a token.
    pub(crate) fn requires_token(&self) -> bool {
        self.authorizer.is_some()
    }

    /// Invokes the function of the request's route.
    pub(crate) async fn answer(&self, parts: &Parts, body: &Bytes) -> Response {
        let (method, path) = (parts.method.as_str(), parts.uri.path());
        let route_of = |function: Function| Some((function, function.route_at(method, path)?));
        let (function, route) = FUNCTIONS.into_iter().find_map(route_of).unzip();
        let claims = self.authorizer.as_ref().and_then(|authorizer| authorizer.claims(&parts.headers));
        // The default route and signed routes have no authorizer.
        let has_authorizer = route.is_some_and(|route: Route| !route.is_signed);
        if self.requires_token() && claims.is_none() && has_authorizer {
            return gateway_error(StatusCode::UNAUTHORIZED, "Unauthorized");
        }
        let _lock = match function {
            Some(function) if WRITERS.contains(&function.name) => self.locks.lock(body).await,
            _ => None,
        };
        let app = self.app.clone();
        let request_id = Uuid::new_v4().to_string();
        let Ok(payload) = to_raw_value(&event(parts, body, &request_id, claims)) else {
            return StatusCode::INTERNAL_SERVER_ERROR.into_response();
        };
        let mut context = Context::default();
        context.request_id = request_id;
        context.deadline = app.ledger.now().plus_millis(FUNCTION_MILLIS).millis().unsigned_abs();
        let event = LambdaEvent::<Payload>::new(payload, context);
        let (result, timing) = server_timing::measure(function.unwrap_or(DEFAULT).handle(&app, event)).await;
        match result {
            Ok(Reply::Http(reply)) => {
                let status = u16::try_from(reply.status_code).ok();
                let status = status.and_then(|status| StatusCode::from_u16(status).ok());
                let body = reply.body.as_deref().map(Bytes::copy_from_slice).unwrap_or_default();
                let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
                (status, reply.headers, [(SERVER_TIMING, timing)], body).into_response()
            }
            Ok(Reply::Direct(_)) | Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        }
    }
}

/// An error of API Gateway itself, which has no `code`.
pub(crate) fn gateway_error(status: StatusCode, message: &str) -> Response {
    (status, [(CONTENT_TYPE, "application/json")], json!({ "message": message }).to_string()).into_response()
}

/// An HTTP API event in payload format 2.0.
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

/// Headers in the form of API Gateway: lower-case names, the values of one name joined by commas.
fn headers(headers: &HeaderMap) -> Map<String, Value> {
    let values = |name| {
        let texts =
            headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
        Value::String(texts.collect::<Vec<_>>().join(","))
    };
    headers.keys().map(|name| (name.to_string(), values(name))).collect()
}
