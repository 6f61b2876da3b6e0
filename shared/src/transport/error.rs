//! The errors of a request: those of the ledger, and those that only HTTP and the
//! events of Lambda have.

use thiserror::Error;

use crate::{callback::CallbackError, domain::LedgerError};

/// How a request fails. The text of each error may be shown to a caller.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum RequestError {
    /// A field is missing, unknown or out of form, or the request is malformed; names
    /// every problem.
    #[error("{0}")]
    Invalid(String),
    /// No valid token or signature; says what is wrong with it.
    #[error("{0}")]
    Unauthorized(&'static str),
    /// The caller may not act on this user.
    #[error("The caller may not do this for this user.")]
    Forbidden,
    /// No such route.
    #[error("There is no such route.")]
    NotFound,
    /// The route exists, but not with this method.
    #[error("The route does not take this method.")]
    MethodNotAllowed,
    /// The body is larger than a request may be.
    #[error("A request is at most 16384 bytes.")]
    PayloadTooLarge,
    /// The ledger's own error.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

/// What HTTP, direct invocations and metrics need of an error: one row of the contract's
/// table.
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
    /// Whether the service is at fault, and not the request.
    pub(super) fn is_failure(self) -> bool {
        self.status >= 500
    }

    /// Whether the response says in `Retry-After` when to try again.
    pub(super) fn has_retry_after(self) -> bool {
        self.can_retry && self.status == 503
    }
}

impl RequestError {
    /// The contract's table of errors.
    #[rustfmt::skip]
    pub fn kind(&self) -> ErrorKind {
        use LedgerError::{
            Busy, ChargeNotFound, GenerationVoided, IdempotencyConflict, InsufficientCredits, Internal,
            InvalidRequest, LimitExceeded, StoreUnavailable,
        };
        use RequestError::{Forbidden, Invalid, Ledger, MethodNotAllowed, NotFound, PayloadTooLarge, Unauthorized};

        let (code, status, can_retry, title) = match self {
            Invalid(_) | Ledger(InvalidRequest(_)) => ("InvalidRequest", 400, false, "The request is not valid"),
            Unauthorized(_) => ("Unauthorized", 401, false, "Who is asking is not known"),
            Ledger(InsufficientCredits { .. }) => ("InsufficientCredits", 402, false, "Not enough credits"),
            Forbidden => ("Forbidden", 403, false, "The caller may not do this"),
            Ledger(ChargeNotFound) => ("ChargeNotFound", 404, true, "No such charge"),
            NotFound => ("NotFound", 404, false, "No such route"),
            MethodNotAllowed => ("MethodNotAllowed", 405, false, "No such method here"),
            Ledger(IdempotencyConflict(_)) => ("IdempotencyConflict", 409, false, "The key was used for another request"),
            Ledger(GenerationVoided) => ("GenerationVoided", 409, false, "The charge was refunded"),
            Ledger(LimitExceeded(_)) => ("LimitExceeded", 409, false, "A limit is reached"),
            PayloadTooLarge => ("PayloadTooLarge", 413, false, "The request is too large"),
            Ledger(Internal(_)) => ("Internal", 500, true, "Internal error"),
            Ledger(Busy) => ("Busy", 503, true, "Busy"),
            Ledger(StoreUnavailable) => ("StoreUnavailable", 503, true, "The store cannot be reached"),
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
            CallbackError::Signature(reason) => RequestError::Unauthorized(reason),
            CallbackError::Service(reason) => LedgerError::Internal(reason).into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Credits, LedgerLimit};

    const CONTRACT: &str = include_str!("../../../docs/service.md");

    #[test]
    fn the_contract_has_each_code_with_its_status_and_whether_to_retry() {
        let (balance, required) = (Credits::ZERO, Credits::ZERO);
        for error in [
            RequestError::Invalid(String::new()),
            RequestError::Unauthorized(""),
            RequestError::Forbidden,
            RequestError::NotFound,
            RequestError::MethodNotAllowed,
            RequestError::PayloadTooLarge,
            LedgerError::InvalidRequest(String::new()).into(),
            LedgerError::InsufficientCredits { balance, required }.into(),
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
