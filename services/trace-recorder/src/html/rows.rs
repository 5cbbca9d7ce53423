//! The page's waterfall: an axis, and a row per span that opens to show what the span carries.
//!
//! Places are parts of the whole (0 to 1) in CSS variables, so that zooming is two other variables.

use super::escape;
use crate::{
    core::{
        model::Event,
        scale,
        tree::{Row, Tree},
        window::Window,
    },
    waterfall::{label, place},
};
use std::{fmt::Write as _, time::Duration};

/// The most marks on the axis.
const MARKS: u32 = 8;
/// Levels that are indented.
const DEEPEST: usize = 12;

pub(super) fn render(tree: &Tree<'_>, window: Window) -> String {
    let mut text = format!(
        "<section class=\"waterfall\" style=\"--from:0;--to:1\" data-nanos=\"{}\">\n",
        window.length().as_nanos()
    );
    let events: Vec<&Event> =
        tree.root.iter().flat_map(|root| &root.events).filter(|event| window.shows(event.at)).collect();
    text.push_str(&axis(window));
    text.push_str(&lines(&events, window));
    for event in &events {
        text.push_str(&flag(event, window, tree));
    }
    text.push_str("<div class=\"rows\">\n");
    tree.rows.iter().for_each(|at| text.push_str(&row(at, window)));
    text.push_str("</div>\n</section>\n");
    text
}

fn marks(window: Window) -> Vec<(f64, String)> {
    let part = |mark: &Duration| mark.as_secs_f64() / window.length().as_secs_f64();
    scale::marks(window.length(), MARKS).iter().map(|mark| (part(mark), scale::mark(*mark))).collect()
}

fn axis(window: Window) -> String {
    let mut text = String::from("<div class=\"axis\"><span></span><div class=\"track\">");
    for (part, mark) in marks(window) {
        let _ = write!(text, "<i class=\"mark\" style=\"--b:{part:.6}\">{mark}</i>");
    }
    text.push_str("</div></div>\n");
    text
}

/// The lines behind all rows: one per mark, one per moment of the root.
fn lines(events: &[&Event], window: Window) -> String {
    let mut text = String::from("<div class=\"lines\"><span></span><div class=\"track\">");
    for (part, _) in marks(window) {
        let _ = write!(text, "<i class=\"grid\" style=\"--b:{part:.6}\"></i>");
    }
    for event in events {
        let _ = write!(text, "<i class=\"moment\" style=\"--b:{:.6}\"></i>", window.part(event.at));
    }
    text.push_str("</div></div>\n");
    text
}

/// The name of a moment of the root, on a line of its own.
fn flag(event: &Event, window: Window, tree: &Tree<'_>) -> String {
    let part = window.part(event.at);
    let begin = tree.root.map_or(window.begin, |root| root.begin);
    let into = scale::duration(Duration::from_nanos(event.at.saturating_sub(begin)));
    let side = if part > 0.6 { " class=\"left\"" } else { "" };
    format!(
        "<div class=\"flags\"><span></span><div class=\"track\"><i{side} style=\"--b:{part:.6}\">\
         <b>{}</b> {into}</i></div></div>\n",
        escape(&event.name)
    )
}

fn row(row: &Row<'_>, window: Window) -> String {
    let span = row.span;
    let (begin, end) = (window.part(span.begin), window.part(span.end));
    let queued = u64::try_from(span.queued().as_nanos()).unwrap_or(u64::MAX);
    let waited_from = window.part(span.begin.saturating_sub(queued));
    let mut class = format!("p{}", place(&span.process));
    for (holds, name) in [
        (row.is_leaf, "leaf"),
        (span.error.is_some(), "bad"),
        (end > 0.85, "flip"),
        (row.is_adrift, "adrift"),
    ] {
        if holds {
            class.push(' ');
            class.push_str(name);
        }
    }
    format!(
        "<details class=\"row {class}\" data-depth=\"{}\" style=\"--b:{begin:.6};--e:{end:.6};--q:{waited_from:.6}\">\n\
         <summary>{}<span class=\"track\">{}<i class=\"bar\"></i><i class=\"took\">{}</i></span></summary>\n\
         <div class=\"more\">{}</div>\n</details>\n",
        row.depth,
        name(row),
        if queued > 0 { "<i class=\"wait\"></i>" } else { "" },
        scale::duration(span.took()),
        more(row, window),
    )
}

fn name(row: &Row<'_>) -> String {
    let (deed, subject) = label(row);
    let mut twigs: String =
        row.rails.iter().take(DEEPEST).map(|passes| twig(if *passes { "on" } else { "" })).collect();
    if row.depth > 0 {
        twigs.push_str(&twig(if row.is_last { "end" } else { "on fork" }));
    }
    let fold = if row.is_leaf { "" } else { "<button class=\"fold\" aria-label=\"fold\"></button>" };
    let subject = if subject.is_empty() { String::new() } else { format!(" <em>{}</em>", escape(&subject)) };
    let process = escape(&row.span.process);
    format!(
        "<span class=\"name\">{twigs}{fold}<span class=\"deed\">{}{subject}</span><small>{process}</small></span>",
        escape(&deed)
    )
}

fn twig(class: &str) -> String {
    format!("<i class=\"twig {class}\"></i>")
}

/// What a row shows when it is opened or pointed at.
fn more(row: &Row<'_>, window: Window) -> String {
    let span = row.span;
    let mut text = String::new();
    if let Some(error) = &span.error {
        let _ = write!(text, "<p class=\"error\">{}</p>", escape(error));
    }
    text.push_str("<dl>");
    let into = Duration::from_nanos(span.begin.saturating_sub(window.begin));
    let mut term = |name: &str, value: &str| {
        let _ = write!(text, "<dt>{}</dt><dd>{}</dd>", escape(name), escape(value));
    };
    term("process", &span.process);
    term("began", &format!("{} after the start", scale::duration(into)));
    term("took", &scale::duration(span.took()));
    if !span.queued().is_zero() {
        term("waited", &scale::duration(span.queued()));
    }
    if row.is_adrift {
        term("parent", "did not arrive");
    }
    span.attributes.iter().for_each(|(key, value)| term(key, value));
    for event in &span.events {
        let at = scale::duration(Duration::from_nanos(event.at.saturating_sub(span.begin)));
        term(&event.name, &format!("after {at} {}", pairs(event)));
    }
    span.links.iter().for_each(|link| term("see also trace", &link.to_string()));
    term("span", &span.id.to_string());
    text.push_str("</dl>");
    text
}

fn pairs(event: &Event) -> String {
    event.attributes.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(" ")
}
