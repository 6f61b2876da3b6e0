//! What each row is, by its sign, its type, and what its `order_no` is.

use scrip::domain::{ChargeType, Credits, GenerationId, GrantType, Id, OrderNo, Timestamp, TransType};

use super::{Found, OldRow, Refusal, Why};

/// What a row is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Credits came.
    Grant(GrantType, Option<OrderNo>),
    /// Credits came back.
    Refund(ChargeType, Option<GenerationId>),
    /// Credits went.
    Charge(ChargeType, Option<GenerationId>, Option<OrderNo>),
    /// Nothing came or went.
    Nothing,
}

/// A row that was understood.
#[derive(Clone, Debug)]
pub(super) struct Line<'a> {
    pub(super) row: &'a OldRow,
    pub(super) kind: Kind,
    /// How many, without the sign.
    pub(super) credits: Credits,
}

impl<'a> Line<'a> {
    /// Understands a row, or says why not.
    pub(super) fn of(row: &'a OldRow, now: Timestamp) -> Result<Line<'a>, Refusal> {
        let refused = |why| Refusal::of(row, why);
        if row.created_at > now || row.created_at.millis() < 0 {
            return Err(refused(Why::Moment));
        }
        let credits = Credits::try_from(row.credits.unsigned_abs()).map_err(|_| refused(Why::Credits))?;
        let kind = if credits.is_zero() { Kind::Nothing } else { kind(row).map_err(refused)? };
        Ok(Line { row, kind, credits })
    }
}

fn kind(row: &OldRow) -> Result<Kind, Why> {
    let trans_type = TransType::try_from(row.trans_type.clone()).map_err(|_| Why::TransType)?;
    match (trans_type, row.credits > 0) {
        (TransType::Grant(grant), true) => {
            let is_generation = row.as_order == Found::Nowhere && row.as_generation != Found::Nowhere;
            if is_generation && order_no(row).is_some() {
                return Err(Why::GrantOfGeneration);
            }
            own(row.as_order)?;
            Ok(Kind::Grant(grant, order_no(row).map(id).transpose()?))
        }
        (TransType::Refund(charge), true) => {
            // Of what it is a refund decides nothing where it cannot be told.
            let generation = order_no(row).filter(|_| row.as_generation == Found::Own);
            Ok(Kind::Refund(charge, generation.map(id).transpose()?))
        }
        (TransType::Charge(charge), false) => {
            let Some(order_no) = order_no(row) else { return Ok(Kind::Charge(charge, None, None)) };
            own(row.as_generation)?;
            own(row.as_order)?;
            match (row.as_generation, row.as_order) {
                (Found::Own, Found::Own) => Err(Why::OrderAndGeneration),
                (Found::Own, _) => Ok(Kind::Charge(charge, Some(id(order_no)?), None)),
                (_, Found::Own) => Ok(Kind::Charge(charge, None, Some(id(order_no)?))),
                _ => Err(Why::Unknown),
            }
        }
        _ => Err(Why::Sign),
    }
}

/// What stands there, if anything does.
fn order_no(row: &OldRow) -> Option<&str> {
    row.order_no.as_deref().filter(|text| !text.is_empty())
}

fn id<Of>(text: &str) -> Result<Id<Of>, Why> {
    Id::try_from(text.to_owned()).map_err(|_| Why::OrderNo)
}

fn own(found: Found) -> Result<(), Why> {
    if found == Found::Anothers { Err(Why::Anothers) } else { Ok(()) }
}
