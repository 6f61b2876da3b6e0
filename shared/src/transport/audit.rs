//! The function `audit`, which a schedule invokes: it holds users against their records,
//! all of them in a week, and tells what it finds. It keeps no state: the moment for which it
//! was scheduled says whose turn it is.

use std::time::Instant;

use lambda_runtime::LambdaEvent;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{
    App, Failure, Payload, Reply, field,
    function::{deadline, guard},
    reply::Answer,
    telemetry,
};
use crate::{
    domain::{LedgerError, Timestamp},
    ledger::{AuditDeadline, AuditReport},
    store::Part,
};

const MINUTE_MILLIS: i64 = 60_000;
const WEEK_MINUTES: i32 = 7 * 24 * 60;

/// What of an invocation's time is kept for the users who were begun with, in milliseconds.
const LAST_USERS_MILLIS: i64 = 30_000;

/// The function, by how often it runs.
#[derive(Clone, Copy, Debug)]
pub struct Audit {
    every_minutes: i32,
}

/// What an invocation may ask for; whatever else a scheduler sends is passed over.
#[derive(Deserialize)]
struct Asked {
    /// For when it was scheduled: it may come a little early or late, and so twice or never into
    /// the time of a segment.
    time: Option<Value>,
    segment: Option<i32>,
    of: Option<i32>,
    after: Option<String>,
}

/// What was found of a segment, or of a part of it.
#[derive(Serialize)]
pub(super) struct Found {
    pub(super) segment: i32,
    pub(super) of: i32,
    pub(super) users: u64,
    pub(super) records: u64,
    pub(super) voided: u64,
    pub(super) drifted: u64,
    /// The last user who was audited, where there are more: the next payload's `after`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) unfinished_after: Option<String>,
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
        let began = Instant::now();
        let deadline = deadline(app.ledger.now(), &event.context);
        // In a box: as a part of this future it is too deep for the compiler.
        let audited = Box::pin(self.audited(app, event.payload.get(), deadline));
        let answered = guard(audited).await.flatten();
        telemetry::tell_audit(answered.as_ref(), &event.context.request_id, began.elapsed());
        let answer = answered.and_then(|found| Answer::ok(&found));
        answer.map(|answer| Reply::Direct(answer.body)).map_err(Failure)
    }

    async fn audited(self, app: &App, payload: &str, deadline: Timestamp) -> Result<Found, LedgerError> {
        let (part, after) = self.asked(payload, app.ledger.now())?;
        let until = AuditDeadline { last_begin: deadline.plus_millis(-LAST_USERS_MILLIS), deadline };
        let mut found = Found::none(part);
        let ended = app
            .ledger
            .audit_segment(part, after.as_deref(), until, |user, audited| found.add(user, audited))
            .await;
        telemetry::count_audit(&found, &ended);
        found.unfinished_after = ended?;
        Ok(found)
    }

    /// Whose turn it is, by the payload or, where it names no moment, by the clock.
    fn asked(self, payload: &str, now: Timestamp) -> Result<(Part, Option<String>), LedgerError> {
        let refused =
            |_| LedgerError::InvalidRequest("must be an object with time, segment, of and after".to_owned());
        // An object: a struct alone would be read from a list too.
        let fields: Map<String, Value> = serde_json::from_str(payload).map_err(refused)?;
        let asked = Asked::deserialize(Value::Object(fields)).map_err(refused)?;
        let part = match (asked.segment, asked.of) {
            (None, None) if asked.after.is_none() => {
                let time = asked.time.as_ref().map_or(Ok(now), field::timestamp);
                Some(self.part_at(time.map_err(|why| LedgerError::InvalidRequest(format!("time: {why}")))?))
            }
            (Some(nth), Some(of)) => Part::new(nth, of),
            _ => None,
        };
        let part = part.ok_or_else(|| {
            LedgerError::InvalidRequest(format!(
                "segment: from 0, less than of; of: at most {}",
                Part::OF_MAX
            ))
        })?;
        Ok((part, asked.after))
    }

    /// The part of the table whose turn it is.
    fn part_at(self, now: Timestamp) -> Part {
        let of = WEEK_MINUTES / self.every_minutes;
        let runs = now.millis() / (MINUTE_MILLIS * i64::from(self.every_minutes));
        let nth = i32::try_from(runs % i64::from(of)).ok();
        nth.and_then(|nth| Part::new(nth, of)).expect("a remainder is less, and a week has fewer minutes")
    }
}

impl Found {
    fn none(part: Part) -> Found {
        let (segment, of) = (part.nth(), part.of());
        Found { segment, of, users: 0, records: 0, voided: 0, drifted: 0, unfinished_after: None }
    }

    fn add(&mut self, user: &str, audited: &AuditReport) {
        self.users += 1;
        self.records += audited.records;
        self.voided += audited.voided;
        if !audited.discrepancies.is_empty() {
            self.drifted += 1;
            telemetry::tell_drift(user, &audited.discrepancies);
        }
    }
}
