//! The items of the table as DynamoDB stores them.

use std::collections::HashMap;

use aws_sdk_dynamodb::{
    Client,
    types::{AttributeValue, ReturnConsumedCapacity},
};
use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use base64::{Engine, prelude::BASE64_STANDARD};
use scrip::{
    domain::UserId,
    store::{ScanSegment, TABLE},
};
use serde_json::{Map, Value, json};

use crate::{cost::SERVER_TIMING, http_api::HttpApi};

/// The items on a page.
const PAGE: i32 = 50;
/// The users in the list at most.
const USERS_MAX: usize = 50;
/// The time limit of the scan for them: the first users of a large table are enough.
const LOOK_MILLIS: i64 = 1_000;

/// Some users with items. None if callers need a token, because a token is checked for one
/// user at a time.
pub(super) async fn users(api: &HttpApi) -> Response {
    let mut found = Vec::new();
    if !api.demands_tokens() {
        let ledger = &api.app.ledger;
        let deadline = ledger.now().plus_millis(LOOK_MILLIS);
        let mut users = ledger.users(ScanSegment::WHOLE, None);
        while found.len() < USERS_MAX
            && let Ok(Some(user)) = users.next(deadline).await
        {
            found.push(user);
        }
    }
    Json(found).into_response()
}

/// A page of a user's items, the wallet first, that begins after a sort key.
pub(super) async fn page(client: &Client, user: &UserId, after: Option<String>) -> Response {
    let text = |text: &str| AttributeValue::S(text.to_owned());
    let key = after.map(|sort| {
        HashMap::from([("user_uuid".to_owned(), text(user.as_str())), ("sk".to_owned(), text(&sort))])
    });
    let query = client
        .query()
        .table_name(TABLE)
        .key_condition_expression("user_uuid = :user")
        .expression_attribute_values(":user", text(user.as_str()))
        .scan_index_forward(false)
        .consistent_read(true)
        .limit(PAGE)
        .return_consumed_capacity(ReturnConsumedCapacity::Total)
        .set_exclusive_start_key(key)
        .send();
    let Ok(answer) = query.await else {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    };
    let next = answer.last_evaluated_key().and_then(|key| key["sk"].as_s().ok());
    let items: Vec<_> = answer.items().iter().map(attributes).collect();
    let units = answer.consumed_capacity().and_then(|consumed| consumed.capacity_units()).unwrap_or_default();
    let cost = format!("round_trips;desc=\"1\", read_units;desc=\"{units}\"");
    ([(SERVER_TIMING, cost)], Json(json!({ "items": items, "next": next }))).into_response()
}

/// In DynamoDB's own JSON.
fn attributes(of: &HashMap<String, AttributeValue>) -> Map<String, Value> {
    of.iter().map(|(name, value)| (name.clone(), attribute(value))).collect()
}

fn attribute(value: &AttributeValue) -> Value {
    use AttributeValue::{B, Bool, Bs, L, M, N, Ns, Null, S, Ss};
    let binary = |blob: &aws_sdk_dynamodb::primitives::Blob| BASE64_STANDARD.encode(blob.as_ref());
    match value {
        S(text) => json!({ "S": text }),
        N(number) => json!({ "N": number }),
        Bool(truth) => json!({ "BOOL": truth }),
        Null(truth) => json!({ "NULL": truth }),
        L(list) => json!({ "L": list.iter().map(attribute).collect::<Vec<_>>() }),
        M(map) => json!({ "M": attributes(map) }),
        Ss(texts) => json!({ "SS": texts }),
        Ns(numbers) => json!({ "NS": numbers }),
        B(blob) => json!({ "B": binary(blob) }),
        Bs(blobs) => json!({ "BS": blobs.iter().map(binary).collect::<Vec<_>>() }),
        other => json!({ "?": format!("{other:?}") }),
    }
}
