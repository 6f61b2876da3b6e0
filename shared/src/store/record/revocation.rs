//! The codec of revocations of grants, and the expression that adds one.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::types::AttributeValue;

use super::{
    super::{
        attribute::{AttributeCodec, Attributes, DecodeError},
        names,
    },
    RecordUpdate,
    adjustment::{non_empty_list, non_zero, take_fills},
    append_change, change_attributes,
};
use crate::domain::{Credits, RecordVersion, Revocation, RevocationKind, ShortfallFill, Timestamp};

const REVOKED: &str = "revoked";
const RESTORED: &str = "restored";
const REPAID: &str = "repaid";

/// Adds a revocation to a grant, and the revoked credits after it.
pub(in crate::store) fn revoke(
    version: RecordVersion,
    revocation: &Revocation,
    total: Option<Credits>,
) -> RecordUpdate {
    let (mut expression, values) = append_change(names::REVOCATIONS, revocation, revocation.at);
    let total = total.map(|total| vec![RevokedTotal((revocation.at, total))]);
    if total.is_some() {
        expression += ", revoked = list_append(if_not_exists(revoked, :none), :total)";
    }
    RecordUpdate::of_live(version, expression, values.put_optional(":total", total.as_ref()))
}

impl AttributeCodec for Revocation {
    fn to_attribute(&self) -> AttributeValue {
        let kind = |kind: &str| change_attributes(&self.at, &self.invocation, kind);
        let map = match &self.kind {
            RevocationKind::Revoked { taken, paid, shortfall, owed } => kind(REVOKED)
                .put_optional(names::REVOCATION_TAKEN, non_zero(taken))
                .put_optional(names::REVOCATION_PAID, non_empty_list(paid))
                .put_optional(names::REVOCATION_SHORTFALL, non_zero(shortfall))
                .put_optional(names::REVOCATION_OWED, non_zero(owed)),
            RevocationKind::Restored { owed, shortfall, paid, returned, fills } => kind(RESTORED)
                .put_optional(names::REVOCATION_TAKEN, non_zero(returned))
                .put_optional(names::REVOCATION_PAID, non_zero(paid))
                .put_optional(names::REVOCATION_SHORTFALL, non_zero(shortfall))
                .put_optional(names::REVOCATION_OWED, non_zero(owed))
                .put_optional(names::ADJUSTMENT_FILLS, non_empty_list(fills)),
            RevocationKind::Repaid(paid) => kind(REPAID).put(names::REVOCATION_PAID, paid),
        };
        map.into_map()
    }

    fn from_attribute(attribute: AttributeValue) -> Result<Revocation, DecodeError> {
        let mut map = Attributes::from_map(attribute)?;
        let kind: String = map.take_required(names::CHANGE_KIND)?;
        let credits =
            |map: &mut Attributes, name| Ok::<_, DecodeError>(map.take_optional(name)?.unwrap_or_default());
        let kind = match kind.as_str() {
            REVOKED => RevocationKind::Revoked {
                taken: credits(&mut map, names::REVOCATION_TAKEN)?,
                paid: map.take_optional(names::REVOCATION_PAID)?.unwrap_or_default(),
                shortfall: credits(&mut map, names::REVOCATION_SHORTFALL)?,
                owed: credits(&mut map, names::REVOCATION_OWED)?,
            },
            RESTORED => RevocationKind::Restored {
                returned: credits(&mut map, names::REVOCATION_TAKEN)?,
                paid: credits(&mut map, names::REVOCATION_PAID)?,
                shortfall: credits(&mut map, names::REVOCATION_SHORTFALL)?,
                owed: credits(&mut map, names::REVOCATION_OWED)?,
                fills: take_fills(&mut map, names::ADJUSTMENT_FILLS)?,
            },
            REPAID => RevocationKind::Repaid(map.take_required(names::REVOCATION_PAID)?),
            _ => return Err(format!("{}: not the kind of a revocation", names::CHANGE_KIND)),
        };
        let (at, invocation) = (map.take_required(names::CHANGE_AT)?, map.take_required(names::CHANGE_BY)?);
        Ok(Revocation { at, invocation, kind })
    }
}

/// The revoked credits after a change, and its time.
#[derive(Clone)]
pub(super) struct RevokedTotal(pub(super) (Timestamp, Credits));

impl AttributeCodec for RevokedTotal {
    fn to_attribute(&self) -> AttributeValue {
        let (at, credits) = &self.0;
        Attributes::with_capacity(2)
            .put(names::REVOKED_AT, at)
            .put(names::REVOKED_CREDITS, credits)
            .into_map()
    }

    fn from_attribute(attribute: AttributeValue) -> Result<RevokedTotal, DecodeError> {
        let mut map = Attributes::from_map(attribute)?;
        Ok(RevokedTotal((map.take_required(names::REVOKED_AT)?, map.take_required(names::REVOKED_CREDITS)?)))
    }
}

/// Takes the revoked credits after each change.
pub(super) fn take_revoked(item: &mut Attributes) -> Result<BTreeMap<Timestamp, Credits>, DecodeError> {
    let revoked: Option<Vec<RevokedTotal>> = item.take_optional(names::REVOKED)?;
    Ok(revoked.unwrap_or_default().into_iter().map(|total| total.0).collect())
}

impl AttributeCodec for ShortfallFill {
    fn to_attribute(&self) -> AttributeValue {
        Attributes::with_capacity(2)
            .put(names::FILLED_PACK, &self.pack)
            .put(names::FILLED_CREDITS, &self.credits)
            .into_map()
    }

    fn from_attribute(attribute: AttributeValue) -> Result<ShortfallFill, DecodeError> {
        let mut map = Attributes::from_map(attribute)?;
        Ok(ShortfallFill {
            pack: map.take_required(names::FILLED_PACK)?,
            credits: map.take_required(names::FILLED_CREDITS)?,
        })
    }
}
