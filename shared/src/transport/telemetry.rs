//! The metrics and the log line of an invocation, emitted at its end.
//!
//! Metrics use the crate `metrics`; the process installs the recorder. A metric has at most two
//! labels with few values, because CloudWatch bills each combination.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use metrics::{Counter, Histogram, Unit, counter, describe_counter, describe_histogram, histogram};

use super::{error::RequestError, route::ROUTES};
use crate::{
    domain::{Discrepancies, Discrepancy, LedgerError},
    invocation_metrics::{CreditFlow, InvocationMetrics},
    ledger::{AuditReport, AuditSummary, SweepSummary},
};

/// The number of discrepancies of a user in a log line, and their length in characters.
const LOGGED_DISCREPANCIES_MAX: usize = 20;
const LOGGED_CHARS_MAX: usize = 4_000;

/// The outcome of one event.
pub(super) struct InvocationOutcome<'a> {
    pub(super) function: &'static str,
    pub(super) request_id: &'a str,
    pub(super) error: Option<&'a RequestError>,
    pub(super) took: Duration,
}

/// Describes each metric and its unit.
pub fn describe() {
    describe_counter!("requests", Unit::Count, "Events handled");
    describe_counter!("failures", Unit::Count, "Responses with a server error: 500 or 503");
    describe_counter!("errors", Unit::Count, "Responses with an error, by code");
    describe_histogram!("latency", Unit::Seconds, "Time from the event to its response");
    describe_histogram!("query_latency", Unit::Seconds, "Latency of all read operations");
    describe_histogram!("round_trips", Unit::Count, "DynamoDB calls per event");
    describe_histogram!("read_units", Unit::Count, "DynamoDB read units per event");
    describe_histogram!("write_units", Unit::Count, "DynamoDB write units per event");
    describe_counter!("retries", Unit::Count, "DynamoDB calls that were retried");
    describe_counter!(
        "conflicts",
        Unit::Count,
        "Transactions that failed because of other writers, or were throttled"
    );
    describe_counter!("sweeps", Unit::Count, "Sweeps of holds that ended");
    describe_counter!("holds_expired", Unit::Count, "Charges that were voided because their holds timed out");
    describe_histogram!("holds_failed", Unit::Count, "Holds that a sweep could not void");
    describe_histogram!("hold_delay", Unit::Milliseconds, "Longest time from the end of a hold to its void");
    describe_counter!("credits_granted", Unit::Count, "Credits granted");
    describe_counter!("credits_charged", Unit::Count, "Credits charged");
    describe_counter!("credits_voided", Unit::Count, "Credits returned by voids, settlements and outputs");
    describe_counter!("credits_owed", Unit::Count, "Credits of new debts");
    describe_counter!(
        "credits_late_success",
        Unit::Count,
        "Voided credits of generations that succeeded later"
    );
    describe_counter!("refunds", Unit::Count, "Refunds, by outcome");
    describe_counter!("payments", Unit::Count, "Payment events, by outcome");
    describe_counter!("anomalies", Unit::Count, "Accepted events that may be mistakes, by kind");
    describe_histogram!("wallet_packs", Unit::Count, "Packs in the wallets read");
    describe_counter!("audit_runs", Unit::Count, "Audit runs that ended without an error");
    describe_histogram!(
        "audit_unfinished",
        Unit::Count,
        "Per audit run: 1 if users remain or failed, else 0"
    );
    describe_counter!("audited_users", Unit::Count, "Audited users");
    describe_counter!("audited_records", Unit::Count, "Records of the audited users");
    describe_counter!("audited_voided", Unit::Count, "Voided records of the audited users");
    describe_histogram!("audit_failed_users", Unit::Count, "Per audit run: users whose audit failed");
    // A histogram, because a counter at zero looks like an audit that never ran.
    describe_histogram!("drifted_users", Unit::Count, "Per audit run: users with discrepancies");
    describe_histogram!(
        "balance_accuracy",
        Unit::Percent,
        "Per audit run: share of users without discrepancies"
    );
    describe_histogram!("voided_share", Unit::Percent, "Per audit run: share of records that are voided");
}

/// Emits the metrics of an invocation, and logs its outcome.
pub(super) fn log_invocation(
    handles: &MetricHandles,
    outcome: &InvocationOutcome<'_>,
    metrics: &InvocationMetrics,
) {
    emit(handles, outcome, metrics);
    for anomaly in &metrics.anomalies {
        let (user_uuid, generation_uuid) = (metrics.user.as_deref(), metrics.generation.as_deref());
        tracing::warn!(anomaly, request_id = outcome.request_id, user_uuid, generation_uuid);
    }
    macro_rules! line {
        ($level:ident, $($more:tt)*) => {
            tracing::$level!(
                function = outcome.function,
                operation = metrics.operation,
                request_id = outcome.request_id,
                code = outcome.error.map_or("ok", |error| error.kind().code),
                user_uuid = metrics.user.as_deref(),
                generation_uuid = metrics.generation.as_deref(),
                outcome = metrics.outcome,
                round_trips = metrics.round_trips,
                retries = metrics.retries,
                conflicts = metrics.conflicts,
                micros = u64::try_from(outcome.took.as_micros()).unwrap_or(u64::MAX),
                $($more)*
            )
        };
    }
    match outcome.error.and_then(RequestError::internal_reason) {
        Some(reason) => line!(error, reason),
        None => line!(info,),
    }
}

/// The metrics that every event of an operation emits.
struct OperationMetrics {
    requests: Counter,
    latency: Histogram,
    round_trips: Histogram,
    read_units: Histogram,
    write_units: Histogram,
    wallet_packs: Histogram,
    retries: Counter,
    conflicts: Counter,
}

/// The metrics of operations, cached between events, because the look-up by name and labels
/// costs more than the increment.
#[derive(Default)]
pub struct MetricHandles(Mutex<BTreeMap<&'static str, OperationMetrics>>);

impl OperationMetrics {
    fn new(operation: &'static str) -> OperationMetrics {
        OperationMetrics {
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

    #[expect(clippy::cast_precision_loss, reason = "an invocation makes fewer than 2^53 calls")]
    fn count(&self, outcome: &InvocationOutcome<'_>, metrics: &InvocationMetrics) {
        self.requests.increment(1);
        self.latency.record(outcome.took);
        self.round_trips.record(metrics.round_trips as f64);
        self.read_units.record(metrics.read_units);
        self.write_units.record(metrics.write_units);
        if let Some(packs) = metrics.packs.and_then(|packs| u32::try_from(packs).ok()) {
            self.wallet_packs.record(packs);
        }
        self.retries.increment(metrics.retries);
        self.conflicts.increment(metrics.conflicts);
    }
}

fn emit(handles: &MetricHandles, outcome: &InvocationOutcome<'_>, metrics: &InvocationMetrics) {
    let operation = metrics.operation.unwrap_or("none");
    let mut operations = handles.0.lock().unwrap_or_else(PoisonError::into_inner);
    operations.entry(operation).or_insert_with(|| OperationMetrics::new(operation)).count(outcome, metrics);
    drop(operations);
    if ROUTES.iter().any(|route| route.is_query && route.operation == operation) {
        histogram!("query_latency").record(outcome.took);
    }
    if let Some(error) = outcome.error {
        counter!("errors", "operation" => operation, "code" => error.kind().code).increment(1);
        if error.kind().is_failure() {
            counter!("failures", "operation" => operation).increment(1);
        }
    }
    for (flow, kind, credits) in &metrics.flows {
        let name = match flow {
            CreditFlow::Granted => "credits_granted",
            CreditFlow::Charged => "credits_charged",
            CreditFlow::Voided => "credits_voided",
            CreditFlow::Owed => "credits_owed",
            CreditFlow::Revoked => "credits_revoked",
            CreditFlow::Restored => "credits_restored",
            CreditFlow::LateSuccess => "credits_late_success",
        };
        counter!(name, "kind" => *kind).increment(credits.as_u64());
    }
    if let Some(outcome) = metrics.outcome {
        counter!("refunds", "outcome" => outcome).increment(1);
    }
    if let Some(outcome) = metrics.payment {
        counter!("payments", "outcome" => outcome).increment(1);
    }
    for anomaly in &metrics.anomalies {
        counter!("anomalies", "anomaly" => *anomaly).increment(1);
    }
}

/// Emits the metrics of an audit run, also if it ended with an error.
pub(super) fn count_audit(summary: &AuditSummary, is_ok: bool) {
    let is_whole = is_ok && summary.unfinished_after.is_none() && summary.failed == 0;
    counter!("audit_runs").increment(u64::from(is_ok));
    histogram!("audit_unfinished").record(u32::from(!is_whole));
    counter!("audited_users").increment(summary.users);
    counter!("audited_records").increment(summary.records);
    counter!("audited_voided").increment(summary.voided);
    // Zero means that no user has discrepancies, which a failed run cannot prove.
    for (name, users) in [("drifted_users", summary.drifted), ("audit_failed_users", summary.failed)] {
        if is_ok || users > 0 {
            histogram!(name).record(metric_value(users));
        }
    }
    if summary.users > 0 {
        histogram!("balance_accuracy").record(percentage(summary.users - summary.drifted, summary.users));
    }
    if summary.records > 0 {
        histogram!("voided_share").record(percentage(summary.voided, summary.records));
    }
}

/// Emits the metrics of a sweep of holds, and logs its outcome.
pub(super) fn log_sweep(result: Result<&SweepSummary, &RequestError>, request_id: &str, took: Duration) {
    let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
    counter!("sweeps").increment(u64::from(result.is_ok()));
    let failed = result.map_or(1, |summary| summary.failed + u64::from(summary.is_unfinished));
    histogram!("holds_failed").record(metric_value(failed));
    match result {
        Ok(summary) => {
            counter!("holds_expired").increment(summary.expired);
            if summary.expired > 0 {
                let delay = u64::try_from(summary.delay_millis).unwrap_or_default();
                histogram!("hold_delay").record(metric_value(delay));
            }
            let SweepSummary { expired, failed, delay_millis, is_unfinished } = summary;
            tracing::info!(
                function = "sweep",
                request_id,
                code = "ok",
                expired,
                failed,
                delay_millis,
                is_unfinished,
                micros
            );
        }
        Err(error) => {
            let (code, reason) = (error.kind().code, error.internal_reason());
            tracing::error!(function = "sweep", request_id, code, reason, micros);
        }
    }
}

/// Logs a user with discrepancies or a failed audit.
pub(super) fn log_audited_user(user_uuid: &str, result: &Result<AuditReport, LedgerError>) {
    match result {
        Ok(report) if report.discrepancies.is_empty() => {}
        Ok(report) => log_drift(user_uuid, &report.discrepancies),
        Err(error) => {
            let error = RequestError::from(error.clone());
            let (code, reason) = (error.kind().code, error.internal_reason());
            tracing::error!(function = "audit", user_uuid, code, reason, "the audit of a user failed");
        }
    }
}

fn log_drift(user_uuid: &str, discrepancies: &Discrepancies) {
    let named = discrepancies.listed().take(LOGGED_DISCREPANCIES_MAX).map(Discrepancy::to_string);
    let reason: String = named.collect::<Vec<_>>().join("; ").chars().take(LOGGED_CHARS_MAX).collect();
    tracing::error!(
        function = "audit",
        user_uuid,
        discrepancies = discrepancies.count(),
        reason,
        "a user has drifted"
    );
}

/// Logs the outcome of an audit run.
pub(super) fn log_audit(result: Result<&AuditSummary, &RequestError>, request_id: &str, took: Duration) {
    let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
    match result {
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
            let (code, reason) = (error.kind().code, error.internal_reason());
            tracing::error!(function = "audit", request_id, code, reason, micros);
        }
    }
}

#[expect(clippy::float_arithmetic, reason = "a share of users or records, not of credits")]
fn percentage(part: u64, whole: u64) -> f64 {
    100.0 * metric_value(part) / metric_value(whole)
}

/// A count as the value of a metric; at most 2^32-1.
fn metric_value(count: u64) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}
