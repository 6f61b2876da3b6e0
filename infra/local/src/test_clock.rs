//! The clock of the service in tests: the system's clock, moved forward by requests.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use axum::{
    http::{StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
};
use scrip::{domain::Timestamp, ledger::ClockAndRandom};
use serde_json::{Value, json};

use crate::http_api::gateway_error;

/// The largest distance from the system's clock, in milliseconds: 100 years of 365.25 days.
const AHEAD_MILLIS_MAX: i64 = 3_155_760_000_000;

/// The system's clock and a distance, which never becomes smaller.
#[derive(Clone, Default)]
pub(crate) struct TestClock {
    ahead_millis: Arc<AtomicI64>,
}

impl TestClock {
    /// This clock, and the system's random source.
    pub(crate) fn sources(&self) -> ClockAndRandom {
        let (clock, system) = (self.clone(), ClockAndRandom::system());
        ClockAndRandom { now: Box::new(move || clock.now()), random: system.random }
    }

    /// Answers `POST /test/clock`: moves the clock by `advance_seconds`, and returns its time.
    pub(crate) fn answer(&self, body: &[u8]) -> Response {
        let request: Value = serde_json::from_slice(body).unwrap_or_default();
        match request["advance_seconds"].as_i64().and_then(|seconds| self.advance(seconds)) {
            Some(now) => {
                ([(CONTENT_TYPE, "application/json")], json!({ "now": now }).to_string()).into_response()
            }
            None => gateway_error(
                StatusCode::BAD_REQUEST,
                "`advance_seconds` must be a whole number of at least 0. The clock moves by 100 years in all.",
            ),
        }
    }

    fn now(&self) -> Timestamp {
        (ClockAndRandom::system().now)().plus_millis(self.ahead_millis.load(Ordering::Relaxed))
    }

    fn advance(&self, seconds: i64) -> Option<Timestamp> {
        let millis = seconds.checked_mul(1_000).filter(|millis| *millis >= 0)?;
        let moved = |ahead: i64| ahead.checked_add(millis).filter(|ahead| *ahead <= AHEAD_MILLIS_MAX);
        self.ahead_millis.fetch_update(Ordering::Relaxed, Ordering::Relaxed, moved).ok()?;
        Some(self.now())
    }
}
