//! Durations as Go writes them (`1m0s`, `1.5h`, `-10s`), as `metav1.Duration` has them in files.
//!
//! A type of its own, because `kube::core::Duration` panics on `1m-2m` and writes `60s` where every
//! Kubernetes tool writes `1m0s`, and because `std::time::Duration` has no sign: a negative
//! `volumeStatsAggPeriod` is legal and means "never".

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use std::{fmt, str::FromStr, time::Duration};

/// A signed duration of whole nanoseconds, at most 292 years either way (Go's `time.Duration`).
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GoDuration(i64);

/// A text that is no Go duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no duration: expected numbers with units such as \"1m30s\" (h, m, s, ms, us, ns)")]
pub struct BadDuration(String);

impl GoDuration {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// Whole seconds.
    pub const fn seconds(seconds: i64) -> Self {
        Self(seconds.saturating_mul(SECOND))
    }

    /// Whole milliseconds.
    pub const fn milliseconds(milliseconds: i64) -> Self {
        Self(milliseconds.saturating_mul(SECOND / 1000))
    }

    /// Its length; zero when it is negative.
    pub fn get(self) -> Duration {
        Duration::from_nanos(u64::try_from(self.0).unwrap_or(0))
    }

    /// Whether it is below zero.
    pub const fn is_negative(self) -> bool {
        self.0 < 0
    }

    /// Nanoseconds, as JSON numbers and Go have them.
    pub const fn nanoseconds(self) -> i64 {
        self.0
    }

    /// The duration of so many nanoseconds.
    pub const fn from_nanoseconds(nanoseconds: i64) -> Self {
        Self(nanoseconds)
    }
}

const SECOND: i64 = 1_000_000_000;

/// Nanoseconds in each unit that Go knows. Both micro signs count.
const UNITS: [(&str, i64); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("\u{b5}s", 1_000),
    ("\u{3bc}s", 1_000),
    ("ms", 1_000_000),
    ("s", SECOND),
    ("m", 60 * SECOND),
    ("h", 3600 * SECOND),
];

impl FromStr for GoDuration {
    type Err = BadDuration;

    fn from_str(text: &str) -> Result<Self, BadDuration> {
        let (sign, rest) = match text.as_bytes().first() {
            Some(b'-') => (-1, &text[1..]),
            Some(b'+') => (1, &text[1..]),
            _ => (1, text),
        };
        let length = if rest == "0" { Some(0) } else { unsigned(rest) };
        length.map(|nanos| Self(sign * nanos)).ok_or_else(|| BadDuration(text.to_owned()))
    }
}

/// Nanoseconds of `1h2.5m…`; `None` when it is malformed or longer than 292 years.
fn unsigned(mut text: &str) -> Option<i64> {
    let mut total = 0_i64;
    if text.is_empty() {
        return None;
    }
    while !text.is_empty() {
        let number_end = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, rest) = text.split_at(number_end);
        let unit_end = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
        let (unit, rest) = rest.split_at(unit_end);
        let scale = UNITS.iter().find(|(name, _)| *name == unit)?.1;
        total = total.checked_add(scaled(number, scale)?)?;
        text = rest;
    }
    Some(total)
}

/// `number` (digits with at most one point) times `scale`, rounded down.
fn scaled(number: &str, scale: i64) -> Option<i64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
        return None;
    }
    let whole = if whole.is_empty() { 0 } else { whole.parse::<i64>().ok()? };
    let mut nanos = whole.checked_mul(scale)?;
    let mut place = scale;
    for digit in fraction.bytes() {
        nanos = nanos.checked_add(i64::from(digit - b'0').checked_mul(place)? / 10)?;
        place /= 10;
    }
    Some(nanos)
}

impl fmt::Display for GoDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = self.0.unsigned_abs();
        if nanos == 0 {
            return f.write_str("0s");
        }
        if self.is_negative() {
            f.write_str("-")?;
        }
        let second = SECOND.unsigned_abs();
        if nanos < second {
            let (unit, name) = [(1_000_000, "ms"), (1_000, "\u{b5}s"), (1, "ns")]
                .into_iter()
                .find(|(unit, _)| nanos >= *unit)
                .unwrap_or((1, "ns"));
            return write!(f, "{}{name}", decimal(nanos, unit));
        }
        let minutes = nanos / (60 * second);
        if minutes >= 60 {
            write!(f, "{}h", minutes / 60)?;
        }
        if minutes > 0 {
            write!(f, "{}m", minutes % 60)?;
        }
        write!(f, "{}s", decimal(nanos % (60 * second), second))
    }
}

/// `nanos` in units of `unit`, with no more decimals than it needs.
fn decimal(nanos: u64, unit: u64) -> String {
    let (whole, rest) = (nanos / unit, nanos % unit);
    if rest == 0 {
        return whole.to_string();
    }
    let width = unit.ilog10() as usize;
    let digits = format!("{rest:0width$}");
    format!("{whole}.{}", digits.trim_end_matches('0'))
}

impl fmt::Debug for GoDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for GoDuration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for GoDuration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_and_written_as_go_does() {
        let cases = [
            ("whole seconds", "10s", 10 * SECOND, "10s"),
            ("Go writes the seconds of a minute", "1m", 60 * SECOND, "1m0s"),
            ("and both of an hour", "4h", 4 * 3600 * SECOND, "4h0m0s"),
            ("a fraction", "1.5h", 5400 * SECOND, "1h30m0s"),
            ("no digit before the point", ".5s", SECOND / 2, "500ms"),
            ("several units", "1m30.25s", 90 * SECOND + SECOND / 4, "1m30.25s"),
            ("zero needs no unit", "0", 0, "0s"),
            ("a negative one", "-1m", -60 * SECOND, "-1m0s"),
            ("microseconds", "1500ns", 1500, "1.5\u{b5}s"),
        ];
        for (name, text, nanos, written) in cases {
            let duration: GoDuration = text.parse().unwrap();
            assert_eq!(duration.nanoseconds(), nanos, "{name}");
            assert_eq!(duration.to_string(), written, "{name}");
        }
    }

    #[test]
    fn what_go_refuses_is_refused() {
        for text in ["", "-", "10", "s", "1d", "1m-2m", "1..5s", ".s", "1 s", "300000000h", "1e3s"] {
            assert!(text.parse::<GoDuration>().is_err(), "{text:?}");
        }
    }
}
