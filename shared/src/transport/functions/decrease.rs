//! The function `decrease`: charges, and their settlement.

use crate::{
    domain::{ChargeRequest, Overage, SettleRequest},
    invocation_metrics,
    ledger::Ledger,
    transport::{
        Function, RequestError,
        answer::{ChargeAnswer, SettleAnswer},
        field,
        operation::{Access, Operation, OperationRequest, box_future},
        reply::Answer,
        request_fields::RequestFields,
    },
};

/// The function `decrease`.
pub const DECREASE: Function = Function {
    name: "decrease",
    operations: &[
        Operation::post("/credits/decrease", Access::Write, |app, request| {
            box_future(|| decrease(&app.ledger, request))
        }),
        Operation::post("/credits/settle", Access::Write, |app, request| {
            box_future(|| settle(&app.ledger, request))
        })
        .named("settle"),
    ],
};

async fn decrease(ledger: &Ledger, request: OperationRequest) -> Result<Answer, RequestError> {
    let OperationRequest { fields, invocation, .. } = request;
    let request = parse_decrease(fields)?;
    invocation_metrics::set_subject(Some(&request.user), request.generation.as_ref());
    let outcome = ledger.execute(&request, &invocation).await?;
    if !outcome.replayed && outcome.record.generation.is_none() {
        invocation_metrics::record(|metrics| metrics.anomalies.push("charge_without_generation"));
    }
    Answer::ok(&ChargeAnswer::new(&request.user, &outcome))
}

fn parse_decrease(mut fields: RequestFields) -> Result<ChargeRequest, RequestError> {
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
    let outputs = fields.optional("outputs", field::outputs);
    let hold_millis = fields.optional("hold_seconds", field::hold_seconds);
    if generation.is_none() && (outputs.is_some() || hold_millis.is_some()) {
        fields.add_problem("generation_uuid", "is required with `outputs` and with `hold_seconds`");
    }
    let request = || {
        Some(ChargeRequest {
            user: user?,
            trans_type: trans_type?,
            credits: credits?,
            generation,
            order_no,
            key,
            metadata,
            outputs,
            hold_millis,
        })
    };
    fields.into_request(request())
}

async fn settle(ledger: &Ledger, request: OperationRequest) -> Result<Answer, RequestError> {
    let OperationRequest { fields, invocation, .. } = request;
    let request = parse_settle(fields)?;
    invocation_metrics::set_subject(Some(&request.user), Some(&request.generation));
    let result = ledger.execute(&request, &invocation).await?;
    Answer::ok(&SettleAnswer::new(&request.user, &result))
}

fn parse_settle(mut fields: RequestFields) -> Result<SettleRequest, RequestError> {
    let user = fields.required("user_uuid", field::id);
    let generation = fields.required("generation_uuid", field::id);
    let key = fields.optional("idempotency_key", field::id);
    let credits = fields.required("credits", field::cost);
    let policy = fields.optional("overage", field::text);
    let limit = fields.optional("debt_limit", field::cost);
    let overage = match policy.as_deref() {
        None | Some("refuse") => Some(Overage::Refuse),
        Some("available") => Some(Overage::Available),
        Some("debt") => Some(Overage::Debt { limit }),
        Some(_) => None,
    };
    if overage.is_none() {
        fields.add_problem("overage", "must be `refuse`, `available` or `debt`");
    }
    if limit.is_some() && !matches!(overage, Some(Overage::Debt { .. })) {
        fields.add_problem("debt_limit", "must be absent unless `overage` is `debt`");
    }
    let request = || {
        Some(SettleRequest {
            user: user?,
            generation: generation?,
            key,
            credits: credits?,
            overage: overage?,
        })
    };
    fields.into_request(request())
}
