//! The fuzz target `event`.

use base64::{Engine, prelude::BASE64_STANDARD};
use scrip::{domain::Timestamp, transport::functions::FUNCTIONS};
use serde_json::{Value, value::RawValue};

use super::harness::{START, invoke_checked};
use crate::event::{WEBHOOK_SECRET, signature};

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
        let may_write = || if function.name == "webhook" { is_signed(&parsed) } else { has_scope };
        let (response, has_written) = invoke_checked(function, payload.to_owned());
        assert!(!has_written || is_direct || may_write(), "written without permission: {response:?}");
    }
}

/// Whether the event's `X-Signature` is valid for its body within 301 seconds of the harness's
/// time.
fn is_signed(event: &Value) -> bool {
    let text = event["body"].as_str().unwrap_or_default();
    let is_base64 = event["isBase64Encoded"] == true;
    let body = if is_base64 { BASE64_STANDARD.decode(text).ok() } else { Some(text.as_bytes().to_vec()) };
    let headers = event["headers"].to_string().to_lowercase();
    let code = |second: i64| {
        let at = Timestamp::from_millis(START + second * 1_000)?;
        signature(WEBHOOK_SECRET, at, body.as_ref()?).split_once(",v1=").map(|(_, code)| code.to_owned())
    };
    (-301..=301).filter_map(code).any(|code| headers.contains(&code))
}
