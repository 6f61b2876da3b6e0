//! The executions of Step Functions that wait for a call-back.

use aws_sdk_sfn::{
    Client,
    config::{Builder, retry::RetryConfig},
    error::{ProvideErrorMetadata, SdkError},
};
use serde::Serialize;
use serde_json::json;

use super::{CallbackError, timeouts};
use crate::{
    aws_config::describe_error,
    domain::{GenerationId, Reason},
};

/// The `Error` of a state whose generation failed.
const FAILED: &str = "GenerationFailed";

/// The token that resumes a waiting execution. It is a credential.
#[derive(Serialize)]
#[serde(transparent)]
pub(crate) struct TaskToken(String);

impl TryFrom<String> for TaskToken {
    type Error = &'static str;

    /// Checks the length that the API reference of `SendTaskSuccess` allows.
    fn try_from(text: String) -> Result<TaskToken, &'static str> {
        if (1..=2048).contains(&text.chars().count()) {
            Ok(TaskToken(text))
        } else {
            Err("must be 1 to 2048 characters")
        }
    }
}

/// The result of a generation.
pub(crate) enum GenerationResult<'a> {
    Succeeded,
    Failed(&'a Reason),
}

/// The executions of Step Functions that wait for a call-back.
#[derive(Debug)]
pub struct Executions(Client);

impl Executions {
    /// The executions of the account and region of a configuration.
    pub fn new(config: Builder) -> Executions {
        let config = config.retry_config(RetryConfig::standard()).timeout_config(timeouts());
        Executions(Client::from_conf(config.build()))
    }

    /// Resumes an execution. Returns whether it was waiting, which is false after an earlier
    /// call-back or a timeout.
    pub(crate) async fn resume(
        &self,
        token: &TaskToken,
        generation: &GenerationId,
        result: GenerationResult<'_>,
    ) -> Result<bool, CallbackError> {
        match result {
            GenerationResult::Succeeded => {
                let output = json!({ "generation_uuid": generation.as_str(), "status": "succeeded" });
                let call = self.0.send_task_success().task_token(&token.0).output(output.to_string());
                was_waiting(call.send().await)
            }
            GenerationResult::Failed(reason) => {
                let call = self.0.send_task_failure().task_token(&token.0).error(FAILED);
                was_waiting(call.cause(reason.as_str()).send().await)
            }
        }
    }
}

/// Whether the execution was waiting, by the errors in the API reference of `SendTaskSuccess` and
/// `SendTaskFailure`.
fn was_waiting<T, E>(result: Result<T, SdkError<E>>) -> Result<bool, CallbackError>
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    let Err(error) = result else { return Ok(true) };
    let code = error.as_service_error().and_then(ProvideErrorMetadata::code);
    match code {
        Some("InvalidToken" | "TaskDoesNotExist" | "TaskTimedOut") => Ok(false),
        _ => Err(CallbackError::Service(format!(
            "the execution cannot be resumed: {}",
            describe_error(&error)
        ))),
    }
}
