//! Records as JSON: what the columns of the old table have no room for.

use scrip::domain::{Allocation, Charge, Grant, Record, RecordKey, Void};
use serde_json::{Value, json};

/// All of a record, and where it stands.
pub(super) fn content(key: &RecordKey, record: &Record) -> Value {
    let (kind, content) = match record {
        Record::Grant(grant) => ("grant", of_grant(grant)),
        Record::Charge(charge) => ("charge", of_charge(charge)),
        Record::Fence(void) => ("fence", of_void(void)),
    };
    json!({ "key": of_key(key), kind: content })
}

fn of_key(key: &RecordKey) -> Value {
    match key {
        RecordKey::OrderGrant(order_no) => json!({ "order_grant": order_no }),
        RecordKey::NewUserGrant => json!("new_user_grant"),
        RecordKey::KeyedGrant(key) => json!({ "keyed_grant": key }),
        RecordKey::UnkeyedGrant(nonce) => json!({ "unkeyed_grant": nonce }),
        RecordKey::MigratedGrant(nonce) => json!({ "migrated_grant": nonce }),
        RecordKey::Charge { generation, key } => {
            json!({ "charge": { "generation_uuid": generation, "idempotency_key": key } })
        }
        RecordKey::UnkeyedCharge(nonce) => json!({ "unkeyed_charge": nonce }),
    }
}

fn of_grant(grant: &Grant) -> Value {
    json!({
        "trans_no": grant.trans_no,
        "trans_type": grant.trans_type,
        "credits": grant.credits,
        "order_no": grant.order_no,
        "expired_at": grant.expired_at,
    })
}

fn of_charge(charge: &Charge) -> Value {
    let taken = |taken: &Allocation| json!({ "grant": of_grant(&taken.grant), "credits": taken.credits });
    json!({
        "trans_no": charge.trans_no,
        "trans_type": charge.trans_type.to_string(),
        "credits": charge.credits.to_negative_i64(),
        "generation_uuid": charge.generation,
        "order_no": charge.order_no,
        "allocations": charge.allocations.iter().map(taken).collect::<Vec<_>>(),
        "void": charge.void.as_ref().map(of_void),
    })
}

fn of_void(void: &Void) -> Value {
    json!({ "at": void.at, "reason": void.reason, "by": void.invocation })
}
