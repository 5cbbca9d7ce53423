//! Which of two readings of an object is the later one.

/// Whether what a watch tells of is news to somebody who saw `seen`. `None` is an object that does
/// not exist. Resource versions are numbers that grow (KEP-5504); where they are none, any other one
/// is news.
pub fn is_news(told: Option<&str>, seen: Option<&str>) -> bool {
    let number = |version: Option<&str>| version.and_then(|version| version.parse::<u128>().ok());
    match (number(told), number(seen)) {
        (Some(told), Some(seen)) => told > seen,
        _ => told != seen,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_later_readings_are_news() {
        let cases = [
            ("a later version", Some("10"), Some("9"), true),
            ("the same", Some("9"), Some("9"), false),
            ("a watch that lags behind", Some("9"), Some("10"), false),
            ("it has appeared", Some("9"), None, true),
            ("it has gone", None, Some("9"), true),
            ("still not there", None, None, false),
            ("one that nobody remembers", Some("9"), Some(""), true),
            ("gone since one that nobody remembers", None, Some(""), true),
            ("versions that are no numbers", Some("b"), Some("a"), true),
        ];
        for (name, told, seen, want) in cases {
            assert_eq!(is_news(told, seen), want, "{name}");
        }
    }
}
