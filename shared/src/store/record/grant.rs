//! The codec of grants.

use super::super::{
    attribute::{Attributes, DecodeError},
    names,
};
use super::{adjustment::non_zero, non_empty};
use crate::domain::{Grant, GrantRecord, TransType};

pub(super) fn put(item: Attributes, record: &GrantRecord) -> Attributes {
    let grant = &record.grant;
    item.put(names::TRANS_NO, &grant.trans_no)
        .put(names::TRANS_TYPE, &grant.trans_type)
        .put(names::CREDITS, &grant.credits)
        .put_optional(names::ORDER_NO, grant.order_no.as_ref())
        .put_optional(names::EXPIRED_AT, grant.expired_at.as_ref())
        .put_optional(names::METADATA, non_empty(&record.metadata))
        .put_optional(names::REPAID, non_zero(&record.repaid))
        .put(names::IS_VOIDED, &false)
}

pub(super) fn take(item: &mut Attributes) -> Result<GrantRecord, DecodeError> {
    if item.take_required(names::IS_VOIDED)? {
        return Err("a grant with a void mark".to_owned());
    }
    let grant = Grant {
        trans_no: item.take_required(names::TRANS_NO)?,
        trans_type: granted_for(item.take_required(names::TRANS_TYPE)?)?,
        credits: item.take_required(names::CREDITS)?,
        order_no: item.take_optional(names::ORDER_NO)?,
        expired_at: item.take_optional(names::EXPIRED_AT)?,
    };
    let metadata = item.take_optional(names::METADATA)?.unwrap_or_default();
    Ok(GrantRecord { grant, metadata, repaid: item.take_optional(names::REPAID)?.unwrap_or_default() })
}

/// Accepts the types of grants; a charge's type is an error.
pub(super) fn granted_for(trans_type: TransType) -> Result<TransType, DecodeError> {
    match trans_type {
        TransType::Charge(_) => Err("a charge's trans_type".to_owned()),
        granted => Ok(granted),
    }
}
