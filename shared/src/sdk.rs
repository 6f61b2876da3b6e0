//! What the clients of AWS have in common.

use std::iter::successors;

use aws_config::{
    BehaviorVersion, ConfigLoader, Region, SdkConfig, environment::EnvironmentVariableCredentialsProvider,
    retry::RetryConfig,
};
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_runtime_api::client::{orchestrator::HttpResponse, result::SdkError};
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

use crate::environment::variable;

/// A function's configuration, for all its clients: Lambda puts credentials and the
/// region into the environment, so that they are searched for nowhere else, and the
/// search is no part of the program. Each call is tried once, unless its client is
/// told otherwise.
pub(crate) fn of_function() -> SdkConfig {
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

/// A tool's configuration, from wherever the SDK looks for one. It tries each call
/// once: what the environment says of retries may make the loader panic.
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
