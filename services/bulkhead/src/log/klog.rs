//! A record as klog writes it, in text and in JSON. Pure but for the time of records that have none.
//!
//! Text: `I0102 03:04:05.678901    1234 prober/actor.rs:7] "the probe failed" code=500`, in local time,
//! where klog has the source file; ours says the process before it. JSON: component-base's `ts` (in
//! milliseconds), `caller`, `msg`, `v` and the values, and `process`. Texts are quoted, so that no
//! child can forge a line or move the reader's cursor.

use super::{
    Author,
    record::{Record, Severity},
};
use jiff::{Timestamp, tz::TimeZone};
use serde_json::{Value, json};
use std::fmt::Write;

/// klog's text.
pub(super) fn text(author: Author, record: &Record) -> String {
    in_zone(author, record, &TimeZone::system())
}

fn in_zone(author: Author, record: &Record, zone: &TimeZone) -> String {
    let letter = match record.severity {
        Severity::Info => 'I',
        Severity::Warning => 'W',
        Severity::Error => 'E',
    };
    let at = when(record).to_zoned(zone.clone());
    let mut line = format!(
        "{letter}{} {:>7} {}] {:?}",
        at.strftime("%m%d %H:%M:%S%.6f"),
        author.pid,
        caller(author, record),
        record.message
    );
    for (name, value) in &record.fields {
        // Writing to a String cannot fail.
        let _ = match value {
            Value::String(value) => write!(line, " {name}={value:?}"),
            other => write!(line, " {name}={other}"),
        };
    }
    line
}

/// The JSON of Kubernetes components.
pub(super) fn json(author: Author, record: &Record) -> String {
    let milliseconds = when(record).as_nanosecond() as f64 / 1e6;
    let mut line = json!({
        "ts": milliseconds,
        "caller": caller(author, record),
        "msg": record.message,
        "process": author.name,
        "pid": author.pid,
    });
    if record.severity == Severity::Info {
        line["v"] = record.verbosity.into();
    } else {
        line["severity"] = if record.severity == Severity::Error { "error" } else { "warning" }.into();
    }
    for (name, value) in &record.fields {
        let name = if name == "error" { "err" } else { name };
        line[name] = value.clone();
    }
    line.to_string()
}

fn when(record: &Record) -> Timestamp {
    record.at.unwrap_or_else(Timestamp::now)
}

/// The process and the place in its source.
fn caller(author: Author, record: &Record) -> String {
    match &record.source {
        Some((file, line)) => format!("{}/{file}:{line}", author.name),
        None => format!("{}/-:0", author.name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AUTHOR: Author = Author { name: "status-reporter", pid: 1234 };

    fn record(line: &str) -> Record {
        Record::read(line)
    }

    fn registered() -> Record {
        record(
            r#"{"timestamp":"2026-01-02T03:04:05.678901Z","level":"INFO","filename":"src/node.rs",
                "line_number":42,"fields":{"message":"Successfully registered node","node":"n1","try":2}}"#,
        )
    }

    #[test]
    fn text_is_klogs() {
        assert_eq!(
            in_zone(AUTHOR, &registered(), &TimeZone::UTC),
            "I0102 03:04:05.678901    1234 status-reporter/node.rs:42] \
             \"Successfully registered node\" node=\"n1\" try=2"
        );
    }

    #[test]
    fn a_message_cannot_begin_a_line_of_its_own() {
        let forged = record("x\nE0102 03:04:05.000000 1 y] \u{1b}[2J");
        let line = in_zone(AUTHOR, &forged, &TimeZone::UTC);
        assert!(!line.contains('\n') && !line.contains('\u{1b}'), "{line}");
    }

    #[test]
    fn json_is_that_of_kubernetes_components() {
        let line: Value = serde_json::from_str(&json(AUTHOR, &registered())).unwrap();
        let expected = json!({
            "ts": 1_767_323_045_678.901, "caller": "status-reporter/node.rs:42", "v": 0, "pid": 1234,
            "msg": "Successfully registered node", "process": "status-reporter", "node": "n1", "try": 2,
        });
        assert_eq!(line, expected);
        let error = record(r#"{"level":"ERROR","fields":{"message":"failed","error":"why"}}"#);
        let line: Value = serde_json::from_str(&json(AUTHOR, &error)).unwrap();
        assert_eq!((&line["severity"], &line["err"]), (&json!("error"), &json!("why")));
    }
}
