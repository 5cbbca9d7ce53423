//! A line that a child wrote, understood as far as it can be. Pure; no line is ever refused.

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value};

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Severity {
    Info,
    Warning,
    Error,
}

/// One record.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Record {
    /// When; none where the line does not say.
    pub(super) at: Option<Timestamp>,
    pub(super) severity: Severity,
    /// klog's verbosity: 0 for operators, 4 for debugging, 6 for tracing.
    pub(super) verbosity: u8,
    /// Base name of the source file, and the line.
    pub(super) source: Option<(String, u64)>,
    pub(super) message: String,
    /// Values, in the order of their names.
    pub(super) fields: Map<String, Value>,
}

/// What `tracing_subscriber`'s JSON holds, as far as it is used.
#[derive(Deserialize)]
struct Line {
    timestamp: Option<Timestamp>,
    level: String,
    filename: Option<String>,
    line_number: Option<u64>,
    #[serde(default)]
    fields: Map<String, Value>,
    span: Option<Map<String, Value>>,
}

impl Record {
    /// The record that a line holds, or the line itself as a message.
    pub(super) fn read(line: &str) -> Self {
        serde_json::from_str::<Line>(line).map_or_else(|_| Self::plain(line), Self::from)
    }

    /// A line without structure: a panic, or the bus server's `[pid] [INF] …`.
    fn plain(line: &str) -> Self {
        let (severity, verbosity, message) = match bus_line(line) {
            Some(("ERR" | "FTL", rest)) => (Severity::Error, 0, rest),
            Some(("WRN", rest)) => (Severity::Warning, 0, rest),
            // Its banner is twenty lines.
            Some((_, rest)) => (Severity::Info, 4, rest),
            None if line.contains("panicked at") => (Severity::Error, 0, line),
            None => (Severity::Info, 0, line),
        };
        let (message, fields) = (message.to_owned(), Map::new());
        Self { at: None, severity, verbosity, source: None, message, fields }
    }
}

/// The level and the words of a line of nats-server.
fn bus_line(line: &str) -> Option<(&str, &str)> {
    let (level, rest) = line.strip_prefix('[')?.split_once("] [")?.1.split_once("] ")?;
    Some((level, rest))
}

impl From<Line> for Record {
    fn from(mut line: Line) -> Self {
        let (severity, verbosity) = match line.level.as_str() {
            "ERROR" => (Severity::Error, 0),
            "WARN" => (Severity::Warning, 0),
            "DEBUG" => (Severity::Info, 4),
            "TRACE" => (Severity::Info, 6),
            _ => (Severity::Info, 0),
        };
        let message = match line.fields.remove("message") {
            Some(Value::String(message)) => message,
            Some(other) => other.to_string(),
            None => String::new(),
        };
        let source = line.filename.map(|file| (base(&file).to_owned(), line.line_number.unwrap_or_default()));
        // What the record was made in tells which pod it is about, where it does not say so itself.
        for (name, value) in line.span.into_iter().flatten() {
            let name = if name == "name" { "span".to_owned() } else { name };
            line.fields.entry(name).or_insert(value);
        }
        Self { at: line.timestamp, severity, verbosity, source, message, fields: line.fields }
    }
}

fn base(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_record_of_a_service_is_understood() {
        let line = json!({
            "timestamp": "2026-01-02T03:04:05.678901Z", "level": "WARN", "target": "prober::actor",
            "filename": "services/prober/src/actor.rs", "line_number": 7,
            "fields": {"message": "the probe failed", "code": 500},
            "span": {"name": "probe", "k8s.pod.name": "web"},
        });
        let record = Record::read(&line.to_string());
        assert_eq!((record.severity, record.verbosity), (Severity::Warning, 0));
        assert_eq!(record.source, Some(("actor.rs".to_owned(), 7)));
        assert_eq!(record.message, "the probe failed");
        let fields = json!({"code": 500, "k8s.pod.name": "web", "span": "probe"});
        assert_eq!(Value::Object(record.fields), fields);
    }

    #[test]
    fn a_line_without_structure_is_a_message() {
        let cases = [
            ("the bus server's", "[12] [INF] Server is ready", Severity::Info, "Server is ready"),
            ("its errors", "[12] [ERR] no", Severity::Error, "no"),
            ("a panic", "thread 'main' panicked at x", Severity::Error, "thread 'main' panicked at x"),
            ("anything", "{not json", Severity::Info, "{not json"),
        ];
        for (name, line, severity, message) in cases {
            let record = Record::read(line);
            assert_eq!((record.severity, record.message.as_str()), (severity, message), "{name}");
        }
    }
}
