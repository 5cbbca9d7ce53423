//! The node's one log: every process' records, and the supervisor's own, as lines on standard error.
//!
//! Children write one JSON record per line ([`record`]); here each becomes a line of klog's text or
//! of the JSON that Kubernetes components write, as `logging.format` says, with the process' name. A
//! line that is no record (a panic, the bus server's words) is passed on as a message.

mod klog;
mod pump;
mod record;

pub(crate) use pump::pump;

use chassis::config::LogFormat;
use record::Record;
use std::io::{self, Write};
use tracing_subscriber::{filter::Targets, fmt::MakeWriter, layer::SubscriberExt, util::SubscriberInitExt};

/// Who wrote a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Author {
    /// The process' name.
    pub(crate) name: &'static str,
    /// Its id.
    pub(crate) pid: u32,
}

/// Up to this verbosity everybody sees the same.
const OPERATORS: u32 = 3;

/// How lines look, and which there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Log {
    /// klog's text, or JSON.
    pub(crate) format: LogFormat,
    /// klog's `-v`.
    pub(crate) verbosity: u32,
}

impl Log {
    /// Writes a child's line, unless it is for somebody who wants to know more.
    pub(crate) fn write(self, author: Author, line: &str) {
        let record = Record::read(line);
        if u32::from(record.verbosity) > self.verbosity.max(OPERATORS) {
            return;
        }
        let text = match self.format {
            LogFormat::Text => klog::text(author, &record),
            LogFormat::Json => klog::json(author, &record),
        };
        // Nobody is left to tell when standard error is gone.
        let _ = writeln!(io::stderr().lock(), "{text}");
    }

    /// Lets the supervisor's own records go the same way.
    pub(crate) fn begin(self) {
        let level = if self.verbosity > 3 { tracing::Level::DEBUG } else { tracing::Level::INFO };
        let own = tracing_subscriber::fmt::layer()
            .json()
            .with_file(true)
            .with_line_number(true)
            .with_span_list(false)
            .with_writer(Own(self));
        let filter = Targets::new().with_target("bulkhead", level).with_target("chassis", level);
        // Refused only when a log was begun already, which then goes on.
        let _ = tracing_subscriber::registry().with(own).with(filter).try_init();
    }
}

/// Takes the supervisor's records, each in one piece.
#[derive(Clone, Copy)]
struct Own(Log);

impl Write for Own {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let author = Author { name: "bulkhead", pid: std::process::id() };
        self.0.write(author, String::from_utf8_lossy(line).trim_end());
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Own {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        *self
    }
}
