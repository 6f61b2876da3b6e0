//! The errors of a direct invocation.

use lambda_runtime::Diagnostic;

use super::error::RequestError;

/// An error of a direct invocation. Its `errorType` is the code of the error, so that
/// `Retry` and `Catch` of Step Functions can match it.
pub struct Failure(pub RequestError);

/// The runtime logs this form. The function has already logged the details.
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
