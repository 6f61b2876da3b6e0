//! The errors of a request: those of the ledger, and those that only HTTP and the
//! events of Lambda have.

use thiserror::Error;

use crate::{callback::CallbackError, domain::LedgerError, payments::PaymentError};

/// The errors of a request. Their texts are returned to callers.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum RequestError {
    /// The request is malformed, or a field is missing, unknown or invalid. The text names
    /// every problem.
    #[error("{0}")]
    Invalid(String),
    /// No valid token or signature. The text says what is invalid.
    #[error("{0}")]
    Unauthorized(&'static str),
    /// The caller has no access to the user.
    #[error("The caller may not perform this operation for this user.")]
    Forbidden,
    /// No route has the path.
    #[error("No route has this path.")]
    NotFound,
    /// No route has the path and the method.
    #[error("The route does not support this method.")]
    MethodNotAllowed,
    /// The body is larger than a request may be, which is this many bytes.
    #[error("The request must not exceed {0} bytes.")]
    PayloadTooLarge(usize),
    /// A call-back is about a generation without a charge.
    #[error("No charge of this generation was found yet.")]
    GenerationUnknown,
    /// The ledger's own error.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

/// The code, status and title of an error: one row of the error table in
/// `docs/service.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ErrorKind {
    /// The code, which is the `errorType` of a direct invocation.
    pub code: &'static str,
    /// The HTTP status.
    pub status: u16,
    /// Whether the same request may succeed later.
    pub can_retry: bool,
    /// The title of the problem details (RFC 9457).
    pub title: &'static str,
}

impl ErrorKind {
    /// Whether the service failed, and not the request.
    pub(super) fn is_failure(self) -> bool {
        self.status >= 500
    }

    /// Whether the response has the header `Retry-After`.
    pub(super) fn has_retry_after(self) -> bool {
        self.can_retry && self.status == 503
    }
}

impl RequestError {
    /// The row of this error in the error table.
    #[rustfmt::skip]
    pub fn kind(&self) -> ErrorKind {
        use LedgerError::{
            Busy, ChargeNotFound, GenerationVoided, IdempotencyConflict, InsufficientCredits, Internal,
            InvalidRequest, LimitExceeded, StoreUnavailable,
        };
        use RequestError::{Forbidden, GenerationUnknown, Invalid, Ledger, MethodNotAllowed, NotFound, PayloadTooLarge, Unauthorized};

        let (code, status, can_retry, title) = match self {
            Invalid(_) | Ledger(InvalidRequest(_)) => ("InvalidRequest", 400, false, "The request is invalid."),
            Unauthorized(_) => ("Unauthorized", 401, false, "Authentication required."),
            Ledger(InsufficientCredits { .. }) => ("InsufficientCredits", 402, false, "The balance is too low."),
            Forbidden => ("Forbidden", 403, false, "Permission denied."),
            Ledger(ChargeNotFound) => ("ChargeNotFound", 404, true, "The charge was not found."),
            NotFound => ("NotFound", 404, false, "The route was not found."),
            MethodNotAllowed => ("MethodNotAllowed", 405, false, "The method is not allowed."),
            Ledger(IdempotencyConflict(_)) => ("IdempotencyConflict", 409, false, "The identity belongs to a different request."),
            Ledger(GenerationVoided) => ("GenerationVoided", 409, false, "The charge was refunded."),
            Ledger(LimitExceeded(_)) => ("LimitExceeded", 409, false, "A limit was reached."),
            GenerationUnknown => ("GenerationUnknown", 503, true, "The generation has no charge yet."),
            PayloadTooLarge(_) => ("PayloadTooLarge", 413, false, "The request is too large."),
            Ledger(Internal(_)) => ("Internal", 500, true, "An internal error occurred."),
            Ledger(Busy) => ("Busy", 503, true, "The service is busy."),
            Ledger(StoreUnavailable) => ("StoreUnavailable", 503, true, "The database is unavailable."),
        };
        ErrorKind { code, status, can_retry, title }
    }

    /// The reason of an `Internal`, for the log alone.
    pub fn internal_reason(&self) -> Option<&str> {
        match self {
            RequestError::Ledger(LedgerError::Internal(reason)) => Some(reason),
            _ => None,
        }
    }
}

impl From<CallbackError> for RequestError {
    fn from(error: CallbackError) -> RequestError {
        match error {
            CallbackError::Unauthorized(reason) => RequestError::Unauthorized(reason),
            CallbackError::Service(reason) => LedgerError::Internal(reason).into(),
        }
    }
}

impl From<PaymentError> for RequestError {
    fn from(error: PaymentError) -> RequestError {
        RequestError::Invalid(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Credits, LedgerLimit};

    const CONTRACT: &str = include_str!("../../../docs/service.md");

    #[test]
    fn error_table_has_each_code_status_and_retry() {
        let (balance, required) = (Credits::ZERO, Credits::ZERO);
        for error in [
            RequestError::Invalid(String::new()),
            RequestError::Unauthorized(""),
            RequestError::Forbidden,
            RequestError::NotFound,
            RequestError::MethodNotAllowed,
            RequestError::PayloadTooLarge(0),
            RequestError::GenerationUnknown,
            LedgerError::InvalidRequest(String::new()).into(),
            LedgerError::InsufficientCredits { balance, required, debt: Credits::ZERO }.into(),
            LedgerError::ChargeNotFound.into(),
            LedgerError::IdempotencyConflict("").into(),
            LedgerError::GenerationVoided.into(),
            LedgerError::LimitExceeded(LedgerLimit::Total).into(),
            LedgerError::Busy.into(),
            LedgerError::StoreUnavailable.into(),
            LedgerError::Internal(String::new()).into(),
        ] {
            let kind = error.kind();
            let code = format!("`{}`", kind.code);
            let mut rows = CONTRACT.lines().map(|line| line.split('|').map(str::trim).collect::<Vec<_>>());
            let row = rows.find(|cells| cells.len() == 6 && cells[1].split(", ").any(|cell| cell == code));
            let row = row.unwrap_or_else(|| panic!("no row of {code}"));
            assert!(row[2].split(", ").any(|status| status == kind.status.to_string()), "{code}: {row:?}");
            assert_eq!(row[3], if kind.can_retry { "yes" } else { "no" }, "{code}");
        }
    }
}
