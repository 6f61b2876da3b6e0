//! The function `webhook`: call-backs of providers, and the tokens of their URLs.

use serde::Serialize;

use crate::{
    callback::{GenerationResult, GenerationStatus, TaskToken},
    domain::{
        CompletionOutcome, CompletionRequest, GenerationId, IdempotencyKey, LedgerError, OutputSet, Reason,
        RefundOutcome, RefundRequest, RefundSource, Timestamp, TransNo, UserId,
    },
    invocation_metrics,
    ledger::Invocation,
    transport::{
        App, Function, RequestError,
        answer::{MintAnswer, WebhookAnswer},
        event::HttpRequest,
        field,
        operation::{Access, BodyForm, Operation, OperationRequest, box_future},
        reply::Answer,
        request_fields::RequestFields,
        route::PathParameters,
    },
};

/// The reason of a refund if the call-back has no error.
const NO_REASON: &str = "generation failed";

/// The path of the call-backs with a token, before the token.
const TOKEN_PATH: &str = "/webhooks/callback/";

/// The time after which a token expires if its request has no `exp`, in milliseconds: 7 days.
const TOKEN_MILLIS_DEFAULT: i64 = 7 * 24 * 60 * 60 * 1_000;

/// The function `webhook`.
pub const WEBHOOK: Function = Function {
    name: "webhook",
    operations: &[
        Operation::post(
            "/webhooks/generation",
            Access::Signed(|app, request, _| Box::pin(verify_signature(app, request))),
            |app, request| box_future(|| webhook(app, request)),
        ),
        Operation::post(
            "/webhooks/callback/{token}",
            Access::Signed(|app, _, parameters| Box::pin(verify_token(app, parameters))),
            |app, request| box_future(|| callback(app, request)),
        )
        .selected_by("callback")
        .with_provider_json(),
        Operation::direct(|app, request| box_future(|| mint(app, request))).selected_by("mint"),
    ],
};

/// The charge that a call-back is about, and the execution that waits for it.
#[derive(Serialize)]
struct CallbackTarget {
    #[serde(rename = "user_uuid", skip_serializing_if = "Option::is_none")]
    user: Option<UserId>,
    #[serde(rename = "generation_uuid")]
    generation: GenerationId,
    #[serde(rename = "idempotency_key", skip_serializing_if = "Option::is_none")]
    key: Option<IdempotencyKey>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trans_no: Option<TransNo>,
    #[serde(skip_serializing_if = "Option::is_none")]
    task_token: Option<TaskToken>,
    /// The output that the provider makes, of a charge with outputs.
    #[serde(skip_serializing_if = "Option::is_none")]
    output: Option<u8>,
}

/// The content of a token.
#[derive(Serialize)]
struct TokenContent {
    #[serde(flatten)]
    target: CallbackTarget,
    /// Seconds since 1970.
    exp: i64,
}

async fn verify_signature(app: &App, request: &HttpRequest) -> Result<(), RequestError> {
    let body = request.body(BodyForm::Fields)?;
    Ok(app.callbacks.verify(request.signature(), &body, app.ledger.now()).await?)
}

/// Verifies the token before the body is parsed.
async fn verify_token(app: &App, parameters: &PathParameters) -> Result<(), RequestError> {
    let token = parameters.get("token").map_or("", String::as_str);
    open_token(app, token).await.map(drop)
}

/// The call-back of a provider that signs the fields of Scrip.
async fn webhook(app: &App, request: OperationRequest) -> Result<Answer, RequestError> {
    let mut fields = request.fields;
    let user = fields.optional("user_uuid", field::id);
    let output = fields.optional("output", field::output_of_provider).flatten();
    let target = take_target(&mut fields, user, output);
    let status = fields.required("status", field::text);
    let error = fields.optional("error", field::text);
    // Providers add members of their own.
    fields.ignore_rest();
    let (target, status) = fields.into_request(target.zip(status))?;
    process(app, target, Report::new(&status, error.as_deref())?, &request.invocation).await
}

/// The call-back of a provider that sends its own JSON to a URL with a token.
async fn callback(app: &App, request: OperationRequest) -> Result<Answer, RequestError> {
    let mut fields = request.fields;
    let token = fields.required("token", field::text);
    let status = fields.optional("status", field::text).unwrap_or_default();
    let error = fields.optional("error", field::text);
    let token = fields.into_request(token)?;
    let target = open_token(app, &token).await?;
    process(app, target, Report::new(&status, error.as_deref())?, &request.invocation).await
}

/// Seals a token for the call-back of a generation.
async fn mint(app: &App, request: OperationRequest) -> Result<Answer, RequestError> {
    let (mut fields, now) = (request.fields, app.ledger.now());
    let expires_at = fields.optional("exp", field::unix_seconds);
    if expires_at.is_some_and(|expires_at| expires_at <= now) {
        fields.add_problem("exp", "must be in the future");
    }
    let target = take_token_target(fields)?;
    let expires_at = expires_at.unwrap_or(now.plus_millis(TOKEN_MILLIS_DEFAULT));
    let exp = expires_at.millis().div_euclid(1_000);
    let content = serde_json::to_vec(&TokenContent { target, exp })
        .map_err(|error| LedgerError::Internal(error.to_string()))?;
    let token = app.callbacks.seal(&content, now).await?;
    Answer::ok(&MintAnswer { path: format!("{TOKEN_PATH}{token}"), token, exp })
}

/// The target of a token that is sealed and has not expired.
async fn open_token(app: &App, token: &str) -> Result<CallbackTarget, RequestError> {
    let now = app.ledger.now();
    let mut fields = RequestFields::from_json(&app.callbacks.open(token, now).await?)?;
    let expires_at: Option<Timestamp> = fields.required("exp", field::unix_seconds);
    let target = take_token_target(fields)?;
    if expires_at.is_none_or(|expires_at| expires_at <= now) {
        return Err(RequestError::Unauthorized("The call-back token has expired."));
    }
    Ok(target)
}

fn take_token_target(mut fields: RequestFields) -> Result<CallbackTarget, RequestError> {
    let user = fields.required("user_uuid", field::id);
    let output = fields.optional("output", field::output);
    let target = take_target(&mut fields, user, output);
    fields.into_request(target)
}

fn take_target(
    fields: &mut RequestFields,
    user: Option<UserId>,
    output: Option<u8>,
) -> Option<CallbackTarget> {
    let generation = fields.required("generation_uuid", field::id);
    let key = fields.optional("idempotency_key", field::id);
    let trans_no = fields.optional("trans_no", field::trans_no);
    let task_token = fields.optional("task_token", |value| TaskToken::try_from(field::text(value)?));
    Some(CallbackTarget { user, generation: generation?, key, trans_no, task_token, output })
}

/// The report of a provider about a generation.
struct Report {
    status: GenerationStatus,
    /// The reason of the refund of a failed generation.
    reason: Reason,
}

impl Report {
    /// The report of a provider's word and error text.
    fn new(status: &str, error: Option<&str>) -> Result<Report, RequestError> {
        let reason = error.and_then(Reason::truncated).or_else(|| Reason::truncated(NO_REASON));
        let reason =
            reason.ok_or_else(|| LedgerError::Internal("the reason without an error is empty".to_owned()))?;
        Ok(Report { status: GenerationStatus::parse(status), reason })
    }
}

/// Changes the charges before it resumes the execution. If the execution cannot be resumed,
/// the provider sends the call-back again, and the charges do not change.
async fn process(
    app: &App,
    mut target: CallbackTarget,
    report: Report,
    invocation: &Invocation,
) -> Result<Answer, RequestError> {
    let (generation, task_token) = (target.generation.clone(), target.task_token.take());
    invocation_metrics::set_subject(None, Some(&generation));
    let (status, reason) = (report.status, report.reason.clone());
    let changed = match status {
        GenerationStatus::Progress => Ok("ignored"),
        GenerationStatus::Succeeded => complete(app, target, invocation).await,
        GenerationStatus::Failed => refund(app, target, report, invocation).await,
    };
    let outcome = changed.map_err(|error| match error {
        // Providers do not repeat a call-back after a 4xx.
        LedgerError::ChargeNotFound => RequestError::GenerationUnknown,
        error => error.into(),
    })?;
    let result = match status {
        GenerationStatus::Progress => None,
        GenerationStatus::Succeeded => Some(GenerationResult::Succeeded),
        GenerationStatus::Failed => Some(GenerationResult::Failed(&reason)),
    };
    if let (Some(result), Some(token), Some(executions)) = (result, task_token, &app.callbacks.executions) {
        let was_waiting = executions.resume(&token, &generation, result).await?;
        if !was_waiting && status == GenerationStatus::Succeeded {
            // The execution timed out and refunded, or the call-back is a repeat.
            invocation_metrics::record(|metrics| metrics.anomalies.push("success_nobody_waits_for"));
        }
    }
    Answer::ok(&WebhookAnswer::new(&generation, status.name(), outcome))
}

async fn complete(
    app: &App,
    target: CallbackTarget,
    invocation: &Invocation,
) -> Result<&'static str, LedgerError> {
    let CallbackTarget { user, generation, key, trans_no, .. } = target;
    let request = CompletionRequest { user, generation, key, trans_no };
    let result = app.ledger.complete(&request, invocation).await?;
    if result.outcome == CompletionOutcome::LateSuccess && !result.late_credits.is_zero() {
        invocation_metrics::record(|metrics| metrics.anomalies.push("late_success"));
        invocation_metrics::record_late_success(result.late_credits);
    }
    Ok(result.outcome.name())
}

async fn refund(
    app: &App,
    target: CallbackTarget,
    report: Report,
    invocation: &Invocation,
) -> Result<&'static str, LedgerError> {
    let CallbackTarget { user, generation, key, trans_no, output, .. } = target;
    let outputs = output.map(|output| OutputSet::try_from(vec![output])).transpose();
    let outputs = outputs.map_err(|problem| LedgerError::InvalidRequest(format!("`output` {problem}.")))?;
    let (source, reason) = (RefundSource::Callback, report.reason);
    let request = RefundRequest { user, generation, key, trans_no, outputs, source, reason };
    let result = app.ledger.refund(&request, invocation).await?;
    if result.outcome == RefundOutcome::Settled {
        invocation_metrics::record(|metrics| metrics.anomalies.push("failure_after_success"));
    }
    Ok(result.outcome.name())
}
