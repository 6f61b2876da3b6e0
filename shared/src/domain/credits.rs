//! Amounts of credits.

use serde::{Deserialize, Serialize};

use super::{LedgerError, LedgerLimit};

/// A whole number of prepaid credits, 0 to [`Credits::TOTAL_MAX`].
///
/// ```
/// use scrip::domain::Credits;
///
/// let (charge, balance) = (Credits::requested(8).unwrap(), Credits::requested(7).unwrap());
/// assert_eq!(charge.checked_add(balance).unwrap().as_u64(), 15);
/// assert_eq!(balance.checked_sub(charge), None);
/// assert_eq!(Credits::requested(0), None);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u64")]
pub struct Credits(u64);

impl Credits {
    /// No credits.
    pub const ZERO: Credits = Credits(0);
    /// The least amount of a grant or charge.
    pub const ONE: Credits = Credits(1);
    /// The largest amount of one grant or charge.
    pub const REQUEST_MAX: Credits = Credits(1_000_000_000_000);
    /// The largest sum, 2^53-1: larger numbers are not exact in every JSON parser (RFC 8259,
    /// section 6).
    pub const TOTAL_MAX: Credits = Credits((1 << 53) - 1);

    /// The amount of a request, if it is from 1 to [`Credits::REQUEST_MAX`].
    pub fn requested(credits: u64) -> Option<Credits> {
        (1..=Credits::REQUEST_MAX.0).contains(&credits).then_some(Credits(credits))
    }

    /// The amount.
    pub fn as_u64(self) -> u64 {
        self.0
    }

    /// The negative amount, as responses show a charge.
    pub fn to_negative_i64(self) -> i64 {
        -self.0.cast_signed()
    }

    /// Whether the amount is zero.
    pub fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// The sum.
    ///
    /// # Errors
    /// `LimitExceeded` above [`Credits::TOTAL_MAX`].
    pub fn checked_add(self, other: Credits) -> Result<Credits, LedgerError> {
        Credits::try_from(self.0 + other.0).map_err(|_| LedgerError::LimitExceeded(LedgerLimit::Total))
    }

    /// The difference, or `None` if it is negative.
    pub fn checked_sub(self, other: Credits) -> Option<Credits> {
        self.0.checked_sub(other.0).map(Credits)
    }
}

impl TryFrom<u64> for Credits {
    type Error = &'static str;

    fn try_from(credits: u64) -> Result<Credits, &'static str> {
        if credits <= Credits::TOTAL_MAX.0 { Ok(Credits(credits)) } else { Err("more than 2^53-1 credits") }
    }
}

/// Sums amounts of one wallet, whose sum [`Credits::checked_add`] has limited.
impl std::iter::Sum for Credits {
    fn sum<I: Iterator<Item = Credits>>(credits: I) -> Credits {
        Credits(credits.map(Credits::as_u64).sum())
    }
}

impl std::fmt::Display for Credits {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requested_accepts_1_to_a_trillion() {
        for (credits, is_valid) in
            [(0, false), (1, true), (1_000_000_000_000, true), (1_000_000_000_001, false)]
        {
            assert_eq!(Credits::requested(credits).is_some(), is_valid, "{credits}");
        }
    }

    #[test]
    fn checked_add_rejects_sums_beyond_2_53_minus_1() {
        let one = Credits(1);
        assert_eq!(Credits(Credits::TOTAL_MAX.0 - 1).checked_add(one), Ok(Credits::TOTAL_MAX));
        assert_eq!(Credits::TOTAL_MAX.checked_add(one), Err(LedgerError::LimitExceeded(LedgerLimit::Total)));
    }
}
