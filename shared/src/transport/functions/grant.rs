use crate::{
    domain::{GrantRequest, GrantType},
    ledger::Ledger,
    meter,
    transport::{
        Function, RequestError, Route,
        answer::GrantAnswer,
        field,
        form::Form,
        function::{Call, Operation, boxed},
        reply::Answer,
    },
};

/// Adds packs.
pub const GRANT: Function = Function {
    name: "grant",
    operations: &[
        Operation::writing(Route::GRANT, |app, call| boxed(|| grant(&app.ledger, call))).with_key_header()
    ],
};

async fn grant(ledger: &Ledger, call: Call) -> Result<Answer, RequestError> {
    let request = read(call.form)?;
    meter::about(Some(&request.user), None);
    let posted = ledger.execute(&request, &call.invocation).await?;
    Answer::with(if posted.replayed { 200 } else { 201 }, &GrantAnswer::new(&request.user, &posted))
}

fn read(mut form: Form) -> Result<GrantRequest, RequestError> {
    let user = form.required("user_uuid", field::id);
    let trans_type = form.required("trans_type", field::grant_type);
    let credits = form.required("credits", field::credits);
    let order_no = if trans_type == Some(GrantType::OrderPay) {
        form.required("order_no", field::id)
    } else {
        form.optional("order_no", field::id)
    };
    let expired_at = form.optional("expired_at", field::timestamp);
    let key = form.optional("idempotency_key", field::id);
    let request = || {
        Some(GrantRequest {
            user: user?,
            trans_type: trans_type?,
            credits: credits?,
            order_no,
            expired_at,
            key,
        })
    };
    form.finish(request())
}
