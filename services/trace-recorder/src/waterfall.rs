//! Draws a trace as text, for a terminal of 80 columns or more: a row per span with its place in the tree,
//! the process, the time it waited and took, and a bar on a common axis; then where the time went.
//!
//! Called by `bulkhead trace`. Span names and attributes come from whoever reached the socket, so
//! control characters never get to the terminal.

mod bar;
mod paint;
mod rows;
mod summary;

use crate::core::{
    account::Account,
    model::Trace,
    ring::Summary,
    scale,
    tree::{Row, Tree},
    window::Window,
};
use jiff::Timestamp;
pub(crate) use paint::place;
use paint::{Paint, Style};
use rows::Columns;
use std::{fmt::Write as _, time::Duration};

/// Columns below which a drawing is not narrowed further.
const NARROWEST: usize = 80;
/// Columns above which a drawing only gets harder to read.
const WIDEST: usize = 180;

/// Whether the terminal understands colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Color {
    /// ANSI sequences.
    Always,
    /// Plain text.
    Never,
}

/// The drawing of a trace, `width` columns wide.
pub fn render(trace: &Trace, width: usize, color: Color) -> String {
    let paint = Paint::new(color);
    let tree = Tree::of(trace);
    let window = Window::of(trace, &tree);
    let columns = Columns::fit(&tree, width.clamp(NARROWEST, WIDEST));
    let mut text = header(trace, &tree, paint);
    text.push('\n');
    text.push_str(&columns.axis(window, paint));
    for row in &tree.rows {
        text.push_str(&columns.row(row, window, paint));
    }
    if let Some(root) = tree.root {
        text.push_str(&columns.events(root, window, paint));
    }
    text.push('\n');
    text.push_str(&summary::render(&Account::of(&tree), paint));
    text
}

/// One line per trace, newest first.
pub fn list(summaries: &[Summary], color: Color) -> String {
    let paint = Paint::new(color);
    let mut text = String::new();
    let pods: Vec<String> = summaries.iter().map(summary_pod).collect();
    let wide = pods.iter().map(|pod| pod.chars().count()).max().unwrap_or_default().max(4);
    for (summary, pod) in summaries.iter().zip(pods) {
        let root = if summary.root.is_empty() { "(under way)" } else { &summary.root };
        let style = if summary.failed { Style::Bad } else { Style::Strong };
        let took = scale::duration(Duration::from_nanos(summary.end.saturating_sub(summary.begin)));
        let line = format!(
            "{}  {}  {}  {} {}\n",
            paint.dim(&moment(summary.begin)),
            paint.as_style(style, &pad(&pod, wide)),
            paint.plain(&pad(root, 18)),
            paint.strong(&format!("{took:>8}")),
            paint.dim(&format!("{:>4} spans  {}", summary.spans, summary.trace)),
        );
        text.push_str(&line);
    }
    text
}

fn summary_pod(summary: &Summary) -> String {
    match (summary.namespace.as_str(), summary.name.as_str()) {
        ("", "") if summary.uid.is_empty() => "-".to_owned(),
        ("", "") => clean(&summary.uid),
        (namespace, name) => clean(&format!("{namespace}/{name}")),
    }
}

fn header(trace: &Trace, tree: &Tree<'_>, paint: Paint) -> String {
    let pod = trace.pod().map_or_else(|| "trace".to_owned(), |pod| clean(&pod));
    let root = tree.root.map_or("root span not reported yet", |root| root.name.as_str());
    let total = scale::duration(Account::of(tree).total);
    let begin = tree.rows.first().map(|row| moment(row.span.begin)).unwrap_or_default();
    let mut text = format!(
        "{}  {}  {}  {}\n",
        paint.strong(&pod),
        paint.plain(&clean(root)),
        paint.strong(&total),
        paint.dim(&begin)
    );
    let spans = trace.spans.len();
    let _ = write!(text, "{}", paint.dim(&format!("trace {}  {spans} spans", trace.id)));
    if trace.dropped > 0 {
        let _ =
            write!(text, "  {}", paint.bad(&format!("{} spans dropped: the trace was full", trace.dropped)));
    }
    text.push('\n');
    text
}

/// The processes of a trace, each once, by name.
pub(crate) fn processes(trace: &Trace) -> Vec<&str> {
    let mut processes: Vec<&str> = trace.spans.iter().map(|span| span.process.as_str()).collect();
    processes.sort_unstable();
    processes.dedup();
    processes
}

/// What a row is called: the deed, and what of the pod it was done to.
pub(crate) fn label(row: &Row<'_>) -> (String, String) {
    (clean(&row.span.name), row.subject.map(clean).unwrap_or_default())
}

/// A moment as people write it, in UTC.
pub(crate) fn moment(nanos: u64) -> String {
    let at = i128::from(nanos);
    let text = |at: Timestamp| at.strftime("%Y-%m-%d %H:%M:%S%.3fZ").to_string();
    Timestamp::from_nanosecond(at).map(text).unwrap_or_default()
}

/// Text without control characters, so that nothing in a name can move the cursor.
fn clean(text: &str) -> String {
    text.chars().map(|at| if at.is_control() { ' ' } else { at }).collect()
}

/// Text in exactly `width` columns: filled up with blanks or cut with an ellipsis.
fn pad(text: &str, width: usize) -> String {
    let long = text.chars().count();
    if long <= width {
        return format!("{text}{}", " ".repeat(width - long));
    }
    let kept: String = text.chars().take(width.saturating_sub(1)).collect();
    format!("{kept}…")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;
    use chassis::telemetry::keys;

    #[test]
    fn a_row_per_span_and_where_the_time_went() {
        let lease = samples::Deed::new(1, 2, Some(1), "report status").at(50, 100).failing("409 Conflict");
        let deeds = [
            samples::Deed::new(1, 1, None, "pod start").at(0, 100).event("ready", 50),
            samples::Deed::new(1, 3, Some(1), "pull image")
                .at(0, 50)
                .with(samples::attribute(keys::CONTAINER_NAME, "app")),
            lease.with(samples::attribute(keys::QUEUED, "10000")),
        ];
        let trace = Trace::read(samples::trace(1), &samples::export(&deeds).resource_spans, 3);
        let want = "\
trace  pod start  100 ms  2023-11-14 22:13:20.000Z
trace 01010101010101010101010101010101  3 spans  3 spans dropped: the trace was full

deed              process    waited      took  ╷0              ╷50 ms
pod start         prober               100 ms  ─────────────────────────────────
├ pull image app  prober              50.0 ms  ━━━━━━━━━━━━━━━━╸
└ report status   prober    10.0 ms   50.0 ms               ┄┄┄╺━━━━━━━━━━━━━━━━
  ✗ 409 Conflict
                                              ready at 50.0 ms ◆

where the time went (each moment is given to the deed that ended last)
  pull image                          50.0 ms   50 %  ████████████████████
  report status                       50.0 ms   50 %  ████████████████████
  outside leaf spans                     0 µs    0 %
";
        assert_eq!(render(&trace, 80, Color::Never), want);
    }

    #[test]
    fn a_line_of_the_list_fits_a_terminal_and_colours_can_be_left_out() {
        let summary = Summary {
            trace: "ab".repeat(16),
            uid: "u-1".into(),
            namespace: "default".into(),
            name: "web".into(),
            root: String::new(),
            begin: samples::moment(0),
            end: samples::moment(412),
            spans: 18,
            dropped: 0,
            failed: true,
        };
        let line = format!(
            "2023-11-14 22:13:20.000Z  default/web  (under way)           412 ms   18 spans  {}\n",
            "ab".repeat(16)
        );
        assert_eq!(list(std::slice::from_ref(&summary), Color::Never), line);
        assert!(list(&[summary], Color::Always).contains("\u{1b}[1;31mdefault/web"));
    }

    #[test]
    fn no_name_moves_the_cursor() {
        let deed = samples::Deed::new(1, 1, None, "\u{1b}[2J\r\npwned").failing("a\u{7}b");
        let trace = Trace::read(samples::trace(1), &samples::export(&[deed]).resource_spans, 0);
        let drawn = render(&trace, 100, Color::Never);
        assert!(drawn.chars().all(|at| at == '\n' || !at.is_control()), "{drawn:?}");
    }

    #[test]
    fn no_line_is_wider_than_asked_for() {
        for width in [80, 100, 140] {
            let drawn = render(&samples::pod_start(), width, Color::Never);
            let widest = drawn.lines().map(|line| line.chars().count()).max().unwrap();
            assert!(widest <= width, "{widest} > {width}");
        }
    }
}
