//! The stretch of time that a drawing shows.

use super::{model::Trace, tree::Tree};
use std::time::Duration;

/// From a moment to a later one, in nanoseconds since the Unix epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Where the drawing begins.
    pub begin: u64,
    /// Where it ends; at least a microsecond later.
    pub end: u64,
}

/// The shortest window: a drawing of nothing has a width all the same.
const SHORTEST: u64 = 1_000;

impl Window {
    /// The window of a trace: its root and what lies near it. A span that is more than the root's
    /// length away (a clock was set while the pod started) would squeeze everything else to a line, so
    /// it is left to stick out.
    pub fn of(trace: &Trace, tree: &Tree<'_>) -> Self {
        let (from, to) = match tree.root {
            Some(root) => {
                let length = (root.end - root.begin).max(SHORTEST);
                (root.begin.saturating_sub(length), root.end.saturating_add(length))
            }
            None => (0, u64::MAX),
        };
        let near = || trace.spans.iter().filter(|span| span.begin >= from && span.end <= to);
        let begin = near().map(|span| span.begin).min().unwrap_or_default();
        let end = near().map(|span| span.end).max().unwrap_or_default();
        Self { begin, end: end.max(begin.saturating_add(SHORTEST)) }
    }

    /// Its length.
    pub fn length(self) -> Duration {
        Duration::from_nanos(self.end - self.begin)
    }

    /// How far into the window a moment lies: 0 at its beginning, 1 at its end, never beyond.
    pub fn part(self, moment: u64) -> f64 {
        let into = moment.clamp(self.begin, self.end) - self.begin;
        into as f64 / (self.end - self.begin) as f64
    }

    /// Whether a moment lies within.
    pub fn shows(self, moment: u64) -> bool {
        (self.begin..=self.end).contains(&moment)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{self, Deed};

    #[test]
    fn the_window_is_the_root_and_what_lies_near_it() {
        let root = || Deed::new(1, 1, None, "pod start").at(1000, 1100);
        let cases: Vec<(&str, Vec<Deed>, (u64, u64))> = vec![
            ("the root alone", vec![root()], (0, 100)),
            (
                "a child that outlasts it",
                vec![root(), Deed::new(1, 2, Some(1), "a").at(1050, 1140)],
                (0, 140),
            ),
            ("a clock set back by an hour", vec![root(), Deed::new(1, 2, Some(1), "a").at(1, 5)], (0, 100)),
            ("no root yet", vec![Deed::new(1, 2, Some(1), "a").at(1000, 1030)], (0, 30)),
        ];
        for (name, deeds, (from, to)) in cases {
            let trace = Trace::read(samples::trace(1), &samples::export(&deeds).resource_spans, 0);
            let window = Window::of(&trace, &Tree::of(&trace));
            let origin = samples::moment(1000);
            let want = Window { begin: origin + from * 1_000_000, end: origin + to * 1_000_000 };
            assert_eq!(window, want, "{name}");
        }
    }

    #[test]
    fn parts_stay_within_the_window() {
        let window = Window { begin: 100, end: 200 };
        for (moment, part) in [(0, 0.0), (100, 0.0), (150, 0.5), (200, 1.0), (u64::MAX, 1.0)] {
            assert!((window.part(moment) - part).abs() < 1e-9, "{moment}");
        }
    }
}
