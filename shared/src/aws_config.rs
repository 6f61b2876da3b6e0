//! The configuration of AWS clients, and the description of their errors.

use std::iter::successors;

use aws_config::{
    BehaviorVersion, ConfigLoader, Region, SdkConfig, environment::EnvironmentVariableCredentialsProvider,
    retry::RetryConfig,
};
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_runtime_api::client::{orchestrator::HttpResponse, result::SdkError};
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

use crate::environment::variable;

/// The configuration of a function's clients. Lambda puts credentials and the region into the
/// environment, so the SDK's other providers are not linked. Retries are off by default.
pub(crate) fn lambda_config() -> SdkConfig {
    let is_on = |name| variable(name).is_some_and(|value| value.eq_ignore_ascii_case("true"));
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(variable("AWS_REGION").map(Region::new))
        .use_fips(is_on("AWS_USE_FIPS_ENDPOINT"))
        .use_dual_stack(is_on("AWS_USE_DUALSTACK_ENDPOINT"))
        .credentials_provider(SharedCredentialsProvider::new(EnvironmentVariableCredentialsProvider::new()))
        .retry_config(RetryConfig::disabled())
        .build()
}

/// The configuration of a tool's clients, with all providers of the SDK. Retries are off,
/// because retry settings in the environment may make the loader panic.
pub(crate) fn tool_config() -> ConfigLoader {
    aws_config::defaults(BehaviorVersion::latest()).retry_config(RetryConfig::disabled())
}

/// Whether the message of an error with this code contains the signed request, and so the
/// session token.
fn contains_request(code: &str) -> bool {
    matches!(code, "IncompleteSignatureException" | "InvalidSignatureException")
}

/// Describes a failed call for the log.
pub(crate) fn describe_error<E>(error: &SdkError<E, HttpResponse>) -> String
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    let SdkError::ServiceError(service) = error else { return causes(error) };
    let (status, code) = (service.raw().status(), service.err().code().unwrap_or_default());
    match service.err().message() {
        _ if contains_request(code) => format!("{status} {code}"),
        Some(message) => format!("{status} {code}: {message}"),
        None => format!("{status} {code}: {}", causes(service.err())),
    }
}

/// The texts of an error and its causes. None of them contains a response.
fn causes(error: &dyn std::error::Error) -> String {
    let causes = successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
