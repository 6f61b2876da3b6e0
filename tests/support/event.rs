//! Events as Lambda and API Gateway create them.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use base64::{
    Engine,
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD},
};
use hmac::{Hmac, KeyInit, Mac};
use lambda_runtime::{Context, LambdaEvent};
use scrip::{
    callback::{Callbacks, Secret, SecretForm, Secrets},
    domain::Timestamp,
    payments::Payments,
    transport::{
        App, Failure, Function, Payload, Reply,
        functions::{BALANCE, FUNCTIONS},
    },
};
use serde_json::{Value, json, value::RawValue};
use sha2::Sha256;

/// The function of this route; `balance` for other routes, because it serves the default route.
pub fn function_at(method: &str, path: &str) -> Function {
    FUNCTIONS.into_iter().find(|function| function.route_at(method, path).is_some()).unwrap_or(BALANCE)
}

/// Invokes a function with a payload.
pub async fn invoke(
    app: &Arc<App>,
    function: Function,
    payload: String,
    deadline: Timestamp,
) -> Result<Reply, Failure> {
    function.handle(app, direct_event(payload, deadline)).await
}

/// Invokes a function under this request id: Lambda may deliver an event more than once.
pub async fn deliver(
    app: &Arc<App>,
    function: Function,
    payload: String,
    deadline: Timestamp,
    request_id: &str,
) -> Result<Reply, Failure> {
    let mut event = direct_event(payload, deadline);
    event.context.request_id = request_id.to_owned();
    function.handle(app, event).await
}

/// Number of the next event, whose request id contains it.
static NEXT_REQUEST: AtomicU64 = AtomicU64::new(1);

/// The event of a payload.
pub fn direct_event(payload: String, deadline: Timestamp) -> LambdaEvent<Payload> {
    let mut context = Context::default();
    context.request_id = format!("request-{}", NEXT_REQUEST.fetch_add(1, Ordering::Relaxed));
    context.deadline = deadline.millis().unsigned_abs();
    LambdaEvent::new(RawValue::from_string(payload).expect("JSON"), context)
}

/// Secret of the tests' providers. No response may contain it.
pub const WEBHOOK_SECRET: &str = "planted-webhook-secret";

/// Call-backs that are signed with this secret, without waiting executions.
pub fn callbacks_signed_with(secret: &str) -> Callbacks {
    Callbacks::signed_with(Secrets::fixed(vec![Secret::try_from(secret).expect("a secret")]))
}

/// Secret of the tests' payment provider. No response may contain it.
pub const STRIPE_SECRET: &str = "whsec_planted-stripe-secret";

/// Payment events that are signed with these secrets.
pub fn payments_signed_with(secrets: &str) -> Payments {
    Payments::signed_with(Secrets::fixed(Secret::list(secrets, SecretForm::Stripe).expect("secrets")))
}

/// The `X-Signature` or `Stripe-Signature` of a body with this secret.
pub fn signature(secret: &str, at: Timestamp, body: &[u8]) -> String {
    let seconds = at.millis() / 1_000;
    let digest = hmac(secret.as_bytes(), &[format!("{seconds}.").as_bytes(), body]);
    format!("t={seconds},v1={}", hex::encode(digest))
}

/// The headers of Standard Webhooks for a body, signed with this key.
pub fn standard_signature(key: &[u8], id: &str, at: Timestamp, body: &[u8]) -> Value {
    let seconds = (at.millis() / 1_000).to_string();
    let digest = hmac(key, &[format!("{id}.{seconds}.").as_bytes(), body]);
    let signature = format!("v1,{}", BASE64_STANDARD.encode(digest));
    json!({ "webhook-id": id, "webhook-timestamp": seconds, "webhook-signature": signature })
}

/// The call-back token of a content, sealed with this secret.
pub fn callback_token(secret: &str, content: impl AsRef<[u8]>) -> String {
    let content = BASE64_URL_SAFE_NO_PAD.encode(content);
    let digest = hmac(secret.as_bytes(), &[b"callback.v1.", content.as_bytes()]);
    format!("{content}.{}", BASE64_URL_SAFE_NO_PAD.encode(digest))
}

fn hmac(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let keyed = Hmac::<Sha256>::new_from_slice(key).expect("a key");
    parts.iter().fold(keyed, |signed, part| signed.chain_update(part)).finalize().into_bytes().into()
}

/// The event that API Gateway creates for a request.
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
