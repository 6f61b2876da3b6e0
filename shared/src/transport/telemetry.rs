//! What an invocation did and cost, told once at its end: metrics, and a line of the log.
//!
//! Metrics go through the facade of the crate `metrics`; who runs the function says
//! where to. None has more than two labels of its own, and every label is one of a few
//! words, because each combination is a metric that is paid for.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use metrics::{Counter, Histogram, Unit, counter, describe_counter, describe_histogram, histogram};

use super::{audit::Found, failure::code};
use crate::{
    domain::{Discrepancy, LedgerError},
    meter::{Move, Notes},
};

/// Operations that move nothing, and are asked for most.
const QUERIES: [&str; 4] = ["balance", "timeline", "summary", "generation"];

/// How much is told of what is wrong with one user: of very many faults the first, and of
/// their text so many characters.
const FAULTS_TOLD_MAX: usize = 20;
const FAULTS_CHARS_MAX: usize = 4_000;

/// What happened to one event.
pub(super) struct Ended<'a> {
    pub(super) function: &'static str,
    pub(super) request_id: &'a str,
    pub(super) error: Option<&'a LedgerError>,
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
        "Of each audit: 1 if there were more users than time"
    );
    describe_counter!("audited_users", Unit::Count, "Users who were held against their records");
    describe_counter!("audited_records", Unit::Count, "Records that they have");
    describe_counter!("audited_voided", Unit::Count, "Those of them that are voided");
    // No counter: one that stays at zero says nothing, as a dead audit does.
    describe_histogram!("drifted_users", Unit::Count, "Users of each audit with whom something is wrong");
    describe_histogram!("balance_accuracy", Unit::Percent, "Users of each audit with whom nothing is wrong");
    describe_histogram!("voided_share", Unit::Percent, "Records of each audit that are voided");
}

/// Tells it.
pub(super) fn tell(metrics: &Metrics, ended: &Ended<'_>, notes: &Notes) {
    count(metrics, ended, notes);
    for anomaly in &notes.anomalies {
        let (user_uuid, generation_uuid) = (notes.user.as_deref(), notes.generation.as_deref());
        tracing::warn!(anomaly, request_id = ended.request_id, user_uuid, generation_uuid);
    }
    macro_rules! line {
        ($level:ident, $($more:tt)*) => {
            tracing::$level!(
                function = ended.function,
                operation = notes.operation,
                request_id = ended.request_id,
                code = ended.error.map_or("ok", code),
                user_uuid = notes.user.as_deref(),
                generation_uuid = notes.generation.as_deref(),
                outcome = notes.outcome,
                round_trips = notes.round_trips,
                retries = notes.retries,
                conflicts = notes.conflicts,
                micros = u64::try_from(ended.took.as_micros()).unwrap_or(u64::MAX),
                $($more)*
            )
        };
    }
    match ended.error {
        Some(LedgerError::Internal(why)) => line!(error, why),
        _ => line!(info,),
    }
}

/// What each event of an operation has.
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
    fn count(&self, ended: &Ended<'_>, notes: &Notes) {
        self.requests.increment(1);
        self.latency.record(ended.took);
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

fn count(metrics: &Metrics, ended: &Ended<'_>, notes: &Notes) {
    let operation = notes.operation.unwrap_or("none");
    let mut kept = metrics.0.lock().unwrap_or_else(PoisonError::into_inner);
    kept.entry(operation).or_insert_with(|| OfOperation::new(operation)).count(ended, notes);
    drop(kept);
    if QUERIES.contains(&operation) {
        histogram!("query_latency").record(ended.took);
    }
    if let Some(error) = ended.error {
        counter!("errors", "operation" => operation, "code" => code(error)).increment(1);
        if is_failure(error) {
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

/// Whether the service is at fault.
fn is_failure(error: &LedgerError) -> bool {
    matches!(error, LedgerError::Busy | LedgerError::StoreUnavailable | LedgerError::Internal(_))
}

/// Counts what an audit found, before it ended so.
pub(super) fn count_audit(found: &Found, ended: &Result<Option<String>, LedgerError>) {
    counter!("audit_runs").increment(u64::from(ended.is_ok()));
    histogram!("audit_unfinished").record(if matches!(ended, Ok(None)) { 0 } else { 1 });
    counter!("audited_users").increment(found.users);
    counter!("audited_records").increment(found.records);
    counter!("audited_voided").increment(found.voided);
    // A zero is good news, and no run that failed has any.
    if ended.is_ok() || found.drifted > 0 {
        histogram!("drifted_users").record(number(found.drifted));
    }
    if found.users > 0 {
        histogram!("balance_accuracy").record(percent(found.users - found.drifted, found.users));
    }
    if found.records > 0 {
        histogram!("voided_share").record(percent(found.voided, found.records));
    }
}

/// Tells what is wrong with a user.
pub(super) fn tell_drift(user_uuid: &str, faults: &BTreeSet<Discrepancy>) {
    let first: Vec<_> = faults.iter().take(FAULTS_TOLD_MAX).map(Discrepancy::to_string).collect();
    let why: String = first.join("; ").chars().take(FAULTS_CHARS_MAX).collect();
    tracing::error!(function = "audit", user_uuid, faults = faults.len(), why, "a user has drifted");
}

/// Tells the end of an audit.
pub(super) fn tell_audit(ended: Result<&Found, &LedgerError>, request_id: &str, took: Duration) {
    let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
    match ended {
        Ok(found) => tracing::info!(
            function = "audit",
            request_id,
            code = "ok",
            segment = found.segment,
            of = found.of,
            users = found.users,
            records = found.records,
            voided = found.voided,
            drifted = found.drifted,
            unfinished_after = found.unfinished_after,
            micros,
        ),
        Err(error) => {
            let why = if let LedgerError::Internal(why) = error { Some(why) } else { None };
            tracing::error!(function = "audit", request_id, code = code(error), why, micros);
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
