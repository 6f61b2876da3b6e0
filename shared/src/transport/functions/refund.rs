//! The function `refund`: voids charges.

use crate::{
    domain::{RefundRequest, RefundSource},
    invocation_metrics,
    ledger::Ledger,
    transport::{
        Function, RequestError,
        answer::RefundAnswer,
        field,
        operation::{Access, Operation, OperationRequest, box_future},
        reply::Answer,
        request_fields::RequestFields,
    },
};

/// The function `refund`.
pub const REFUND: Function = Function {
    name: "refund",
    operations: &[Operation::post("/credits/refund", Access::Write, |app, request| {
        box_future(|| refund(&app.ledger, request))
    })],
};

async fn refund(ledger: &Ledger, request: OperationRequest) -> Result<Answer, RequestError> {
    let OperationRequest { fields, invocation, .. } = request;
    let request = parse(fields)?;
    invocation_metrics::set_subject(request.user.as_ref(), Some(&request.generation));
    let result = ledger.refund(&request, &invocation).await?;
    Answer::ok(&RefundAnswer::new(&request.generation, &result)?)
}

fn parse(mut fields: RequestFields) -> Result<RefundRequest, RequestError> {
    let user = fields.optional("user_uuid", field::id);
    let generation = fields.required("generation_uuid", field::id);
    let reason = fields.required("reason", field::reason);
    let key = fields.optional("idempotency_key", field::id);
    let trans_no = fields.optional("trans_no", field::trans_no);
    let outputs = fields.optional("outputs", field::output_set);
    let source = RefundSource::Caller;
    let request = || {
        let (generation, reason) = (generation?, reason?);
        Some(RefundRequest { user, generation, key, trans_no, outputs, source, reason })
    };
    fields.into_request(request())
}
