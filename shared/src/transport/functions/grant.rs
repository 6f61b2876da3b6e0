//! The function `grant`: adds packs, and revokes the packs of orders.

use crate::{
    domain::{GrantRequest, GrantType, RevokeRequest, RevokedAmount, ShortfallPolicy},
    invocation_metrics,
    ledger::Ledger,
    transport::{
        Function, RequestError,
        answer::{GrantAnswer, RevokeAnswer},
        field,
        operation::{Access, Operation, OperationRequest, box_future},
        reply::Answer,
        request_fields::RequestFields,
    },
};

/// The function `grant`.
pub const GRANT: Function = Function {
    name: "grant",
    operations: &[
        Operation::post("/credits/grant", Access::Write, |app, request| {
            box_future(|| grant(&app.ledger, request))
        }),
        Operation::post("/credits/orders/{order_no}/revoke", Access::Write, |app, request| {
            box_future(|| revoke(&app.ledger, request))
        })
        .named("revoke"),
    ],
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

async fn revoke(ledger: &Ledger, request: OperationRequest) -> Result<Answer, RequestError> {
    let OperationRequest { fields, invocation, .. } = request;
    let request = parse_revoke(fields)?;
    Answer::ok(&RevokeAnswer::new(&ledger.revoke(&request, &invocation).await?))
}

fn parse_revoke(mut fields: RequestFields) -> Result<RevokeRequest, RequestError> {
    let order_no = fields.required("order_no", field::id);
    let user = fields.optional("user_uuid", field::id);
    let source = fields.required("source", field::id);
    let amount = parse_amount(&mut fields);
    let as_of = fields.required("as_of", field::timestamp);
    let shortfall = fields.optional("shortfall", field::shortfall).unwrap_or(ShortfallPolicy::Keep);
    let reason = fields.required("reason", field::reason);
    let metadata = fields.optional("metadata", field::metadata).unwrap_or_default();
    let request = || {
        Some(RevokeRequest {
            order_no: order_no?,
            user,
            source: source?,
            amount: amount?,
            as_of: as_of?,
            shortfall,
            reason: reason?,
            metadata,
        })
    };
    fields.into_request(request())
}

/// The credits, or a share. A malformed field is one problem, and not a missing one too.
fn parse_amount(fields: &mut RequestFields) -> Option<RevokedAmount> {
    let present = ["credits", "part", "of"].map(|name| fields.has(name));
    let credits = fields.optional("credits", field::cost);
    let part = fields.optional("part", field::share_part);
    let of = fields.optional("of", field::share_part);
    match present {
        [true, false, false] => credits.map(RevokedAmount::Credits),
        [false, true, true] => {
            let (part, of) = (part?, of?);
            if part > of || of == 0 {
                fields.add_problem("part", "must be at most `of`, which must be at least 1");
                return None;
            }
            Some(RevokedAmount::Share { part, of })
        }
        _ => {
            fields.add_problem("credits", "is required, or `part` and `of`, but not both");
            None
        }
    }
}
