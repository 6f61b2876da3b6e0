//! What an invocation did and cost, told once at its end: metrics, and a line of the log.
//!
//! Metrics go through the facade of the crate `metrics`; who runs the function says
//! where to. None has more than two labels of its own, and every label is one of a few
//! words, because each combination is a metric that is paid for.

use std::time::Duration;

use metrics::{Unit, counter, describe_counter, describe_histogram, histogram};

use super::failure::code;
use crate::{
    domain::Error,
    meter::{Move, Notes},
};

/// Operations that move nothing, and are asked for most.
const QUERIES: [&str; 4] = ["balance", "timeline", "summary", "generation"];

/// What happened to one event.
pub(super) struct Ended<'a> {
    pub(super) function: &'static str,
    pub(super) request_id: &'a str,
    pub(super) error: Option<&'a Error>,
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
}

/// Tells it.
pub(super) fn tell(ended: &Ended<'_>, notes: &Notes) {
    count(ended, notes);
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
        Some(Error::Internal(why)) => line!(error, why),
        _ => line!(info,),
    }
}

fn count(ended: &Ended<'_>, notes: &Notes) {
    let operation = notes.operation.unwrap_or("none");
    let seconds = ended.took.as_secs_f64();
    counter!("requests", "operation" => operation).increment(1);
    histogram!("latency", "operation" => operation).record(seconds);
    if QUERIES.contains(&operation) {
        histogram!("query_latency").record(seconds);
    }
    if let Some(error) = ended.error {
        counter!("errors", "operation" => operation, "code" => code(error)).increment(1);
        if is_failure(error) {
            counter!("failures", "operation" => operation).increment(1);
        }
    }
    #[expect(clippy::cast_precision_loss, reason = "nobody calls DynamoDB 2^53 times")]
    histogram!("round_trips", "operation" => operation).record(notes.round_trips as f64);
    histogram!("read_units", "operation" => operation).record(notes.read_units);
    histogram!("write_units", "operation" => operation).record(notes.write_units);
    counter!("retries").increment(notes.retries);
    counter!("conflicts").increment(notes.conflicts);
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
    if let Some(packs) = notes.packs.and_then(|packs| u32::try_from(packs).ok()) {
        histogram!("wallet_packs").record(packs);
    }
}

/// Whether the service is at fault.
fn is_failure(error: &Error) -> bool {
    matches!(error, Error::Busy | Error::StoreUnavailable | Error::Internal(_))
}
