//! The decoder of timeline entries.

use super::{
    super::{StoreError, key::Item, names},
    charge::take_returned,
    read,
    revocation::take_revoked,
};
use crate::domain::{Entry, TransType};

/// Decodes an entry of the timeline index.
pub(in crate::store) fn to_entry(item: Item) -> Result<Entry, StoreError> {
    read(item, |item| {
        let trans_type: TransType = item.take_required(names::TRANS_TYPE)?;
        let is_charge = matches!(trans_type, TransType::Charge(_));
        let is_voided = item.take_required(names::IS_VOIDED)?;
        let voided_at = item.take_optional(names::VOIDED_AT)?;
        let void = match (is_voided, voided_at, item.take_optional(names::VOIDED_REASON)?) {
            (false, None, None) => None,
            (true, Some(at), Some(reason)) if is_charge => Some((at, reason)),
            _ => return Err("its void mark is incomplete, or a grant's".to_owned()),
        };
        let credits: i64 = item.take_required(names::CREDITS)?;
        let settled_at = item.take_optional(names::SETTLED_AT)?;
        if is_charge != (credits < 0) {
            return Err("its sign is not its trans_type's".to_owned());
        }
        Ok(Entry {
            trans_no: item.take_required(names::TRANS_NO)?,
            trans_type,
            credits: credits.unsigned_abs().try_into()?,
            order_no: item.take_optional(names::ORDER_NO)?,
            generation: item.take_optional(names::GENERATION)?,
            expired_at: item.take_optional(names::EXPIRED_AT)?,
            metadata: item.take_optional(names::METADATA)?.unwrap_or_default(),
            outputs: item.take_optional(names::OUTPUTS)?,
            returned_outputs: take_returned(item)?,
            settled: settled_at.zip(item.take_optional(names::LIVE)?),
            hold_until: item.take_optional(names::HOLD_UNTIL)?,
            revoked: take_revoked(item)?,
            late_success_at: item.take_optional(names::LATE_SUCCESS_AT)?,
            void,
        })
    })
}
