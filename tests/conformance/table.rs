//! Both columns side by side, and the question that the run is there to answer: does ours pass what stock passes?

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use ::tests::kubelet::Flavour;

use crate::report::{Outcome, Report, Verdict};

/// How many lines of a failure's message are shown; the report has them all.
const SHOWN: usize = 12;

/// One flavour's results.
pub(crate) struct Column {
    /// Whose kubelet.
    pub(crate) flavour: Flavour,
    /// What became of the tests.
    pub(crate) outcomes: Report,
    /// How long the suite ran.
    pub(crate) took: Duration,
}

/// All results of a run.
pub(crate) struct Table {
    names: Vec<String>,
    columns: Vec<Column>,
}

impl Table {
    /// A table of these tests, or of whatever was run when none are named.
    pub(crate) fn new(names: &[String], columns: Vec<Column>) -> Self {
        let names = if names.is_empty() {
            let run: BTreeSet<_> =
                columns.iter().flat_map(|column| column.outcomes.keys().cloned()).collect();
            run.into_iter().collect()
        } else {
            names.to_vec()
        };
        Self { names, columns }
    }

    /// Whether the last column passes all that the first one passes, and the first one anything at all. A test that
    /// was named and is in no report counts as not passed.
    pub(crate) fn holds(&self) -> bool {
        let any = self.columns.iter().all(|column| self.names.iter().any(|name| column.passes(name)));
        any && self.short().next().is_none()
    }

    /// The tests that are not passed although they should be: by ours where the stock kubelet does, or by the only
    /// flavour that was run.
    fn short(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(String::as_str).filter(|name| match self.columns.as_slice() {
            [only] => !only.passes(name) && !only.skips(name),
            [stock, ours] => (stock.passes(name) || stock.misses(name)) && !ours.passes(name),
            _ => false,
        })
    }
}

impl Column {
    fn verdict(&self, name: &str) -> Option<Verdict> {
        self.outcomes.get(name).map(|outcome| outcome.verdict)
    }

    fn passes(&self, name: &str) -> bool {
        self.verdict(name) == Some(Verdict::Pass)
    }

    fn skips(&self, name: &str) -> bool {
        self.verdict(name) == Some(Verdict::Skip)
    }

    fn misses(&self, name: &str) -> bool {
        self.verdict(name).is_none()
    }

    fn count(&self, names: &[String], verdict: Option<Verdict>) -> usize {
        names.iter().filter(|name| self.verdict(name) == verdict).count()
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for column in &self.columns {
            write!(f, "{:<13}", column.flavour)?;
        }
        writeln!(f, "test")?;
        for name in &self.names {
            for column in &self.columns {
                write!(f, "{:<13}", cell(column.outcomes.get(name)))?;
            }
            writeln!(f, "{name}")?;
        }
        writeln!(f)?;
        self.columns.iter().try_for_each(|column| failures(f, column))?;
        self.columns.iter().try_for_each(|column| summary(f, column, &self.names))?;
        self.short().try_for_each(|name| writeln!(f, "falls short: {name}"))
    }
}

fn cell(outcome: Option<&Outcome>) -> String {
    let Some(outcome) = outcome else { return "missing".to_owned() };
    let verdict = match outcome.verdict {
        Verdict::Pass => "pass",
        Verdict::Fail => "FAIL",
        Verdict::Skip => "skip",
    };
    format!("{verdict} {:>4.0} s", outcome.took.as_secs_f64())
}

fn failures(f: &mut fmt::Formatter<'_>, column: &Column) -> fmt::Result {
    for (name, outcome) in column.outcomes.iter().filter(|(_, outcome)| outcome.verdict == Verdict::Fail) {
        writeln!(f, "{}: {name}", column.flavour)?;
        outcome.reason.lines().take(SHOWN).try_for_each(|line| writeln!(f, "    {line}"))?;
        writeln!(f)?;
    }
    Ok(())
}

fn summary(f: &mut fmt::Formatter<'_>, column: &Column, names: &[String]) -> fmt::Result {
    let count = |verdict| column.count(names, verdict);
    let (passed, failed) = (count(Some(Verdict::Pass)), count(Some(Verdict::Fail)));
    let (skipped, missing) = (count(Some(Verdict::Skip)), count(None));
    let minutes = column.took.as_secs_f64() / 60.0;
    let flavour = column.flavour;
    writeln!(
        f,
        "{flavour}: {passed} passed, {failed} failed, {skipped} skipped, {missing} missing in {minutes:.1} min"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(flavour: Flavour, verdicts: &[(&str, Verdict)]) -> Column {
        let outcome = |verdict| Outcome { verdict, took: Duration::ZERO, reason: String::new() };
        let outcomes = verdicts.iter().map(|&(name, verdict)| (name.to_owned(), outcome(verdict))).collect();
        Column { flavour, outcomes, took: Duration::ZERO }
    }

    fn names() -> [String; 2] {
        ["a".to_owned(), "b".to_owned()]
    }

    #[test]
    fn ours_has_to_pass_what_stock_passes() {
        use Verdict::{Fail, Pass, Skip};
        let cases: [(&str, &[_], &[_], bool); 7] = [
            ("both pass both", &[("a", Pass), ("b", Pass)], &[("a", Pass), ("b", Pass)], true),
            ("ours fails one", &[("a", Pass), ("b", Pass)], &[("a", Pass), ("b", Fail)], false),
            ("ours skips one", &[("a", Pass), ("b", Pass)], &[("a", Pass), ("b", Skip)], false),
            ("both fail one", &[("a", Pass), ("b", Fail)], &[("a", Pass), ("b", Fail)], true),
            ("stock alone fails one", &[("a", Pass), ("b", Fail)], &[("a", Pass), ("b", Pass)], true),
            ("one is in no report", &[("a", Pass)], &[("a", Pass)], false),
            ("nothing passes anywhere", &[("a", Fail), ("b", Fail)], &[("a", Fail), ("b", Fail)], false),
        ];
        for (sentence, stock, ours, want) in cases {
            let columns = vec![column(Flavour::Stock, stock), column(Flavour::Ours, ours)];
            assert_eq!(Table::new(&names(), columns).holds(), want, "{sentence}");
        }
    }

    #[test]
    fn a_flavour_alone_has_to_pass_what_it_does_not_skip() {
        use Verdict::{Fail, Pass, Skip};
        let cases: [(&str, &[_], bool); 4] = [
            ("it passes both", &[("a", Pass), ("b", Pass)], true),
            ("it skips one", &[("a", Pass), ("b", Skip)], true),
            ("it fails one", &[("a", Pass), ("b", Fail)], false),
            ("it misses one", &[("a", Pass)], false),
        ];
        for (sentence, verdicts, want) in cases {
            let table = Table::new(&names(), vec![column(Flavour::Ours, verdicts)]);
            assert_eq!(table.holds(), want, "{sentence}");
        }
    }
}
