//! Puts the spans of a trace under their parents, whatever is missing.
//!
//! Spans arrive from several processes in any order, and some never do: the root comes last (it is exported
//! when Running was accepted), a full trace drops spans, a killed process loses its last ones. Every
//! span that is there gets exactly one row.

use super::model::{Span, Trace};
use opentelemetry::trace::SpanId;
use std::collections::{BTreeMap, HashMap, HashSet};

/// A trace in the order in which it is drawn.
#[derive(Debug)]
pub struct Tree<'t> {
    /// The span without a parent; the longest where there are several. `None` while it has not arrived.
    pub root: Option<&'t Span>,
    /// Parents before their children, siblings by beginning.
    pub rows: Vec<Row<'t>>,
}

/// One span in its place.
#[derive(Debug)]
pub struct Row<'t> {
    /// The span.
    pub span: &'t Span,
    /// How far from the top; 0 for the root.
    pub depth: usize,
    /// For each level between the top and this row, whether a line to a later sibling passes it.
    pub rails: Vec<bool>,
    /// No sibling follows.
    pub is_last: bool,
    /// It has no parts.
    pub is_leaf: bool,
    /// Its parent did not arrive, so that it hangs from the top.
    pub is_adrift: bool,
    /// What of the pod it is about: what the span says, or what all its parts that say something say.
    pub subject: Option<&'t str>,
}

impl<'t> Tree<'t> {
    /// The tree of a trace.
    pub fn of(trace: &'t Trace) -> Self {
        let root = trace.spans.iter().filter(|span| span.parent.is_none()).max_by_key(|span| span.took());
        let mut planting = Planting::new(trace, root.map(|root| root.id));
        match root {
            Some(root) => planting.grow(root),
            None => planting.grow_all(),
        }
        let subjects = common_subjects(&trace.spans);
        for row in planting.rows.iter_mut().filter(|row| row.depth > 0 && row.subject.is_none()) {
            row.subject = subjects.get(&row.span.id).copied().flatten();
        }
        Self { root, rows: planting.rows }
    }
}

/// By parent, the subject that all its parts share which have one.
fn common_subjects(spans: &[Span]) -> HashMap<SpanId, Option<&str>> {
    let mut subjects = HashMap::new();
    for (parent, subject) in spans.iter().filter_map(|span| Some((span.parent?, span.subject()?))) {
        let shared = subjects.entry(parent).or_insert(Some(subject));
        *shared = shared.filter(|shared| *shared == subject);
    }
    subjects
}

/// A row that is yet to be written.
struct Seed<'t> {
    span: &'t Span,
    rails: Vec<bool>,
    depth: usize,
    is_last: bool,
}

struct Planting<'t> {
    /// By parent; `None` for what hangs from the top.
    children: HashMap<Option<SpanId>, Vec<&'t Span>>,
    adrift: HashSet<SpanId>,
    rows: Vec<Row<'t>>,
}

impl<'t> Planting<'t> {
    fn new(trace: &'t Trace, root: Option<SpanId>) -> Self {
        let parents: BTreeMap<_, _> =
            trace.spans.iter().map(|span| (span.id.to_bytes(), span.parent.map(SpanId::to_bytes))).collect();
        let mut children: HashMap<Option<SpanId>, Vec<&Span>> = HashMap::new();
        let mut adrift = HashSet::new();
        for span in trace.spans.iter().filter(|span| Some(span.id) != root) {
            let parent = span.parent.filter(|_| reaches_top(&parents, span.id.to_bytes()));
            if parent.is_none() {
                adrift.insert(span.id);
            }
            children.entry(parent.or(root)).or_default().push(span);
        }
        Self { children, adrift, rows: Vec::new() }
    }

    fn grow_all(&mut self) {
        for span in self.children.remove(&None).unwrap_or_default() {
            self.grow(span);
        }
    }

    /// Writes the rows of a span and of everything below it, without recursion: depth is the sender's.
    fn grow(&mut self, top: &'t Span) {
        let mut seeds = vec![Seed { span: top, rails: Vec::new(), depth: 0, is_last: true }];
        while let Some(Seed { span, rails, depth, is_last }) = seeds.pop() {
            let children = self.children.remove(&Some(span.id)).unwrap_or_default();
            let is_leaf = children.is_empty();
            let mut below = rails.clone();
            if depth > 0 {
                below.push(!is_last);
            }
            for (index, child) in children.iter().enumerate().rev() {
                let is_last = index + 1 == children.len();
                seeds.push(Seed { span: child, rails: below.clone(), depth: depth + 1, is_last });
            }
            let is_adrift = self.adrift.contains(&span.id);
            let subject = span.subject();
            self.rows.push(Row { span, depth, rails, is_last, is_leaf, is_adrift, subject });
        }
    }
}

/// Whether a span's parent is here and the way up from it ends: a parent that is missing, or a circle of
/// parents, leads nowhere.
fn reaches_top(parents: &BTreeMap<[u8; 8], Option<[u8; 8]>>, id: [u8; 8]) -> bool {
    let Some(Some(parent)) = parents.get(&id) else { return false };
    let mut at = *parent;
    for _ in 0..=parents.len() {
        match parents.get(&at) {
            // The way up may end at a span that is adrift itself: then this one still has its place below it.
            Some(Some(above)) if parents.contains_key(above) => at = *above,
            Some(_) => return true,
            None => return false,
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{self, Deed};
    use chassis::telemetry::keys;

    /// The rows as `name` indented by depth, `~` for those adrift.
    fn drawn(deeds: &[Deed]) -> Vec<String> {
        let trace = Trace::read(samples::trace(1), &samples::export(deeds).resource_spans, 0);
        let tree = Tree::of(&trace);
        assert_eq!(tree.rows.len(), trace.spans.len(), "every span has one row");
        let row = |row: &Row<'_>| {
            format!("{}{}{}", "  ".repeat(row.depth), if row.is_adrift { "~" } else { "" }, row.span.name)
        };
        tree.rows.iter().map(row).collect()
    }

    #[test]
    fn every_span_has_one_place() {
        let deed = |id, parent, name: &str, begin| Deed::new(1, id, parent, name).at(begin, begin + 5);
        let root = || Deed::new(1, 1, None, "pod start").at(0, 100);
        let cases: Vec<(&str, Vec<Deed>, &[&str])> = vec![
            (
                "children by beginning, in whatever order they came",
                vec![
                    deed(3, Some(1), "b", 20),
                    root(),
                    deed(2, Some(1), "a", 10),
                    deed(4, Some(2), "a1", 11),
                ],
                &["pod start", "  a", "    a1", "  b"],
            ),
            (
                "a child that began before its parent by a skewed clock is still its child",
                vec![deed(2, Some(1), "a", 10), deed(3, Some(2), "a1", 5), root()],
                &["pod start", "  a", "    a1"],
            ),
            (
                "the root has not arrived: its children hang from the top",
                vec![deed(2, Some(1), "a", 10), deed(3, Some(1), "b", 20)],
                &["~a", "~b"],
            ),
            (
                "a parent was dropped: its children hang from the root, with their own",
                vec![root(), deed(3, Some(9), "lost", 10), deed(4, Some(3), "part", 11)],
                &["pod start", "  ~lost", "    part"],
            ),
            (
                "a second span without parent hangs from the longer one",
                vec![root(), deed(2, None, "stray", 10)],
                &["pod start", "  ~stray"],
            ),
            (
                "a circle of parents is broken up",
                vec![
                    root(),
                    deed(2, Some(3), "a", 10),
                    deed(3, Some(2), "b", 20),
                    deed(4, Some(4), "own", 30),
                ],
                &["pod start", "  ~a", "  ~b", "  ~own"],
            ),
            ("nothing at all", vec![], &[]),
        ];
        for (name, deeds, want) in cases {
            assert_eq!(drawn(&deeds), want, "{name}");
        }
    }

    #[test]
    fn a_deed_is_about_what_its_parts_are_about() {
        let about = |id, parent, name: &str, container: &str| {
            let deed = Deed::new(1, id, parent, name).at(id.into(), 50);
            if container.is_empty() {
                deed
            } else {
                deed.with(samples::attribute(keys::CONTAINER_NAME, container))
            }
        };
        let deeds = [
            about(1, None, "pod start", ""),
            about(2, Some(1), "start", ""),
            about(3, Some(2), "create", "app"),
            about(4, Some(2), "wait", ""),
            about(5, Some(1), "start", "own"),
            about(6, Some(5), "create", "web"),
        ];
        let trace = Trace::read(samples::trace(1), &samples::export(&deeds).resource_spans, 0);
        let subjects: Vec<_> =
            Tree::of(&trace).rows.into_iter().map(|row| row.subject.unwrap_or("-")).collect();
        assert_eq!(subjects, ["-", "app", "app", "-", "own", "web"], "the whole is about the pod");
    }

    #[test]
    fn rails_tell_where_lines_pass() {
        let deeds = [
            Deed::new(1, 1, None, "root").at(0, 9),
            Deed::new(1, 2, Some(1), "a").at(1, 2),
            Deed::new(1, 3, Some(2), "a1").at(1, 2),
            Deed::new(1, 4, Some(1), "b").at(3, 4),
            Deed::new(1, 5, Some(4), "b1").at(3, 4),
        ];
        let trace = Trace::read(samples::trace(1), &samples::export(&deeds).resource_spans, 0);
        let rails: Vec<_> = Tree::of(&trace).rows.into_iter().map(|row| (row.rails, row.is_last)).collect();
        let want = [(vec![], true), (vec![], false), (vec![true], true), (vec![], true), (vec![false], true)];
        assert_eq!(rails, want);
    }
}
