//! The function `audit`: a schedule invokes it, and within a week it audits all users. It stores
//! no state: the time of the schedule selects the segment of the table.

use std::time::Instant;

use lambda_runtime::LambdaEvent;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{
    App, Failure, Payload, Reply, RequestError, field,
    function::{catch_panic, deadline},
    reply::Answer,
    telemetry,
};
use crate::{
    domain::{LedgerError, Timestamp},
    ledger::{AuditDeadline, AuditSummary},
    store::ScanSegment,
};

const MINUTE_MILLIS: i64 = 60_000;
const WEEK_MINUTES: i32 = 7 * 24 * 60;

/// The time before the deadline at which the last audits start, in milliseconds.
const LAST_AUDITS_MILLIS: i64 = 30_000;

/// The function, with the interval of its schedule.
#[derive(Clone, Copy, Debug)]
pub struct Audit {
    every_minutes: i32,
}

/// The fields of a payload. Other fields, which a scheduler sends, are ignored.
#[derive(Deserialize)]
struct AuditRequest {
    /// The time of the schedule. The time of the invocation varies, and could select a segment
    /// twice or never.
    time: Option<Value>,
    segment: Option<i32>,
    of: Option<i32>,
    after: Option<String>,
}

impl Audit {
    /// For a schedule with this interval in minutes, from 1 to 10,080 (a week).
    pub fn every(minutes: i32) -> Option<Audit> {
        (1..=WEEK_MINUTES).contains(&minutes).then_some(Audit { every_minutes: minutes })
    }

    /// Handles one event.
    ///
    /// # Errors
    /// `InvalidRequest` for an invalid payload; `Busy`, `StoreUnavailable` or `Internal`.
    pub async fn handle(self, app: &App, event: LambdaEvent<Payload>) -> Result<Reply, Failure> {
        let started_at = Instant::now();
        let deadline = deadline(app.ledger.now(), &event.context);
        // Boxed, because the nested type exceeds a limit of the compiler.
        let run = Box::pin(self.run(app, event.payload.get(), deadline));
        let result = catch_panic(run).await.flatten().map_err(RequestError::from);
        telemetry::log_audit(result.as_ref(), &event.context.request_id, started_at.elapsed());
        let answer = result.and_then(|summary| Answer::ok(&summary));
        answer.map(|answer| Reply::Direct(answer.body)).map_err(Failure)
    }

    async fn run(self, app: &App, payload: &str, deadline: Timestamp) -> Result<AuditSummary, LedgerError> {
        let (segment, after) = self.request(payload, app.ledger.now())?;
        let deadline = AuditDeadline { last_start: deadline.plus_millis(-LAST_AUDITS_MILLIS), deadline };
        let (summary, result) =
            app.ledger.audit_segment(segment, after.as_deref(), deadline, telemetry::log_audited_user).await;
        telemetry::count_audit(&summary, result.is_ok());
        result.map(|()| summary)
    }

    /// The segment of the payload, or the segment for its time or for the clock.
    fn request(self, payload: &str, now: Timestamp) -> Result<(ScanSegment, Option<String>), LedgerError> {
        let rejected = |_| {
            LedgerError::InvalidRequest(
                "The payload must be an object with `time`, `segment`, `of` and `after`.".to_owned(),
            )
        };
        // A struct alone would also accept a list.
        let fields: Map<String, Value> = serde_json::from_str(payload).map_err(rejected)?;
        let request = AuditRequest::deserialize(Value::Object(fields)).map_err(rejected)?;
        let segment = match (request.segment, request.of) {
            (None, None) if request.after.is_none() => {
                let time = request.time.as_ref().map_or(Ok(now), field::timestamp);
                Some(self.segment_at(
                    time.map_err(|reason| LedgerError::InvalidRequest(format!("`time` {reason}.")))?,
                ))
            }
            (Some(nth), Some(of)) => ScanSegment::new(nth, of),
            _ => None,
        };
        let segment = segment.ok_or_else(|| {
            LedgerError::InvalidRequest(format!(
                "`segment` must be at least 0 and less than `of`, and `of` at most {}.",
                ScanSegment::OF_MAX
            ))
        })?;
        Ok((segment, request.after))
    }

    /// The segment for a time.
    fn segment_at(self, now: Timestamp) -> ScanSegment {
        let of = WEEK_MINUTES / self.every_minutes;
        let runs = now.millis() / (MINUTE_MILLIS * i64::from(self.every_minutes));
        let nth = i32::try_from(runs % i64::from(of)).ok();
        nth.and_then(|nth| ScanSegment::new(nth, of))
            .expect("a remainder is less than the number of segments")
    }
}
