//! Responses, and the checks of their form.

use lambda_runtime::Diagnostic;
use scrip::transport::{Failure, Reply};
use serde_json::{Value, json};

/// Error codes of the contract, with their HTTP status.
const CODES: [(&str, i64); 15] = [
    ("InvalidRequest", 400),
    ("Unauthorized", 401),
    ("InsufficientCredits", 402),
    ("Forbidden", 403),
    ("ChargeNotFound", 404),
    ("NotFound", 404),
    ("MethodNotAllowed", 405),
    ("IdempotencyConflict", 409),
    ("GenerationVoided", 409),
    ("LimitExceeded", 409),
    ("PayloadTooLarge", 413),
    ("Internal", 500),
    ("Busy", 503),
    ("GenerationUnknown", 503),
    ("StoreUnavailable", 503),
];

/// A response over HTTP or to a direct invocation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Response {
    /// The body of a successful response.
    Success(Value),
    /// Code and detail of an error.
    Error(String, String),
    /// An `Internal` of a direct invocation, with the reason that is logged.
    InternalError(String),
}

impl Response {
    /// Without the position of a syntax error: a direct payload has members before those of the
    /// body.
    pub fn without_position(self) -> Response {
        const MALFORMED: &str = "The JSON is malformed";
        match self {
            Response::Error(code, detail) if detail.starts_with(MALFORMED) => {
                Response::Error(code, MALFORMED.to_owned())
            }
            other => other,
        }
    }

    /// Parses a reply.
    ///
    /// # Panics
    /// If it violates the contract.
    pub fn from_reply(reply: Result<Reply, Failure>) -> Response {
        match reply {
            Ok(Reply::Http(response)) => {
                let header = |name: &str| response.headers.get(name).and_then(|value| value.to_str().ok());
                let body: Value =
                    serde_json::from_slice(response.body.as_deref().expect("a body")).expect("JSON");
                assert_eq!(header("cache-control"), Some("no-store"));
                assert_eq!(header("retry-after").is_some(), response.status_code == 503, "{body}");
                over_http(response.status_code, header("content-type").expect("a content type"), body)
            }
            Ok(Reply::Direct(answer)) => checked_success(serde_json::from_str(answer.get()).expect("JSON")),
            Err(Failure(error)) => match error.internal_reason() {
                Some(reason) => Response::InternalError(reason.to_owned()),
                None => {
                    let Diagnostic { error_type, error_message } = Failure(error).into();
                    checked_error(&error_type, &error_message)
                }
            },
        }
    }

    /// For requests to a valid table. A panic of a function also becomes `Internal`.
    ///
    /// # Panics
    /// If the error is internal.
    pub fn assert_not_internal(&self) {
        let is_internal = matches!(self, Response::InternalError(_))
            || matches!(self, Response::Error(code, _) if code == "Internal");
        assert!(!is_internal, "Internal: {self:?}");
    }

    /// For requests to any table.
    ///
    /// # Panics
    /// If the function panicked.
    pub fn assert_no_panic(&self) {
        if let Response::InternalError(reason) = self {
            assert!(!reason.contains("panicked"), "a panic: {reason}");
        }
    }

    pub(super) fn is_success(&self) -> bool {
        matches!(self, Response::Success(_))
    }
}

fn over_http(status: i64, content_type: &str, body: Value) -> Response {
    if matches!(status, 200 | 201) {
        assert_eq!(content_type, "application/json");
        return checked_success(body);
    }
    let text = |name: &str| body[name].as_str().expect(name);
    if content_type == "application/json" {
        // The form of the old front end has no code.
        assert_eq!((&body["code"], &body["data"]), (&json!(-1), &Value::Null), "{body}");
        let code = CODES.iter().find(|code| code.1 == status).expect("a status of the contract");
        return checked_error(code.0, text("message"));
    }
    assert_eq!(content_type, "application/problem+json");
    assert_eq!(body["status"], status, "{body}");
    assert_eq!(text("type"), format!("urn:scrip:{}", text("code")));
    assert!(!text("title").is_empty() && body["request_id"].is_string(), "{body}");
    assert!(CODES.contains(&(text("code"), status)), "{body}");
    checked_error(text("code"), text("detail"))
}

fn checked_success(body: Value) -> Response {
    assert!(body.is_object(), "{body}");
    Response::Success(body)
}

fn checked_error(code: &str, detail: &str) -> Response {
    assert!(CODES.iter().any(|entry| entry.0 == code) && !detail.is_empty(), "{code}: {detail}");
    Response::Error(code.to_owned(), detail.to_owned())
}
