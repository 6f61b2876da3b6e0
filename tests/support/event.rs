//! Events as Lambda and API Gateway make them.

use std::sync::Arc;

use base64::{Engine, prelude::BASE64_STANDARD};
use lambda_runtime::{Context, LambdaEvent};
use scrip::{
    domain::Timestamp,
    transport::{
        App, Failure, Function, Reply,
        functions::{BALANCE, DECREASE, GRANT, HISTORY, REFUND},
    },
};
use serde_json::{Value, json, value::RawValue};

/// Every function with a route.
pub const FUNCTIONS: [Function; 5] = [GRANT, DECREASE, REFUND, BALANCE, HISTORY];

/// The function whose route this is, or the default one.
pub fn function_at(method: &str, path: &str) -> Function {
    FUNCTIONS.into_iter().find(|function| function.serves(method, path)).unwrap_or(BALANCE)
}

/// Hands a payload to a function as Lambda does.
pub async fn invoke(
    app: &Arc<App>,
    function: Function,
    payload: String,
    deadline: Timestamp,
) -> Result<Reply, Failure> {
    let mut context = Context::default();
    context.request_id = "request-1".to_owned();
    context.deadline = deadline.millis().unsigned_abs();
    let payload = RawValue::from_string(payload).expect("JSON");
    function.handle(app.clone(), LambdaEvent::new(payload, context)).await
}

/// The event that API Gateway makes of a request.
pub fn http_event(method: &str, url: &str, body: Vec<u8>, claims: Option<Value>, headers: &Value) -> Value {
    let (path, query) = url.split_once('?').unwrap_or((url, ""));
    let (body, is_base64) = match String::from_utf8(body) {
        Ok(body) => (body, false),
        Err(error) => (BASE64_STANDARD.encode(error.into_bytes()), true),
    };
    json!({
        "version": "2.0", "rawPath": path, "rawQueryString": query, "headers": headers, "body": body,
        "isBase64Encoded": is_base64,
        "requestContext": {
            "http": { "method": method, "path": path }, "requestId": "request-2", "stage": "$default",
            "authorizer": claims.map(|claims| json!({ "jwt": { "claims": claims, "scopes": null } })),
        },
    })
}
