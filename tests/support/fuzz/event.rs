use base64::{Engine, prelude::BASE64_STANDARD};
use scrip::{domain::Timestamp, transport::functions::FUNCTIONS};
use serde_json::{Value, value::RawValue};

use super::world::{START, ask};
use crate::event::{WEBHOOK_SECRET, signature};

/// Hands a payload to every function.
///
/// Lambda's runtime hands over nothing but JSON, so nothing else is tried.
///
/// # Panics
/// Where an answer is none of the contract's, or is `Internal`; where something
/// is written though it was refused, or for a caller who may not write.
pub fn event(input: &[u8]) {
    let Ok(payload) = str::from_utf8(input) else { return };
    if serde_json::from_str::<&RawValue>(payload).is_err() {
        return;
    }
    // Written anew, so that no escape hides a scope. What is nested too deeply
    // for this names no scope that a function would find.
    let parsed: Value = serde_json::from_str(payload).unwrap_or_default();
    let is_direct = parsed.get("requestContext").is_none();
    let has_scope = parsed.to_string().contains("credits:write");
    for function in FUNCTIONS {
        let may_write = || if function.name == "webhook" { is_signed(&parsed) } else { has_scope };
        let (answer, has_written) = ask(function, payload.to_owned());
        assert!(!has_written || is_direct || may_write(), "written by one who may not: {answer:?}");
    }
}

/// Whether a code of the event's `X-Signature` is that of its body, at one of the
/// seconds around the time of the world.
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
