use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};

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

/// Whether what DynamoDB says with this code repeats what was signed, which has
/// the session's token in it.
fn repeats_the_request(code: &str) -> bool {
    matches!(code, "IncompleteSignatureException" | "InvalidSignatureException")
}

impl<E> From<SdkError<E>> for StoreError
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    fn from(error: SdkError<E>) -> StoreError {
        let SdkError::ServiceError(service) = &error else {
            let why = causes(&error);
            return match error {
                SdkError::TimeoutError(_) | SdkError::DispatchFailure(_) | SdkError::ResponseError(_) => {
                    StoreError::Unavailable(why)
                }
                _ => StoreError::Other(why),
            };
        };
        let (status, code) = (service.raw().status(), service.err().code().unwrap_or_default());
        let why = match service.err().message() {
            _ if repeats_the_request(code) => format!("{status} {code}"),
            Some(message) => format!("{status} {code}: {message}"),
            None => format!("{status} {code}: {}", causes(service.err())),
        };
        match code {
            _ if is_contention(code) => StoreError::Contended,
            _ if is_denial(code) => StoreError::Denied(why),
            _ if status.is_server_error() => StoreError::Unavailable(why),
            _ => StoreError::Other(why),
        }
    }
}

/// An error and what caused it, in their own words: none of them shows an answer
/// as it came.
fn causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
