use lambda_http::{
    Body,
    aws_lambda_events::apigw::ApiGatewayV2httpResponse,
    http::{HeaderMap, HeaderName, HeaderValue, header},
};
use serde::Serialize;
use serde_json::value::RawValue;

use super::{
    failure::{code, detail},
    route::ROUTES,
};
use crate::domain::{Credits, LedgerError};

/// What goes back to Lambda, by the door that the event came in.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Reply {
    /// To API Gateway.
    Http(Box<ApiGatewayV2httpResponse>),
    /// To whoever invoked the function.
    Direct(Box<RawValue>),
}

/// What an operation answers.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Box<RawValue>,
}

impl Answer {
    /// An answer of HTTP status 200.
    pub(super) fn ok(body: &impl Serialize) -> Result<Answer, LedgerError> {
        Answer::with(200, body)
    }

    /// An answer of this HTTP status.
    pub(super) fn with(status: u16, body: &impl Serialize) -> Result<Answer, LedgerError> {
        let body = serde_json::value::to_raw_value(body)
            .map_err(|error| LedgerError::Internal(error.to_string()))?;
        Ok(Answer { status, body })
    }
}

/// How an operation speaks of errors over HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ErrorForm {
    /// As problem details (RFC 9457).
    Problem,
    /// As the old front end reads them.
    CodeAndMessage,
}

#[derive(Serialize)]
struct Problem<'a> {
    r#type: String,
    title: &'a str,
    status: u16,
    code: &'a str,
    detail: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    balance: Option<Credits>,
    #[serde(skip_serializing_if = "Option::is_none")]
    required: Option<Credits>,
}

#[derive(Serialize)]
struct CodeAndMessage {
    code: i32,
    message: String,
    data: Option<()>,
}

/// An answer over HTTP.
pub(super) fn http_answer(answer: Answer) -> Reply {
    let body: Box<str> = answer.body.into();
    http(answer.status, "application/json", body.into_string(), HeaderMap::new())
}

/// An error over HTTP, on a path.
pub(super) fn http_error(
    error: &LedgerError,
    form: ErrorForm,
    path: &str,
    request_id: Option<&str>,
) -> Reply {
    let (status, title) = status_and_title(error);
    let at_path = || ROUTES.iter().filter(|route| route.parameters(path).is_some());
    let mut headers = HeaderMap::new();
    let mut add = |name: HeaderName, value: &str| {
        headers.extend(HeaderValue::from_str(value).map(|value| (name, value)));
    };
    match error {
        LedgerError::Busy | LedgerError::StoreUnavailable => add(header::RETRY_AFTER, "1"),
        LedgerError::Unauthorized(_) => {
            let scheme = if at_path().any(|route| route.is_signed) { "X-Signature" } else { "Bearer" };
            add(header::WWW_AUTHENTICATE, scheme);
        }
        LedgerError::MethodNotAllowed => {
            let taken: Vec<_> = at_path().map(|route| route.method).collect();
            add(header::ALLOW, &taken.join(", "));
        }
        _ => {}
    }
    let (balance, required) = match error {
        LedgerError::InsufficientCredits { balance, required } => (Some(*balance), Some(*required)),
        _ => (None, None),
    };
    let code = code(error);
    let problem = Problem {
        r#type: format!("urn:scrip:{code}"),
        title,
        status,
        code,
        detail: detail(error),
        request_id,
        balance,
        required,
    };
    let (content_type, body) = match form {
        ErrorForm::Problem => ("application/problem+json", serde_json::to_string(&problem)),
        ErrorForm::CodeAndMessage => (
            "application/json",
            serde_json::to_string(&CodeAndMessage { code: -1, message: problem.detail, data: None }),
        ),
    };
    http(status, content_type, body.unwrap_or_default(), headers)
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

/// The one mapping of errors to HTTP.
fn status_and_title(error: &LedgerError) -> (u16, &'static str) {
    match error {
        LedgerError::InvalidRequest(_) => (400, "The request is not valid"),
        LedgerError::Unauthorized(_) => (401, "Who is asking is not known"),
        LedgerError::InsufficientCredits { .. } => (402, "Not enough credits"),
        LedgerError::Forbidden => (403, "The caller may not do this"),
        LedgerError::ChargeNotFound => (404, "No such charge"),
        LedgerError::NotFound => (404, "No such route"),
        LedgerError::MethodNotAllowed => (405, "No such method here"),
        LedgerError::IdempotencyConflict(_) => (409, "The key was used for another request"),
        LedgerError::GenerationVoided => (409, "The charge was refunded"),
        LedgerError::LimitExceeded(_) => (409, "A limit is reached"),
        LedgerError::PayloadTooLarge => (413, "The request is too large"),
        LedgerError::Busy => (503, "Busy"),
        LedgerError::StoreUnavailable => (503, "The store cannot be reached"),
        LedgerError::Internal(_) => (500, "Internal error"),
    }
}
