//! Secrets in every part of a request that can contain one. No response and no log line may
//! contain their prefix.

use std::sync::Once;

use lambda_runtime::tracing::subscriber::{filter::LevelFilter, fmt};
use serde_json::{Value, json};

/// Prefix of every planted secret.
pub const PREFIX: &str = "planted-";

/// Environment variable that writes all log levels to standard error.
pub const LOG_VARIABLE: &str = "SCRIP_TEST_LOG";

/// A secret with the name of its place.
pub fn planted_secret(place: &str) -> String {
    format!("{PREFIX}{place}")
}

/// The event with a secret in each part that no function reads, and as signature if it has
/// none.
pub(crate) fn plant(mut event: Value) -> Value {
    for header in ["authorization", "cookie", "x-signature", "x-api-key", "x-forwarded-for", "user-agent"] {
        if event["headers"][header].is_null() {
            event["headers"][header] = json!(planted_secret(header));
        }
    }
    event["cookies"] = json!([planted_secret("cookie-of-the-event")]);
    event["stageVariables"] = json!({ "key": planted_secret("stage-variable") });
    event["requestContext"]["http"]["userAgent"] = json!(planted_secret("user-agent-of-the-event"));
    if let Some(claims) = event.pointer_mut("/requestContext/authorizer/jwt/claims") {
        for claim in ["email", "jti", "iss", "custom:card"] {
            claims[claim] = json!(planted_secret(claim));
        }
    }
    event
}

/// Starts the log if the environment requests it, once in a process.
pub(crate) fn start_log() {
    static STARTED: Once = Once::new();
    STARTED.call_once(|| {
        if std::env::var_os(LOG_VARIABLE).is_some() {
            fmt().with_max_level(LevelFilter::TRACE).with_ansi(false).with_writer(std::io::stderr).init();
        }
    });
}
