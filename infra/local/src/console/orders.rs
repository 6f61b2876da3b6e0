//! A paid order: what its sources revoke, and what became of its credits.

use aws_sdk_dynamodb::Client;
use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use scrip::{
    domain::{
        Credits, GrantRecord, Order, OrderNo, Record, RecordKey, RevokeStatement, RevokedAmount,
        StatementKey, UserId, Wallet,
    },
    store::{Store, StoreError, TABLE},
};
use serde_json::{Value, json};

/// An order that was granted to this user.
pub(super) async fn order(client: &Client, user: &UserId, order_no: String) -> Response {
    let Ok(order_no) = OrderNo::try_from(order_no) else { return StatusCode::BAD_REQUEST.into_response() };
    match read(&Store::new(client.clone(), TABLE), user, order_no).await {
        Ok(Some(order)) => Json(order).into_response(),
        Ok(None) => StatusCode::NOT_FOUND.into_response(),
        Err(_) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}

/// The order and its grant are read one after the other. If a write comes between, the console
/// reads them again after it.
async fn read(store: &Store, user: &UserId, order_no: OrderNo) -> Result<Option<Value>, StoreError> {
    let order = store.order(&order_no).await?;
    let Some(order) = order.filter(|order| order.user.as_ref() == Some(user)) else { return Ok(None) };
    let (stored, records) = store.snapshot(user, &[RecordKey::OrderGrant(order_no)]).await?;
    let record = records.into_iter().find_map(|found| found.record);
    let Some(Record::Grant(record)) = record else { return Ok(None) };
    Ok(Some(view(&order, &record, &stored.wallet)))
}

fn view(order: &Order, record: &GrantRecord, wallet: &Wallet) -> Value {
    let (grant, state) = (&record.grant, record.revocation_state());
    let pack = wallet.packs.iter().find(|pack| pack.grant.trans_no == grant.trans_no);
    let remaining = pack.map_or(Credits::ZERO, |pack| pack.remaining);
    let shortfall = wallet.shortfall(grant.trans_no);
    // The other revoked credits came from the pack of the order.
    let elsewhere: Credits = [state.paid(), state.owed, shortfall].into_iter().sum();
    let own = state.total.checked_sub(elsewhere).unwrap_or_default();
    let gone: Credits = [remaining, own].into_iter().sum();
    json!({
        "order_no": grant.order_no,
        "granted": grant.credits,
        "remaining": remaining,
        "spent": grant.credits.checked_sub(gone).unwrap_or_default(),
        "revoked": state.total,
        "paid_by_others": state.paid(),
        "shortfall": shortfall,
        "debt": state.owed,
        "sources": order.statements.iter().map(|stated| source(stated, grant.credits)).collect::<Vec<_>>(),
    })
}

fn source((key, statement): (&StatementKey, &RevokeStatement), granted: Credits) -> Value {
    let (part, of) = match statement.amount {
        RevokedAmount::Share { part, of } => (Some(part), Some(of)),
        RevokedAmount::Credits(_) => (None, None),
    };
    json!({
        "source": key.source,
        "alias": key.alias,
        "credits": statement.amount.of(granted),
        "part": part,
        "of": of,
        "as_of": statement.as_of,
        "reason": statement.reason,
    })
}
