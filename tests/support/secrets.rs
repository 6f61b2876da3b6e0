//! Secrets, wherever one can arrive. What begins with the mark of one belongs in
//! no answer and in no line that is logged.

use std::sync::Once;

use lambda_runtime::tracing::subscriber::{filter::LevelFilter, fmt};
use serde_json::{Value, json};

/// How every planted secret begins.
pub const MARK: &str = "planted-";

/// Set where all that any crate logs is to be said on standard error.
pub const LOG: &str = "SCRIP_TEST_LOG";

/// The secret that is planted in this place.
pub fn secret(place: &str) -> String {
    format!("{MARK}{place}")
}

/// The event, with a secret in each part that no function has a use for, and
/// where a signature would be, if there is none.
pub(crate) fn plant(mut event: Value) -> Value {
    for header in ["authorization", "cookie", "x-signature", "x-api-key", "x-forwarded-for", "user-agent"] {
        if event["headers"][header].is_null() {
            event["headers"][header] = json!(secret(header));
        }
    }
    event["cookies"] = json!([secret("cookie-of-the-event")]);
    event["stageVariables"] = json!({ "key": secret("stage-variable") });
    event["requestContext"]["http"]["userAgent"] = json!(secret("user-agent-of-the-event"));
    if let Some(claims) = event.pointer_mut("/requestContext/authorizer/jwt/claims") {
        for claim in ["email", "jti", "iss", "custom:card"] {
            claims[claim] = json!(secret(claim));
        }
    }
    event
}

/// Starts the log where that is asked for, once a process.
pub(crate) fn log() {
    static STARTED: Once = Once::new();
    STARTED.call_once(|| {
        if std::env::var_os(LOG).is_some() {
            fmt().with_max_level(LevelFilter::TRACE).with_ansi(false).with_writer(std::io::stderr).init();
        }
    });
}
