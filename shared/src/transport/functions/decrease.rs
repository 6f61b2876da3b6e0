use crate::{
    domain::ChargeRequest,
    ledger::Ledger,
    meter,
    transport::{
        Function, RequestError, Route,
        answer::ChargeAnswer,
        field,
        form::Form,
        function::{Call, Operation, boxed},
        reply::Answer,
    },
};

/// Charges.
pub const DECREASE: Function = Function {
    name: "decrease",
    operations: &[Operation::writing(Route::DECREASE, |app, call| boxed(|| decrease(&app.ledger, call)))
        .with_key_header()],
};

async fn decrease(ledger: &Ledger, call: Call) -> Result<Answer, RequestError> {
    let request = read(call.form)?;
    meter::about(Some(&request.user), request.generation.as_ref());
    let posted = ledger.execute(&request, &call.invocation).await?;
    if !posted.replayed && posted.record.generation.is_none() {
        meter::note(|notes| notes.anomalies.push("charge_without_generation"));
    }
    Answer::ok(&ChargeAnswer::new(&request.user, &posted))
}

fn read(mut form: Form) -> Result<ChargeRequest, RequestError> {
    let user = form.required("user_uuid", field::id);
    let trans_type = form.required("trans_type", field::charge_type);
    let credits = form.required("credits", field::credits);
    let generation = form.optional("generation_uuid", field::id);
    let order_no = form.optional("order_no", field::id);
    let key = form.optional("idempotency_key", field::id);
    let request = || {
        Some(ChargeRequest {
            user: user?,
            trans_type: trans_type?,
            credits: credits?,
            generation,
            order_no,
            key,
        })
    };
    form.finish(request())
}
