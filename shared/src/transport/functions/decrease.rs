//! The function `decrease`: charges.

use crate::{
    domain::ChargeRequest,
    invocation_metrics,
    ledger::Ledger,
    transport::{
        Function, RequestError,
        answer::ChargeAnswer,
        field,
        operation::{Access, Operation, OperationRequest, box_future},
        reply::Answer,
        request_fields::RequestFields,
    },
};

/// The function `decrease`.
pub const DECREASE: Function = Function {
    name: "decrease",
    operations: &[Operation::post("/credits/decrease", Access::Write, |app, request| {
        box_future(|| decrease(&app.ledger, request))
    })],
};

async fn decrease(ledger: &Ledger, request: OperationRequest) -> Result<Answer, RequestError> {
    let OperationRequest { fields, invocation, .. } = request;
    let request = parse(fields)?;
    invocation_metrics::set_subject(Some(&request.user), request.generation.as_ref());
    let outcome = ledger.execute(&request, &invocation).await?;
    if !outcome.replayed && outcome.record.generation.is_none() {
        invocation_metrics::record(|metrics| metrics.anomalies.push("charge_without_generation"));
    }
    Answer::ok(&ChargeAnswer::new(&request.user, &outcome))
}

fn parse(mut fields: RequestFields) -> Result<ChargeRequest, RequestError> {
    let user = fields.required("user_uuid", field::id);
    let trans_type = fields.required("trans_type", field::charge_type);
    let credits = fields.required("credits", field::credits);
    let generation = fields.optional("generation_uuid", field::id);
    let order_no = fields.optional("order_no", field::id);
    if generation.is_none() {
        fields.merge_key_header();
    }
    let key = fields.optional("idempotency_key", field::id);
    let metadata = fields.optional("metadata", field::metadata).unwrap_or_default();
    let request = || {
        Some(ChargeRequest {
            user: user?,
            trans_type: trans_type?,
            credits: credits?,
            generation,
            order_no,
            key,
            metadata,
        })
    };
    fields.into_request(request())
}
