use crate::{
    domain::RefundRequest,
    ledger::Ledger,
    meter,
    transport::{
        Function, RequestError, Route,
        answer::RefundAnswer,
        field,
        form::Form,
        function::{Call, Operation, boxed},
        reply::Answer,
    },
};

/// Voids charges.
pub const REFUND: Function = Function {
    name: "refund",
    operations: &[Operation::writing(Route::REFUND, |app, call| boxed(|| refund(&app.ledger, call)))],
};

async fn refund(ledger: &Ledger, call: Call) -> Result<Answer, RequestError> {
    let request = read(call.form)?;
    meter::about(request.user.as_ref(), Some(&request.generation));
    let refunded = ledger.refund(&request, &call.invocation).await?;
    Answer::ok(&RefundAnswer::new(&request.generation, &refunded)?)
}

fn read(mut form: Form) -> Result<RefundRequest, RequestError> {
    let user = form.optional("user_uuid", field::id);
    let generation = form.required("generation_uuid", field::id);
    let reason = form.required("reason", field::reason);
    let key = form.optional("idempotency_key", field::id);
    let request = || Some(RefundRequest { user, generation: generation?, key, reason: reason? });
    form.finish(request())
}
