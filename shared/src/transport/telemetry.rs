//! The metrics and the line of the log of an invocation, emitted once at its end.
//!
//! Metrics go through the facade of the crate `metrics`; the process that runs the function
//! installs the recorder. None has more than two labels of its own, and every label is one of a
//! few words, because each combination is a metric that is paid for.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use metrics::{Counter, Histogram, Unit, counter, describe_counter, describe_histogram, histogram};

use super::{error::RequestError, route::ROUTES};
use crate::{
    domain::{Discrepancies, Discrepancy, LedgerError},
    ledger::{AuditReport, AuditSummary},
    meter::{Move, Notes},
};

/// How many discrepancies of a user a line of the log names, and in how many characters.
const LOGGED_DISCREPANCIES_MAX: usize = 20;
const LOGGED_CHARS_MAX: usize = 4_000;

/// The outcome of one event.
pub(super) struct InvocationOutcome<'a> {
    pub(super) function: &'static str,
    pub(super) request_id: &'a str,
    pub(super) error: Option<&'a RequestError>,
    pub(super) took: Duration,
}

/// Says what each metric is, and in which unit.
pub fn describe() {
    describe_counter!("requests", Unit::Count, "Events that were answered");
    describe_counter!("failures", Unit::Count, "Answers that are the service's fault: 500 and 503");
    describe_counter!("errors", Unit::Count, "Answers that are an error, by its code");
    describe_histogram!("latency", Unit::Seconds, "From the event to its answer");
    describe_histogram!("query_latency", Unit::Seconds, "The same, of all operations that only read");
    describe_histogram!("round_trips", Unit::Count, "Calls to DynamoDB for one event");
    describe_histogram!("read_units", Unit::Count, "Read units of DynamoDB for one event");
    describe_histogram!("write_units", Unit::Count, "Write units of DynamoDB for one event");
    describe_counter!("retries", Unit::Count, "Calls to DynamoDB that were tried again");
    describe_counter!("conflicts", Unit::Count, "Transactions that met others, or were throttled");
    describe_counter!("credits_granted", Unit::Count, "Credits that came");
    describe_counter!("credits_charged", Unit::Count, "Credits that went");
    describe_counter!("credits_voided", Unit::Count, "Credits that came back");
    describe_counter!("refunds", Unit::Count, "Refunds, by how they ended");
    describe_counter!("anomalies", Unit::Count, "What should not happen, and is no error");
    describe_histogram!("wallet_packs", Unit::Count, "Packs of the wallets that were read");
    describe_counter!("audit_runs", Unit::Count, "Audits that ended without an error");
    describe_histogram!(
        "audit_unfinished",
        Unit::Count,
        "Of each audit: 1 if users are left, for want of time or because theirs failed"
    );
    describe_counter!("audited_users", Unit::Count, "Users whose wallet was compared with the records");
    describe_counter!("audited_records", Unit::Count, "Records that they have");
    describe_counter!("audited_voided", Unit::Count, "Those of them that are voided");
    describe_histogram!("audit_failed_users", Unit::Count, "Users of each audit whose own audit failed");
    // No counter: one that stays at zero says nothing, as a dead audit does.
    describe_histogram!("drifted_users", Unit::Count, "Users of each audit with discrepancies");
    describe_histogram!("balance_accuracy", Unit::Percent, "Users of each audit without discrepancies");
    describe_histogram!("voided_share", Unit::Percent, "Records of each audit that are voided");
}

/// Emits the metrics of an invocation and writes its line of the log.
pub(super) fn log_invocation(metrics: &Metrics, outcome: &InvocationOutcome<'_>, notes: &Notes) {
    count(metrics, outcome, notes);
    for anomaly in &notes.anomalies {
        let (user_uuid, generation_uuid) = (notes.user.as_deref(), notes.generation.as_deref());
        tracing::warn!(anomaly, request_id = outcome.request_id, user_uuid, generation_uuid);
    }
    macro_rules! line {
        ($level:ident, $($more:tt)*) => {
            tracing::$level!(
                function = outcome.function,
                operation = notes.operation,
                request_id = outcome.request_id,
                code = outcome.error.map_or("ok", |error| error.kind().code),
                user_uuid = notes.user.as_deref(),
                generation_uuid = notes.generation.as_deref(),
                outcome = notes.outcome,
                round_trips = notes.round_trips,
                retries = notes.retries,
                conflicts = notes.conflicts,
                micros = u64::try_from(outcome.took.as_micros()).unwrap_or(u64::MAX),
                $($more)*
            )
        };
    }
    match outcome.error.and_then(RequestError::internal_reason) {
        Some(why) => line!(error, why),
        None => line!(info,),
    }
}

/// The metrics of every event of an operation.
struct OfOperation {
    requests: Counter,
    latency: Histogram,
    round_trips: Histogram,
    read_units: Histogram,
    write_units: Histogram,
    wallet_packs: Histogram,
    retries: Counter,
    conflicts: Counter,
}

/// The metrics of operations, kept from event to event: to find one by its name and labels
/// takes longer than to count.
#[derive(Default)]
pub struct Metrics(Mutex<BTreeMap<&'static str, OfOperation>>);

impl OfOperation {
    fn new(operation: &'static str) -> OfOperation {
        OfOperation {
            requests: counter!("requests", "operation" => operation),
            latency: histogram!("latency", "operation" => operation),
            round_trips: histogram!("round_trips", "operation" => operation),
            read_units: histogram!("read_units", "operation" => operation),
            write_units: histogram!("write_units", "operation" => operation),
            wallet_packs: histogram!("wallet_packs", "operation" => operation),
            retries: counter!("retries"),
            conflicts: counter!("conflicts"),
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "nobody calls DynamoDB 2^53 times")]
    fn count(&self, outcome: &InvocationOutcome<'_>, notes: &Notes) {
        self.requests.increment(1);
        self.latency.record(outcome.took);
        self.round_trips.record(notes.round_trips as f64);
        self.read_units.record(notes.read_units);
        self.write_units.record(notes.write_units);
        if let Some(packs) = notes.packs.and_then(|packs| u32::try_from(packs).ok()) {
            self.wallet_packs.record(packs);
        }
        self.retries.increment(notes.retries);
        self.conflicts.increment(notes.conflicts);
    }
}

fn count(metrics: &Metrics, outcome: &InvocationOutcome<'_>, notes: &Notes) {
    let operation = notes.operation.unwrap_or("none");
    let mut kept = metrics.0.lock().unwrap_or_else(PoisonError::into_inner);
    kept.entry(operation).or_insert_with(|| OfOperation::new(operation)).count(outcome, notes);
    drop(kept);
    if ROUTES.iter().any(|route| route.is_query && route.operation == operation) {
        histogram!("query_latency").record(outcome.took);
    }
    if let Some(error) = outcome.error {
        counter!("errors", "operation" => operation, "code" => error.kind().code).increment(1);
        if error.kind().is_failure() {
            counter!("failures", "operation" => operation).increment(1);
        }
    }
    for (way, kind, credits) in &notes.moves {
        let name = match way {
            Move::Granted => "credits_granted",
            Move::Charged => "credits_charged",
            Move::Voided => "credits_voided",
        };
        counter!(name, "kind" => *kind).increment(credits.get());
    }
    if let Some(outcome) = notes.outcome {
        counter!("refunds", "outcome" => outcome).increment(1);
    }
    for anomaly in &notes.anomalies {
        counter!("anomalies", "anomaly" => *anomaly).increment(1);
    }
}

/// Counts what a run of the audit found, until it ended well or with an error.
pub(super) fn count_audit(summary: &AuditSummary, is_ok: bool) {
    let is_whole = is_ok && summary.unfinished_after.is_none() && summary.failed == 0;
    counter!("audit_runs").increment(u64::from(is_ok));
    histogram!("audit_unfinished").record(u32::from(!is_whole));
    counter!("audited_users").increment(summary.users);
    counter!("audited_records").increment(summary.records);
    counter!("audited_voided").increment(summary.voided);
    // A zero says that all is well, which no run that failed can say.
    for (name, users) in [("drifted_users", summary.drifted), ("audit_failed_users", summary.failed)] {
        if is_ok || users > 0 {
            histogram!(name).record(number(users));
        }
    }
    if summary.users > 0 {
        histogram!("balance_accuracy").record(percent(summary.users - summary.drifted, summary.users));
    }
    if summary.records > 0 {
        histogram!("voided_share").record(percent(summary.voided, summary.records));
    }
}

/// Logs a user with discrepancies, or one whose audit failed.
pub(super) fn log_audited_user(user_uuid: &str, audited: &Result<AuditReport, LedgerError>) {
    match audited {
        Ok(report) if report.discrepancies.is_empty() => {}
        Ok(report) => log_drift(user_uuid, &report.discrepancies),
        Err(error) => {
            let error = RequestError::from(error.clone());
            let (code, why) = (error.kind().code, error.internal_reason());
            tracing::error!(function = "audit", user_uuid, code, why, "the audit of a user failed");
        }
    }
}

fn log_drift(user_uuid: &str, discrepancies: &Discrepancies) {
    let named = discrepancies.named().take(LOGGED_DISCREPANCIES_MAX).map(Discrepancy::to_string);
    let why: String = named.collect::<Vec<_>>().join("; ").chars().take(LOGGED_CHARS_MAX).collect();
    tracing::error!(function = "audit", user_uuid, faults = discrepancies.count(), why, "a user has drifted");
}

/// Logs the end of a run.
pub(super) fn log_audit(ended: Result<&AuditSummary, &RequestError>, request_id: &str, took: Duration) {
    let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
    match ended {
        Ok(summary) => tracing::info!(
            function = "audit",
            request_id,
            code = "ok",
            segment = summary.segment,
            of = summary.of,
            users = summary.users,
            records = summary.records,
            voided = summary.voided,
            drifted = summary.drifted,
            failed = summary.failed,
            unfinished_after = summary.unfinished_after,
            micros,
        ),
        Err(error) => {
            let (code, why) = (error.kind().code, error.internal_reason());
            tracing::error!(function = "audit", request_id, code, why, micros);
        }
    }
}

#[expect(clippy::float_arithmetic, reason = "a share of users or records, never of credits")]
fn percent(part: u64, whole: u64) -> f64 {
    100.0 * number(part) / number(whole)
}

/// A count as a metric has it: an audit sees no 2^32 users or records.
fn number(count: u64) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}
