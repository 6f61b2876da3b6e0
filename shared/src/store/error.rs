use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};

use crate::sdk::why;

/// Why a call did not do its work. The texts are for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreError {
    /// Others were at the same item, or the table is throttled: nothing was done.
    Contended,
    /// No answer, or none that tells: a write may have been done.
    Unavailable(String),
    /// DynamoDB refused the service's credentials.
    Denied(String),
    /// An item that is none of ours; names its key.
    Corrupt(String),
    /// Anything else.
    Other(String),
}

/// What DynamoDB says when a call may be tried again after a pause
/// (Developer Guide, "Error handling with DynamoDB", and the API reference of
/// `TransactWriteItems` for the codes of cancellation reasons).
pub(super) fn is_contention(code: &str) -> bool {
    matches!(
        code,
        "TransactionConflict"
            | "TransactionConflictException"
            | "TransactionInProgressException"
            | "ThrottlingError"
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
        let why = why(&error);
        let SdkError::ServiceError(service) = &error else {
            return match error {
                SdkError::TimeoutError(_) | SdkError::DispatchFailure(_) | SdkError::ResponseError(_) => {
                    StoreError::Unavailable(why)
                }
                _ => StoreError::Other(why),
            };
        };
        match service.err().code().unwrap_or_default() {
            code if is_contention(code) => StoreError::Contended,
            code if is_denial(code) => StoreError::Denied(why),
            _ if service.raw().status().is_server_error() => StoreError::Unavailable(why),
            _ => StoreError::Other(why),
        }
    }
}
