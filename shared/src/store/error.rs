//! What can go wrong with a call, by what may be done about it.

use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};

use crate::aws_config::describe_error;

/// Why a call failed. The texts are for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreError {
    /// Another transaction was at the item, or the table is throttled: nothing was done.
    Contended,
    /// The deadline passed before the call was sent: nothing was done.
    DeadlineExceeded,
    /// No answer, or an error of the server: a write may have been done.
    Unavailable(String),
    /// The request token was used for another request: a write may have been done.
    TokenMismatch(String),
    /// DynamoDB refused the service's credentials.
    Denied(String),
    /// An item of a newer format than this version reads; names its key.
    NewerFormat(String),
    /// An item that the ledger has not written so; names its key.
    Corrupt(String),
    /// Anything else.
    Other(String),
}

/// Whether DynamoDB says that another transaction is at the item.
pub(super) fn is_conflict(code: &str) -> bool {
    matches!(code, "TransactionConflict" | "TransactionConflictException" | "TransactionInProgressException")
}

/// Whether DynamoDB throttles. Both kinds may be retried after a pause (Developer Guide,
/// "Error handling with DynamoDB", and the API reference of `TransactWriteItems` for the
/// codes of cancellation reasons).
pub(super) fn is_contention(code: &str) -> bool {
    matches!(
        code,
        "ThrottlingError"
            | "ThrottlingException"
            | "ProvisionedThroughputExceeded"
            | "ProvisionedThroughputExceededException"
            | "RequestLimitExceeded"
    )
}

fn is_denial(code: &str) -> bool {
    matches!(
        code,
        "AccessDeniedException"
            | "ExpiredTokenException"
            | "IncompleteSignatureException"
            | "InvalidSignatureException"
            | "MissingAuthenticationTokenException"
            | "NotAuthorizedException"
            | "UnrecognizedClientException"
    )
}

impl<E> From<SdkError<E>> for StoreError
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    fn from(error: SdkError<E>) -> StoreError {
        let why = describe_error(&error);
        let SdkError::ServiceError(service) = &error else {
            return match error {
                SdkError::TimeoutError(_) | SdkError::DispatchFailure(_) | SdkError::ResponseError(_) => {
                    StoreError::Unavailable(why)
                }
                _ => StoreError::Other(why),
            };
        };
        match service.err().code().unwrap_or_default() {
            code if is_conflict(code) || is_contention(code) => StoreError::Contended,
            "IdempotentParameterMismatchException" => StoreError::TokenMismatch(why),
            code if is_denial(code) => StoreError::Denied(why),
            _ if service.raw().status().is_server_error() => StoreError::Unavailable(why),
            _ => StoreError::Other(why),
        }
    }
}
