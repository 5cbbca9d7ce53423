//! Recent traces as bytes, bounded by number and by size; the oldest goes first.
//!
//! A node at rest makes traces all the time (leases, probes, status rounds), and the traces people ask for
//! are pods' starts. So starts and the rest share the room: the rest gives way first while it holds more
//! than a quarter of it.

mod entry;

pub use entry::Summary;

use super::batch::{Piece, Pod};
use entry::Entry;
use opentelemetry::trace::TraceId;
use opentelemetry_proto::tonic::trace::v1::ResourceSpans;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// So many traces, the newest, are kept as they come, since their spans are still coming.
const OPEN: u64 = 32;

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
    /// By the order in which they came.
    entries: BTreeMap<u64, Entry>,
    places: HashMap<TraceId, u64>,
    next: u64,
    /// Bytes and numbers of the rest and of starts, as [`Entry::lane`] counts them.
    bytes: [usize; 2],
    counts: [usize; 2],
}

impl Ring {
    /// An empty one.
    pub fn new(limits: Limits) -> Self {
        let (entries, places) = (BTreeMap::new(), HashMap::new());
        Self { limits, entries, places, next: 0, bytes: [0; 2], counts: [0; 2] }
    }

    /// Keeps a piece, and lets go of the oldest traces for which there is no more room.
    pub fn record(&mut self, piece: Piece) {
        let (place, mut entry) = self.remove(piece.trace);
        entry.add(piece, &self.limits);
        self.insert(place, entry);
        self.pack();
        while let Some(victim) = self.victim() {
            self.remove(victim);
        }
    }

    /// Every kept trace, newest first.
    pub fn list(&self) -> Vec<Summary> {
        let named: HashMap<&str, &Pod> = self.entries.values().filter_map(Entry::named).collect();
        self.entries.values().rev().map(|entry| entry.summary(&named)).collect()
    }

    /// The trace that is meant by a trace id, a pod's UID, `namespace/name` or a name: of a pod its newest
    /// start, or its newest trace of any kind when no start is kept.
    pub fn find(&self, wanted: &str) -> Found {
        if let Some(entry) = self.by_trace_id(wanted) {
            return entry.found();
        }
        let meant: Vec<&Entry> =
            self.entries.values().rev().filter(|entry| entry.answers_to(wanted)).collect();
        let names: BTreeSet<String> = meant.iter().filter_map(|entry| entry.pod_name()).collect();
        match meant.iter().find(|entry| entry.is_start()).or(meant.first()) {
            _ if names.len() > 1 => Found::Several(names.into_iter().collect()),
            Some(entry) => entry.found(),
            None => Found::Nothing,
        }
    }

    fn by_trace_id(&self, wanted: &str) -> Option<&Entry> {
        let hex = wanted.replace('-', "");
        let id = (hex.len() == 32).then(|| TraceId::from_hex(&hex).ok()).flatten()?;
        self.entries.get(self.places.get(&id)?)
    }

    /// Takes a trace out, with its place; a new one where there is none.
    fn remove(&mut self, id: TraceId) -> (u64, Entry) {
        let kept = self.places.remove(&id).and_then(|place| Some((place, self.entries.remove(&place)?)));
        match kept {
            Some((place, entry)) => {
                self.bytes[entry.lane()] -= entry.size();
                self.counts[entry.lane()] -= 1;
                (place, entry)
            }
            None => {
                self.next += 1;
                (self.next, Entry::new(id))
            }
        }
    }

    /// Packs the trace whose spans are no longer to be expected.
    fn pack(&mut self) {
        let old = self.next.checked_sub(OPEN).and_then(|place| self.entries.get(&place)).map(Entry::id);
        if let Some(id) = old {
            let (place, mut entry) = self.remove(id);
            entry.pack();
            self.insert(place, entry);
        }
    }

    fn insert(&mut self, place: u64, entry: Entry) {
        self.bytes[entry.lane()] += entry.size();
        self.counts[entry.lane()] += 1;
        self.places.insert(entry.id(), place);
        self.entries.insert(place, entry);
    }

    /// Whose turn it is to go, if there is too much.
    fn victim(&self) -> Option<TraceId> {
        let Limits { traces, bytes, .. } = self.limits;
        if self.counts.iter().sum::<usize>() <= traces && self.bytes.iter().sum::<usize>() <= bytes {
            return None;
        }
        let rest_is_greedy = self.bytes[0] > bytes / 4 || self.counts[0] > traces / 4;
        let lane = usize::from(!rest_is_greedy);
        let oldest = |lane| self.entries.values().find(|entry| entry.lane() == lane).map(Entry::id);
        oldest(lane).or_else(|| oldest(1 - lane))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        core::{batch::pieces, model::START},
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
        let held: usize = ring.entries.values().map(Entry::size).sum();
        assert_eq!(ring.bytes.iter().sum::<usize>(), held, "the books are right");
        assert!(!ring.list().is_empty());
    }

    #[test]
    fn an_old_trace_takes_less_room_and_reads_as_before() {
        let mut ring = Ring::new(Limits { traces: 100, ..ROOMY });
        record(&mut ring, &[start(1, "default", "web")]);
        (2..=8).for_each(|span| record(&mut ring, &[Deed::new(1, span, Some(1), "create container")]));
        let (before, size) = (ring.find("web"), ring.entries[&1].size());
        for trace in 2..=u8::try_from(OPEN).unwrap() + 1 {
            assert_eq!(ring.entries[&1].size(), size, "until {trace}");
            record(&mut ring, &[Deed::new(trace, 1, None, "renew lease")]);
        }
        assert!(ring.entries[&1].size() < size / 2, "{} of {size}", ring.entries[&1].size());
        assert_eq!(ring.find("web"), before);

        record(&mut ring, &[Deed::new(1, 9, Some(1), "late")]);
        let Found::One(_, spans, 0) = ring.find("web") else { panic!("kept") };
        assert_eq!(spans.len(), 9);
        let held: usize = ring.entries.values().map(Entry::size).sum();
        assert_eq!(ring.bytes.iter().sum::<usize>(), held, "the books are right");
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
