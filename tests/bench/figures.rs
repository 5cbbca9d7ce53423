//! Figures: what one part of the bench measured, by name, in the unit that its row in the table has.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use ::tests::kubelet::Flavour;
use clap::ValueEnum;

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Part {
    /// The runtime alone, straight through CRI.
    Floor,
    /// The stock kubelet.
    Stock,
    /// Ours.
    Ours,
}

impl Part {
    /// Whose kubelet the part is about, if any.
    pub(crate) fn flavour(self) -> Option<Flavour> {
        match self {
            Part::Floor => None,
            Part::Stock => Some(Flavour::Stock),
            Part::Ours => Some(Flavour::Ours),
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Part::Floor => "floor",
            Part::Stock => "stock",
            Part::Ours => "ours",
        })
    }
}

/// Figures by name. Times are in milliseconds, memory in MiB, CPU in percent of a core.
#[derive(Default)]
pub(crate) struct Figures(BTreeMap<String, f64>);

impl Figures {
    /// The figure called `name`, if it was measured.
    pub(crate) fn get(&self, name: &str) -> Option<f64> {
        self.0.get(name).copied()
    }

    /// Notes a figure.
    pub(crate) fn note(&mut self, name: impl Into<String>, value: f64) {
        self.0.insert(name.into(), value);
    }

    /// Notes how a set of durations spreads, as `<name>.mean`, `.p50`, `.p90` and `.max`.
    pub(crate) fn note_spread(&mut self, name: &str, durations: &[Duration]) {
        let mut sorted: Vec<f64> = durations.iter().copied().map(millis).collect();
        sorted.sort_by(f64::total_cmp);
        let Some(&last) = sorted.last() else { return };
        self.note(format!("{name}.mean"), sorted.iter().sum::<f64>() / sorted.len() as f64);
        self.note(format!("{name}.p50"), quantile(&sorted, 0.5));
        self.note(format!("{name}.p90"), quantile(&sorted, 0.9));
        self.note(format!("{name}.max"), last);
    }

    /// All of them.
    pub(crate) fn all(&self) -> &BTreeMap<String, f64> {
        &self.0
    }
}

/// A duration in the unit of the figures.
pub(crate) fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

/// The smallest value that at least `share` of them do not exceed.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted[rank.clamp(1, sorted.len()) - 1]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_is_told_by_four_figures() {
        let mut figures = Figures::default();
        figures.note_spread("start", &[4, 1, 3, 2].map(Duration::from_millis));
        let told = ["mean", "p50", "p90", "max"].map(|each| figures.get(&format!("start.{each}")));
        assert_eq!(told, [Some(2.5), Some(2.0), Some(4.0), Some(4.0)]);
    }

    #[test]
    fn no_durations_give_no_figures() {
        let mut figures = Figures::default();
        figures.note_spread("start", &[]);
        assert!(figures.all().is_empty());
    }

    #[test]
    fn a_quantile_is_a_value_that_was_measured() {
        let ten: Vec<f64> = (1..=10).map(f64::from).collect();
        assert_eq!((quantile(&ten, 0.5), quantile(&ten, 0.9), quantile(&ten, 0.0)), (5.0, 9.0, 1.0));
    }
}
