//! Writes records as JSON, for the values without a column in the old table.

use scrip::domain::{
    Adjustment, AdjustmentKind, Allocation, Charge, Grant, GrantRecord, Metadata, Outputs, Record, RecordKey,
    RecordVersion, Revocation, RevocationKind, Void,
};
use serde_json::{Value, json};

/// A record with its key.
pub(super) fn record_json(key: &RecordKey, record: &Record) -> Value {
    let (kind, content) = match record {
        Record::Grant(record) => ("grant", with_metadata(grant_record_json(record), &record.metadata)),
        Record::Charge(charge) => ("charge", with_metadata(charge_json(charge), &charge.metadata)),
        Record::Fence(void) => ("fence", void_json(void)),
    };
    json!({ "key": key_json(key), kind: content })
}

/// Adds the metadata, if the record has any.
fn with_metadata(mut record: Value, metadata: &Metadata) -> Value {
    if !metadata.is_empty() {
        record["metadata"] = json!(metadata);
    }
    record
}

fn key_json(key: &RecordKey) -> Value {
    match key {
        RecordKey::OrderGrant(order_no) => json!({ "order_grant": order_no }),
        RecordKey::NewUserGrant => json!("new_user_grant"),
        RecordKey::KeyedGrant(key) => json!({ "keyed_grant": key }),
        RecordKey::UnkeyedGrant(id) => json!({ "unkeyed_grant": id }),
        RecordKey::MigratedGrant(id) => json!({ "migrated_grant": id }),
        RecordKey::Charge { generation, key } => {
            json!({ "charge": { "generation_uuid": generation, "idempotency_key": key } })
        }
        RecordKey::UnkeyedCharge(id) => json!({ "unkeyed_charge": id }),
    }
}

fn grant_json(grant: &Grant) -> Value {
    json!({
        "trans_no": grant.trans_no,
        "trans_type": grant.trans_type,
        "credits": grant.credits,
        "order_no": grant.order_no,
        "expired_at": grant.expired_at,
    })
}

/// The revocations are present only in a grant that has them.
fn grant_record_json(record: &GrantRecord) -> Value {
    let mut json = grant_json(&record.grant);
    if !record.revocations.is_empty() {
        json["revocations"] = record.revocations.iter().map(revocation_json).collect();
    }
    json
}

fn revocation_json(revocation: &Revocation) -> Value {
    let (kind, content) = match &revocation.kind {
        RevocationKind::Revoked { taken, paid, shortfall, owed } => {
            let paid = allocations_json(paid);
            ("revoked", json!({ "taken": taken, "paid": paid, "shortfall": shortfall, "owed": owed }))
        }
        RevocationKind::Restored { owed, shortfall, paid, returned, .. } => {
            ("restored", json!({ "owed": owed, "shortfall": shortfall, "paid": paid, "returned": returned }))
        }
        RevocationKind::Repaid(paid) => ("repaid", allocations_json(paid)),
    };
    json!({ "at": revocation.at, "by": revocation.invocation, kind: content })
}

/// The fields of later formats are present only in a charge that has them.
fn charge_json(charge: &Charge) -> Value {
    let mut json = json!({
        "trans_no": charge.trans_no,
        "trans_type": charge.trans_type.to_string(),
        "credits": charge.credits.to_negative_i64(),
        "generation_uuid": charge.generation,
        "order_no": charge.order_no,
        "allocations": allocations_json(&charge.allocations),
        "void": charge.void.as_ref().map(void_json),
    });
    if charge.version() != RecordVersion::First {
        json["outputs"] = json!(charge.outputs.map(Outputs::count));
        json["hold_until"] = json!(charge.hold_until);
        json["adjustments"] = charge.adjustments.iter().map(adjustment_json).collect();
    }
    json
}

fn allocations_json(allocations: &[Allocation]) -> Value {
    let allocation = |part: &Allocation| json!({ "grant": grant_json(&part.grant), "credits": part.credits });
    allocations.iter().map(allocation).collect()
}

fn adjustment_json(adjustment: &Adjustment) -> Value {
    let (kind, content) = match &adjustment.kind {
        AdjustmentKind::Settled(settlement) => {
            let taken = allocations_json(&settlement.taken);
            let (credits, uncovered) = (settlement.requested, settlement.uncovered);
            ("settled", json!({ "credits": credits, "uncovered": uncovered, "taken": taken }))
        }
        AdjustmentKind::Returned { outputs, .. } => ("returned", outputs.numbers().collect()),
        AdjustmentKind::Repaid(taken) => ("repaid", allocations_json(taken)),
        AdjustmentKind::Delivered => ("delivered", Value::Bool(true)),
    };
    json!({ "at": adjustment.at, "by": adjustment.invocation, kind: content })
}

fn void_json(void: &Void) -> Value {
    json!({ "at": void.at, "reason": void.reason, "by": void.invocation })
}
