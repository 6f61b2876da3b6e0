//! The function `history`: timelines, summaries and the charges of a generation.

use crate::{
    domain::{GenerationId, TransNo},
    invocation_metrics,
    ledger::{Ledger, SummaryRange, TimelineRequest},
    transport::{
        Function, RequestError,
        answer::{GenerationAnswer, SummaryAnswer, TimelineAnswer},
        cursor::Cursors,
        field,
        operation::{Access, Operation, OperationRequest, box_future},
        reply::Answer,
    },
};

/// The function `history`.
pub const HISTORY: Function = Function {
    name: "history",
    operations: &[
        Operation::get("/credits/{user_uuid}/timeline", Access::Read, |app, request| {
            box_future(|| timeline(&app.ledger, request))
        })
        .named("timeline"),
        Operation::get("/credits/{user_uuid}/summary", Access::Read, |app, request| {
            box_future(|| summary(&app.ledger, request))
        })
        .named("summary"),
        Operation::get("/generations/{generation_uuid}", Access::Read, |app, request| {
            box_future(|| generation(&app.ledger, request))
        })
        .named("generation"),
    ],
};

async fn timeline(ledger: &Ledger, request: OperationRequest) -> Result<Answer, RequestError> {
    let OperationRequest { caller, mut fields, invocation } = request;
    let deadline = invocation.deadline;
    let user = fields.required("user_uuid", field::id);
    let limit = fields.optional("limit", field::limit).unwrap_or(field::LIMIT_DEFAULT);
    let include_voided = fields.optional("include_voided", field::boolean).unwrap_or(false);
    let cursors = user.as_ref().map(|user| {
        let filter = if include_voided { "all" } else { "live" };
        Cursors::of(&["timeline", user.as_str(), filter])
    });
    let before = fields.optional("cursor", |value| parse_cursor(cursors.as_ref(), value));
    let request =
        fields.into_request(user.map(|user| TimelineRequest { user, limit, before, include_voided }))?;
    invocation_metrics::set_subject(Some(&request.user), None);
    caller.require_read(&request.user)?;
    let page = ledger.timeline(&request, deadline).await?;
    let cursor = page.next.and_then(|before| cursors.map(|cursors| cursors.write(before)));
    Answer::ok(&TimelineAnswer::new(&request.user, &page.records, cursor))
}

async fn summary(ledger: &Ledger, request: OperationRequest) -> Result<Answer, RequestError> {
    let OperationRequest { caller, mut fields, invocation } = request;
    let deadline = invocation.deadline;
    let user = fields.required("user_uuid", field::id);
    let from = fields.optional("from", field::timestamp);
    let to = fields.optional("to", field::timestamp);
    if from.zip(to).is_some_and(|(from, to)| from >= to) {
        fields.add_problem("from", "must be before `to`");
    }
    let user = fields.into_request(user)?;
    invocation_metrics::set_subject(Some(&user), None);
    caller.require_read(&user)?;
    let range = from.or(to).map(|_| SummaryRange { from, to });
    let (summary, wallet) = ledger.summary(&user, range, deadline).await?;
    Answer::ok(&SummaryAnswer::new(&user, &summary, &wallet, ledger.now()))
}

async fn generation(ledger: &Ledger, request: OperationRequest) -> Result<Answer, RequestError> {
    let OperationRequest { caller, mut fields, invocation } = request;
    let deadline = invocation.deadline;
    let generation = fields.required("generation_uuid", field::id);
    let limit = fields.optional("limit", field::limit).unwrap_or(field::LIMIT_DEFAULT);
    let user = caller.readable_user()?;
    let cursors = generation.as_ref().map(|generation: &GenerationId| {
        Cursors::of(&["generation", generation.as_str(), user.map_or("", |user| user.as_str())])
    });
    let before = fields.optional("cursor", |value| parse_cursor(cursors.as_ref(), value));
    let generation = fields.into_request(generation)?;
    invocation_metrics::set_subject(None, Some(&generation));
    let (user, page) = ledger.generation(&generation, user, before, limit, deadline).await?;
    let cursor = page.next.and_then(|before| cursors.map(|cursors| cursors.write(before)));
    Answer::ok(&GenerationAnswer::new(&generation, &user, &page.records, cursor))
}

/// Parses a cursor. There are no cursors if the query itself is invalid.
fn parse_cursor(cursors: Option<&Cursors>, value: &serde_json::Value) -> Result<TransNo, &'static str> {
    cursors.map_or(Err("is not a cursor of a valid query"), |cursors| cursors.read(value))
}
