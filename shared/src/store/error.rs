//! Errors of DynamoDB calls, classified by how a caller may react.

use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};

use crate::aws_config::describe_error;

/// The failure of a call. The texts are for the log only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreError {
    /// Another transaction held the item, or the table was throttled: nothing was written.
    Contended,
    /// The deadline passed before the call was sent: nothing was written.
    DeadlineExceeded,
    /// No response, or a server error: the outcome of a write is unknown.
    Unavailable(String),
    /// The request token belongs to another request: the outcome of a write is unknown.
    TokenMismatch(String),
    /// DynamoDB rejected the service's credentials.
    Denied(String),
    /// An item of a newer format than this version supports; names its key.
    NewerFormat(String),
    /// A damaged item; names its key.
    Corrupt(String),
    /// Any other failure.
    Other(String),
}

/// Whether the code reports a conflict with another transaction.
pub(super) fn is_conflict(code: &str) -> bool {
    matches!(code, "TransactionConflict" | "TransactionConflictException" | "TransactionInProgressException")
}

/// Whether the code reports throttling. Both kinds may be retried after a pause (Developer Guide,
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
