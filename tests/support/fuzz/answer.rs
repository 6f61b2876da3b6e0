use lambda_runtime::Diagnostic;
use scrip::transport::{Failure, Reply};
use serde_json::{Value, json};

/// The codes of the contract, and their HTTP status.
const CODES: [(&str, i64); 14] = [
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
    ("StoreUnavailable", 503),
];

/// What a caller is told, by either door.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The object that an operation answers.
    Done(Value),
    /// An error: its code, and what it says.
    Refused(String, String),
    /// An `Internal` of a direct invocation, and what it says to the log.
    Failed(String),
}

impl Answer {
    /// Reads a reply.
    ///
    /// # Panics
    /// Where it is none of the contract's.
    pub fn of(reply: Result<Reply, Failure>) -> Answer {
        match reply {
            Ok(Reply::Http(response)) => {
                let header = |name: &str| response.headers.get(name).and_then(|value| value.to_str().ok());
                let body: Value =
                    serde_json::from_slice(response.body.as_deref().expect("a body")).expect("JSON");
                assert_eq!(header("cache-control"), Some("no-store"));
                assert_eq!(header("retry-after").is_some(), response.status_code == 503, "{body}");
                over_http(response.status_code, header("content-type").expect("a content type"), body)
            }
            Ok(Reply::Direct(answer)) => done(serde_json::from_str(answer.get()).expect("JSON")),
            Err(Failure(error)) => match error.internal_reason() {
                Some(reason) => Answer::Failed(reason.to_owned()),
                None => {
                    let Diagnostic { error_type, error_message } = Failure(error).into();
                    refused(&error_type, &error_message)
                }
            },
        }
    }

    /// What must hold wherever nothing but the request can be wrong: a panic
    /// becomes `Internal` too.
    ///
    /// # Panics
    /// Where it does not.
    pub fn assert_not_internal(&self) {
        let is_internal = matches!(self, Answer::Failed(_))
            || matches!(self, Answer::Refused(code, _) if code == "Internal");
        assert!(!is_internal, "Internal: {self:?}");
    }

    /// What must hold even where an item is wrong.
    ///
    /// # Panics
    /// Where it does not.
    pub fn assert_no_panic(&self) {
        if let Answer::Failed(why) = self {
            assert!(!why.contains("panicked"), "a panic: {why}");
        }
    }

    pub(super) fn is_done(&self) -> bool {
        matches!(self, Answer::Done(_))
    }
}

fn over_http(status: i64, content_type: &str, body: Value) -> Answer {
    if matches!(status, 200 | 201) {
        assert_eq!(content_type, "application/json");
        return done(body);
    }
    let text = |name: &str| body[name].as_str().expect(name);
    if content_type == "application/json" {
        // The old front end's form names no code.
        assert_eq!((&body["code"], &body["data"]), (&json!(-1), &Value::Null), "{body}");
        let code = CODES.iter().find(|code| code.1 == status).expect("a status of the contract");
        return refused(code.0, text("message"));
    }
    assert_eq!(content_type, "application/problem+json");
    assert_eq!(body["status"], status, "{body}");
    assert_eq!(text("type"), format!("urn:scrip:{}", text("code")));
    assert!(!text("title").is_empty() && body["request_id"].is_string(), "{body}");
    assert!(CODES.contains(&(text("code"), status)), "{body}");
    refused(text("code"), text("detail"))
}

fn done(body: Value) -> Answer {
    assert!(body.is_object(), "{body}");
    Answer::Done(body)
}

fn refused(code: &str, detail: &str) -> Answer {
    assert!(CODES.iter().any(|known| known.0 == code) && !detail.is_empty(), "{code}: {detail}");
    Answer::Refused(code.to_owned(), detail.to_owned())
}
