//! Draws a trace as one HTML page that needs nothing but itself: no network, no fonts, no libraries.
//!
//! The page is whole without its script: rows, bars, details and the account are written here. `html/page.js`
//! adds what a pointer makes pleasant (a line under the pointer, details on hover, folding, zooming by dragging).
//! Every text that came with a span is escaped, and a content security policy forbids the page to load or
//! send anything.

mod account;
mod rows;

use crate::{
    core::{account::Account, model::Trace, scale, tree::Tree, window::Window},
    waterfall::{moment, place, processes},
};
use std::fmt::Write as _;

const STYLE: &str = include_str!("html/page.css");
const SCRIPT: &str = include_str!("html/page.js");
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'";

/// The page of a trace.
pub fn render(trace: &Trace) -> String {
    let tree = Tree::of(trace);
    let window = Window::of(trace, &tree);
    let account = Account::of(&tree);
    let title = trace.pod().unwrap_or_else(|| trace.id.to_string());
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{POLICY}\">\n\
         <title>{title} · {total}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n\
         {header}{account}{rows}{footer}</main>\n<script>\n{SCRIPT}</script>\n</body>\n</html>\n",
        title = escape(&title),
        total = scale::duration(account.total),
        header = header(trace, &tree, &account),
        account = account::render(&account),
        rows = rows::render(&tree, window),
        footer = footer(trace),
    )
}

fn header(trace: &Trace, tree: &Tree<'_>, account: &Account) -> String {
    let (namespace, name) = match trace.pod() {
        Some(pod) => pod
            .split_once('/')
            .map_or((String::new(), pod.clone()), |(ns, name)| (format!("{ns}/"), name.into())),
        None => (String::new(), "trace".to_owned()),
    };
    let root = tree.root.map_or("root span not reported yet", |root| root.name.as_str());
    let begin = tree.rows.first().map(|row| moment(row.span.begin)).unwrap_or_default();
    let failures = trace.spans.iter().filter(|span| span.error.is_some()).count();
    let mut facts = fact("began", &begin) + &fact("trace", &trace.id.to_string());
    facts += &fact("spans", &trace.spans.len().to_string());
    if trace.dropped > 0 {
        facts += &fact("dropped", &format!("{} (the trace was full)", trace.dropped));
    }
    if failures > 0 {
        facts += &format!("<div class=\"bad\"><dt>failed</dt><dd>{failures}</dd></div>");
    }
    format!(
        "<header>\n<p class=\"root\">{}</p>\n<h1><span>{}</span>{}</h1>\n<p class=\"total\">{}</p>\n\
         <dl class=\"facts\">{facts}</dl>\n</header>\n",
        escape(root),
        escape(&namespace),
        escape(&name),
        scale::duration(account.total).replace(' ', "<small> ") + "</small>",
    )
}

fn fact(name: &str, value: &str) -> String {
    format!("<div><dt>{name}</dt><dd>{}</dd></div>", escape(value))
}

/// Which colour is which process, and how to read and move the page.
fn footer(trace: &Trace) -> String {
    let mut text = String::from("<footer>\n<ul class=\"processes\">");
    for process in processes(trace) {
        let _ = write!(text, "<li class=\"p{}\"><i></i>{}</li>", place(process), escape(process));
    }
    text.push_str(
        "</ul>\n<p>A solid bar is a deed, a thin one is made of the deeds below it; stripes before a bar are \
         time it waited in queues. <span class=\"js\">Drag over the bars to zoom, double-click to see all \
         again; a click on a row shows what it carries.</span></p>\n</footer>\n",
    );
    text
}

/// A text as it may stand between tags and in quoted attributes.
fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            control if control.is_control() && control != '\n' => safe.push(' '),
            other => safe.push(other),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;

    #[test]
    fn a_page_shows_every_span_with_its_process_and_needs_no_network() {
        let trace = samples::pod_start();
        let page = render(&trace);
        assert_eq!(page.matches("<details class=\"row ").count(), trace.spans.len());
        for wanted in
            ["default/", "web-7d9f8c6b5-x2x4q", "412", "outside leaf spans", "postStart hook: exit status 1"]
        {
            assert!(page.contains(wanted), "{wanted} is missing");
        }
        for foreign in ["http://", "https://", "src=", "href=", "@import", "url("] {
            assert!(!page.contains(foreign), "the page refers to something outside: {foreign}");
        }
    }

    #[test]
    fn what_came_with_a_span_stays_text() {
        let hostile = "<script>alert(1)</script>\"'\u{1b}[2J";
        let deed = samples::Deed::new(1, 1, None, hostile)
            .with(samples::attribute(hostile, hostile))
            .failing(hostile);
        let page = render(&Trace::read(samples::trace(1), &samples::export(&[deed]).resource_spans, 0));
        assert_eq!(page.matches("<script>").count(), 1, "only the page's own");
        assert!(!page.contains('\u{1b}'));
    }

    #[test]
    fn a_trace_without_spans_is_a_page_too() {
        let page = render(&Trace { id: samples::trace(1), spans: Vec::new(), dropped: 0 });
        assert!(page.contains("root span not reported yet"));
    }
}
