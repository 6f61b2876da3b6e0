//! Outputs: the parts of a charge that can be refunded on their own.

use std::collections::BTreeSet;

use super::Credits;

/// The number of outputs of a charge, 1 to [`Outputs::MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Outputs(u8);

/// Some outputs of a charge, by number from 1. Not empty.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OutputSet(BTreeSet<u8>);

impl Outputs {
    /// The largest number of outputs.
    pub const MAX: u8 = 100;

    /// The number.
    pub fn count(self) -> u8 {
        self.0
    }

    /// Whether all of these outputs exist.
    pub fn contains(self, outputs: &OutputSet) -> bool {
        outputs.numbers().all(|output| output <= self.0)
    }

    /// What these outputs of a charge of so many credits are worth. The worth of all outputs
    /// is exactly the charge.
    ///
    /// ```
    /// use scrip::domain::{Credits, Outputs, OutputSet};
    ///
    /// let (outputs, credits) = (Outputs::try_from(3).unwrap(), Credits::requested(10).unwrap());
    /// let worth = |numbers: &[u8]| {
    ///     outputs.worth(credits, &OutputSet::try_from(numbers.to_vec()).unwrap()).as_u64()
    /// };
    /// assert_eq!([worth(&[1]), worth(&[2]), worth(&[3]), worth(&[1, 2, 3])], [3, 3, 4, 10]);
    /// ```
    pub fn worth(self, credits: Credits, outputs: &OutputSet) -> Credits {
        let up_to = |output: u8| u128::from(credits.as_u64()) * u128::from(output) / u128::from(self.0);
        let worth = outputs.numbers().map(|output| up_to(output) - up_to(output - 1)).sum::<u128>();
        u64::try_from(worth).ok().and_then(|worth| worth.try_into().ok()).unwrap_or(credits)
    }
}

impl OutputSet {
    /// The numbers, in order.
    pub fn numbers(&self) -> impl Iterator<Item = u8> + '_ {
        self.0.iter().copied()
    }

    /// The outputs that are not in `other`; `None` if `other` contains all of them.
    pub fn without(&self, other: &BTreeSet<u8>) -> Option<OutputSet> {
        let rest: BTreeSet<_> = self.0.difference(other).copied().collect();
        (!rest.is_empty()).then_some(OutputSet(rest))
    }
}

impl TryFrom<u64> for Outputs {
    type Error = &'static str;

    fn try_from(count: u64) -> Result<Outputs, &'static str> {
        let count = u8::try_from(count).ok().filter(|count| (1..=Outputs::MAX).contains(count));
        count.map(Outputs).ok_or("must be a whole number from 1 to 100")
    }
}

impl TryFrom<Vec<u8>> for OutputSet {
    type Error = &'static str;

    fn try_from(numbers: Vec<u8>) -> Result<OutputSet, &'static str> {
        let is_valid =
            !numbers.is_empty() && numbers.iter().all(|output| (1..=Outputs::MAX).contains(output));
        let count = numbers.len();
        let outputs: BTreeSet<_> = numbers.into_iter().collect();
        if is_valid && outputs.len() == count {
            Ok(OutputSet(outputs))
        } else {
            Err("must be a list of different whole numbers from 1 to 100")
        }
    }
}
