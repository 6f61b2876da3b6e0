use aws_sdk_sfn::{
    Client,
    config::{Builder, retry::RetryConfig},
    error::{ProvideErrorMetadata, SdkError},
};
use serde_json::json;

use super::{CallbackError, timeouts};
use crate::{
    aws_config::describe_error,
    domain::{GenerationUuid, Reason},
};

/// The `Error` of a state that a failed generation ended.
const FAILED: &str = "GenerationFailed";

/// By whose mention an execution goes on that waits. Whoever has it can do that.
pub(crate) struct TaskToken(String);

impl TryFrom<String> for TaskToken {
    type Error = &'static str;

    /// The length is that of the API reference of `SendTaskSuccess`.
    fn try_from(text: String) -> Result<TaskToken, &'static str> {
        if (1..=2048).contains(&text.chars().count()) {
            Ok(TaskToken(text))
        } else {
            Err("must be 1 to 2048 characters")
        }
    }
}

/// How a generation ended.
pub(crate) enum End<'a> {
    Succeeded,
    Failed(&'a Reason),
}

/// The executions of Step Functions that wait for a call-back.
#[derive(Debug)]
pub struct Executions(Client);

impl Executions {
    /// Those that this configuration reaches.
    pub fn new(config: Builder) -> Executions {
        let config = config.retry_config(RetryConfig::standard()).timeout_config(timeouts());
        Executions(Client::from_conf(config.build()))
    }

    /// Ends a wait. Whether anybody waited: an execution that has gone on, by an
    /// earlier call-back or because its time was up, does not.
    pub(crate) async fn tell(
        &self,
        token: &TaskToken,
        generation: &GenerationUuid,
        end: End<'_>,
    ) -> Result<bool, CallbackError> {
        match end {
            End::Succeeded => {
                let output = json!({ "generation_uuid": generation.as_str(), "status": "succeeded" });
                let sent = self.0.send_task_success().task_token(&token.0).output(output.to_string());
                heard(sent.send().await)
            }
            End::Failed(reason) => {
                let sent = self.0.send_task_failure().task_token(&token.0).error(FAILED);
                heard(sent.cause(reason.as_str()).send().await)
            }
        }
    }
}

/// Whether anybody waited, by the errors of the API reference of `SendTaskSuccess`
/// and `SendTaskFailure`.
fn heard<T, E>(sent: Result<T, SdkError<E>>) -> Result<bool, CallbackError>
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    let Err(error) = sent else { return Ok(true) };
    let code = error.as_service_error().and_then(ProvideErrorMetadata::code);
    match code {
        Some("InvalidToken" | "TaskDoesNotExist" | "TaskTimedOut") => Ok(false),
        _ => Err(CallbackError::Service(format!("the execution cannot be told: {}", describe_error(&error)))),
    }
}
