//! Kubernetes quantities (`500m`, `1Gi`, `1e3`) as numbers.
//!
//! Specs cross the bus with their quantities as text; whoever computes with them (requests,
//! limits, size limits, divisors, thresholds) reads them here, so that all round alike.

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use std::{
    iter::Sum,
    ops::{Add, Sub},
};

/// An amount of anything, exact to a billionth, which is the least that Kubernetes keeps
/// (`k8s.io/apimachinery/pkg/api/resource`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Amount(i128);

/// Billionths in one.
const UNIT: i128 = 1_000_000_000;

/// The most digits that a quantity is read with: more than any 64-bit number has.
const DIGITS: usize = 28;

/// A text that is no quantity.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a quantity such as 500m, 2 or 1Gi")]
pub struct BadAmount(String);

impl Amount {
    /// So many whole ones.
    pub const fn whole(ones: i64) -> Self {
        Self(ones as i128 * UNIT)
    }

    /// So many thousandths.
    pub const fn milli(thousandths: i64) -> Self {
        Self(thousandths as i128 * (UNIT / 1000))
    }

    /// Whole ones, rounded up, at most what 64 bits hold.
    pub fn value(self) -> i64 {
        self.in_units_of(UNIT)
    }

    /// Thousandths, rounded up, at most what 64 bits hold.
    pub fn milli_value(self) -> i64 {
        self.in_units_of(UNIT / 1000)
    }

    /// Whether it is nothing.
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }

    fn in_units_of(self, unit: i128) -> i64 {
        let up = i128::from(self.0.rem_euclid(unit) > 0);
        let units = self.0.div_euclid(unit) + up;
        i64::try_from(units).unwrap_or(if units < 0 { i64::MIN } else { i64::MAX })
    }
}

impl std::str::FromStr for Amount {
    type Err = BadAmount;
    fn from_str(text: &str) -> Result<Self, BadAmount> {
        read(text).map(Self).ok_or_else(|| BadAmount(text.chars().take(80).collect()))
    }
}

impl TryFrom<&Quantity> for Amount {
    type Error = BadAmount;
    fn try_from(quantity: &Quantity) -> Result<Self, BadAmount> {
        quantity.0.parse()
    }
}

impl Add for Amount {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl Sub for Amount {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl Sum for Amount {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::default(), Add::add)
    }
}

/// Billionths in the quantity; fractions of a billionth count as a whole one.
fn read(text: &str) -> Option<i128> {
    let (sign, number) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let end = number.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(number.len());
    let (digits, suffix) = number.split_at(end);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let mantissa = format!("{whole}{fraction}");
    if mantissa.is_empty() || mantissa.len() > DIGITS || fraction.contains('.') {
        return None;
    }
    let (base, power) = scale(suffix)?;
    let mantissa: i128 = mantissa.parse().ok()?;
    let power = power + 9 - i32::try_from(fraction.len()).ok()?;
    let scaled = mantissa.checked_mul(base)?;
    let tens = 10_i128.checked_pow(power.unsigned_abs())?;
    let billionths = if power >= 0 { scaled.checked_mul(tens)? } else { (scaled + tens - 1) / tens };
    Some(sign * billionths)
}

/// What a suffix multiplies by: a factor, and a power of ten.
fn scale(suffix: &str) -> Option<(i128, i32)> {
    let binary = |shift: u32| Some((1_i128 << shift, 0));
    let decimal = |power: i32| Some((1, power));
    match suffix {
        "" => decimal(0),
        "n" => decimal(-9),
        "u" => decimal(-6),
        "m" => decimal(-3),
        "k" => decimal(3),
        "M" => decimal(6),
        "G" => decimal(9),
        "T" => decimal(12),
        "P" => decimal(15),
        "E" => decimal(18),
        "Ki" => binary(10),
        "Mi" => binary(20),
        "Gi" => binary(30),
        "Ti" => binary(40),
        "Pi" => binary(50),
        "Ei" => binary(60),
        _ => decimal(suffix.strip_prefix(['e', 'E'])?.parse().ok().filter(|e| (-30..=30).contains(e))?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantity_is_read_as_kubernetes_reads_it() {
        let cases: &[(&str, &str, i64, i64)] = &[
            ("half a core is rounded up when whole ones are asked for", "500m", 1, 500),
            ("a plain number", "2", 2, 2000),
            ("a binary suffix", "1Gi", 1 << 30, (1 << 30) * 1000),
            ("a decimal suffix", "1G", 1_000_000_000, 1_000_000_000_000),
            ("a fraction of a binary suffix", "1.5Ki", 1536, 1_536_000),
            ("an exponent", "12e2", 1200, 1_200_000),
            ("E alone is exa", "1E", 1_000_000_000_000_000_000, i64::MAX),
            ("less than a thousandth is a thousandth", "1u", 1, 1),
            ("a sign", "-1500m", -1, -1500),
            ("no digit before the point", ".5", 1, 500),
        ];
        for (sentence, text, value, milli) in cases {
            let amount: Amount = text.parse().unwrap();
            assert_eq!((amount.value(), amount.milli_value()), (*value, *milli), "{sentence}");
        }
    }

    #[test]
    fn what_is_no_quantity_is_refused_by_name() {
        for text in ["", "-", ".", "1.2.3", "1 Gi", "Gi", "1KiB", "1e", "1e99", &"9".repeat(40)] {
            let refused = text.parse::<Amount>().unwrap_err();
            assert!(refused.to_string().contains("is not a quantity"), "{text:?}");
        }
    }

    #[test]
    fn amounts_add_and_compare() {
        let sum: Amount = ["100m", "0.9"].iter().map(|text| text.parse::<Amount>().unwrap()).sum();
        assert_eq!(sum, Amount::whole(1));
        assert!(Amount::milli(999) < sum);
        assert!((sum - Amount::milli(1000)).is_zero());
    }
}
