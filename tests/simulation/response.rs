//! Compares the records and sums in a response with the table.

use std::collections::BTreeSet;

use scrip::domain::Timestamp;
use serde_json::Value;

use crate::{
    checker::{CheckResult, ensure},
    item::{list, text},
    record::Record,
    state::RecordState,
};

/// All grants are revoked, spent, expired, or the balance without the debt.
pub fn check_sums(response: &Value) -> CheckResult {
    let credits = |name: &str| response[name]["credits"].as_i64().unwrap_or(0);
    let [balance, debt] = ["balance", "debt"].map(|name| response[name].as_i64().unwrap_or(0));
    let sum = credits("spent") + credits("expired") + balance - debt;
    ensure(credits("granted") - credits("revoked") == sum, "the sums do not agree")
}

/// Compares a record in the response to its write, or to a replay, with the table's.
pub fn check_created(record: &Record, response: &Value) -> CheckResult {
    check_fields(record, response)?;
    ensure(response["credits"].as_i64() == Some(record.credits), "`credits` differ")?;
    let repaid = |object: &Value| object["repaid"].as_i64().unwrap_or(0);
    ensure(record.credits < 0 || repaid(response) == repaid(&record.item), "`repaid` differs")?;
    let revoked = record.first_revocation().and_then(|first| first.kind.revoked());
    ensure(response["revoked"].as_i64() == revoked, "`revoked` differs")?;
    ensure(allocations(response) == record.allocations(), "`allocations` differ")
}

/// Compares a record in a list with the table's as it was in a state.
pub fn check_shown(record: &Record, state: &RecordState, shown: &Value) -> CheckResult {
    check_fields(record, shown)?;
    ensure(shown["credits"].as_i64() == Some(state.credits), "`credits` differ")?;
    let void = record.void.as_ref().filter(|_| state.is_voided);
    let shown_void = millis(shown, "voided_at").map(|at| (at, text(shown, "voided_reason")));
    ensure(shown["is_voided"] == state.is_voided, "`is_voided` differs")?;
    ensure(shown_void == void.map(|void| (void.at, void.reason.clone())), "the void differs")?;
    let settlement = state.settlement.as_ref();
    ensure(millis(shown, "settled_at") == settlement.map(|settled| settled.at), "`settled_at` differs")?;
    let estimated = settlement.map(|_| -record.credits);
    ensure(shown["estimated"].as_i64() == estimated, "`estimated` differs")?;
    let outputs: BTreeSet<_> = list(shown, "returned_outputs").filter_map(Value::as_u64).collect();
    ensure(outputs == state.returned_outputs, "`returned_outputs` differ")?;
    let revoked = Some(state.revoked).filter(|revoked| *revoked > 0);
    ensure(shown["revoked"].as_i64() == revoked, "`revoked` differs")?;
    let noted_at = millis(shown, "late_success_at");
    ensure(
        noted_at.is_none() || noted_at == record.item["late_success_at"].as_i64(),
        "`late_success_at` differs",
    )?;
    ensure(shown["allocations"].is_null() || allocations(shown) == state.owned, "`allocations` differ")
}

/// Compares the fields that never change.
fn check_fields(record: &Record, shown: &Value) -> CheckResult {
    for name in ["trans_type", "order_no", "outputs", "metadata"] {
        ensure(shown[name] == record.item[name], &format!("`{name}` differs"))?;
    }
    let generation = &shown["generation_uuid"];
    ensure(*generation == record.item["generation_uuid"], "`generation_uuid` differs")?;
    ensure(millis(shown, "created_at") == Some(record.created_at), "`created_at` differs")?;
    ensure(millis(shown, "hold_until") == record.hold_until(), "`hold_until` differs")?;
    ensure(millis(shown, "expired_at") == record.expired_at(), "`expired_at` differs")
}

pub fn millis(object: &Value, name: &str) -> Option<i64> {
    object[name].as_str().and_then(Timestamp::parse).map(Timestamp::millis)
}

/// The packs and credits of the allocations in a response.
pub fn allocations(response: &Value) -> Vec<(String, i64)> {
    let part = |part: &Value| (text(part, "pack"), part["credits"].as_i64().unwrap_or_default());
    list(response, "allocations").map(part).collect()
}
