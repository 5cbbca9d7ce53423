//! A trace as JSON, for programs: the same tree and the same account that people are shown.
//!
//! Called by `bulkhead trace --output json`, and by the scenarios that look at the shape of a pod's start. Not OTLP:
//! whoever wants that has a collector.

use crate::{
    core::{
        account::{Account, Hop, Share},
        model::{Event, Span, Trace},
        tree::Tree,
    },
    waterfall::moment,
};
use serde::Serialize;
use std::{collections::BTreeMap, time::Duration};

/// The trace as one JSON object. Times are microseconds; those of spans and events count from `began`.
pub fn render(trace: &Trace) -> serde_json::Result<String> {
    serde_json::to_string_pretty(&Page::of(trace))
}

#[derive(Serialize)]
struct Page<'t> {
    trace: String,
    pod: Option<String>,
    /// The first moment of any span, UTC.
    began: String,
    dropped: u32,
    total_micros: u64,
    outside_leaves_micros: u64,
    /// What of that messages were on their way.
    hops: Vec<HopRow>,
    shares: Vec<ShareRow>,
    /// Parents before their children, siblings by beginning.
    spans: Vec<SpanRow<'t>>,
}

#[derive(Serialize)]
struct ShareRow {
    name: String,
    process: String,
    leaves: usize,
    micros: u64,
}

#[derive(Serialize)]
struct HopRow {
    process: String,
    messages: usize,
    micros: u64,
}

#[derive(Serialize)]
struct SpanRow<'t> {
    id: String,
    parent: Option<String>,
    name: &'t str,
    process: &'t str,
    kind: &'static str,
    begin_micros: u64,
    took_micros: u64,
    queued_micros: u64,
    error: Option<&'t str>,
    attributes: BTreeMap<&'t str, &'t str>,
    events: Vec<EventRow<'t>>,
    links: Vec<String>,
}

#[derive(Serialize)]
struct EventRow<'t> {
    name: &'t str,
    at_micros: u64,
    attributes: BTreeMap<&'t str, &'t str>,
}

impl Page<'_> {
    fn of(trace: &Trace) -> Page<'_> {
        let tree = Tree::of(trace);
        let account = Account::of(&tree);
        let origin = trace.spans.iter().map(|span| span.begin).min().unwrap_or_default();
        Page {
            trace: trace.id.to_string(),
            pod: trace.pod(),
            began: moment(origin),
            dropped: trace.dropped,
            total_micros: micros(account.total),
            outside_leaves_micros: micros(account.outside),
            hops: account.hops.into_iter().map(HopRow::of).collect(),
            shares: account.shares.into_iter().map(ShareRow::of).collect(),
            spans: tree.rows.iter().map(|row| SpanRow::of(row.span, origin)).collect(),
        }
    }
}

impl ShareRow {
    fn of(share: Share) -> Self {
        Self { name: share.name, process: share.process, leaves: share.leaves, micros: micros(share.time) }
    }
}

impl HopRow {
    fn of(hop: Hop) -> Self {
        Self { process: hop.process, messages: hop.messages, micros: micros(hop.time) }
    }
}

impl SpanRow<'_> {
    fn of(span: &Span, origin: u64) -> SpanRow<'_> {
        SpanRow {
            id: span.id.to_string(),
            parent: span.parent.map(|parent| parent.to_string()),
            name: &span.name,
            process: &span.process,
            kind: span.kind.name(),
            begin_micros: since(origin, span.begin),
            took_micros: micros(span.took()),
            queued_micros: micros(span.queued()),
            error: span.error.as_deref(),
            attributes: by_key(&span.attributes),
            events: span.events.iter().map(|event| EventRow::of(event, origin)).collect(),
            links: span.links.iter().map(ToString::to_string).collect(),
        }
    }
}

impl EventRow<'_> {
    fn of(event: &Event, origin: u64) -> EventRow<'_> {
        EventRow {
            name: &event.name,
            at_micros: since(origin, event.at),
            attributes: by_key(&event.attributes),
        }
    }
}

fn by_key(attributes: &[(String, String)]) -> BTreeMap<&str, &str> {
    attributes.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect()
}

fn since(origin: u64, at: u64) -> u64 {
    micros(Duration::from_nanos(at.saturating_sub(origin)))
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;
    use serde_json::{Value, json};

    #[test]
    fn a_program_reads_the_tree_and_the_account() {
        let trace = samples::pod_start();
        let page: Value = serde_json::from_str(&render(&trace).unwrap()).unwrap();
        assert_eq!(page["pod"], "default/web-7d9f8c6b5-x2x4q");
        assert_eq!(page["total_micros"], 412_000);
        let spans = page["spans"].as_array().unwrap();
        assert_eq!(spans.len(), trace.spans.len());
        assert_eq!((&spans[0]["name"], &spans[0]["parent"]), (&json!("pod start"), &Value::Null));
        let ready = json!({ "name": "ready", "at_micros": 398_000, "attributes": {} });
        assert!(spans[0]["events"].as_array().unwrap().contains(&ready));
        let sandbox = spans.iter().find(|span| span["name"] == "RunPodSandbox").unwrap();
        let parent = spans.iter().find(|span| span["id"] == sandbox["parent"]).unwrap();
        assert_eq!((&parent["name"], &parent["queued_micros"]), (&json!("create sandbox"), &json!(500)));
        assert_eq!((&sandbox["begin_micros"], &sandbox["took_micros"]), (&json!(46_000), &json!(124_000)));
    }
}
