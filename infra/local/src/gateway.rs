//! The port of the stack: the HTTP API within API Gateway's limits, the console and the
//! metrics.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Router,
    body::to_bytes,
    extract::{ConnectInfo, Request, State},
    http::{HeaderValue, Method, StatusCode, request::Parts},
    response::Response,
    routing::get,
};
use tokio::net::TcpListener;

use crate::{
    console::Console,
    figures::Figures,
    http_api::{HttpApi, refusal},
};

/// The largest payload that an HTTP API takes (API Gateway's quotas).
const PAYLOAD_BYTES_MAX: usize = 10 * 1024 * 1024;
/// The most that the request line and the values of all headers may have (API
/// Gateway's quotas).
const HEAD_BYTES_MAX: usize = 10_240;

/// All that the port serves.
pub(crate) struct Gateway {
    /// The HTTP API.
    pub(crate) api: Arc<HttpApi>,
    /// The metrics at `/metrics`.
    pub(crate) figures: Figures,
    /// The console at `/`.
    pub(crate) console: Console,
}

/// Serves until the signal, then lets pending requests end within `patience`.
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
        gateway.console.end_streams();
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
    if let Some(shown) = gateway.console.answer(&parts, peer).await {
        return shown;
    }
    let response = gateway.api.answer(&parts, &body).await;
    if parts.method != Method::GET {
        gateway.console.notify_change();
    }
    response
}

/// The bytes of the request line and of all header values.
fn head_bytes(parts: &Parts) -> usize {
    let line = format!("{} {} {:?}", parts.method, parts.uri, parts.version);
    line.len() + parts.headers.values().map(HeaderValue::len).sum::<usize>()
}
