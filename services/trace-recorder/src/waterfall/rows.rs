//! The table: name, process, waited, took, bar.

use super::{
    bar::{DOTTED, HEAVY, LIGHT, Stretch},
    clean, label, pad,
    paint::{Paint, Style},
};
use crate::core::{
    model::Span,
    scale,
    tree::{Row, Tree},
    window::Window,
};
use std::time::Duration;

/// Columns of a duration: `12.3 ms`, `2 m 03 s`.
const DURATION: usize = 8;
/// The least that waiting must be to be shown.
const NOTICEABLE: Duration = Duration::from_micros(100);
/// Columns that a mark on the axis needs: `╷500 ms` and some air.
const MARK: usize = 9;
/// Levels that are indented; what is deeper stands below the last of them.
const DEEPEST: usize = 10;

/// How many columns each part of a row has.
#[derive(Debug, Clone, Copy)]
pub(super) struct Columns {
    name: usize,
    process: usize,
    queued: usize,
    bar: usize,
}

impl Columns {
    /// Columns for a tree that together are `width` wide: names get what they need up to two fifths.
    pub(super) fn fit(tree: &Tree<'_>, width: usize) -> Self {
        let longest = |length: fn(&Row<'_>) -> usize| tree.rows.iter().map(length).max().unwrap_or_default();
        let name = longest(|row| name(row).chars().count()).clamp(12, width * 2 / 5);
        let process = longest(|row| row.span.process.chars().count()).clamp(7, 16);
        let waits = tree.rows.iter().any(|row| row.span.queued() >= NOTICEABLE);
        let queued = if waits { DURATION + 2 } else { 0 };
        let taken = name + 2 + process + queued + 2 + DURATION + 2;
        Self { name, process, queued, bar: width.saturating_sub(taken).max(10) }
    }

    fn before_bar(self) -> usize {
        self.name + 2 + self.process + self.queued + 2 + DURATION + 2
    }

    /// The line above the rows: headings, and marks on the axis.
    pub(super) fn axis(self, window: Window, paint: Paint) -> String {
        let mut headings = format!("{}  {}", pad("deed", self.name), pad("process", self.process));
        if self.queued > 0 {
            headings.push_str(&format!("  {:>DURATION$}", "waited"));
        }
        headings.push_str(&format!("  {:>DURATION$}  ", "took"));
        let marks = u32::try_from(self.bar / MARK).unwrap_or(1);
        let mut line = vec![' '; self.bar];
        for mark in scale::marks(window.length(), marks.max(1)) {
            let nanos = u64::try_from(mark.as_nanos()).unwrap_or(u64::MAX);
            let at = window.begin.saturating_add(nanos);
            write_at(
                &mut line,
                Stretch::of(at, at, window, self.bar).before(),
                &format!("╷{}", scale::mark(mark)),
            );
        }
        let line: String = line.into_iter().collect();
        format!("{}\n", paint.dim(&format!("{headings}{}", line.trim_end())))
    }

    /// A span's line, and below it what went wrong.
    pub(super) fn row(self, row: &Row<'_>, window: Window, paint: Paint) -> String {
        let span = row.span;
        let style = Style::of_process(&span.process);
        let mut text = self.name(row, paint);
        text.push_str(&format!("  {}", paint.as_style(style, &pad(&clean(&span.process), self.process))));
        if self.queued > 0 {
            let queued = Some(span.queued()).filter(|queued| *queued >= NOTICEABLE);
            let queued = queued.map(scale::duration).unwrap_or_default();
            text.push_str(&paint.dim(&format!("  {queued:>DURATION$}")));
        }
        text.push_str(&format!("  {:>DURATION$}  ", scale::duration(span.took())));
        text.push_str(&self.bar(row, window, paint));
        format!("{}\n{}", text.trim_end(), self.error(row, paint))
    }

    /// The moments of the root, one line each: the text to the right of its mark, or to the left of it where
    /// there is no room.
    pub(super) fn events(self, root: &Span, window: Window, paint: Paint) -> String {
        let mut text = String::new();
        for event in root.events.iter().filter(|event| window.shows(event.at)) {
            let into = Duration::from_nanos(event.at.saturating_sub(root.begin));
            let place = Stretch::of(event.at, event.at, window, self.bar).before();
            let told = format!("{} at {}", clean(&event.name), scale::duration(into));
            let length = told.chars().count() + 2;
            let (column, line) = if place + length <= self.bar {
                (self.before_bar() + place, format!("◆ {told}"))
            } else {
                ((self.before_bar() + place + 1).saturating_sub(length), format!("{told} ◆"))
            };
            text.push_str(&format!("{}{}\n", " ".repeat(column), paint.strong(&line)));
        }
        text
    }

    fn name(self, row: &Row<'_>, paint: Paint) -> String {
        let branch = branch(row);
        let (deed, subject) = label(row);
        let padded: Vec<char> = pad(&name(row), self.name).chars().collect();
        let edge = |wanted: usize| wanted.min(padded.len());
        let (from, to) = (edge(branch.chars().count()), edge(branch.chars().count() + deed.chars().count()));
        let style = match row.span.error {
            Some(_) => Style::Bad,
            None if row.depth == 0 => Style::Strong,
            None => Style::Plain,
        };
        let part = |style, part: &[char]| paint.as_style(style, &part.iter().collect::<String>());
        let rest = if subject.is_empty() { Style::Plain } else { Style::Dim };
        part(Style::Dim, &padded[..from]) + &part(style, &padded[from..to]) + &part(rest, &padded[to..])
    }

    fn bar(self, row: &Row<'_>, window: Window, paint: Paint) -> String {
        let span = row.span;
        let style = if span.error.is_some() { Style::Bad } else { Style::of_process(&span.process) };
        let bar = Stretch::of(span.begin, span.end, window, self.bar);
        let drawn = paint.as_style(style, &bar.draw(if row.is_leaf { HEAVY } else { LIGHT }));
        let queued = u64::try_from(span.queued().as_nanos()).unwrap_or(u64::MAX);
        let wait = Stretch::of(span.begin.saturating_sub(queued), span.begin, window, self.bar);
        let waited = bar.before().saturating_sub(wait.before());
        if waited == 0 {
            return format!("{}{drawn}", " ".repeat(bar.before()));
        }
        let wait: String = wait.draw(DOTTED).chars().take(waited).collect();
        let blank = bar.before() - wait.chars().count();
        format!("{}{}{drawn}", " ".repeat(blank), paint.dim(&wait))
    }

    fn error(self, row: &Row<'_>, paint: Paint) -> String {
        let Some(error) = &row.span.error else { return String::new() };
        let mut lines = rails(row);
        if row.depth > 0 {
            lines.push_str(rail(!row.is_last));
        }
        let room = (self.before_bar() + self.bar).saturating_sub(lines.chars().count() + 2);
        let told = format!("✗ {}", pad(&clean(error), room).trim_end());
        format!("{}{}\n", paint.dim(&lines), paint.bad(&told))
    }
}

/// What stands before the deed: the lines of the tree.
fn branch(row: &Row<'_>) -> String {
    let mut text = rails(row);
    if row.depth > 0 {
        text.push_str(match (row.is_adrift, row.is_last) {
            (true, _) => "┄ ",
            (false, true) => "└ ",
            (false, false) => "├ ",
        });
    }
    text
}

/// The lines that pass a row on their way to later ones.
fn rails(row: &Row<'_>) -> String {
    row.rails.iter().take(DEEPEST).map(|passes| rail(*passes)).collect()
}

fn rail(passes: bool) -> &'static str {
    if passes { "│ " } else { "  " }
}

/// The whole first column.
fn name(row: &Row<'_>) -> String {
    let (deed, subject) = label(row);
    let gap = if subject.is_empty() { "" } else { " " };
    format!("{}{deed}{gap}{subject}", branch(row))
}

/// Writes a text onto a line where there is room for all of it.
fn write_at(line: &mut [char], place: usize, text: &str) {
    let letters: Vec<char> = text.chars().collect();
    if let Some(room) = line.get_mut(place..place + letters.len()) {
        room.copy_from_slice(&letters);
    }
}
