//! The table: a row per figure, a column per part, the ratios, and our budgets.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::{Value, json};

use crate::Plan;
use crate::figures::{Figures, Part};

/// A figure with a budget, or without.
struct Row {
    what: String,
    unit: &'static str,
    figure: String,
    budget: Option<Budget>,
}

/// What ours may be at most.
enum Budget {
    /// So many times the figure of another part.
    Times(f64, Part),
    /// So much.
    Absolute(f64),
}

/// All that was measured.
pub(crate) struct Table {
    rows: Vec<Row>,
    parts: BTreeMap<Part, Figures>,
}

impl Table {
    /// A table without figures yet.
    pub(crate) fn new(plan: &Plan) -> Self {
        let mut rows = one_at_a_time();
        plan.batches.iter().for_each(|&size| rows.extend(at_once(size)));
        rows.extend(at_rest(plan.crowd()));
        Self { rows, parts: BTreeMap::new() }
    }

    /// Adds a part's column.
    pub(crate) fn add(&mut self, part: Part, figures: Figures) {
        self.parts.insert(part, figures);
    }

    /// All figures, those without a row too.
    pub(crate) fn json(&self, machine: &str) -> Value {
        let parts: BTreeMap<_, _> =
            self.parts.iter().map(|(part, figures)| (part.to_string(), figures.all())).collect();
        let budgets: Vec<_> = self.rows.iter().filter_map(|row| self.judged(row)).collect();
        json!({ "machine": machine, "figures": parts, "budgets": budgets })
    }

    fn judged(&self, row: &Row) -> Option<Value> {
        let (limit, against) = match row.budget.as_ref()? {
            Budget::Times(limit, part) => (limit, Some(part.to_string())),
            Budget::Absolute(limit) => (limit, None),
        };
        let is = self.measured_against(row);
        Some(json!({ "figure": row.figure, "at most": limit, "times": against, "is": is }))
    }

    fn get(&self, part: Part, figure: &str) -> Option<f64> {
        self.parts.get(&part)?.get(figure)
    }

    fn ratio(&self, figure: &str, part: Part, to: Part) -> Option<f64> {
        Some(self.get(part, figure)? / self.get(to, figure)?)
    }

    /// Ours in the terms of the budget.
    fn measured_against(&self, row: &Row) -> Option<f64> {
        match row.budget.as_ref()? {
            Budget::Times(_, part) => self.ratio(&row.figure, Part::Ours, *part),
            Budget::Absolute(_) => self.get(Part::Ours, &row.figure),
        }
    }

    fn verdict(&self, row: &Row) -> String {
        let (text, limit) = match &row.budget {
            None => return String::new(),
            Some(Budget::Times(limit, part)) => (format!("≤ {limit} × {part}"), *limit),
            Some(Budget::Absolute(limit)) => (format!("≤ {limit} {}", row.unit), *limit),
        };
        match self.measured_against(row) {
            None => text,
            Some(is) if is <= limit => format!("{text}: within"),
            Some(_) => format!("{text}: OVER"),
        }
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = ["floor", "stock", "ours", "stock÷floor", "ours÷floor", "ours÷stock"];
        write!(f, "{:<44}", "")?;
        head.iter().try_for_each(|each| write!(f, "{each:>12}"))?;
        writeln!(f, "  budget")?;
        for row in &self.rows {
            write!(f, "{:<44}", format!("{} ({})", row.what, row.unit))?;
            for part in [Part::Floor, Part::Stock, Part::Ours] {
                write!(f, "{:>12}", cell(self.get(part, &row.figure)))?;
            }
            for (part, to) in
                [(Part::Stock, Part::Floor), (Part::Ours, Part::Floor), (Part::Ours, Part::Stock)]
            {
                write!(f, "{:>12}", cell(self.ratio(&row.figure, part, to)))?;
            }
            writeln!(f, "  {}", self.verdict(row))?;
        }
        Ok(())
    }
}

fn cell(value: Option<f64>) -> String {
    match value {
        None => "–".to_owned(),
        Some(value) if value >= 100.0 => format!("{value:.0}"),
        Some(value) => format!("{value:.2}"),
    }
}

fn row(
    what: impl Into<String>,
    unit: &'static str,
    figure: impl Into<String>,
    budget: Option<Budget>,
) -> Row {
    Row { what: what.into(), unit, figure: figure.into(), budget }
}

fn times(limit: f64, part: Part) -> Option<Budget> {
    Some(Budget::Times(limit, part))
}

fn one_at_a_time() -> Vec<Row> {
    vec![
        row("one at a time, create→Running, p50", "ms", "single.p50", times(1.5, Part::Floor)),
        row("one at a time, p90", "ms", "single.p90", None),
        row("one at a time, mean", "ms", "single.mean", None),
        row("one at a time, delete→gone, p50", "ms", "single.delete.p50", times(0.4, Part::Stock)),
        row("one at a time, delete→gone, p90", "ms", "single.delete.p90", None),
    ]
}

fn at_once(size: usize) -> Vec<Row> {
    let name = |rest: &str| format!("{size} at once, {rest}");
    let figure = |rest: &str| format!("batch.{size}.{rest}");
    vec![
        row(name("all running"), "ms", figure("all"), times(1.3, Part::Floor)),
        row(name("mean"), "ms", figure("mean"), times(0.5, Part::Stock)),
        row(name("p50"), "ms", figure("p50"), None),
        row(name("p90"), "ms", figure("p90"), None),
        row(name("delete→gone, p50"), "ms", figure("delete.p50"), times(0.4, Part::Stock)),
        row(name("delete→gone, all"), "ms", figure("delete.all"), None),
    ]
}

fn at_rest(crowd: usize) -> Vec<Row> {
    let crowded = |rest: &str| format!("{crowd} pods, {rest}");
    vec![
        row("memory (PSS), fresh", "MiB", "memory.fresh", None),
        row("memory, no pods after churn", "MiB", "memory.empty", times(0.6, Part::Stock)),
        row(crowded("memory after churn"), "MiB", "memory.crowded", times(0.7, Part::Stock)),
        row("no pods, own CPU at rest", "% core", "rest.empty.own", None),
        row(crowded("own CPU at rest"), "% core", "rest.crowded.own", times(0.3, Part::Stock)),
        row(crowded("containerd's CPU at rest"), "% core", "rest.crowded.containerd", None),
        row(crowded("the same, the node standing still"), "% core", "rest.crowded.alone", None),
        row(crowded("its shims' CPU at rest"), "% core", "rest.crowded.shims", None),
        row(crowded("caused in containerd"), "% core", "rest.crowded.caused", times(0.2, Part::Stock)),
        row("death of a container seen, p50", "ms", "death.p50", None),
        row("death of a container seen, latest", "ms", "death.max", Some(Budget::Absolute(1000.0))),
        row("the same with runtime events cut", "ms", "death.unheard.max", Some(Budget::Absolute(60_000.0))),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(ours: f64) -> Table {
        let mut table = Table { rows: one_at_a_time(), parts: BTreeMap::new() };
        for (part, value) in [(Part::Floor, 100.0), (Part::Ours, ours)] {
            let mut figures = Figures::default();
            figures.note("single.p50", value);
            table.add(part, figures);
        }
        table
    }

    #[test]
    fn a_row_shows_figures_ratios_and_its_budget() {
        let text = table(140.0).to_string();
        let line = text.lines().nth(1).unwrap();
        let words: Vec<&str> = line.split_whitespace().skip(6).collect();
        assert_eq!(
            words,
            ["(ms)", "100", "–", "140", "–", "1.40", "–", "≤", "1.5", "×", "floor:", "within"],
            "{line}"
        );
    }

    #[test]
    fn more_than_the_budget_is_said() {
        assert!(table(151.0).to_string().contains("≤ 1.5 × floor: OVER"));
    }

    #[test]
    fn budgets_are_told_to_machines_too() {
        let told = table(140.0).json("a machine");
        let want = json!({ "figure": "single.p50", "at most": 1.5, "times": "floor", "is": 1.4 });
        assert_eq!(told["budgets"][0], want);
    }
}
