//! A pod's trace as `bulkhead trace` tells it to programs: the spans, their tree, and where the time went.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use crate::node::Node;

/// Rows that are there only when they took long enough to be noticed, or failed.
const MINOR: [&str; 13] = [
    "decide",
    "hear of pod",
    "inspect image",
    "list pod",
    "make cgroup",
    "read container",
    "read sandbox",
    "run container",
    "wait for node object",
    "wait for runtime",
    "wait for services",
    "write files",
    "write journal",
];

/// A trace.
#[derive(Clone, Debug, Deserialize)]
pub struct Trace {
    /// Its id, in hex.
    #[serde(rename = "trace")]
    pub id: String,
    /// Parents before their children, siblings by beginning.
    pub spans: Vec<Span>,
    total_micros: u64,
    outside_leaves_micros: u64,
    hops: Vec<Hop>,
    shares: Vec<Share>,
}

/// A span.
#[derive(Clone, Debug, Deserialize)]
pub struct Span {
    /// Its id, in hex.
    pub id: String,
    /// The id of the span that it is part of.
    pub parent: Option<String>,
    /// The deed.
    pub name: String,
    /// Who did it.
    pub process: String,
    /// `client`, `server` and so on.
    pub kind: String,
    /// What went wrong.
    pub error: Option<String>,
    /// What it is about.
    pub attributes: BTreeMap<String, String>,
    /// Moments within it.
    pub events: Vec<Event>,
    /// Ids of traces that it points to.
    pub links: Vec<String>,
    begin_micros: u64,
    took_micros: u64,
    queued_micros: u64,
}

/// A moment within a span.
#[derive(Clone, Debug, Deserialize)]
pub struct Event {
    /// What happened.
    pub name: String,
}

#[derive(Clone, Debug, Deserialize)]
struct Hop {
    process: String,
    micros: u64,
}

#[derive(Clone, Debug, Deserialize)]
struct Share {
    name: String,
    process: String,
    micros: u64,
}

impl Span {
    /// From beginning to end.
    pub fn took(&self) -> Duration {
        Duration::from_micros(self.took_micros)
    }

    /// How long that which set it off was on its way.
    pub fn queued(&self) -> Duration {
        Duration::from_micros(self.queued_micros)
    }

    /// When it ended, from the first moment of its trace.
    pub fn ended(&self) -> Duration {
        Duration::from_micros(self.begin_micros + self.took_micros)
    }

    /// Whom it waited for, if it was a call to something outside.
    pub fn peer(&self) -> Option<&str> {
        self.attributes.get("peer.service").map(String::as_str)
    }

    /// What of the pod it was about.
    fn subject(&self) -> &str {
        let keys = ["k8s.container.name", "k8s.volume.name", "k8s.pod.phase"];
        keys.iter().find_map(|key| self.attributes.get(*key)).map_or("", String::as_str)
    }

    /// `create container app: cri-bridge -> container-runtime`. The volume that the API server adds to a pod has a name
    /// of its own each time.
    fn line(&self) -> String {
        let subject = self.subject();
        let subject = if subject.starts_with("kube-api-access-") { "kube-api-access" } else { subject };
        let (gap, name, process) = (if subject.is_empty() { "" } else { " " }, &self.name, &self.process);
        let to = match (self.kind.as_str(), self.peer()) {
            ("client", Some(peer)) => format!(" -> {peer}"),
            ("server", None) => {
                format!(" <- {}", self.attributes.get("bulkhead.caller").map_or("?", String::as_str))
            }
            ("internal", None) => String::new(),
            (kind, peer) => format!(" {kind} {peer:?}"),
        };
        format!("{name}{gap}{subject}: {process}{to}")
    }
}

impl Trace {
    /// The newest trace of a pod's start, by the pod's name or UID; or the trace of this id.
    pub fn of(node: &Node, wanted: &str) -> Result<Self> {
        let told = node.ask_bulkhead(&["trace", wanted, "--output", "json"])?;
        serde_json::from_str(&told).with_context(|| format!("the trace of {wanted} is {told}"))
    }

    /// The ids of the traces that a node keeps of a pod, by the name of their root span.
    pub fn ids(node: &Node, pod: &str, root: &str) -> Result<Vec<String>> {
        let list = node.ask_bulkhead(&["trace"])?;
        let row = |line: &str| {
            let mut words = line.split_whitespace().map(str::to_owned);
            let (of, id) = (words.next()?, words.next()?);
            (of == pod && line.contains(&format!(" {root} "))).then_some(id)
        };
        Ok(list.lines().filter_map(row).collect())
    }

    /// The span that all others are part of.
    pub fn root(&self) -> Result<&Span> {
        let mut roots = self.spans.iter().filter(|span| span.parent.is_none());
        let root = roots.next().context("the root has not arrived")?;
        ensure!(roots.next().is_none(), "there are several roots");
        Ok(root)
    }

    /// The only span of this name, process and subject.
    pub fn span(&self, line: &str) -> Result<&Span> {
        let mut found = self.spans.iter().filter(|span| span.line() == line);
        let span = found.next().with_context(|| format!("there is no {line} in\n{}", self.outline()))?;
        ensure!(found.next().is_none(), "there are several {line} in\n{}", self.outline());
        Ok(span)
    }

    /// The spans that are part of none but the root, or have no parts.
    pub fn leaves(&self) -> impl Iterator<Item = &Span> {
        let is_parent =
            |span: &&Span| self.spans.iter().any(|other| other.parent.as_deref() == Some(&span.id));
        self.spans.iter().filter(move |span| !is_parent(span) && span.parent.is_some())
    }

    /// The tree as text: a line per span below its parent's, siblings in the order of the alphabet and each once; without
    /// what is a row only when it takes long.
    pub fn outline(&self) -> String {
        let is_here = |id: &Option<String>| self.spans.iter().any(|span| Some(&span.id) == id.as_ref());
        let mut tops: Vec<String> = self
            .spans
            .iter()
            .filter(|span| !is_here(&span.parent))
            .map(|span| self.branch(span, 0))
            .collect();
        tops.sort();
        tops.concat()
    }

    fn branch(&self, span: &Span, depth: usize) -> String {
        let parts = self.spans.iter().filter(|part| part.parent.as_ref() == Some(&span.id));
        let parts = parts.filter(|part| !MINOR.contains(&part.name.as_str()));
        let mut parts: Vec<String> = parts.map(|part| self.branch(part, depth + 1)).collect();
        parts.sort();
        parts.dedup();
        format!("{}{}\n{}", "  ".repeat(depth), span.line(), parts.concat())
    }

    /// From the root's beginning to its end.
    pub fn total(&self) -> Duration {
        Duration::from_micros(self.total_micros)
    }

    /// Time of the root in which no leaf was under way.
    pub fn outside_leaves(&self) -> Duration {
        Duration::from_micros(self.outside_leaves_micros)
    }

    /// Every moment of the root by what it is given to: leaves by name, messages on their way by whom they were for, and
    /// what nothing explains.
    pub fn account(&self) -> BTreeMap<String, Duration> {
        let mut account = BTreeMap::new();
        for share in &self.shares {
            let entry = account.entry(format!("{}: {}", share.name, share.process)).or_default();
            *entry += Duration::from_micros(share.micros);
        }
        for hop in &self.hops {
            account.insert(format!("on the way to {}", hop.process), Duration::from_micros(hop.micros));
        }
        let explained = self.hops.iter().map(|hop| hop.micros).sum();
        let rest = Duration::from_micros(self.outside_leaves_micros.saturating_sub(explained));
        account.insert("unexplained".to_owned(), rest);
        account
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn span(id: &str, parent: Option<&str>, name: &str, attributes: Value) -> Value {
        let kind = if attributes["peer.service"].is_string() { "client" } else { "internal" };
        json!({
            "id": id, "parent": parent, "name": name, "process": "p", "kind": kind, "error": null,
            "attributes": attributes, "events": [], "links": [],
            "begin_micros": 0, "took_micros": 1, "queued_micros": 0,
        })
    }

    fn trace(spans: &[Value]) -> Trace {
        let account = json!({
            "trace": "t", "spans": spans, "total_micros": 100, "outside_leaves_micros": 30,
            "hops": [{ "process": "q", "micros": 20 }],
            "shares": [{ "name": "a", "process": "p", "micros": 70 }],
        });
        serde_json::from_value(account).unwrap()
    }

    #[test]
    fn an_outline_shows_the_tree_and_not_how_long_it_took() {
        let trace = trace(&[
            span("1", None, "pod start", json!({})),
            span("2", Some("1"), "start", json!({ "k8s.container.name": "b" })),
            span("3", Some("2"), "create", json!({ "peer.service": "runtime" })),
            span("4", Some("1"), "start", json!({ "k8s.container.name": "a" })),
            span("5", Some("1"), "start", json!({ "k8s.container.name": "a" })),
            span("6", Some("1"), "decide", json!({})),
            span("7", Some("9"), "lost", json!({})),
        ]);
        let want = "lost: p\npod start: p\n  start a: p\n  start b: p\n    create: p -> runtime\n";
        assert_eq!(trace.outline(), want);
        assert_eq!(trace.root().unwrap().id, "1");
        let leaves: Vec<_> = trace.leaves().map(|span| span.id.as_str()).collect();
        assert_eq!(leaves, ["3", "4", "5", "6", "7"]);
    }

    #[test]
    fn an_account_explains_every_moment() {
        let account = trace(&[]).account();
        let micros: Vec<_> = account.iter().map(|(name, time)| (name.as_str(), time.as_micros())).collect();
        assert_eq!(micros, [("a: p", 70), ("on the way to q", 20), ("unexplained", 10)]);
    }
}
