//! What the clients of AWS have in common.

use std::iter::successors;

use aws_config::{BehaviorVersion, ConfigLoader, retry::RetryConfig};
use aws_smithy_runtime_api::client::{orchestrator::HttpResponse, result::SdkError};
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

/// A client's configuration from the environment. It tries each call once, unless
/// its client is told otherwise: what the environment says of retries may make
/// the loader panic.
pub(crate) fn loader() -> ConfigLoader {
    aws_config::defaults(BehaviorVersion::latest()).retry_config(RetryConfig::disabled())
}

/// Whether what AWS says with this code repeats what was signed, which has the
/// session's token in it.
fn repeats_the_request(code: &str) -> bool {
    matches!(code, "IncompleteSignatureException" | "InvalidSignatureException")
}

/// Why a call failed, for the log.
pub(crate) fn why<E>(error: &SdkError<E, HttpResponse>) -> String
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    let SdkError::ServiceError(service) = error else { return causes(error) };
    let (status, code) = (service.raw().status(), service.err().code().unwrap_or_default());
    match service.err().message() {
        _ if repeats_the_request(code) => format!("{status} {code}"),
        Some(message) => format!("{status} {code}: {message}"),
        None => format!("{status} {code}: {}", causes(service.err())),
    }
}

/// An error and what caused it, in their own words: none of them shows an answer
/// as it came.
fn causes(error: &dyn std::error::Error) -> String {
    let causes = successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
