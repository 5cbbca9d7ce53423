//! Recent traces as bytes, bounded by number and by size; the oldest goes first.
//!
//! A node at rest makes traces all the time (leases, probes, status rounds), and the traces people ask for
//! are pods' starts. So starts and the rest share the room: the rest gives way first while it holds more
//! than a quarter of it.

use super::{
    batch::{Piece, Pod},
    model::START,
};
use opentelemetry::trace::TraceId;
use opentelemetry_proto::tonic::trace::v1::ResourceSpans;
use prost::Message;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};

/// How much is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Traces.
    pub traces: usize,
    /// Bytes of all traces.
    pub bytes: usize,
    /// Spans of one trace; later ones are dropped and counted.
    pub spans_per_trace: usize,
    /// Bytes of one trace; as above.
    pub bytes_per_trace: usize,
}

impl Default for Limits {
    /// Room for the starts of two full nodes (110 pods each; a start of three containers takes 8 KiB), in
    /// memory that stays small beside a process's own.
    fn default() -> Self {
        Self { traces: 400, bytes: 6 << 20, spans_per_trace: 400, bytes_per_trace: 512 << 10 }
    }
}

/// What a list shows of a trace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// The trace's id, in hex.
    pub trace: String,
    /// The pod's UID; empty for a trace of no pod.
    pub uid: String,
    /// The pod's namespace.
    pub namespace: String,
    /// The pod's name.
    pub name: String,
    /// The root span's name; empty until it arrived.
    pub root: String,
    /// The earliest beginning, nanoseconds since the Unix epoch.
    pub begin: u64,
    /// The latest end, nanoseconds since the Unix epoch.
    pub end: u64,
    /// Spans kept.
    pub spans: usize,
    /// Spans dropped because the trace was full.
    pub dropped: u32,
    /// A span failed.
    pub failed: bool,
}

/// One trace, kept.
#[derive(Debug, Default)]
struct Entry {
    pod: Option<Pod>,
    root: Option<String>,
    is_start: bool,
    begin: u64,
    end: u64,
    spans: usize,
    dropped: u32,
    failed: bool,
    bytes: usize,
    pieces: Vec<Box<[u8]>>,
}

/// What was asked for.
#[derive(Debug, PartialEq)]
pub enum Found {
    /// The spans, as they came, and how many were dropped.
    One(TraceId, Vec<ResourceSpans>, u32),
    /// Several pods of different namespaces have that name: each as `namespace/name`.
    Several(Vec<String>),
    /// Nothing of the kind is kept.
    Nothing,
}

/// The traces.
#[derive(Debug)]
pub struct Ring {
    limits: Limits,
    places: HashMap<TraceId, u64>,
    entries: BTreeMap<u64, Entry>,
    ids: BTreeMap<u64, TraceId>,
    next: u64,
    bytes: [usize; 2],
    counts: [usize; 2],
}

impl Ring {
    /// An empty one.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            places: HashMap::new(),
            entries: BTreeMap::new(),
            ids: BTreeMap::new(),
            next: 0,
            bytes: [0; 2],
            counts: [0; 2],
        }
    }

    /// Keeps a piece, and lets go of the oldest traces for which there is no more room.
    pub fn record(&mut self, piece: Piece) {
        let place = *self.places.entry(piece.trace).or_insert(self.next);
        if place == self.next {
            self.next += 1;
            self.ids.insert(place, piece.trace);
            self.entries.insert(place, Entry { begin: u64::MAX, ..Entry::default() });
            self.counts[0] += 1;
        }
        if let Some(entry) = self.entries.get_mut(&place) {
            let before = (entry.lane(), entry.bytes);
            entry.add(piece, &self.limits);
            let after = (entry.lane(), entry.bytes);
            self.bytes[before.0] -= before.1;
            self.bytes[after.0] += after.1;
            self.counts[before.0] -= 1;
            self.counts[after.0] += 1;
        }
        while let Some(victim) = self.victim() {
            self.forget(victim);
        }
    }

    /// Every kept trace, newest first.
    pub fn list(&self) -> Vec<Summary> {
        let named: HashMap<&str, &Pod> = self.entries.values().filter_map(Entry::named).collect();
        let both = self.entries.iter().rev().filter_map(|(place, entry)| Some((self.ids.get(place)?, entry)));
        both.map(|(id, entry)| entry.summary(*id, &named)).collect()
    }

    /// The trace that is meant by a trace id, a pod's UID, `namespace/name` or a name: of a pod its newest
    /// start, or its newest trace of any kind when no start is kept.
    pub fn find(&self, wanted: &str) -> Found {
        if let Some(place) = self.by_trace_id(wanted) {
            return self.take(place);
        }
        let of_pod = |entry: &Entry| entry.pod.as_ref().is_some_and(|pod| pod.answers_to(wanted));
        let places: Vec<u64> =
            self.entries.iter().rev().filter(|(_, entry)| of_pod(entry)).map(|(place, _)| *place).collect();
        let mut names: Vec<String> =
            places.iter().filter_map(|place| self.entries[place].pod_name()).collect();
        names.sort();
        names.dedup();
        let start = places.iter().find(|place| self.entries[place].is_start).or(places.first());
        match start {
            _ if names.len() > 1 => Found::Several(names),
            Some(place) => self.take(*place),
            None => Found::Nothing,
        }
    }

    fn by_trace_id(&self, wanted: &str) -> Option<u64> {
        let hex = wanted.replace('-', "");
        let id = (hex.len() == 32).then(|| TraceId::from_hex(&hex).ok()).flatten()?;
        self.places.get(&id).copied()
    }

    fn take(&self, place: u64) -> Found {
        let (Some(id), Some(entry)) = (self.ids.get(&place), self.entries.get(&place)) else {
            return Found::Nothing;
        };
        // Our own encoding reads back; a piece that did not would be left out.
        let batches = entry.pieces.iter().filter_map(|bytes| ResourceSpans::decode(&**bytes).ok()).collect();
        Found::One(*id, batches, entry.dropped)
    }

    /// Whose turn it is to go, if there is too much.
    fn victim(&self) -> Option<u64> {
        let Limits { traces, bytes, .. } = self.limits;
        if self.counts.iter().sum::<usize>() <= traces && self.bytes.iter().sum::<usize>() <= bytes {
            return None;
        }
        let rest_is_greedy = self.bytes[0] > bytes / 4 || self.counts[0] > traces / 4;
        let lane = usize::from(!rest_is_greedy);
        let oldest =
            |lane| self.entries.iter().find(|(_, entry)| entry.lane() == lane).map(|(place, _)| *place);
        oldest(lane).or_else(|| oldest(1 - lane))
    }

    fn forget(&mut self, place: u64) {
        if let (Some(entry), Some(id)) = (self.entries.remove(&place), self.ids.remove(&place)) {
            self.places.remove(&id);
            self.bytes[entry.lane()] -= entry.bytes;
            self.counts[entry.lane()] -= 1;
        }
    }
}

impl Entry {
    /// 1 for pods' starts, 0 for the rest.
    fn lane(&self) -> usize {
        usize::from(self.is_start)
    }

    fn add(&mut self, piece: Piece, limits: &Limits) {
        let pod_is_trace = piece.pod.as_ref().is_some_and(|pod| pod.is_start_of(piece.trace));
        self.is_start |= pod_is_trace || piece.root.as_deref() == Some(START);
        self.begin = self.begin.min(piece.between.0);
        self.end = self.end.max(piece.between.1);
        self.failed |= piece.failed;
        match (&mut self.pod, piece.pod) {
            (Some(known), Some(told)) => known.learn(told),
            (unknown @ None, told) => *unknown = told,
            (Some(_), None) => {}
        }
        self.root = self.root.take().or(piece.root);
        let spans = self.spans + piece.spans;
        if spans > limits.spans_per_trace || self.bytes + piece.bytes.len() > limits.bytes_per_trace {
            self.dropped = self.dropped.saturating_add(u32::try_from(piece.spans).unwrap_or(u32::MAX));
            return;
        }
        self.spans = spans;
        self.bytes += piece.bytes.len();
        self.pieces.push(piece.bytes.into_boxed_slice());
    }

    fn pod_name(&self) -> Option<String> {
        self.named().map(|(_, pod)| format!("{}/{}", pod.namespace, pod.name))
    }

    /// The pod, by its UID, where spans told its name.
    fn named(&self) -> Option<(&str, &Pod)> {
        self.pod.as_ref().filter(|pod| !pod.name.is_empty()).map(|pod| (pod.uid.as_str(), pod))
    }

    /// A trace that names no pod but its UID borrows the name from another one of the same pod.
    fn summary(&self, id: TraceId, named: &HashMap<&str, &Pod>) -> Summary {
        let own = self.pod.as_ref();
        let pod =
            own.and_then(|pod| named.get(pod.uid.as_str()).copied()).or(own).cloned().unwrap_or_default();
        Summary {
            trace: id.to_string(),
            uid: pod.uid,
            namespace: pod.namespace,
            name: pod.name,
            root: self.root.clone().unwrap_or_default(),
            begin: self.begin,
            end: self.end,
            spans: self.spans,
            dropped: self.dropped,
            failed: self.failed,
        }
    }
}

impl Pod {
    fn is_start_of(&self, trace: TraceId) -> bool {
        self.uid.replace('-', "").eq_ignore_ascii_case(&trace.to_string())
    }

    fn answers_to(&self, wanted: &str) -> bool {
        match wanted.split_once('/') {
            Some((namespace, name)) => self.namespace == namespace && self.name == name,
            None => self.name == wanted || self.uid == wanted,
        }
    }

    /// Takes over what is not known yet.
    fn learn(&mut self, told: Self) {
        if self.uid == told.uid {
            fill(&mut self.namespace, told.namespace);
            fill(&mut self.name, told.name);
        }
    }
}

fn fill(known: &mut String, told: String) {
    if known.is_empty() {
        *known = told;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        core::batch::pieces,
        samples::{self, Deed, attribute},
    };
    use chassis::telemetry::keys;

    const ROOMY: Limits = Limits { traces: 8, bytes: 1 << 20, spans_per_trace: 10, bytes_per_trace: 1 << 20 };

    fn record(ring: &mut Ring, deeds: &[Deed]) {
        pieces(samples::export(deeds)).into_iter().for_each(|piece| ring.record(piece));
    }

    fn start(trace: u8, namespace: &str, name: &str) -> Deed {
        Deed::new(trace, 1, None, START)
            .with(attribute(keys::POD_UID, &format!("uid-{trace}")))
            .with(attribute(keys::NAMESPACE, namespace))
            .with(attribute(keys::POD_NAME, name))
    }

    fn ids(ring: &Ring) -> Vec<String> {
        ring.list().into_iter().map(|summary| summary.trace).collect()
    }

    fn found(ring: &Ring, wanted: &str) -> Option<TraceId> {
        match ring.find(wanted) {
            Found::One(id, ..) => Some(id),
            Found::Several(_) | Found::Nothing => None,
        }
    }

    #[test]
    fn the_oldest_goes_first_and_the_rest_before_starts() {
        type Row = (&'static str, &'static [u8], &'static [u8], &'static [u8]);
        let cases: &[Row] = &[
            ("room for all", &[1, 2], &[3], &[3, 2, 1]),
            ("one start too many", &[1, 2, 3, 4, 5, 6, 7, 8, 9], &[], &[9, 8, 7, 6, 5, 4, 3, 2]),
            (
                "the rest never pushes out starts",
                &[1, 2],
                &[3, 4, 5, 6, 7, 8, 9, 10],
                &[10, 9, 8, 7, 6, 5, 2, 1],
            ),
            ("a modest rest stays", &[1, 2, 3, 4, 5, 6, 7], &[8, 9], &[9, 8, 7, 6, 5, 4, 3, 2]),
        ];
        for (name, starts, rest, left) in cases {
            let mut ring = Ring::new(ROOMY);
            starts.iter().for_each(|trace| record(&mut ring, &[start(*trace, "default", "web")]));
            rest.iter().for_each(|trace| record(&mut ring, &[Deed::new(*trace, 1, None, "renew lease")]));
            let left: Vec<_> = left.iter().map(|trace| samples::trace(*trace).to_string()).collect();
            assert_eq!(ids(&ring), left, "{name}");
        }
    }

    #[test]
    fn a_full_trace_takes_no_more_and_says_how_many_it_missed() {
        let mut ring = Ring::new(ROOMY);
        for span in 1..=12 {
            record(&mut ring, &[Deed::new(1, span, None, "admit")]);
        }
        let kept = ring.list().remove(0);
        assert_eq!((kept.spans, kept.dropped), (10, 2));
    }

    #[test]
    fn bytes_are_bounded_however_big_the_spans() {
        let limits = Limits { bytes: 8 << 10, ..ROOMY };
        let mut ring = Ring::new(limits);
        for trace in 1..=200 {
            record(&mut ring, &[start(trace, "default", "web").with(attribute("x", &"y".repeat(1000)))]);
            assert!(ring.bytes.iter().sum::<usize>() <= limits.bytes, "after {trace}");
        }
        let held: usize = ring.entries.values().map(|entry| entry.bytes).sum();
        assert_eq!(ring.bytes.iter().sum::<usize>(), held, "the books are right");
        assert!(!ring.list().is_empty());
    }

    #[test]
    fn a_pod_is_found_by_each_of_its_names() {
        let mut ring = Ring::new(ROOMY);
        record(&mut ring, &[start(1, "default", "web"), start(2, "other", "web"), start(3, "default", "db")]);
        record(&mut ring, &[Deed::new(4, 1, None, "restart").with(attribute(keys::POD_UID, "uid-3"))]);
        let hex = samples::trace(4).to_string();
        let cases = [
            ("a name", "db", Some(3)),
            ("namespace and name", "other/web", Some(2)),
            ("a UID: its start, although a restart is newer", "uid-3", Some(3)),
            ("a trace id", hex.as_str(), Some(4)),
            ("an unknown name", "nobody", None),
            ("a name of two namespaces", "web", None),
        ];
        for (name, wanted, trace) in cases {
            assert_eq!(found(&ring, wanted), trace.map(samples::trace), "{name}");
        }
        assert_eq!(ring.find("web"), Found::Several(vec!["default/web".into(), "other/web".into()]));
    }

    #[test]
    fn a_trace_that_knows_only_the_uid_is_listed_with_the_pods_name() {
        let mut ring = Ring::new(ROOMY);
        record(&mut ring, &[start(1, "default", "web")]);
        record(&mut ring, &[Deed::new(2, 1, None, "open stream").with(attribute(keys::POD_UID, "uid-1"))]);
        let names: Vec<_> = ring.list().into_iter().map(|summary| summary.name).collect();
        assert_eq!(names, ["web", "web"]);
    }

    #[test]
    fn of_two_pods_of_one_name_the_newer_is_meant() {
        let mut ring = Ring::new(ROOMY);
        record(&mut ring, &[start(1, "default", "web"), start(2, "default", "web")]);
        assert_eq!(found(&ring, "web"), Some(samples::trace(2)));
    }
}
