use serde_json::Value;

use crate::{
    callback::{End, TaskToken},
    domain::{GenerationUuid, Reason, RefundRequest},
    meter,
    transport::{
        App, Function, RequestError, Route,
        answer::WebhookAnswer,
        field,
        form::Form,
        function::{Call, Operation, boxed},
        reply::Answer,
    },
};

/// The reason of a refund whose call-back gives none.
const NO_REASON: &str = "generation failed";

/// Takes the call-backs of providers.
pub const WEBHOOK: Function = Function {
    name: "webhook",
    operations: &[Operation::signed(Route::WEBHOOK, |app, call| boxed(|| webhook(app, call)))],
};

/// What a provider says of a generation.
struct Callback {
    generation: GenerationUuid,
    /// What is to be refunded, where it failed.
    failed: Option<RefundRequest>,
    task_token: Option<TaskToken>,
}

/// The refund comes first: credits do not wait for an execution to be told. If that
/// fails, the provider calls again, and the refund is a repeat.
async fn webhook(app: &App, call: Call) -> Result<Answer, RequestError> {
    let Callback { generation, failed, task_token } = read(call.form)?;
    meter::about(None, Some(&generation));
    let outcome = match &failed {
        Some(request) => Some(app.ledger.refund(request, &call.invocation).await?.outcome),
        None => None,
    };
    if let (Some(token), Some(executions)) = (task_token, &app.callbacks.executions) {
        let end = failed.as_ref().map_or(End::Succeeded, |request| End::Failed(&request.reason));
        let has_waited = executions.tell(&token, &generation, end).await?;
        if !has_waited && failed.is_none() {
            // Its time was up and it was refunded, or this was said before.
            meter::note(|notes| notes.anomalies.push("success_nobody_waits_for"));
        }
    }
    Answer::ok(&WebhookAnswer::new(&generation, outcome))
}

fn read(mut form: Form) -> Result<Callback, RequestError> {
    let generation = form.required("generation_uuid", field::id);
    let has_failed = form.required("status", status);
    let user = form.optional("user_uuid", field::id);
    let key = form.optional("idempotency_key", field::id);
    let error = form.optional("error", field::text);
    let task_token = form.optional("task_token", |value| TaskToken::try_from(field::text(value)?));
    let reason = Reason::cut(error.as_deref().unwrap_or_default()).or_else(|| Reason::cut(NO_REASON));
    let callback = || {
        let generation: GenerationUuid = generation?;
        let refund = RefundRequest { user, generation: generation.clone(), key, reason: reason? };
        Some(Callback { generation, failed: has_failed?.then_some(refund), task_token })
    };
    form.finish(callback())
}

/// Whether the generation failed.
fn status(value: &Value) -> Result<bool, &'static str> {
    match value.as_str() {
        Some("failed") => Ok(true),
        Some("succeeded") => Ok(false),
        _ => Err("must be succeeded or failed"),
    }
}
