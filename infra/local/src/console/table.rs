//! The table as DynamoDB stores it: users and items.

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

use crate::{http_api::HttpApi, server_timing::SERVER_TIMING};

/// Items on a page.
const PAGE_SIZE: i32 = 50;
/// Maximum length of the list of users.
const USERS_MAX: usize = 50;
/// Time limit of the scan for users, in milliseconds: the first users of a large table are enough.
const SCAN_MILLIS: i64 = 1_000;

/// Some users that have items. Empty if callers need a token, because a token is checked for one
/// user at a time.
pub(super) async fn users(api: &HttpApi) -> Response {
    let mut listed = Vec::new();
    if !api.requires_token() {
        let ledger = &api.app.ledger;
        let deadline = ledger.now().plus_millis(SCAN_MILLIS);
        let mut users = ledger.users(ScanSegment::WHOLE, None);
        while listed.len() < USERS_MAX
            && let Ok(Some(user)) = users.next(deadline).await
        {
            listed.push(user);
        }
    }
    Json(listed).into_response()
}

/// A page of a user's items, the wallet first, after the sort key `after`.
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
        .limit(PAGE_SIZE)
        .return_consumed_capacity(ReturnConsumedCapacity::Total)
        .set_exclusive_start_key(key)
        .send();
    let Ok(output) = query.await else {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    };
    let next = output.last_evaluated_key().and_then(|key| key["sk"].as_s().ok());
    let items: Vec<_> = output.items().iter().map(attributes).collect();
    let units = output.consumed_capacity().and_then(|consumed| consumed.capacity_units()).unwrap_or_default();
    let timing = format!("round_trips;desc=\"1\", read_units;desc=\"{units}\"");
    ([(SERVER_TIMING, timing)], Json(json!({ "items": items, "next": next }))).into_response()
}

/// An item in the JSON form of the DynamoDB API.
fn attributes(item: &HashMap<String, AttributeValue>) -> Map<String, Value> {
    item.iter().map(|(name, value)| (name.clone(), attribute(value))).collect()
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
