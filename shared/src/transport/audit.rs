//! The function `audit`, which a schedule invokes: it audits all users in a week, and logs
//! the discrepancies. It stores no state: the time of the schedule selects the segment of the
//! table.

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

/// How long before the deadline the last audits begin, in milliseconds.
const LAST_AUDITS_MILLIS: i64 = 30_000;

/// The function, by how often it runs.
#[derive(Clone, Copy, Debug)]
pub struct Audit {
    every_minutes: i32,
}

/// The fields of a payload; others that a scheduler sends are ignored.
#[derive(Deserialize)]
struct AuditRequest {
    /// The time of the schedule. The invocation itself comes a little early or late, so its
    /// own time could select a segment twice or never.
    time: Option<Value>,
    segment: Option<i32>,
    of: Option<i32>,
    after: Option<String>,
}

impl Audit {
    /// For a schedule that runs every so many minutes, at least once a week.
    pub fn every(minutes: i32) -> Option<Audit> {
        (1..=WEEK_MINUTES).contains(&minutes).then_some(Audit { every_minutes: minutes })
    }

    /// Answers one event.
    ///
    /// # Errors
    /// What every function may end with.
    pub async fn handle(self, app: &App, event: LambdaEvent<Payload>) -> Result<Reply, Failure> {
        let started_at = Instant::now();
        let deadline = deadline(app.ledger.now(), &event.context);
        // In a box: as a part of this future it is too deep for the compiler.
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

    /// The segment by the payload or, where it has neither segment nor time, by the clock.
    fn request(self, payload: &str, now: Timestamp) -> Result<(ScanSegment, Option<String>), LedgerError> {
        let rejected = |_| {
            LedgerError::InvalidRequest(
                "The payload must be an object with `time`, `segment`, `of` and `after`.".to_owned(),
            )
        };
        // An object: a struct alone would be read from a list too.
        let fields: Map<String, Value> = serde_json::from_str(payload).map_err(rejected)?;
        let request = AuditRequest::deserialize(Value::Object(fields)).map_err(rejected)?;
        let segment =
            match (request.segment, request.of) {
                (None, None) if request.after.is_none() => {
                    let time = request.time.as_ref().map_or(Ok(now), field::timestamp);
                    Some(self.segment_at(
                        time.map_err(|why| LedgerError::InvalidRequest(format!("`time` {why}.")))?,
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

    /// The segment for a time of the schedule.
    fn segment_at(self, now: Timestamp) -> ScanSegment {
        let of = WEEK_MINUTES / self.every_minutes;
        let runs = now.millis() / (MINUTE_MILLIS * i64::from(self.every_minutes));
        let nth = i32::try_from(runs % i64::from(of)).ok();
        nth.and_then(|nth| ScanSegment::new(nth, of))
            .expect("a remainder is less, and a week has fewer minutes")
    }
}
