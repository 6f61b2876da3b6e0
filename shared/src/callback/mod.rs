//! The call-backs of providers: their signatures and secrets, and the executions that wait
//! for them.

mod executions;
mod secrets;
mod signature;

use aws_sdk_secretsmanager::config::timeout::TimeoutConfig;
use std::time::Duration;

pub use executions::Executions;
pub(crate) use executions::{GenerationResult, TaskToken};
pub use secrets::{Secret, Secrets};

use thiserror::Error;

use crate::domain::Timestamp;

/// The errors of a call-back.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub(crate) enum CallbackError {
    /// The signature is missing or invalid. The text is returned to the caller.
    #[error("{0}")]
    Signature(&'static str),
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

/// The secrets that sign call-backs, and the executions that wait for call-backs.
#[derive(Debug)]
pub struct Callbacks {
    /// At least one of these must have signed a call-back.
    pub secrets: Secrets,
    /// Absent without Step Functions.
    pub executions: Option<Executions>,
}

impl Callbacks {
    /// Rejects every call-back and resumes no execution.
    pub fn none() -> Callbacks {
        Callbacks { secrets: Secrets::fixed(Vec::new()), executions: None }
    }

    /// Verifies the header `X-Signature` of a body.
    pub(crate) async fn verify(
        &self,
        header: Option<&str>,
        body: &[u8],
        now: Timestamp,
    ) -> Result<(), CallbackError> {
        let header = header.ok_or(CallbackError::Signature("The header `X-Signature` is missing."))?;
        let signature = signature::Signature::parse(header, now).map_err(CallbackError::Signature)?;
        let secrets = self.secrets.current(now).await?;
        if secrets.iter().any(|secret| signature.matches(secret, body)) {
            Ok(())
        } else {
            Err(CallbackError::Signature("No `v1` of `X-Signature` matches this body."))
        }
    }
}
