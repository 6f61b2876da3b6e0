use serde_json::{Value, value::RawValue};

use super::world::ask;
use crate::event::FUNCTIONS;

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
    let may_write = parsed.get("requestContext").is_none() || parsed.to_string().contains("credits:write");
    for function in FUNCTIONS {
        let (answer, has_written) = ask(function, payload.to_owned());
        assert!(may_write || !has_written, "written without the scope: {answer:?}");
    }
}
