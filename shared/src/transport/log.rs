//! The log of a function, on standard output.

use lambda_runtime::tracing::subscriber::{filter::LevelFilter, fmt};

use crate::environment::variable;

/// The default level, and the finest.
const LEVEL: LevelFilter = LevelFilter::INFO;

pub(super) fn start() {
    let setting = variable("AWS_LAMBDA_LOG_LEVEL").or_else(|| variable("RUST_LOG"));
    let lines = fmt().with_target(false).without_time().with_max_level(level(setting.as_deref()));
    if variable("AWS_LAMBDA_LOG_FORMAT").is_some_and(|format| format.eq_ignore_ascii_case("json")) {
        lines.json().with_current_span(false).init();
    } else {
        lines.init();
    }
}

/// The configured level, but not finer than INFO: at DEBUG the runtime logs raw events with
/// tokens in their headers, and the SDK logs requests and responses.
fn level(setting: Option<&str>) -> LevelFilter {
    setting.and_then(|level| level.parse().ok()).unwrap_or(LEVEL).min(LEVEL)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn level_is_never_finer_than_info() {
        for (setting, level) in [
            (None, LevelFilter::INFO),
            (Some("TRACE"), LevelFilter::INFO),
            (Some("debug"), LevelFilter::INFO),
            (Some("scrip=trace"), LevelFilter::INFO),
            (Some("WARN"), LevelFilter::WARN),
            (Some("off"), LevelFilter::OFF),
        ] {
            assert_eq!(super::level(setting), level, "{setting:?}");
        }
    }
}
