//! The codec of charges, and the expressions that change one.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::types::AttributeValue;

use super::{
    super::{
        attribute::{AttributeCodec, Attributes, DecodeError},
        format, key, names,
    },
    RecordUpdate,
    adjustment::{non_empty_list, non_zero},
    append_change, non_empty, put_void, take_void,
};
use crate::domain::{
    Adjustment, AdjustmentKind, Allocation, Charge, Outputs, RecordKey, RecordVersion, Timestamp, TransNo,
    UserId, Void,
};

pub(super) fn put(item: Attributes, user: &UserId, charge: &Charge) -> Attributes {
    let user_trans = charge.generation.as_ref().map(|_| key::user_trans(user, charge.trans_no));
    let item = item
        .put(names::TRANS_NO, &charge.trans_no)
        .put(names::TRANS_TYPE, &charge.trans_type)
        .put(names::CREDITS, &charge.credits.to_negative_i64())
        .put_optional(names::GENERATION, charge.generation.as_ref())
        .put_optional(names::USER_TRANS, user_trans.as_ref())
        .put_optional(names::ORDER_NO, charge.order_no.as_ref())
        .put_optional(names::METADATA, non_empty(&charge.metadata))
        .put(names::ALLOCATIONS, &charge.allocations)
        .put_optional(names::LATE_SUCCESS_AT, charge.late_success_at.as_ref());
    let item = put_void(item, charge.void.as_ref());
    match charge.version() {
        RecordVersion::First => item,
        _ => put_second_format(item, charge),
    }
}

fn put_second_format(item: Attributes, charge: &Charge) -> Attributes {
    let settled = charge.settled();
    let returned: Vec<_> = charge.adjustments.iter().flat_map(returned_outputs).collect();
    item.put(names::FORMAT, &format::SECOND)
        .put(names::CHANGED_AT, &charge.changed_at())
        .put_optional(names::OUTPUTS, charge.outputs.as_ref())
        .put_optional(names::RETURNED_OUTPUTS, Some(&returned).filter(|returned| !returned.is_empty()))
        .put_optional(names::LIVE, settled.as_ref().map(|(_, cost)| cost))
        .put_optional(names::SETTLED_AT, settled.as_ref().map(|(at, _)| at))
        .put_optional(names::HOLD_UNTIL, charge.hold_until.as_ref())
        .put_optional(names::HOLD_SHARD, hold_shard(charge).as_ref())
        .put_optional(names::ADJUSTMENTS, Some(&charge.adjustments).filter(|all| !all.is_empty()))
}

/// The shard of a charge that is held. The shards share the load of the index.
fn hold_shard(charge: &Charge) -> Option<String> {
    let is_held = charge.hold_until.is_some() && charge.void.is_none() && !charge.is_final();
    let shard = u64::from(charge.trans_no.uuid().as_bytes()[15]) % key::HOLD_SHARDS;
    is_held.then(|| key::hold_shard(shard))
}

pub(super) fn take(item: &mut Attributes, trans_no: TransNo, key: &RecordKey) -> Result<Charge, DecodeError> {
    let credits: i64 = item.take_required(names::CREDITS)?;
    let credits = u64::try_from(-i128::from(credits)).map_err(|_| "its sign")?.try_into()?;
    let allocations = item.take_required(names::ALLOCATIONS)?;
    let charge = Charge {
        generation: item.take_optional(names::GENERATION)?,
        key: if let RecordKey::Charge { key, .. } = key { key.clone() } else { None },
        order_no: item.take_optional(names::ORDER_NO)?,
        metadata: item.take_optional(names::METADATA)?.unwrap_or_default(),
        outputs: item.take_optional(names::OUTPUTS)?,
        hold_until: item.take_optional(names::HOLD_UNTIL)?,
        adjustments: item.take_optional(names::ADJUSTMENTS)?.unwrap_or_default(),
        void: take_void(item)?,
        late_success_at: item.take_optional(names::LATE_SUCCESS_AT)?,
        ..Charge::new(trans_no, item.take_required(names::TRANS_TYPE)?, credits, allocations)
    };
    // A void gives back these credits, and a pack never exceeds its grant.
    let is_taken = |part: &Allocation| !part.credits.is_zero() && part.credits <= part.grant.credits;
    let allocated: u128 = charge.allocations.iter().map(|part| u128::from(part.credits.as_u64())).sum();
    if !charge.allocations.iter().all(is_taken) {
        Err("an allocation of nothing or of more than its pack".to_owned())
    } else if charge.credits.is_zero() || allocated != u128::from(charge.credits.as_u64()) {
        Err("its allocations are not its credits".to_owned())
    } else if item.take_optional(names::FORMAT)? != charge_format(&charge) {
        Err("not the format of its attributes".to_owned())
    } else {
        Ok(charge)
    }
}

fn charge_format(charge: &Charge) -> Option<u64> {
    (charge.version() != RecordVersion::First).then_some(format::SECOND)
}

const IS_UNNOTED: &str = "is_voided = :voided AND attribute_not_exists(late_success_at)";

/// Voids a live charge.
pub(in crate::store) fn void(version: RecordVersion, void: &Void) -> RecordUpdate {
    let values = Attributes::with_capacity(10)
        .put(":voided", &true)
        .put(":at", &void.at)
        .put(":reason", &void.reason)
        .put(":by", &void.invocation)
        .put_optional(":repaid", non_zero(&void.repaid))
        .put_optional(":fills", non_empty_list(&void.fills));
    let mut expression =
        "SET is_voided = :voided, voided_at = :at, voided_reason = :reason, voided_by = :by".to_owned();
    if !void.repaid.is_zero() {
        expression += ", repaid = :repaid";
    }
    if !void.fills.is_empty() {
        expression += ", fills = :fills";
    }
    if version != RecordVersion::First {
        expression += ", changed_at = :at REMOVE hold_shard";
    }
    RecordUpdate::of_live(version, expression, values)
}

/// Adjusts a live charge.
pub(in crate::store) fn adjust(version: RecordVersion, adjustment: &Adjustment) -> RecordUpdate {
    let (mut expression, values) = append_change(names::ADJUSTMENTS, adjustment, adjustment.at);
    let values = match &adjustment.kind {
        AdjustmentKind::Settled(settlement) => {
            expression += ", live = :cost, settled_at = :at REMOVE hold_shard";
            values.put(":cost", &settlement.cost())
        }
        AdjustmentKind::Returned { .. } => {
            expression +=
                ", returned_outputs = list_append(if_not_exists(returned_outputs, :none), :returned)";
            values.put(":returned", &returned_outputs(adjustment))
        }
        AdjustmentKind::Delivered => {
            expression += " REMOVE hold_shard";
            values
        }
        AdjustmentKind::Repaid(_) => values,
    };
    RecordUpdate::of_live(version, expression, values)
}

/// Notes a late success on a voided charge.
pub(in crate::store) fn note_success(at: Timestamp) -> RecordUpdate {
    let values = Attributes::with_capacity(2).put(":voided", &true).put(":at", &at).0;
    RecordUpdate { condition: IS_UNNOTED, expression: "SET late_success_at = :at".to_owned(), values }
}

/// An output that was returned, and when.
struct ReturnedOutput((u8, Timestamp));

impl AttributeCodec for ReturnedOutput {
    fn to_attribute(&self) -> AttributeValue {
        let (output, at) = &self.0;
        Attributes::with_capacity(2)
            .put(names::OUTPUT, &u64::from(*output))
            .put(names::RETURNED_AT, at)
            .into_map()
    }

    fn from_attribute(attribute: AttributeValue) -> Result<ReturnedOutput, DecodeError> {
        let mut map = Attributes::from_map(attribute)?;
        let output: u64 = map.take_required(names::OUTPUT)?;
        let output = u8::try_from(output).map_err(|_| "not the number of an output")?;
        Ok(ReturnedOutput((output, map.take_required(names::RETURNED_AT)?)))
    }
}

/// The outputs that an adjustment returned, in the order of their entries.
fn returned_outputs(adjustment: &Adjustment) -> Vec<ReturnedOutput> {
    match &adjustment.kind {
        AdjustmentKind::Returned { outputs, .. } => {
            outputs.numbers().map(|output| ReturnedOutput((output, adjustment.at))).collect()
        }
        _ => Vec::new(),
    }
}

/// Takes the outputs that were returned, with the times.
pub(super) fn take_returned(item: &mut Attributes) -> Result<BTreeMap<u8, Timestamp>, DecodeError> {
    let returned: Option<Vec<ReturnedOutput>> = item.take_optional(names::RETURNED_OUTPUTS)?;
    Ok(returned.unwrap_or_default().into_iter().map(|returned| returned.0).collect())
}

impl AttributeCodec for Outputs {
    fn to_attribute(&self) -> AttributeValue {
        u64::from(self.count()).to_attribute()
    }

    fn from_attribute(attribute: AttributeValue) -> Result<Outputs, DecodeError> {
        Ok(u64::from_attribute(attribute)?.try_into()?)
    }
}
