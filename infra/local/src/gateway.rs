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
    http_api::{HttpApi, gateway_error},
    log_sync::LogSync,
    metrics::Metrics,
    test_clock::TestClock,
};

/// Maximum payload of an HTTP API (API Gateway quotas).
const PAYLOAD_BYTES_MAX: usize = 10 * 1024 * 1024;
/// Maximum size of the request line and all header values together (API Gateway quotas).
const HEAD_BYTES_MAX: usize = 10_240;

/// Everything that the port serves.
pub(crate) struct Gateway {
    pub(crate) api: Arc<HttpApi>,
    /// Served at `/metrics`.
    pub(crate) metrics: Metrics,
    /// Served at `/`.
    pub(crate) console: Console,
    /// Served at `/test/clock`, if tests may move the clock.
    pub(crate) test_clock: Option<TestClock>,
    /// The log that must be on disk before a request is answered.
    pub(crate) log: Option<Arc<LogSync>>,
}

/// Serves until `signal` completes, then gives pending requests up to `grace_period` to end.
pub(crate) async fn serve(
    listener: TcpListener,
    gateway: Gateway,
    signal: impl Future<Output = ()> + Send + 'static,
    grace_period: Duration,
) -> Result<(), String> {
    let router = Router::new()
        .route("/health", get(async || "ok\n"))
        .route("/metrics", get(async |State(gateway): State<Arc<Gateway>>| gateway.metrics.render()))
        .fallback(invoke);
    let gateway = Arc::new(gateway);
    let router = router.with_state(gateway.clone()).into_make_service_with_connect_info::<SocketAddr>();
    let (signal_sender, signal_received) = tokio::sync::oneshot::channel();
    let server = axum::serve(listener, router).with_graceful_shutdown(async move {
        signal.await;
        gateway.console.end_streams();
        let _ = signal_sender.send(());
    });
    let grace_period_over = async move {
        let _ = signal_received.await;
        tokio::time::sleep(grace_period).await;
    };
    tokio::select! {
        result = server.into_future() => result.map_err(|error| error.to_string()),
        () = grace_period_over => Ok(()),
    }
}

/// Answers a request, when all that it has changed or seen is on disk.
async fn invoke(
    State(gateway): State<Arc<Gateway>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
) -> Response {
    let response = answer(&gateway, peer, request).await;
    match &gateway.log {
        Some(log) if log.wait().await.is_err() => {
            gateway_error(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error")
        }
        _ => response,
    }
}

async fn answer(gateway: &Gateway, peer: SocketAddr, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    if head_bytes(&parts) > HEAD_BYTES_MAX {
        return gateway_error(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "Request Header Fields Too Large");
    }
    let Ok(body) = to_bytes(body, PAYLOAD_BYTES_MAX).await else {
        return gateway_error(StatusCode::PAYLOAD_TOO_LARGE, "Request Entity Too Large");
    };
    if let Some(response) = gateway.console.answer(&parts, peer).await {
        return response;
    }
    let response = match &gateway.test_clock {
        Some(clock) if (parts.method.as_str(), parts.uri.path()) == ("POST", "/test/clock") => {
            clock.answer(&body)
        }
        _ => gateway.api.answer(&parts, &body).await,
    };
    if parts.method != Method::GET {
        gateway.console.notify_change();
    }
    response
}

fn head_bytes(parts: &Parts) -> usize {
    let line = format!("{} {} {:?}", parts.method, parts.uri, parts.version);
    line.len() + parts.headers.values().map(HeaderValue::len).sum::<usize>()
}
