//! Client of the HTTP API.

use std::time::Duration;

use http::{Method, Request as HttpRequest, Uri, header};
use http_body_util::BodyExt;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::Value;
use tokio::time::timeout;

use super::{expected_balances::CallOutcome, mix::Request};
use crate::cli_error::CliError;

/// API Gateway ends a request after 30 s.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(35);

const NO_CONNECTION: &str = "no connection";
const CONNECTION_LOST: &str = "connection lost";

pub(super) struct Endpoint {
    client: Client<HttpsConnector<HttpConnector>, String>,
    url: String,
    token: Option<header::HeaderValue>,
}

/// The result of a request.
#[derive(Clone, Debug)]
pub(super) enum Response {
    /// Status and body.
    Received(u16, Value),
    /// No response. The reason is one of a few fixed texts, so that errors can be counted.
    Failed(&'static str),
}

impl Endpoint {
    pub(super) fn new(url: &str, token: Option<&str>) -> Result<Endpoint, CliError> {
        let invalid_url = || {
            CliError(format!("--url {url}: must be http://host:port or https://host, with or without a path"))
        };
        let parsed: Uri = url.parse().map_err(|_| invalid_url())?;
        if !matches!(parsed.scheme_str(), Some("http" | "https")) || parsed.query().is_some() {
            return Err(invalid_url());
        }
        let bearer = token.map(|token| header::HeaderValue::try_from(format!("Bearer {token}")));
        let token =
            bearer.transpose().map_err(|_| CliError("--token: must be a valid header value".to_owned()))?;
        let roots = HttpsConnectorBuilder::new().with_native_roots();
        let roots = roots
            .map_err(|error| CliError(format!("the system's root certificates cannot be loaded: {error}")))?;
        let client =
            Client::builder(TokioExecutor::new()).build(roots.https_or_http().enable_http1().build());
        Ok(Endpoint { client, url: url.trim_end_matches('/').to_owned(), token })
    }

    /// Sends a request once and waits for the response.
    pub(super) async fn send(&self, request: Request) -> Response {
        let method = if request.body.is_some() { Method::POST } else { Method::GET };
        let mut http_request =
            HttpRequest::builder().method(method).uri(format!("{}{}", self.url, request.path));
        if let Some(token) = &self.token {
            http_request = http_request.header(header::AUTHORIZATION, token);
        }
        let body = request.body.map(|body| body.to_string()).unwrap_or_default();
        let Ok(http_request) = http_request.header(header::CONTENT_TYPE, "application/json").body(body)
        else {
            return Response::Failed("invalid request");
        };
        let exchange = async {
            let response = self
                .client
                .request(http_request)
                .await
                .map_err(|error| if error.is_connect() { NO_CONNECTION } else { CONNECTION_LOST })?;
            let status = response.status().as_u16();
            let body = response.into_body().collect().await.map_err(|_| CONNECTION_LOST)?.to_bytes();
            Ok(Response::Received(status, serde_json::from_slice(&body).unwrap_or_default()))
        };
        match timeout(RESPONSE_TIMEOUT, exchange).await {
            Ok(result) => result.unwrap_or_else(Response::Failed),
            Err(_) => Response::Failed("no response in time"),
        }
    }
}

impl Response {
    /// The outcome of a write.
    pub(super) fn outcome(&self) -> CallOutcome {
        match self {
            Response::Received(200 | 201, _) => CallOutcome::Done,
            // `Busy` means that nothing was written.
            Response::Received(400..=499, _) => CallOutcome::NotDone,
            Response::Received(_, body) if body["code"] == "Busy" => CallOutcome::NotDone,
            Response::Failed(NO_CONNECTION) => CallOutcome::NotDone,
            Response::Received(..) | Response::Failed(_) => CallOutcome::Unknown,
        }
    }

    /// Status and code of an error response, or why no response arrived; `None` for a success.
    pub(super) fn error(&self) -> Option<String> {
        match self {
            Response::Received(200 | 201, _) => None,
            Response::Received(status, body) => {
                let code = body["code"].as_str().unwrap_or("without a code");
                Some(format!("{status} {code}"))
            }
            Response::Failed(reason) => Some((*reason).to_owned()),
        }
    }

    /// The error that stops a run after a failed first grant.
    pub(super) fn setup_error(&self, url: &str) -> CliError {
        CliError(match self {
            Response::Received(401, _) => {
                format!("{url}: requires a token or rejects this one (401); set --token")
            }
            Response::Received(403, _) => format!("{url}: the token may not write for any user (403)"),
            Response::Failed(NO_CONNECTION) => format!("{url}: unreachable; is it running?"),
            other => {
                let error = other.error().unwrap_or_else(|| "a response without trans_no".to_owned());
                format!("{url}: the first grant returned {error}; is this Scrip?")
            }
        })
    }
}
