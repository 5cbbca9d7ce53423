//! Colours of a terminal, or none.

use super::Color;
use std::fmt::Write as _;

/// How a text stands out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    /// Not at all.
    Plain,
    /// Of less weight.
    Dim,
    /// Of more.
    Strong,
    /// Something failed.
    Bad,
    /// One of the palette, for a process.
    Process(u8),
}

/// Puts styles around texts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Paint(Color);

/// Colours of the 256 that can be told apart on dark and on light.
const PALETTE: [u8; 10] = [33, 35, 166, 133, 37, 136, 125, 64, 61, 160];

/// Our processes in the order of the palette, so that each has the same colour in every drawing.
const PROCESSES: [&str; 10] = [
    "cri-bridge",
    "volume-mounter",
    "pod-lifecycle",
    "status-reporter",
    "prober",
    "api-gate",
    "proxy-programmer",
    "node-api",
    "bulkhead",
    "trace-recorder",
];

/// The place of a process in the palette; a foreign one (the runtime sends spans too) is given one by its
/// name.
pub(crate) fn place(process: &str) -> usize {
    let known = PROCESSES.iter().position(|name| *name == process);
    let sum = || process.bytes().fold(0_usize, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
    known.unwrap_or_else(|| sum() % PALETTE.len())
}

impl Style {
    pub(super) fn of_process(process: &str) -> Self {
        Self::Process(PALETTE[place(process)])
    }
}

impl Paint {
    pub(super) fn new(color: Color) -> Self {
        Self(color)
    }

    pub(super) fn as_style(self, style: Style, text: &str) -> String {
        let code = match style {
            _ if self.0 == Color::Never || text.is_empty() => return text.to_owned(),
            Style::Plain => return text.to_owned(),
            Style::Dim => "2".to_owned(),
            Style::Strong => "1".to_owned(),
            Style::Bad => "1;31".to_owned(),
            Style::Process(color) => format!("38;5;{color}"),
        };
        let mut painted = String::with_capacity(text.len() + 12);
        let _ = write!(painted, "\x1b[{code}m{text}\x1b[0m");
        painted
    }

    pub(super) fn plain(self, text: &str) -> String {
        self.as_style(Style::Plain, text)
    }

    pub(super) fn dim(self, text: &str) -> String {
        self.as_style(Style::Dim, text)
    }

    pub(super) fn strong(self, text: &str) -> String {
        self.as_style(Style::Strong, text)
    }

    pub(super) fn bad(self, text: &str) -> String {
        self.as_style(Style::Bad, text)
    }
}
