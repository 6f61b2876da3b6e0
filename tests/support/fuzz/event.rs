//! The fuzz target `event`.

use base64::{
    Engine,
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD},
};
use percent_encoding::percent_decode_str;
use scrip::{domain::Timestamp, transport::functions::FUNCTIONS};
use serde_json::{Value, value::RawValue};

use super::harness::{START, invoke_checked};
use crate::event::{STRIPE_SECRET, WEBHOOK_SECRET, callback_token, signature, standard_signature};

/// Invokes every function with a payload. Skips an input that is not JSON, because Lambda's
/// runtime delivers JSON only.
///
/// # Panics
/// If a response violates the contract or is `Internal`; if a rejected request writes, or one
/// of a caller without permission.
pub fn event(input: &[u8]) {
    let Ok(payload) = str::from_utf8(input) else { return };
    if serde_json::from_str::<&RawValue>(payload).is_err() {
        return;
    }
    // Serialized again, so that no escape hides a scope. A function finds no scope in an event
    // that is nested too deeply for this.
    let parsed: Value = serde_json::from_str(payload).unwrap_or_default();
    let is_direct = parsed.get("requestContext").is_none();
    let has_scope = parsed.to_string().contains("credits:write");
    for function in FUNCTIONS {
        let may_write = || match function.name {
            "webhook" => is_signed(&parsed, WEBHOOK_SECRET) || has_token(&parsed),
            "payments" => is_signed(&parsed, STRIPE_SECRET),
            _ => has_scope,
        };
        let (response, has_written) = invoke_checked(function, payload.to_owned());
        assert!(!has_written || is_direct || may_write(), "written without permission: {response:?}");
    }
}

/// The seconds around the harness's time for which a signature may be valid.
const SECONDS: std::ops::RangeInclusive<i64> = START / 1_000 - 301..=START / 1_000 + 301;

/// Whether the headers contain a valid signature of the event's body by this secret, in any form.
fn is_signed(event: &Value, secret: &str) -> bool {
    let text = event["body"].as_str().unwrap_or_default();
    let is_base64 = event["isBase64Encoded"] == true;
    let body = if is_base64 { BASE64_STANDARD.decode(text).ok() } else { Some(text.as_bytes().to_vec()) };
    let Some(body) = body else { return false };
    let headers = event["headers"].to_string();
    let lower = headers.to_lowercase();
    let own = |second: i64| {
        let signature = signature(secret, Timestamp::from_millis(second * 1_000)?, &body);
        signature.split_once(",v1=").map(|(_, code)| code.to_owned())
    };
    let values =
        || event["headers"].as_object().into_iter().flatten().filter_map(|(_, value)| value.as_str());
    let seconds =
        || values().filter_map(|value| value.parse().ok()).filter(|second| SECONDS.contains(second));
    let standard = |id: &str, second: i64| {
        let at = Timestamp::from_millis(second * 1_000)?;
        let signed = standard_signature(secret.as_bytes(), id, at, &body);
        signed["webhook-signature"].as_str().map(|code| code.trim_end_matches('=').to_owned())
    };
    SECONDS.filter_map(own).any(|code| lower.contains(&code))
        || values()
            .flat_map(|id| seconds().filter_map(move |second| standard(id, second)))
            .any(|code| headers.contains(&code))
}

/// Whether the path contains a token that is sealed, whatever its content.
fn has_token(event: &Value) -> bool {
    let last = event["rawPath"].as_str().and_then(|path| path.rsplit('/').next()).unwrap_or_default();
    let last = percent_decode_str(last).decode_utf8_lossy();
    [Some(&*last), event["pathParameters"]["token"].as_str()].into_iter().flatten().any(|token| {
        let content = token.split_once('.').map(|(content, _)| content.trim_end_matches('='));
        let content = content.and_then(|content| BASE64_URL_SAFE_NO_PAD.decode(content).ok());
        content.is_some_and(|content| callback_token(WEBHOOK_SECRET, content) == token.replace('=', ""))
    })
}
