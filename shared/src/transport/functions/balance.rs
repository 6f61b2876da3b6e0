use crate::{
    ledger::Ledger,
    meter,
    transport::{
        Function, RequestError, Route,
        answer::{BalanceAnswer, UserCreditsAnswer},
        field,
        function::{Call, Operation, boxed},
        reply::{Answer, ErrorForm},
    },
};

/// Tells balances.
pub const BALANCE: Function = Function {
    name: "balance",
    operations: &[
        Operation::reading(Route::BALANCE, |app, call| boxed(|| balance(&app.ledger, call))),
        Operation::reading(Route::USER_CREDITS, |app, call| boxed(|| user_credits(&app.ledger, call)))
            .with_errors(ErrorForm::CodeAndMessage),
    ],
};

async fn balance(ledger: &Ledger, mut call: Call) -> Result<Answer, RequestError> {
    let user = call.form.required("user_uuid", field::id);
    let user = call.form.finish(user)?;
    meter::about(Some(&user), None);
    call.caller.may_read(&user)?;
    let wallet = ledger.wallet(&user, call.invocation.deadline).await?;
    Answer::ok(&BalanceAnswer::new(&user, &wallet, ledger.now()))
}

/// The old front end's call.
async fn user_credits(ledger: &Ledger, mut call: Call) -> Result<Answer, RequestError> {
    let user = match call.caller.subject() {
        Some(subject) => call.form.optional("user_uuid", field::id).or_else(|| Some(subject.clone())),
        None => call.form.required("user_uuid", field::id),
    };
    let user = call.form.finish(user)?;
    meter::about(Some(&user), None);
    call.caller.may_read(&user)?;
    let wallet = ledger.wallet(&user, call.invocation.deadline).await?;
    Answer::ok(&UserCreditsAnswer::new(&wallet, ledger.now()))
}
