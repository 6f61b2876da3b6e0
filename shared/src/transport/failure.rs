use lambda_runtime::Diagnostic;

use crate::domain::{Error, Limit};

/// An error as a direct invocation gets it: `errorType` is the contract's code,
/// so that Step Functions' Retry and Catch can match it.
pub struct Failure(pub Error);

/// The runtime logs what fails in this form; the function itself has already
/// logged all of it.
impl std::fmt::Debug for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(code(&self.0))
    }
}

impl From<Failure> for Diagnostic {
    fn from(Failure(error): Failure) -> Diagnostic {
        Diagnostic { error_type: code(&error).to_owned(), error_message: detail(&error) }
    }
}

/// The contract's code of an error.
pub(super) fn code(error: &Error) -> &'static str {
    match error {
        Error::InvalidRequest(_) => "InvalidRequest",
        Error::Unauthorized(_) => "Unauthorized",
        Error::Forbidden => "Forbidden",
        Error::InsufficientCredits { .. } => "InsufficientCredits",
        Error::ChargeNotFound => "ChargeNotFound",
        Error::NotFound => "NotFound",
        Error::MethodNotAllowed => "MethodNotAllowed",
        Error::IdempotencyConflict(_) => "IdempotencyConflict",
        Error::GenerationVoided => "GenerationVoided",
        Error::LimitExceeded(_) => "LimitExceeded",
        Error::PayloadTooLarge => "PayloadTooLarge",
        Error::Busy => "Busy",
        Error::StoreUnavailable => "StoreUnavailable",
        Error::Internal(_) => "Internal",
    }
}

/// What a caller is told. Never what is for the log alone.
pub(super) fn detail(error: &Error) -> String {
    match error {
        Error::InvalidRequest(problems) => problems.clone(),
        Error::Unauthorized(why) => (*why).to_owned(),
        Error::Forbidden => "The caller may not do this for this user.".to_owned(),
        Error::InsufficientCredits { balance, required } => {
            format!("The balance is {balance}, the charge needs {required}.")
        }
        Error::ChargeNotFound => {
            "No charge of this generation is known yet: try again, or name the user_uuid.".to_owned()
        }
        Error::NotFound => "There is no such route.".to_owned(),
        Error::MethodNotAllowed => "The route does not take this method.".to_owned(),
        Error::IdempotencyConflict(what) => format!("One key, two different requests: {what}."),
        Error::GenerationVoided => "The charge of this generation and key was refunded.".to_owned(),
        Error::LimitExceeded(limit) => match limit {
            Limit::Packs => "The wallet holds 500 packs with credits left.".to_owned(),
            Limit::TransTypes => "The user has charges of 100 trans_types.".to_owned(),
            Limit::Total => "A total would pass 9007199254740991 credits.".to_owned(),
            Limit::RestoredPacks => {
                "The refund would bring back more packs than one wallet holds.".to_owned()
            }
        },
        Error::PayloadTooLarge => "A request is at most 16384 bytes.".to_owned(),
        Error::Busy => "Too much at once: try again.".to_owned(),
        Error::StoreUnavailable => "The store cannot be reached: try again.".to_owned(),
        Error::Internal(_) => "Something failed inside: try again.".to_owned(),
    }
}
