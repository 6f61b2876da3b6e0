//! The call-backs of providers: their signatures, tokens and secrets, what their JSON says, and
//! the executions that wait for them.

mod executions;
mod provider;
mod secrets;
mod signature;
mod status;
mod token;

use aws_sdk_secretsmanager::config::timeout::TimeoutConfig;
use std::time::Duration;

pub use executions::Executions;
pub(crate) use executions::{GenerationResult, TaskToken};
pub(crate) use provider::ProviderReport;
pub use secrets::{Secret, SecretForm, Secrets};
pub use signature::Tolerance;
pub(crate) use signature::{STRIPE_SIGNATURE, SignatureHeaders};
pub(crate) use status::GenerationStatus;

use thiserror::Error;

use crate::domain::Timestamp;

/// The errors of a call-back or a payment event before it is parsed.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub(crate) enum CallbackError {
    /// The signature or the token is missing or invalid. The text is returned to the caller.
    #[error("{0}")]
    Unauthorized(&'static str),
    /// Secrets Manager or Step Functions failed. The text is logged.
    #[error("{0}")]
    Service(String),
}

/// The time limits of a call to Secrets Manager or Step Functions.
fn timeouts() -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(1))
        .operation_attempt_timeout(Duration::from_secs(2))
        .operation_timeout(Duration::from_secs(5))
        .build()
}

/// The secrets of call-backs, and the executions that wait for call-backs.
#[derive(Debug)]
pub struct Callbacks {
    /// At least one of these must have signed a call-back, or sealed its token. The first seals
    /// new tokens.
    pub secrets: Secrets,
    /// The largest age of a signature.
    pub tolerance: Tolerance,
    /// Absent without Step Functions.
    pub executions: Option<Executions>,
}

impl Callbacks {
    /// Accepts what these secrets signed, and resumes no execution.
    pub fn signed_with(secrets: Secrets) -> Callbacks {
        Callbacks { secrets, tolerance: Tolerance::DEFAULT, executions: None }
    }

    /// Rejects every call-back and resumes no execution.
    pub fn none() -> Callbacks {
        Callbacks::signed_with(Secrets::fixed(Vec::new()))
    }

    /// Verifies the signatures of a body. One valid signature is enough.
    pub(crate) async fn verify(
        &self,
        headers: SignatureHeaders<'_>,
        body: &[u8],
        now: Timestamp,
    ) -> Result<(), CallbackError> {
        let mut problem = "The header `X-Signature` or `webhook-signature` is missing.";
        let mut signatures = Vec::new();
        for signature in headers.parse(now, self.tolerance) {
            match signature {
                Ok(signature) => signatures.push(signature),
                Err(invalid) => problem = invalid,
            }
        }
        if signatures.is_empty() {
            return Err(CallbackError::Unauthorized(problem));
        }
        self.secrets.verify(&signatures, body, now).await
    }

    /// Seals a content into a token.
    pub(crate) async fn seal(&self, content: &[u8], now: Timestamp) -> Result<String, CallbackError> {
        let secrets = self.secrets.current(now).await?;
        let first = secrets.first().ok_or(CallbackError::Service("there is no webhook secret".to_owned()))?;
        Ok(token::seal(first, content))
    }

    /// The content of a token.
    pub(crate) async fn open(&self, token: &str, now: Timestamp) -> Result<Vec<u8>, CallbackError> {
        let secrets = self.secrets.current(now).await?;
        token::open(&secrets, token).ok_or(CallbackError::Unauthorized("The call-back token is invalid."))
    }
}
