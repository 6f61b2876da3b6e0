//! What a provider's call-back needs besides the ledger: the secrets that tell
//! who calls, and the executions that wait for it.

mod executions;
mod secrets;
mod signature;

use aws_sdk_secretsmanager::config::timeout::TimeoutConfig;
use std::time::Duration;

pub use executions::Executions;
pub(crate) use executions::{End, TaskToken};
pub use secrets::{Secret, Secrets};

use thiserror::Error;

use crate::domain::Timestamp;

/// How a call-back fails.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub(crate) enum CallbackError {
    /// The signature does not admit the caller; says why.
    #[error("{0}")]
    Signature(&'static str),
    /// Secrets Manager or Step Functions failed. The reason is for the log.
    #[error("{0}")]
    Service(String),
}

/// How long a call to Secrets Manager or Step Functions may take.
fn timeouts() -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(1))
        .operation_attempt_timeout(Duration::from_secs(2))
        .operation_timeout(Duration::from_secs(5))
        .build()
}

/// How call-backs are admitted, and whom they are told to.
#[derive(Debug)]
pub struct Callbacks {
    /// What they are signed with.
    pub secrets: Secrets,
    /// Who may wait for them; nobody where there is no Step Functions.
    pub executions: Option<Executions>,
}

impl Callbacks {
    /// None are admitted, and nobody waits.
    pub fn none() -> Callbacks {
        Callbacks { secrets: Secrets::given(Vec::new()), executions: None }
    }

    /// Admits who has signed these bytes, as the contract's `X-Signature` says.
    pub(crate) async fn admit(
        &self,
        header: Option<&str>,
        body: &[u8],
        now: Timestamp,
    ) -> Result<(), CallbackError> {
        let header = header.ok_or(CallbackError::Signature("There is no X-Signature."))?;
        let signature = signature::Signature::parse(header, now).map_err(CallbackError::Signature)?;
        let secrets = self.secrets.at(now).await?;
        if secrets.iter().any(|secret| signature.is_by(secret, body)) {
            Ok(())
        } else {
            Err(CallbackError::Signature("No v1 of X-Signature is the signature of this body."))
        }
    }
}
