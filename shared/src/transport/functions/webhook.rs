//! The function `webhook`: call-backs of providers.

use serde_json::Value;

use crate::{
    callback::{GenerationResult, TaskToken},
    domain::{GenerationId, Reason, RefundRequest},
    invocation_metrics,
    transport::{
        App, Function, RequestError,
        answer::WebhookAnswer,
        event::HttpRequest,
        field,
        operation::{Access, Operation, OperationRequest, box_future},
        reply::Answer,
        request_fields::RequestFields,
    },
};

/// The reason of a refund if the call-back has no `error`.
const NO_REASON: &str = "generation failed";

/// The function `webhook`.
pub const WEBHOOK: Function = Function {
    name: "webhook",
    operations: &[Operation::post(
        "/webhooks/generation",
        Access::Signed(|app, request| Box::pin(verify_signature(app, request))),
        |app, request| box_future(|| webhook(app, request)),
    )],
};

/// The call-back of a provider about a generation.
struct Callback {
    generation: GenerationId,
    /// The refund, if the generation failed.
    failed: Option<RefundRequest>,
    task_token: Option<TaskToken>,
}

async fn verify_signature(app: &App, request: &HttpRequest) -> Result<(), RequestError> {
    Ok(app.callbacks.verify(request.signature(), &request.body()?, app.ledger.now()).await?)
}

/// Refunds before it resumes the execution. If the execution cannot be resumed, the provider
/// sends the call-back again, and the refund changes nothing.
async fn webhook(app: &App, request: OperationRequest) -> Result<Answer, RequestError> {
    let Callback { generation, failed, task_token } = parse(request.fields)?;
    invocation_metrics::set_subject(None, Some(&generation));
    let outcome = match &failed {
        Some(refund) => Some(app.ledger.refund(refund, &request.invocation).await?.outcome),
        None => None,
    };
    if let (Some(token), Some(executions)) = (task_token, &app.callbacks.executions) {
        let reason = failed.as_ref().map(|refund| &refund.reason);
        let result = reason.map_or(GenerationResult::Succeeded, GenerationResult::Failed);
        let was_waiting = executions.resume(&token, &generation, result).await?;
        if !was_waiting && failed.is_none() {
            // The execution timed out and refunded, or the call-back is a repeat.
            invocation_metrics::record(|metrics| metrics.anomalies.push("success_nobody_waits_for"));
        }
    }
    Answer::ok(&WebhookAnswer::new(&generation, outcome))
}

fn parse(mut fields: RequestFields) -> Result<Callback, RequestError> {
    let generation = fields.required("generation_uuid", field::id);
    let is_failed = fields.required("status", status);
    let user = fields.optional("user_uuid", field::id);
    let key = fields.optional("idempotency_key", field::id);
    let error = fields.optional("error", field::text);
    let task_token = fields.optional("task_token", |value| TaskToken::try_from(field::text(value)?));
    let reason =
        Reason::truncated(error.as_deref().unwrap_or_default()).or_else(|| Reason::truncated(NO_REASON));
    let callback = || {
        let generation: GenerationId = generation?;
        let refund = RefundRequest { user, generation: generation.clone(), key, reason: reason? };
        Some(Callback { generation, failed: is_failed?.then_some(refund), task_token })
    };
    fields.into_request(callback())
}

/// Whether the status is `failed`.
fn status(value: &Value) -> Result<bool, &'static str> {
    match value.as_str() {
        Some("failed") => Ok(true),
        Some("succeeded") => Ok(false),
        _ => Err("must be `succeeded` or `failed`"),
    }
}
