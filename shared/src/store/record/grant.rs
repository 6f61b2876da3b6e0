//! The codec of grants.

use super::super::{
    attribute::{Attributes, DecodeError},
    format, names,
};
use super::{adjustment::non_zero, non_empty, revocation::RevokedTotal};
use crate::domain::{Grant, GrantRecord, TransType};

pub(super) fn put(item: Attributes, record: &GrantRecord) -> Attributes {
    let grant = &record.grant;
    let item = item
        .put(names::TRANS_NO, &grant.trans_no)
        .put(names::TRANS_TYPE, &grant.trans_type)
        .put(names::CREDITS, &grant.credits)
        .put_optional(names::ORDER_NO, grant.order_no.as_ref())
        .put_optional(names::EXPIRED_AT, grant.expired_at.as_ref())
        .put_optional(names::METADATA, non_empty(&record.metadata))
        .put_optional(names::REPAID, non_zero(&record.repaid))
        .put(names::IS_VOIDED, &false);
    if record.revocations.is_empty() {
        return item;
    }
    let revoked: Vec<_> = record.revoked().into_iter().map(RevokedTotal).collect();
    item.put(names::FORMAT, &format::SECOND)
        .put(names::CHANGED_AT, &record.changed_at())
        .put(names::REVOCATIONS, &record.revocations)
        .put_optional(names::REVOKED, Some(&revoked).filter(|revoked| !revoked.is_empty()))
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
    let record = GrantRecord {
        grant,
        metadata: item.take_optional(names::METADATA)?.unwrap_or_default(),
        repaid: item.take_optional(names::REPAID)?.unwrap_or_default(),
        revocations: item.take_optional(names::REVOCATIONS)?.unwrap_or_default(),
    };
    let is_revoked = !record.revocations.is_empty();
    if item.take_optional(names::FORMAT)? == is_revoked.then_some(format::SECOND) {
        Ok(record)
    } else {
        Err("not the format of its attributes".to_owned())
    }
}

/// Accepts the types of grants; a charge's type is an error.
pub(super) fn granted_for(trans_type: TransType) -> Result<TransType, DecodeError> {
    match trans_type {
        TransType::Charge(_) => Err("a charge's trans_type".to_owned()),
        granted => Ok(granted),
    }
}
