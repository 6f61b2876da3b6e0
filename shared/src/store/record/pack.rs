//! The codec of packs and allocations: a grant and credits of it, in one map.

use aws_sdk_dynamodb::types::AttributeValue;

use super::{
    super::{
        attribute::{AttributeCodec, Attributes, DecodeError},
        names,
    },
    grant::granted_for,
};
use crate::domain::{Allocation, Credits, Grant, Id};

/// The largest size of a pack or an allocation, by the rules of "DynamoDB item sizes and
/// formats": 3 for the map, 1 for its position in the list, and for each
/// of six attributes a name of 1, an overhead of 1 and the value: a UUID of 36,
/// `system_add`, an order number, and three numbers of at most 16 digits.
pub(in crate::store) const PACK_BYTES_MAX: usize = 3 + 1 + 6 * 2 + 36 + 10 + Id::<()>::LEN_MAX + 3 * 9;

/// Encodes a grant with the credits that remain in the pack or that the allocation took.
pub(in crate::store) fn pack_attributes(grant: &Grant, credits: Credits) -> Attributes {
    Attributes::with_capacity(6)
        .put(names::PACK_ID, &grant.trans_no)
        .put(names::PACK_TYPE, &grant.trans_type)
        .put_optional(names::PACK_ORDER, grant.order_no.as_ref())
        .put(names::PACK_CREDITS, &grant.credits)
        .put_optional(names::PACK_EXPIRY, grant.expired_at.as_ref())
        .put(names::PACK_PART, &credits)
}

/// Decodes a grant and its credits.
pub(in crate::store) fn to_pack(map: &mut Attributes) -> Result<(Grant, Credits), DecodeError> {
    let grant = Grant {
        trans_no: map.take_required(names::PACK_ID)?,
        trans_type: granted_for(map.take_required(names::PACK_TYPE)?)?,
        credits: map.take_required(names::PACK_CREDITS)?,
        order_no: map.take_optional(names::PACK_ORDER)?,
        expired_at: map.take_optional(names::PACK_EXPIRY)?,
    };
    Ok((grant, map.take_required(names::PACK_PART)?))
}

impl AttributeCodec for Allocation {
    fn to_attribute(&self) -> AttributeValue {
        pack_attributes(&self.grant, self.credits).into_map()
    }

    fn from_attribute(attribute: AttributeValue) -> Result<Allocation, DecodeError> {
        let (grant, credits) = to_pack(&mut Attributes::from_map(attribute)?)?;
        Ok(Allocation { grant, credits })
    }
}
