//! What API Gateway is on AWS: each HTTP request becomes the event that Lambda
//! would get, and the function's answer becomes the response.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Router,
    body::{Bytes, to_bytes},
    extract::{ConnectInfo, Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header::CONTENT_TYPE, request::Parts},
    response::{IntoResponse, Response},
    routing::get,
};
use base64::{Engine, prelude::BASE64_STANDARD};
use lambda_runtime::{Context, LambdaEvent};
use scrip::transport::{
    App, Function, Payload, Reply, Route,
    functions::{BALANCE, FUNCTIONS},
};
use serde_json::{Map, Value, json, value::to_raw_value};
use tokio::net::TcpListener;
use uuid::Uuid;

use crate::{
    authorizer::Authorizer,
    console::{self, Console},
    cost::{self, SERVER_TIMING},
    figures::Figures,
};

/// The largest payload that an HTTP API takes (API Gateway's quotas).
const PAYLOAD_BYTES_MAX: usize = 10 * 1024 * 1024;
/// The most that the request line and the values of all headers may have (API
/// Gateway's quotas).
const HEAD_BYTES_MAX: usize = 10_240;
/// How long a function may take: an HTTP API waits 30 s at most.
const FUNCTION_MILLIS: i64 = 29_000;

/// The function behind the default route, which answers what no route takes.
const DEFAULT: Function = BALANCE;

/// The functions, and who stands before them.
pub(crate) struct Gateway {
    /// The functions' own.
    pub(crate) app: Arc<App>,
    /// Who checks tokens, where any are demanded.
    pub(crate) authorizer: Option<Authorizer>,
    /// What is told of all requests.
    pub(crate) figures: Figures,
    /// What shows it all in a browser.
    pub(crate) console: Console,
}

/// Serves until the signal, then lets requests under way end for as long as
/// `patience`.
pub(crate) async fn serve(
    listener: TcpListener,
    gateway: Gateway,
    signal: impl Future<Output = ()> + Send + 'static,
    patience: Duration,
) -> Result<(), String> {
    let router = Router::new()
        .route("/health", get(async || "ok\n"))
        .route("/metrics", get(async |State(gateway): State<Arc<Gateway>>| gateway.figures.render()))
        .fallback(invoke);
    let gateway = Arc::new(gateway);
    let router = router.with_state(gateway.clone()).into_make_service_with_connect_info::<SocketAddr>();
    let (signalled, on_signal) = tokio::sync::oneshot::channel();
    let serving = axum::serve(listener, router).with_graceful_shutdown(async move {
        signal.await;
        gateway.console.changes.end();
        let _ = signalled.send(());
    });
    let give_up = async move {
        let _ = on_signal.await;
        tokio::time::sleep(patience).await;
    };
    tokio::select! {
        served = serving.into_future() => served.map_err(|error| error.to_string()),
        () = give_up => Ok(()),
    }
}

async fn invoke(
    State(gateway): State<Arc<Gateway>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
) -> Response {
    let (parts, body) = request.into_parts();
    if head_bytes(&parts) > HEAD_BYTES_MAX {
        return refusal(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "Request Header Fields Too Large");
    }
    let Ok(body) = to_bytes(body, PAYLOAD_BYTES_MAX).await else {
        return refusal(StatusCode::PAYLOAD_TOO_LARGE, "Request Entity Too Large");
    };
    if let Some(shown) = console::answer(&gateway, &parts, peer).await {
        return shown;
    }
    let response = gateway.answer(&parts, &body).await;
    if parts.method != Method::GET {
        gateway.console.changes.tell();
    }
    response
}

impl Gateway {
    /// What the functions answer.
    pub(crate) async fn answer(&self, parts: &Parts, body: &Bytes) -> Response {
        let (method, path) = (parts.method.as_str(), parts.uri.path());
        let served = |function: Function| Some((function, function.route_at(method, path)?));
        let (function, route) = FUNCTIONS.into_iter().find_map(served).unzip();
        let claims = self.authorizer.as_ref().and_then(|authorizer| authorizer.claims(&parts.headers));
        // The default route has no authorizer, because there is nothing behind it, and
        // what is signed needs none.
        let has_authorizer = route.is_some_and(|route: Route| !route.is_signed);
        if self.authorizer.is_some() && claims.is_none() && has_authorizer {
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

/// What API Gateway answers by itself, in its own form.
fn refusal(status: StatusCode, message: &str) -> Response {
    (status, [(CONTENT_TYPE, "application/json")], json!({ "message": message }).to_string()).into_response()
}

/// The request line, and the values of all headers.
fn head_bytes(parts: &Parts) -> usize {
    let line = format!("{} {} {:?}", parts.method, parts.uri, parts.version);
    line.len() + parts.headers.values().map(HeaderValue::len).sum::<usize>()
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

/// Headers as API Gateway hands them over: names in lower case, the values of
/// one name joined.
fn headers(headers: &HeaderMap) -> Map<String, Value> {
    let values = |name| {
        let texts =
            headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
        Value::String(texts.collect::<Vec<_>>().join(","))
    };
    headers.keys().map(|name| (name.to_string(), values(name))).collect()
}
