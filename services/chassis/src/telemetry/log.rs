//! How records are written to standard error.
//!
//! Under the supervisor each record is one line of JSON: `timestamp`, `level`, `target`, `filename`,
//! `line_number`, `fields` (with `message`) and the `span` it happened in. The supervisor puts the
//! process' name before it and renders klog text or JSON, as the operator configured. A person who
//! runs a process by hand reads text.

use super::our_targets;
use std::io::{IsTerminal, stderr};
use tracing::{Subscriber, level_filters::LevelFilter};
use tracing_subscriber::{Layer, filter::Targets, fmt, registry::LookupSpan};

/// The form of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lines {
    /// For people at a terminal.
    Text,
    /// For the supervisor.
    Json,
}

impl Lines {
    /// Text when a person started the process and looks at it, JSON otherwise.
    pub fn suitable(supervised: bool) -> Self {
        if !supervised && stderr().is_terminal() { Self::Text } else { Self::Json }
    }
}

pub(super) fn layer<S>(lines: Lines) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    // A supervisor that is gone reads no complaint about that either; printing it would panic.
    let layer = fmt::layer().with_writer(stderr).log_internal_errors(false);
    match lines {
        Lines::Text => layer.with_ansi(stderr().is_terminal()).compact().boxed(),
        Lines::Json => layer.json().with_file(true).with_line_number(true).with_span_list(false).boxed(),
    }
}

/// What is logged at klog's verbosities: 0 to 3 what operators look for, 4 and 5 also what developers
/// do, from 6 on everything, and then some of the libraries'.
pub(super) fn filter(verbosity: u32) -> Targets {
    let (ours, others) = match verbosity {
        0..=3 => (LevelFilter::INFO, LevelFilter::WARN),
        4..=5 => (LevelFilter::DEBUG, LevelFilter::WARN),
        6..=8 => (LevelFilter::TRACE, LevelFilter::INFO),
        _ => (LevelFilter::TRACE, LevelFilter::DEBUG),
    };
    Targets::new().with_default(others).with_targets(our_targets().map(|target| (target, ours)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tracing::Level;

    #[test]
    fn verbosity_decides_what_is_logged() {
        let cases = [
            ("operators see what happened", 2, "cri_bridge", Level::INFO, true),
            ("and not how", 2, "cri_bridge", Level::DEBUG, false),
            ("developers do", 4, "cri_bridge::actor", Level::DEBUG, true),
            ("libraries are heard when something is wrong", 4, "async_nats", Level::WARN, true),
            ("and not otherwise", 4, "async_nats", Level::INFO, false),
            ("unless everything is wanted", 10, "async_nats", Level::DEBUG, true),
        ];
        for (name, verbosity, target, level, logged) in cases {
            assert_eq!(filter(verbosity).would_enable(target, &level), logged, "{name}");
        }
    }
}
