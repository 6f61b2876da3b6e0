//! The function `webhook`: call-backs of providers.

use crate::{
    callback::{GenerationResult, TaskToken},
    domain::{GenerationId, LedgerError, Reason, RefundRequest},
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
    status: Status,
    /// The refund of the generation, for one that failed.
    refund: RefundRequest,
    task_token: Option<TaskToken>,
}

/// The state of a generation.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Status {
    Succeeded,
    Failed,
    /// Any other word of a provider: the generation has not ended.
    Progress,
}

const SUCCEEDED: [&str; 9] =
    ["succeeded", "success", "succeed", "successful", "completed", "complete", "done", "ok", "finished"];
const FAILED: [&str; 12] = [
    "failed",
    "failure",
    "fail",
    "error",
    "errored",
    "canceled",
    "cancelled",
    "aborted",
    "timed_out",
    "timeout",
    "expired",
    "rejected",
];

impl Status {
    /// Reads a provider's word, without regard to case.
    fn parse(text: &str) -> Status {
        let is_in = |words: &[&str]| words.iter().any(|word| word.eq_ignore_ascii_case(text));
        match (is_in(&SUCCEEDED), is_in(&FAILED)) {
            (true, _) => Status::Succeeded,
            (_, true) => Status::Failed,
            _ => Status::Progress,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Status::Succeeded => "succeeded",
            Status::Failed => "failed",
            Status::Progress => "progress",
        }
    }
}

async fn verify_signature(app: &App, request: &HttpRequest) -> Result<(), RequestError> {
    Ok(app.callbacks.verify(request.signature(), &request.body()?, app.ledger.now()).await?)
}

/// Refunds before it resumes the execution. If the execution cannot be resumed, the provider
/// sends the call-back again, and the refund changes nothing.
async fn webhook(app: &App, request: OperationRequest) -> Result<Answer, RequestError> {
    let Callback { generation, status, refund, task_token } = parse(request.fields)?;
    invocation_metrics::set_subject(None, Some(&generation));
    let (outcome, result) = match status {
        Status::Progress => {
            return Answer::ok(&WebhookAnswer::new(&generation, status.name(), Some("ignored")));
        }
        Status::Succeeded => (None, GenerationResult::Succeeded),
        Status::Failed => {
            let refunded = app.ledger.refund(&refund, &request.invocation).await;
            let refunded = refunded.map_err(|error| match error {
                // Providers do not repeat a call-back after a 4xx.
                LedgerError::ChargeNotFound => RequestError::GenerationUnknown,
                error => error.into(),
            })?;
            (Some(refunded.outcome.name()), GenerationResult::Failed(&refund.reason))
        }
    };
    if let (Some(token), Some(executions)) = (task_token, &app.callbacks.executions) {
        let was_waiting = executions.resume(&token, &generation, result).await?;
        if !was_waiting && status == Status::Succeeded {
            // The execution timed out and refunded, or the call-back is a repeat.
            invocation_metrics::record(|metrics| metrics.anomalies.push("success_nobody_waits_for"));
        }
    }
    Answer::ok(&WebhookAnswer::new(&generation, status.name(), outcome))
}

fn parse(mut fields: RequestFields) -> Result<Callback, RequestError> {
    let generation = fields.required("generation_uuid", field::id);
    let status = fields.required("status", field::text);
    let user = fields.optional("user_uuid", field::id);
    let key = fields.optional("idempotency_key", field::id);
    let trans_no = fields.optional("trans_no", field::trans_no);
    let error = fields.optional("error", field::text);
    let task_token = fields.optional("task_token", |value| TaskToken::try_from(field::text(value)?));
    let reason =
        Reason::truncated(error.as_deref().unwrap_or_default()).or_else(|| Reason::truncated(NO_REASON));
    let callback = || {
        let generation: GenerationId = generation?;
        let refund = RefundRequest { user, generation: generation.clone(), key, trans_no, reason: reason? };
        Some(Callback { generation, status: Status::parse(&status?), refund, task_token })
    };
    // Providers add members of their own.
    fields.ignore_rest();
    fields.into_request(callback())
}
