//! Parses amounts of money as whole numbers. Only their ratio is compared, so the number of
//! digits of a currency does not matter.

use scrip::domain::RevokedAmount;

/// A decimal number without a sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Amount {
    digits: u64,
    /// The number of digits after the decimal separator.
    scale: u32,
}

impl Amount {
    /// The largest number of digits after the separator. No currency has more than four.
    const SCALE_MAX: usize = 6;

    /// Parses `10`, `10.50`, `10,50`, `1,234.50` or `1.234,50`. An empty text is 0. `1,234` is
    /// rejected, because its comma may separate thousands or decimals.
    pub(super) fn parse(text: &str) -> Option<Amount> {
        let text = text.trim();
        let (whole, fraction) = split_decimals(text)?;
        let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if !is_number(&whole) || !is_number(fraction) || fraction.len() > Amount::SCALE_MAX {
            return None;
        }
        if whole.is_empty() && !text.is_empty() {
            return None;
        }
        let digits = [whole.as_str(), fraction].concat();
        let digits = if digits.is_empty() { 0 } else { digits.parse().ok()? };
        Some(Amount { digits, scale: u32::try_from(fraction.len()).ok()? })
    }

    pub(super) fn is_zero(self) -> bool {
        self.digits == 0
    }

    /// This part of an amount as a share; `None` if it is more than the amount, or the amount
    /// is zero.
    pub(super) fn share_of(self, of: Amount) -> Option<RevokedAmount> {
        let scale = self.scale.max(of.scale);
        let digits = |amount: Amount| amount.digits.checked_mul(10_u64.checked_pow(scale - amount.scale)?);
        let (part, of) = (digits(self)?, digits(of)?);
        (part <= of && of > 0).then_some(RevokedAmount::Share { part, of })
    }
}

/// The digits before the decimal separator, without separators of thousands, and those after.
fn split_decimals(text: &str) -> Option<(String, &str)> {
    let last = text.rfind(['.', ',']);
    let Some((at, separator)) = last.and_then(|at| Some((at, text[at..].chars().next()?))) else {
        return Some((text.to_owned(), ""));
    };
    let (before, after) = (&text[..at], &text[at + 1..]);
    let other = if separator == '.' { ',' } else { '.' };
    let groups = before.matches(separator).count();
    match (separator, groups) {
        (',', 0) if after.len() == 3 && !before.contains(other) => None,
        (_, 0) => Some((without_groups(before, other)?, after)),
        // A repeated separator separates thousands.
        _ => Some((without_groups(text, separator)?, "")),
    }
}

/// Removes separators of thousands; `None` unless each is followed by three digits.
fn without_groups(text: &str, separator: char) -> Option<String> {
    let mut groups = text.split(separator);
    let first = groups.next()?;
    let rest: Vec<_> = groups.collect();
    let is_grouped =
        rest.iter().all(|group| group.len() == 3) && (rest.is_empty() || (1..=3).contains(&first.len()));
    is_grouped.then(|| [first, &rest.concat()].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_parsed_exactly_or_rejected() {
        for (text, expected) in [
            ("", Some((0, 0))),
            ("0", Some((0, 0))),
            ("10", Some((10, 0))),
            ("10.5", Some((105, 1))),
            ("10,50", Some((1_050, 2))),
            (" 399,00 ", Some((39_900, 2))),
            ("1,061.86", Some((106_186, 2))),
            ("1.061,86", Some((106_186, 2))),
            ("1,234,567", Some((1_234_567, 0))),
            ("1.234.567,8", Some((12_345_678, 1))),
            ("1.234", Some((1_234, 3))),
            ("9007199254740993.01", Some((900_719_925_474_099_301, 2))),
            ("1,234", None),
            ("12,34.5", None),
            ("1,23,456", None),
            (".5", None),
            ("-1", None),
            ("1e3", None),
            ("$5", None),
            ("1.2345678", None),
            ("99999999999999999999", None),
            ("۱", None),
        ] {
            let parsed = Amount::parse(text).map(|amount| (amount.digits, amount.scale));
            assert_eq!(parsed, expected, "{text:?}");
        }
    }

    #[test]
    fn share_is_the_ratio_of_two_amounts() {
        for (part, of, expected) in [
            ("5", "10.00", Some((500, 1_000))),
            ("0.1", "0.30", Some((10, 30))),
            ("1000", "1000", Some((1_000, 1_000))),
            ("", "7", Some((0, 7))),
            ("8", "7", None),
            ("0", "0", None),
        ] {
            let [part, of] = [part, of].map(|text| Amount::parse(text).unwrap());
            let expected = expected.map(|(part, of)| RevokedAmount::Share { part, of });
            assert_eq!(part.share_of(of), expected);
        }
    }
}
