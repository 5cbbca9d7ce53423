//! `bulkhead trace`: asks trace-recorder for a trace and shows it.

use crate::{
    cli::{Output, Trace},
    columns, settings,
};
use anyhow::Context;
use std::{io::IsTerminal, path::Path, process::ExitCode};
use trace_recorder::{
    client,
    core::ring::Summary,
    html, json,
    waterfall::{self, Color},
};

/// How wide a drawing is where there is no terminal to ask.
const WIDTH: usize = 120;

/// Draws a pod's trace, writes it for browsers or programs, or lists what there is.
///
/// # Errors
/// When no recorder answers, or it does not know the pod.
pub(crate) fn trace(asked: &Trace) -> anyhow::Result<ExitCode> {
    let root_dir = settings::root_dir(Some(&asked.node.root_dir));
    let Some(pod) = &asked.pod else { return list(&root_dir) };
    let trace = client::fetch(&root_dir, pod)?;
    match (&asked.html, asked.output) {
        (Some(file), _) => {
            std::fs::write(file, html::render(&trace))
                .with_context(|| format!("could not write {}", file.display()))?;
        }
        (None, Some(Output::Json)) => println!("{}", json::render(&trace)?),
        (None, None) => print!("{}", waterfall::render(&trace, width(), color())),
    }
    Ok(ExitCode::SUCCESS)
}

fn list(root_dir: &Path) -> anyhow::Result<ExitCode> {
    let mut rows = vec![["POD", "TRACE", "BEGAN WITH", "TOOK", "SPANS", ""].map(str::to_owned)];
    rows.extend(client::list(root_dir)?.iter().map(row));
    print!("{}", columns::align(&rows));
    Ok(ExitCode::SUCCESS)
}

fn row(summary: &Summary) -> [String; 6] {
    let pod =
        if summary.name.is_empty() { "-".into() } else { format!("{}/{}", summary.namespace, summary.name) };
    let milliseconds = summary.end.saturating_sub(summary.begin) / 1_000_000;
    let remark = match (summary.failed, summary.dropped) {
        (true, _) => "a span failed".to_owned(),
        (false, 0) => String::new(),
        (false, dropped) => format!("{dropped} spans dropped"),
    };
    [
        pod,
        summary.trace.clone(),
        summary.root.clone(),
        format!("{milliseconds} ms"),
        summary.spans.to_string(),
        remark,
    ]
}

/// Colours for people, unless they do not want any (<https://no-color.org>).
fn color() -> Color {
    let wanted =
        std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|set| set.is_empty());
    if wanted { Color::Always } else { Color::Never }
}

fn width() -> usize {
    let columns = rustix::termios::tcgetwinsize(std::io::stdout()).map(|size| usize::from(size.ws_col));
    columns.ok().filter(|columns| *columns > 0).unwrap_or(WIDTH)
}
