//! The function `balance`: reads of wallets.

use crate::{
    invocation_metrics,
    ledger::Ledger,
    transport::{
        Function, RequestError,
        answer::{BalanceAnswer, UserCreditsAnswer},
        field,
        operation::{Access, Operation, OperationRequest, box_future},
        reply::{Answer, ErrorForm},
    },
};

/// The function `balance`.
pub const BALANCE: Function = Function {
    name: "balance",
    operations: &[
        Operation::get("/credits/{user_uuid}/balance", Access::Read, |app, request| {
            box_future(|| balance(&app.ledger, request))
        }),
        Operation::post("/api/get-user-credits", Access::Read, |app, request| {
            box_future(|| user_credits(&app.ledger, request))
        })
        .with_errors(ErrorForm::CodeAndMessage),
    ],
};

async fn balance(ledger: &Ledger, request: OperationRequest) -> Result<Answer, RequestError> {
    let OperationRequest { caller, mut fields, invocation } = request;
    let user = fields.required("user_uuid", field::id);
    let user = fields.into_request(user)?;
    invocation_metrics::set_subject(Some(&user), None);
    caller.require_read(&user)?;
    let wallet = ledger.wallet(&user, invocation.deadline).await?;
    Answer::ok(&BalanceAnswer::new(&user, &wallet, ledger.now()))
}

/// The route `POST /api/get-user-credits`.
async fn user_credits(ledger: &Ledger, request: OperationRequest) -> Result<Answer, RequestError> {
    let OperationRequest { caller, mut fields, invocation } = request;
    let user = match caller.subject() {
        Some(subject) => fields.optional("user_uuid", field::id).or_else(|| Some(subject.clone())),
        None => fields.required("user_uuid", field::id),
    };
    let user = fields.into_request(user)?;
    invocation_metrics::set_subject(Some(&user), None);
    caller.require_read(&user)?;
    let wallet = ledger.wallet(&user, invocation.deadline).await?;
    Answer::ok(&UserCreditsAnswer::new(&wallet, ledger.now()))
}
