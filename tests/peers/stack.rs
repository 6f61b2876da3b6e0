//! The local stack as a subject, over HTTP.

use std::{error::Error, path::PathBuf, str::FromStr};

use http::{Method, Request, StatusCode, header};
use http_body_util::BodyExt;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use scrip_ops::cli_error::CliError;
use scrip_tests::process::peak_memory_kib;
use serde_json::{Value, json};
use tempfile::TempDir;
use uuid::Uuid;

use super::{subject::Answer, with_cause};
use crate::local_stack::LocalStack;

/// A `scrip-local` with the name under which it is reported.
#[derive(Clone, Debug)]
pub(super) struct StackProgram {
    pub(super) name: String,
    pub(super) path: PathBuf,
}

impl FromStr for StackProgram {
    type Err = String;

    fn from_str(text: &str) -> Result<StackProgram, String> {
        let (name, path) = text.split_once('=').ok_or("must be NAME=PATH")?;
        Ok(StackProgram { name: name.to_owned(), path: path.into() })
    }
}

/// A stack on a folder of its own.
pub(super) struct Stack {
    // Dropped in this order: the process ends before its data is removed.
    pub(super) process: LocalStack,
    pub(super) api: StackApi,
    _folder: TempDir,
}

impl Stack {
    pub(super) fn start(program: &StackProgram) -> Result<Stack, CliError> {
        let folder = tempfile::tempdir().expect("a folder");
        let process = LocalStack::start(&program.path, &folder.path().join("data"))?;
        Ok(Stack { api: StackApi::new(&process.url), process, _folder: folder })
    }

    pub(super) fn peak_memory_kib(&self) -> Result<u64, CliError> {
        peak_memory(&self.process)
    }
}

/// Peak memory of a stack, in KiB.
pub(super) fn peak_memory(stack: &LocalStack) -> Result<u64, CliError> {
    peak_memory_kib(stack.id()).map_err(|error| CliError(format!("the local stack has ended: {error}")))
}

/// A client of the HTTP API. One request at a time uses one connection, which is kept.
pub(super) struct StackApi {
    client: Client<HttpConnector, String>,
    pub(super) url: String,
}

impl StackApi {
    pub(super) fn new(url: &str) -> StackApi {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        StackApi { client: Client::builder(TokioExecutor::new()).build(connector), url: url.to_owned() }
    }

    pub(super) async fn grant(&self, user: &str, credits: i64, expired_at: &str) -> Result<(), CliError> {
        let grant = json!({
            "user_uuid": user, "trans_type": "order_pay", "order_no": Uuid::new_v4(), "credits": credits,
            "expired_at": expired_at,
        });
        self.expect_success(Method::POST, "/credits/grant", &grant.to_string()).await.map(drop)
    }

    pub(super) async fn charge(&self, user: &str, generation: &str) -> Result<Answer, CliError> {
        let charge = json!({
            "user_uuid": user, "trans_type": "anime_generation", "credits": 1, "generation_uuid": generation,
        });
        let (status, body) = self.send(Method::POST, "/credits/decrease", &charge.to_string()).await?;
        if status.is_success() {
            return Ok(Answer::Charged);
        }
        let code =
            serde_json::from_slice::<Value>(&body).unwrap_or_default()["code"].as_str().map(str::to_owned);
        Ok(Answer::Error(code.unwrap_or_else(|| status.to_string())))
    }

    pub(super) async fn balance(&self, user: &str) -> Result<i64, CliError> {
        let body = self.expect_success(Method::GET, &format!("/credits/{user}/balance"), "").await?;
        let body: Value = serde_json::from_slice(&body).unwrap_or_default();
        body["balance"].as_i64().ok_or_else(|| CliError(format!("{}: no balance in {body}", self.url)))
    }

    /// Waits until the stack answers.
    pub(super) async fn health(&self) -> Result<(), CliError> {
        self.expect_success(Method::GET, "/health", "").await.map(drop)
    }

    async fn expect_success(&self, method: Method, path: &str, body: &str) -> Result<Vec<u8>, CliError> {
        let (status, body) = self.send(method, path, body).await?;
        if status.is_success() {
            return Ok(body);
        }
        let body = String::from_utf8_lossy(&body);
        Err(CliError(format!("{}{path}: {status}: {body}", self.url)))
    }

    async fn send(&self, method: Method, path: &str, body: &str) -> Result<(StatusCode, Vec<u8>), CliError> {
        let url = format!("{}{path}", self.url);
        let failed = |error: &dyn Error| CliError(format!("{url}: {}", with_cause(error)));
        let request =
            Request::builder().method(method).uri(&url).header(header::CONTENT_TYPE, "application/json");
        let request = request.body(body.to_owned()).map_err(|error| failed(&error))?;
        let response = self.client.request(request).await.map_err(|error| failed(&error))?;
        let status = response.status();
        // To the end, so that the connection can be used again.
        let body = response.into_body().collect().await.map_err(|error| failed(&error))?;
        Ok((status, body.to_bytes().to_vec()))
    }
}
