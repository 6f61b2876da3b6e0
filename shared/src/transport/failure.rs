use lambda_runtime::Diagnostic;

use crate::domain::{LedgerError, Limit};

/// An error as a direct invocation gets it: `errorType` is the contract's code,
/// so that Step Functions' Retry and Catch can match it.
pub struct Failure(pub LedgerError);

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
pub(super) fn code(error: &LedgerError) -> &'static str {
    match error {
        LedgerError::InvalidRequest(_) => "InvalidRequest",
        LedgerError::Unauthorized(_) => "Unauthorized",
        LedgerError::Forbidden => "Forbidden",
        LedgerError::InsufficientCredits { .. } => "InsufficientCredits",
        LedgerError::ChargeNotFound => "ChargeNotFound",
        LedgerError::NotFound => "NotFound",
        LedgerError::MethodNotAllowed => "MethodNotAllowed",
        LedgerError::IdempotencyConflict(_) => "IdempotencyConflict",
        LedgerError::GenerationVoided => "GenerationVoided",
        LedgerError::LimitExceeded(_) => "LimitExceeded",
        LedgerError::PayloadTooLarge => "PayloadTooLarge",
        LedgerError::Busy => "Busy",
        LedgerError::StoreUnavailable => "StoreUnavailable",
        LedgerError::Internal(_) => "Internal",
    }
}

/// What a caller is told. Never what is for the log alone.
pub(super) fn detail(error: &LedgerError) -> String {
    match error {
        LedgerError::InvalidRequest(problems) => problems.clone(),
        LedgerError::Unauthorized(why) => (*why).to_owned(),
        LedgerError::Forbidden => "The caller may not do this for this user.".to_owned(),
        LedgerError::InsufficientCredits { balance, required } => {
            format!("The balance is {balance}, the charge needs {required}.")
        }
        LedgerError::ChargeNotFound => {
            "No charge of this generation is known yet: try again, or name the user_uuid.".to_owned()
        }
        LedgerError::NotFound => "There is no such route.".to_owned(),
        LedgerError::MethodNotAllowed => "The route does not take this method.".to_owned(),
        LedgerError::IdempotencyConflict(what) => format!("One key, two different requests: {what}."),
        LedgerError::GenerationVoided => "The charge of this generation and key was refunded.".to_owned(),
        LedgerError::LimitExceeded(limit) => match limit {
            Limit::Packs => "The wallet holds 500 packs with credits left.".to_owned(),
            Limit::TransTypes => "The user has charges of 100 trans_types.".to_owned(),
            Limit::Total => "A total would pass 9007199254740991 credits.".to_owned(),
            Limit::RestoredPacks => {
                "The refund would bring back more packs than one wallet holds.".to_owned()
            }
            Limit::SummaryRange => {
                "The range holds more than 100000 records: choose a shorter one.".to_owned()
            }
        },
        LedgerError::PayloadTooLarge => "A request is at most 16384 bytes.".to_owned(),
        LedgerError::Busy => "Too much at once: try again.".to_owned(),
        LedgerError::StoreUnavailable => "The store cannot be reached: try again.".to_owned(),
        LedgerError::Internal(_) => "Something failed inside: try again.".to_owned(),
    }
}
