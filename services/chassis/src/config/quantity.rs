//! Whether a text is a Kubernetes quantity, as far as checking settings needs to know.

/// How a quantity compares with zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sign {
    Negative,
    Zero,
    Positive,
}

/// What a refused text is told.
pub(super) const RULE: &str = "must be a quantity such as 100Mi or 1.5";

const SUFFIXES: [&str; 16] =
    ["", "n", "u", "m", "k", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];

/// The sign of a quantity; `None` when the text is none.
pub(super) fn sign(text: &str) -> Option<Sign> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let end = unsigned.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(unsigned.len());
    let (number, suffix) = unsigned.split_at(end);
    let digits = number.replacen('.', "", 1);
    if digits.is_empty() || digits.contains('.') || !(SUFFIXES.contains(&suffix) || is_exponent(suffix)) {
        return None;
    }
    Some(match (digits.bytes().all(|digit| digit == b'0'), text.starts_with('-')) {
        (true, _) => Sign::Zero,
        (false, true) => Sign::Negative,
        (false, false) => Sign::Positive,
    })
}

fn is_exponent(suffix: &str) -> bool {
    suffix.strip_prefix(['e', 'E']).is_some_and(|exponent| exponent.parse::<i8>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::{Sign::*, *};

    #[test]
    fn quantities_are_told_from_other_texts() {
        let cases = [
            ("100Mi", Some(Positive)),
            ("1.5", Some(Positive)),
            ("-1k", Some(Negative)),
            ("0", Some(Zero)),
            ("-0.0Gi", Some(Zero)),
            ("1e3", Some(Positive)),
            (".5", Some(Positive)),
            ("", None),
            ("Mi", None),
            ("1.2.3", None),
            ("10%", None),
            ("1 Gi", None),
            ("1KB", None),
        ];
        for (text, expected) in cases {
            assert_eq!(sign(text), expected, "{text:?}");
        }
    }
}
