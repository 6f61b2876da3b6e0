//! The responses to HTTP requests and direct invocations.

use lambda_http::{
    Body,
    aws_lambda_events::apigw::ApiGatewayV2httpResponse,
    http::{HeaderMap, HeaderValue, header},
};
use serde::Serialize;
use serde_json::value::RawValue;

use super::{error::RequestError, route::routes_at};
use crate::domain::{Credits, LedgerError};

/// What a function returns to Lambda.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Reply {
    /// To API Gateway.
    Http(Box<ApiGatewayV2httpResponse>),
    /// To the caller of a direct invocation.
    Direct(Box<RawValue>),
}

/// The result of an operation.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Box<RawValue>,
}

impl Answer {
    /// An answer with HTTP status 200.
    pub(super) fn ok(body: &impl Serialize) -> Result<Answer, RequestError> {
        Answer::with(200, body)
    }

    /// An answer with this HTTP status.
    pub(super) fn with(status: u16, body: &impl Serialize) -> Result<Answer, RequestError> {
        let body = serde_json::value::to_raw_value(body)
            .map_err(|error| LedgerError::Internal(error.to_string()))?;
        Ok(Answer { status, body })
    }
}

/// The form of an operation's errors over HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ErrorForm {
    /// Problem details (RFC 9457).
    Problem,
    /// The fields `code`, `message` and `data`.
    CodeAndMessage,
}

#[derive(Serialize)]
struct Problem<'a> {
    r#type: String,
    title: &'a str,
    status: u16,
    code: &'a str,
    detail: String,
    request_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    balance: Option<Credits>,
    #[serde(skip_serializing_if = "Option::is_none")]
    required: Option<Credits>,
    #[serde(skip_serializing_if = "Option::is_none")]
    debt: Option<Credits>,
}

#[derive(Serialize)]
struct CodeAndMessage {
    code: i32,
    message: String,
    data: Option<()>,
}

/// The HTTP response of an answer.
pub(super) fn http_answer(answer: Answer) -> Reply {
    let body: Box<str> = answer.body.into();
    http(answer.status, "application/json", body.into_string(), HeaderMap::new())
}

/// An error over HTTP.
pub(super) struct HttpError<'a> {
    pub(super) error: &'a RequestError,
    pub(super) form: ErrorForm,
    pub(super) path: &'a str,
    pub(super) request_id: &'a str,
    /// The header `Retry-After`, in seconds.
    pub(super) retry_after: Option<u64>,
}

impl HttpError<'_> {
    /// The response.
    pub(super) fn reply(&self) -> Reply {
        let (content_type, body) = match self.form {
            ErrorForm::Problem => ("application/problem+json", serde_json::to_string(&self.problem())),
            ErrorForm::CodeAndMessage => {
                let body = CodeAndMessage { code: -1, message: self.error.to_string(), data: None };
                ("application/json", serde_json::to_string(&body))
            }
        };
        http(self.error.kind().status, content_type, body.unwrap_or_default(), self.headers())
    }

    fn problem(&self) -> Problem<'_> {
        let kind = self.error.kind();
        let (balance, required, debt) = match self.error {
            RequestError::Ledger(LedgerError::InsufficientCredits { balance, required, debt }) => {
                (Some(*balance), Some(*required), Some(*debt).filter(|debt| !debt.is_zero()))
            }
            _ => (None, None, None),
        };
        Problem {
            r#type: format!("urn:scrip:{}", kind.code),
            title: kind.title,
            status: kind.status,
            code: kind.code,
            detail: self.error.to_string(),
            request_id: self.request_id,
            balance,
            required,
            debt,
        }
    }

    fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        match self.error {
            RequestError::Unauthorized(_) => {
                let scheme = routes_at(self.path).next().map_or("Bearer", |route| route.challenge);
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(scheme));
            }
            RequestError::MethodNotAllowed => {
                let methods: Vec<_> = routes_at(self.path).map(|route| route.method).collect();
                headers.extend(
                    HeaderValue::from_str(&methods.join(", ")).map(|methods| (header::ALLOW, methods)),
                );
            }
            _ => {}
        }
        headers
    }
}

fn http(status: u16, content_type: &'static str, body: String, mut headers: HeaderMap) -> Reply {
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let mut response = ApiGatewayV2httpResponse::default();
    response.status_code = status.into();
    response.headers = headers;
    response.body = Some(Body::Text(body));
    Reply::Http(Box::new(response))
}
