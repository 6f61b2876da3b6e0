use crate::{
    domain::{GenerationUuid, TransNo},
    ledger::{Ledger, SummaryRange, TimelineRequest},
    meter,
    transport::{
        Function, RequestError, Route,
        answer::{GenerationAnswer, SummaryAnswer, TimelineAnswer},
        cursor::Cursors,
        field,
        function::{Call, Operation, boxed},
        reply::Answer,
    },
};

/// Tells what happened.
pub const HISTORY: Function = Function {
    name: "history",
    operations: &[
        Operation::reading(Route::TIMELINE, |app, call| boxed(|| timeline(&app.ledger, call)))
            .named("timeline"),
        Operation::reading(Route::SUMMARY, |app, call| boxed(|| summary(&app.ledger, call))).named("summary"),
        Operation::reading(Route::GENERATION, |app, call| boxed(|| generation(&app.ledger, call)))
            .named("generation"),
    ],
};

async fn timeline(ledger: &Ledger, call: Call) -> Result<Answer, RequestError> {
    let Call { caller, mut form, invocation } = call;
    let deadline = invocation.deadline;
    let user = form.required("user_uuid", field::id);
    let limit = form.optional("limit", field::limit).unwrap_or(field::LIMIT_DEFAULT);
    let include_voided = form.optional("include_voided", field::boolean).unwrap_or(false);
    let cursors = user.as_ref().map(|user| {
        let shown = if include_voided { "all" } else { "live" };
        Cursors::of(&["timeline", user.as_str(), shown])
    });
    let before = form.optional("cursor", |value| read_cursor(cursors.as_ref(), value));
    let request = form.finish(user.map(|user| TimelineRequest { user, limit, before, include_voided }))?;
    meter::about(Some(&request.user), None);
    caller.may_read(&request.user)?;
    let page = ledger.timeline(&request, deadline).await?;
    let cursor = page.next.and_then(|before| cursors.map(|cursors| cursors.write(before)));
    Answer::ok(&TimelineAnswer::new(&request.user, &page.records, cursor))
}

async fn summary(ledger: &Ledger, call: Call) -> Result<Answer, RequestError> {
    let Call { caller, mut form, invocation } = call;
    let deadline = invocation.deadline;
    let user = form.required("user_uuid", field::id);
    let from = form.optional("from", field::timestamp);
    let to = form.optional("to", field::timestamp);
    if from.zip(to).is_some_and(|(from, to)| from >= to) {
        form.refuse("from", "must be before to");
    }
    let user = form.finish(user)?;
    meter::about(Some(&user), None);
    caller.may_read(&user)?;
    let range = from.or(to).map(|_| SummaryRange { from, to });
    let (summary, wallet) = ledger.summary(&user, range, deadline).await?;
    Answer::ok(&SummaryAnswer::new(&user, &summary, wallet.balance(ledger.now())))
}

async fn generation(ledger: &Ledger, call: Call) -> Result<Answer, RequestError> {
    let Call { caller, mut form, invocation } = call;
    let deadline = invocation.deadline;
    let generation = form.required("generation_uuid", field::id);
    let limit = form.optional("limit", field::limit).unwrap_or(field::LIMIT_DEFAULT);
    let user = caller.confined_to()?;
    let cursors = generation.as_ref().map(|generation: &GenerationUuid| {
        Cursors::of(&["generation", generation.as_str(), user.map_or("", |user| user.as_str())])
    });
    let before = form.optional("cursor", |value| read_cursor(cursors.as_ref(), value));
    let generation = form.finish(generation)?;
    meter::about(None, Some(&generation));
    let (user, page) = ledger.generation(&generation, user, before, limit, deadline).await?;
    let cursor = page.next.and_then(|before| cursors.map(|cursors| cursors.write(before)));
    Answer::ok(&GenerationAnswer::new(&generation, &user, &page.records, cursor))
}

/// A cursor, unless what it must belong to is itself out of form.
fn read_cursor(cursors: Option<&Cursors>, value: &serde_json::Value) -> Result<TransNo, &'static str> {
    cursors.map_or(Err("belongs to no valid query"), |cursors| cursors.read(value))
}
