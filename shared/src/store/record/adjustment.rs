//! The codec of adjustments of charges.

use aws_sdk_dynamodb::types::AttributeValue;

use super::super::{
    attribute::{AttributeCodec, Attributes, DecodeError},
    names,
};
use crate::domain::{Adjustment, AdjustmentKind, Credits, OutputSet, Settlement};

const SETTLED: &str = "settled";
const RETURNED: &str = "returned";
const REPAID: &str = "repaid";
const DELIVERED: &str = "delivered";

impl AttributeCodec for Adjustment {
    fn to_attribute(&self) -> AttributeValue {
        let map = Attributes::with_capacity(7)
            .put(names::ADJUSTED_AT, &self.at)
            .put(names::ADJUSTED_BY, &self.invocation);
        let named = |map: Attributes, kind: &str| map.put(names::ADJUSTMENT_KIND, &kind.to_owned());
        let map = match &self.kind {
            AdjustmentKind::Settled(settlement) => named(map, SETTLED)
                .put(names::REQUESTED, &settlement.requested)
                .put_optional(names::UNCOVERED, non_zero(&settlement.uncovered))
                .put(names::TAKEN, &settlement.taken)
                .put_optional(names::ADJUSTMENT_REPAID, non_zero(&settlement.repaid)),
            AdjustmentKind::Returned { outputs, repaid } => named(map, RETURNED)
                .put(names::ADJUSTED_OUTPUTS, outputs)
                .put_optional(names::ADJUSTMENT_REPAID, non_zero(repaid)),
            AdjustmentKind::Repaid(taken) => named(map, REPAID).put(names::TAKEN, taken),
            AdjustmentKind::Delivered => named(map, DELIVERED),
        };
        map.into_map()
    }

    fn from_attribute(attribute: AttributeValue) -> Result<Adjustment, DecodeError> {
        let mut map = Attributes::from_map(attribute)?;
        let kind: String = map.take_required(names::ADJUSTMENT_KIND)?;
        let kind = match kind.as_str() {
            SETTLED => AdjustmentKind::Settled(Settlement {
                requested: map.take_required(names::REQUESTED)?,
                uncovered: map.take_optional(names::UNCOVERED)?.unwrap_or_default(),
                taken: map.take_required(names::TAKEN)?,
                repaid: map.take_optional(names::ADJUSTMENT_REPAID)?.unwrap_or_default(),
            }),
            RETURNED => AdjustmentKind::Returned {
                outputs: map.take_required(names::ADJUSTED_OUTPUTS)?,
                repaid: map.take_optional(names::ADJUSTMENT_REPAID)?.unwrap_or_default(),
            },
            REPAID => AdjustmentKind::Repaid(map.take_required(names::TAKEN)?),
            DELIVERED => AdjustmentKind::Delivered,
            _ => return Err(format!("{}: not the kind of an adjustment", names::ADJUSTMENT_KIND)),
        };
        let (at, invocation) =
            (map.take_required(names::ADJUSTED_AT)?, map.take_required(names::ADJUSTED_BY)?);
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

/// Zero is not stored.
pub(super) fn non_zero(credits: &Credits) -> Option<&Credits> {
    Some(credits).filter(|credits| !credits.is_zero())
}
