//! The function `grant`: adds packs.

use crate::{
    domain::{GrantRequest, GrantType},
    invocation_metrics,
    ledger::Ledger,
    transport::{
        Function, RequestError,
        answer::GrantAnswer,
        field,
        operation::{Access, Operation, OperationRequest, box_future},
        reply::Answer,
        request_fields::RequestFields,
    },
};

/// The function `grant`.
pub const GRANT: Function = Function {
    name: "grant",
    operations: &[Operation::post("/credits/grant", Access::Write, |app, request| {
        box_future(|| grant(&app.ledger, request))
    })],
};

async fn grant(ledger: &Ledger, request: OperationRequest) -> Result<Answer, RequestError> {
    let OperationRequest { fields, invocation, .. } = request;
    let request = parse(fields)?;
    invocation_metrics::set_subject(Some(&request.user), None);
    let outcome = ledger.execute(&request, &invocation).await?;
    if !outcome.replayed && request.identity().is_none() {
        invocation_metrics::record(|metrics| metrics.anomalies.push("grant_without_key"));
    }
    Answer::with(if outcome.replayed { 200 } else { 201 }, &GrantAnswer::new(&request.user, &outcome))
}

fn parse(mut fields: RequestFields) -> Result<GrantRequest, RequestError> {
    let user = fields.required("user_uuid", field::id);
    let trans_type = fields.required("trans_type", field::grant_type);
    let credits = fields.required("credits", field::credits);
    let order_no = if trans_type == Some(GrantType::OrderPay) {
        fields.required("order_no", field::id)
    } else {
        fields.optional("order_no", field::id)
    };
    let expired_at = fields.optional("expired_at", field::timestamp);
    if trans_type == Some(GrantType::SystemAdd) {
        fields.merge_key_header();
    }
    let key = fields.optional("idempotency_key", field::id);
    let metadata = fields.optional("metadata", field::metadata).unwrap_or_default();
    let request = || {
        Some(GrantRequest {
            user: user?,
            trans_type: trans_type?,
            credits: credits?,
            order_no,
            expired_at,
            key,
            metadata,
        })
    };
    fields.into_request(request())
}
