//! Round numbers for an axis, and durations for people.

use std::time::Duration;

/// Marks along a stretch of time at round distances (1, 2 or 5 times a power of ten), the first at zero, at
/// most `most` of them and one more.
pub fn marks(length: Duration, most: u32) -> Vec<Duration> {
    let step = step(length, most);
    (0..).map(|index| step * index).take_while(|mark| *mark <= length).collect()
}

fn step(length: Duration, most: u32) -> Duration {
    let least = length / most.max(1);
    let mut ten = Duration::from_nanos(1);
    loop {
        for times in [1, 2, 5] {
            if ten * times >= least {
                return ten * times;
            }
        }
        ten *= 10;
    }
}

/// A duration with three digits: `840 µs`, `1.23 ms`, `45.6 ms`, `412 ms`, `1.23 s`, `2 m 03 s`.
pub fn duration(duration: Duration) -> String {
    let micros = duration.as_nanos().div_ceil(1000);
    if micros < 1000 {
        return format!("{micros} µs");
    }
    let seconds = duration.as_secs_f64();
    match duration {
        short if short < Duration::from_secs(1) => format!("{} ms", three_digits(seconds * 1e3)),
        medium if medium < Duration::from_secs(60) => format!("{} s", three_digits(seconds)),
        long => format!("{} m {:02} s", long.as_secs() / 60, long.as_secs() % 60),
    }
}

fn three_digits(number: f64) -> String {
    let decimals = if number < 9.995 {
        2
    } else if number < 99.95 {
        1
    } else {
        0
    };
    format!("{number:.decimals$}")
}

/// A mark's text: as a duration, without needless digits.
pub fn mark(mark: Duration) -> String {
    let nanos = mark.as_nanos();
    let units = [(1_000_000_000, "s"), (1_000_000, "ms"), (1_000, "µs"), (1, "ns")];
    if nanos == 0 {
        return "0".to_owned();
    }
    let (unit, name) = units.into_iter().find(|(unit, _)| nanos >= *unit).unwrap_or((1, "ns"));
    match nanos % unit {
        0 => format!("{} {name}", nanos / unit),
        rest => {
            let digits = format!("{:0width$}", rest, width = unit.to_string().len() - 1);
            format!("{}.{} {name}", nanos / unit, digits.trim_end_matches('0'))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_round() {
        let cases: &[(u64, u32, &[&str])] = &[
            (412, 5, &["0", "100 ms", "200 ms", "300 ms", "400 ms"]),
            (1100, 6, &["0", "200 ms", "400 ms", "600 ms", "800 ms", "1 s"]),
            (3400, 4, &["0", "1 s", "2 s", "3 s"]),
            (3, 2, &["0", "2 ms"]),
            (4200, 8, &["0", "1 s", "2 s", "3 s", "4 s"]),
        ];
        for (millis, most, want) in cases {
            let texts: Vec<_> = marks(Duration::from_millis(*millis), *most).into_iter().map(mark).collect();
            assert_eq!(texts, *want, "{millis} ms in at most {most}");
        }
        assert_eq!(mark(Duration::from_millis(1500)), "1.5 s");
    }

    #[test]
    fn durations_have_three_digits() {
        let cases = [
            (0, "0 µs"),
            (1, "1 µs"),
            (840_000, "840 µs"),
            (1_230_000, "1.23 ms"),
            (9_999_000, "10.0 ms"),
            (45_600_000, "45.6 ms"),
            (412_345_678, "412 ms"),
            (1_234_000_000, "1.23 s"),
            (123_000_000_000, "2 m 03 s"),
        ];
        for (nanos, want) in cases {
            assert_eq!(duration(Duration::from_nanos(nanos)), want);
        }
    }

    #[test]
    fn an_endless_stretch_has_marks_too() {
        assert!(marks(Duration::from_nanos(u64::MAX), 5).len() <= 6);
    }
}
