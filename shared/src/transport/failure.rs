//! The errors of a direct invocation.

use lambda_runtime::Diagnostic;

use super::error::RequestError;

/// An error as a direct invocation gets it: `errorType` is the contract's code,
/// so that Step Functions' Retry and Catch can match it.
pub struct Failure(pub RequestError);

/// The runtime logs this form of a failure; the function itself has already logged the rest.
impl std::fmt::Debug for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0.kind().code)
    }
}

impl From<Failure> for Diagnostic {
    fn from(Failure(error): Failure) -> Diagnostic {
        Diagnostic { error_type: error.kind().code.to_owned(), error_message: error.to_string() }
    }
}
