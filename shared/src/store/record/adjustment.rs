//! The codec of adjustments of charges.

use aws_sdk_dynamodb::types::AttributeValue;

use super::{
    super::{
        attribute::{AttributeCodec, Attributes, DecodeError},
        names,
    },
    change_attributes,
};
use crate::domain::{Adjustment, AdjustmentKind, Credits, OutputSet, Settlement, ShortfallFill};

const SETTLED: &str = "settled";
const RETURNED: &str = "returned";
const REPAID: &str = "repaid";
const DELIVERED: &str = "delivered";

impl AttributeCodec for Adjustment {
    fn to_attribute(&self) -> AttributeValue {
        let kind = |kind: &str| change_attributes(&self.at, &self.invocation, kind);
        let map = match &self.kind {
            AdjustmentKind::Settled(settlement) => kind(SETTLED)
                .put(names::REQUESTED, &settlement.requested)
                .put_optional(names::UNCOVERED, non_zero(&settlement.uncovered))
                .put(names::TAKEN, &settlement.taken)
                .put_optional(names::ADJUSTMENT_REPAID, non_zero(&settlement.repaid))
                .put_optional(names::ADJUSTMENT_FILLS, non_empty_list(&settlement.fills)),
            AdjustmentKind::Returned { outputs, repaid, fills } => kind(RETURNED)
                .put(names::ADJUSTED_OUTPUTS, outputs)
                .put_optional(names::ADJUSTMENT_REPAID, non_zero(repaid))
                .put_optional(names::ADJUSTMENT_FILLS, non_empty_list(fills)),
            AdjustmentKind::Repaid(taken) => kind(REPAID).put(names::TAKEN, taken),
            AdjustmentKind::Delivered => kind(DELIVERED),
        };
        map.into_map()
    }

    fn from_attribute(attribute: AttributeValue) -> Result<Adjustment, DecodeError> {
        let mut map = Attributes::from_map(attribute)?;
        let kind: String = map.take_required(names::CHANGE_KIND)?;
        let kind = match kind.as_str() {
            SETTLED => AdjustmentKind::Settled(Settlement {
                requested: map.take_required(names::REQUESTED)?,
                uncovered: map.take_optional(names::UNCOVERED)?.unwrap_or_default(),
                taken: map.take_required(names::TAKEN)?,
                repaid: map.take_optional(names::ADJUSTMENT_REPAID)?.unwrap_or_default(),
                fills: take_fills(&mut map, names::ADJUSTMENT_FILLS)?,
            }),
            RETURNED => AdjustmentKind::Returned {
                outputs: map.take_required(names::ADJUSTED_OUTPUTS)?,
                repaid: map.take_optional(names::ADJUSTMENT_REPAID)?.unwrap_or_default(),
                fills: take_fills(&mut map, names::ADJUSTMENT_FILLS)?,
            },
            REPAID => AdjustmentKind::Repaid(map.take_required(names::TAKEN)?),
            DELIVERED => AdjustmentKind::Delivered,
            _ => return Err(format!("{}: not the kind of an adjustment", names::CHANGE_KIND)),
        };
        let (at, invocation) = (map.take_required(names::CHANGE_AT)?, map.take_required(names::CHANGE_BY)?);
        Ok(Adjustment { at, invocation, kind })
    }
}

impl AttributeCodec for OutputSet {
    fn to_attribute(&self) -> AttributeValue {
        self.numbers().map(u64::from).collect::<Vec<_>>().to_attribute()
    }

    fn from_attribute(attribute: AttributeValue) -> Result<OutputSet, DecodeError> {
        let numbers = Vec::<u64>::from_attribute(attribute)?;
        let numbers: Result<Vec<u8>, _> = numbers.into_iter().map(TryInto::try_into).collect();
        Ok(numbers.map_err(|_| "not the number of an output")?.try_into()?)
    }
}

/// Takes the fills of shortfalls, which may be absent.
pub(super) fn take_fills(item: &mut Attributes, name: &str) -> Result<Vec<ShortfallFill>, DecodeError> {
    Ok(item.take_optional(name)?.unwrap_or_default())
}

/// An empty list is not stored.
pub(super) fn non_empty_list<T>(list: &Vec<T>) -> Option<&Vec<T>> {
    Some(list).filter(|list| !list.is_empty())
}

/// Zero is not stored.
pub(super) fn non_zero(credits: &Credits) -> Option<&Credits> {
    Some(credits).filter(|credits| !credits.is_zero())
}
