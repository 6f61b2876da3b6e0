//! The codec of charges.

use super::{
    super::{
        attribute::{Attributes, DecodeError},
        key::{self, Item},
        names,
    },
    non_empty, put_void, take_void,
};
use crate::domain::{Allocation, Charge, TransNo, UserId, Void};

/// The update expression that voids a charge.
pub(in crate::store) const MARK_VOID: &str =
    "SET is_voided = :voided, voided_at = :at, voided_reason = :reason, voided_by = :by";

/// The values of [`MARK_VOID`] and of its condition.
pub(in crate::store) fn void_values(void: &Void) -> Item {
    let values = Attributes::with_capacity(5)
        .put(":live", &false)
        .put(":voided", &true)
        .put(":at", &void.at)
        .put(":reason", &void.reason)
        .put(":by", &void.invocation);
    values.0
}

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
        .put(names::ALLOCATIONS, &charge.allocations);
    put_void(item, charge.void.as_ref())
}

/// In the first format the cost of a charge is what it took, or 0 once it is void.
pub(super) fn take(item: &mut Attributes, trans_no: TransNo) -> Result<Charge, DecodeError> {
    let credits: i64 = item.take_required(names::CREDITS)?;
    let credits = u64::try_from(-i128::from(credits)).map_err(|_| "its sign")?.try_into()?;
    let charge = Charge {
        trans_no,
        trans_type: item.take_required(names::TRANS_TYPE)?,
        credits,
        generation: item.take_optional(names::GENERATION)?,
        order_no: item.take_optional(names::ORDER_NO)?,
        metadata: item.take_optional(names::METADATA)?.unwrap_or_default(),
        allocations: item.take_required(names::ALLOCATIONS)?,
        extra: Vec::new(),
        live: credits,
        void: take_void(item)?,
    };
    // A void gives back these credits, and a pack never exceeds its grant.
    let is_taken = |part: &Allocation| !part.credits.is_zero() && part.credits <= part.grant.credits;
    let allocated: u128 = charge.allocations.iter().map(|part| u128::from(part.credits.as_u64())).sum();
    if !charge.allocations.iter().all(is_taken) {
        Err("an allocation of nothing or of more than its pack".to_owned())
    } else if charge.credits.is_zero() || allocated != u128::from(charge.credits.as_u64()) {
        Err("its allocations are not its credits".to_owned())
    } else {
        Ok(charge)
    }
}
