//! The HTTP API that is called.

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

/// How long an answer is waited for: API Gateway ends a request after 30 s.
const PATIENCE: Duration = Duration::from_secs(35);

const NO_CONNECTION: &str = "no connection";
const LOST: &str = "connection lost";

/// An HTTP API, and how to call it.
pub(super) struct Endpoint {
    client: Client<HttpsConnector<HttpConnector>, String>,
    url: String,
    token: Option<header::HeaderValue>,
}

/// What came back.
#[derive(Clone, Debug)]
pub(super) enum Response {
    /// An answer: its status and body.
    Received(u16, Value),
    /// None: why, in a few words that say the same of the same.
    Failed(&'static str),
}

impl Endpoint {
    pub(super) fn new(url: &str, token: Option<&str>) -> Result<Endpoint, CliError> {
        let wrong = || CliError(format!("--url {url}: must be http://host:port or https://host, and a path"));
        let parsed: Uri = url.parse().map_err(|_| wrong())?;
        if !matches!(parsed.scheme_str(), Some("http" | "https")) || parsed.query().is_some() {
            return Err(wrong());
        }
        let bearer = token.map(|token| header::HeaderValue::try_from(format!("Bearer {token}")));
        let token = bearer.transpose().map_err(|_| CliError("--token: is no token".to_owned()))?;
        let roots = HttpsConnectorBuilder::new().with_native_roots();
        let roots = roots.map_err(|error| CliError(format!("no certificates of this machine: {error}")))?;
        let client =
            Client::builder(TokioExecutor::new()).build(roots.https_or_http().enable_http1().build());
        Ok(Endpoint { client, url: url.trim_end_matches('/').to_owned(), token })
    }

    /// Sends a request once, and waits for the answer.
    pub(super) async fn send(&self, request: Request) -> Response {
        let method = if request.body.is_some() { Method::POST } else { Method::GET };
        let mut sent = HttpRequest::builder().method(method).uri(format!("{}{}", self.url, request.path));
        if let Some(token) = &self.token {
            sent = sent.header(header::AUTHORIZATION, token);
        }
        let body = request.body.map(|body| body.to_string()).unwrap_or_default();
        let Ok(sent) = sent.header(header::CONTENT_TYPE, "application/json").body(body) else {
            return Response::Failed("no request");
        };
        let answered = async {
            let answer = self
                .client
                .request(sent)
                .await
                .map_err(|error| if error.is_connect() { NO_CONNECTION } else { LOST })?;
            let status = answer.status().as_u16();
            let body = answer.into_body().collect().await.map_err(|_| LOST)?.to_bytes();
            Ok(Response::Received(status, serde_json::from_slice(&body).unwrap_or_default()))
        };
        match timeout(PATIENCE, answered).await {
            Ok(answered) => answered.unwrap_or_else(Response::Failed),
            Err(_) => Response::Failed("no answer in time"),
        }
    }
}

impl Response {
    /// What it leaves known of a write.
    pub(super) fn known(&self) -> CallOutcome {
        match self {
            Response::Received(200 | 201, _) => CallOutcome::Done,
            // `Busy` says that nothing was done.
            Response::Received(400..=499, _) => CallOutcome::NotDone,
            Response::Received(_, body) if body["code"] == "Busy" => CallOutcome::NotDone,
            Response::Failed(NO_CONNECTION) => CallOutcome::NotDone,
            Response::Received(..) | Response::Failed(_) => CallOutcome::Unknown,
        }
    }

    /// What is wrong, if anything is: the contract's code, or what says it best.
    pub(super) fn error(&self) -> Option<String> {
        match self {
            Response::Received(200 | 201, _) => None,
            Response::Received(status, body) => {
                let code = body["code"].as_str().unwrap_or("without a code of Scrip's");
                Some(format!("{status} {code}"))
            }
            Response::Failed(why) => Some((*why).to_owned()),
        }
    }

    /// Why nothing can be measured here, in one line.
    pub(super) fn problem(&self, url: &str) -> CliError {
        CliError(match self {
            Response::Received(401, _) => {
                format!("{url}: asks for a token, or refuses this one (401); give --token")
            }
            Response::Received(403, _) => format!("{url}: the token may not write for any user (403)"),
            Response::Failed(NO_CONNECTION) => format!("{url}: cannot be reached; is it running?"),
            other => {
                let error = other.error().unwrap_or_else(|| "an answer that is none of Scrip's".to_owned());
                format!("{url}: the first grant was answered with: {error}; is this Scrip?")
            }
        })
    }
}
