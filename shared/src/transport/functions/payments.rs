//! The function `payments`: the events of Stripe.

use crate::{
    domain::OrderNo,
    invocation_metrics,
    ledger::{Invocation, Ledger},
    payments::{OrderAlias, PaymentAction, PaymentGrant},
    transport::{
        App, Function, RequestError,
        answer::PaymentAnswer,
        event::HttpRequest,
        operation::{Access, BodyForm, Operation, OperationRequest, box_future},
        reply::Answer,
    },
};

/// The function `payments`.
pub const PAYMENTS: Function = Function {
    name: "payments",
    operations: &[Operation::post(
        "/webhooks/stripe",
        Access::Signed(|app, request, _| Box::pin(verify(app, request))),
        |app, request| box_future(|| payment(app, request)),
    )
    .with_payment_event()],
};

async fn verify(app: &App, request: &HttpRequest) -> Result<(), RequestError> {
    let body = request.body(BodyForm::PaymentEvent)?;
    Ok(app.payments.verify(request.stripe_signature(), &body, app.ledger.now()).await?)
}

/// Applies an event whose signature is valid. Stripe repeats it after an error, and a permanent
/// one needs an operator: the money was paid, and no credits were granted.
async fn payment(app: &App, request: OperationRequest) -> Result<Answer, RequestError> {
    let OperationRequest { fields, invocation, .. } = request;
    let result = match PaymentAction::of_event(&fields.into_event()) {
        Ok(action) => apply(&app.ledger, action, &invocation).await,
        Err(error) => Err(error.into()),
    };
    if result.as_ref().is_err_and(|error| !error.kind().can_retry) {
        invocation_metrics::record(|metrics| metrics.anomalies.push("unusable_payment"));
    }
    let (outcome, order_no) = result?;
    invocation_metrics::record(|metrics| metrics.payment = Some(outcome));
    Answer::ok(&PaymentAnswer::new(outcome, order_no.as_ref()))
}

/// Applies an action. Returns its outcome and its order.
async fn apply(
    ledger: &Ledger,
    action: PaymentAction,
    invocation: &Invocation,
) -> Result<(&'static str, Option<OrderNo>), RequestError> {
    match action {
        PaymentAction::Grant(grant) => Ok((pay(ledger, &grant, invocation).await?, Some(grant.order_no))),
        PaymentAction::Revoke(request) => {
            let result = ledger.revoke(&request, invocation).await?;
            Ok((result.outcome.name(), Some(result.order_no)))
        }
        PaymentAction::Alias(OrderAlias { alias, order_no }) => {
            let outcome = ledger.add_alias(&alias, &order_no, invocation).await?;
            Ok((outcome.name(), Some(order_no)))
        }
        PaymentAction::Ignored => Ok(("ignored", None)),
    }
}

/// Adds the alias after the grant, so that a rejected payment writes nothing. A refund that came
/// first under the alias then reduces the grant.
async fn pay(
    ledger: &Ledger,
    grant: &PaymentGrant,
    invocation: &Invocation,
) -> Result<&'static str, RequestError> {
    let PaymentGrant { order_no, request, alias } = grant;
    invocation_metrics::set_subject(Some(&request.user), None);
    let outcome = ledger.execute(request, invocation).await?;
    if let Some(alias) = alias {
        ledger.add_alias(alias, order_no, invocation).await?;
    }
    Ok(if outcome.replayed { "replayed" } else { "granted" })
}
