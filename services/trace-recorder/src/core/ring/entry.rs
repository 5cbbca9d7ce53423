//! One kept trace: its bytes, and what is known of it without reading them.

use super::{Found, Limits};
use crate::core::{
    batch::{Piece, Pod},
    model::START,
};
use flate2::{Compression, read::DeflateDecoder, write::DeflateEncoder};
use opentelemetry::trace::TraceId;
use opentelemetry_proto::tonic::trace::v1::ResourceSpans;
use prost::Message;
use serde::{Deserialize, Serialize};
use std::{
    collections::HashMap,
    io::{self, Read, Write},
    iter, mem,
};

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
#[derive(Debug)]
pub(super) struct Entry {
    id: TraceId,
    pod: Option<Pod>,
    root: Option<String>,
    is_start: bool,
    begin: u64,
    end: u64,
    spans: usize,
    dropped: u32,
    failed: bool,
    bytes: usize,
    /// Each as it came.
    pieces: Vec<Box<[u8]>>,
    /// What came before them: each some pieces, deflated.
    packs: Vec<Box<[u8]>>,
}

impl Entry {
    /// With nothing kept yet.
    pub(super) fn new(id: TraceId) -> Self {
        Self {
            id,
            pod: None,
            root: None,
            is_start: false,
            begin: u64::MAX,
            end: 0,
            spans: 0,
            dropped: 0,
            failed: false,
            bytes: 0,
            pieces: Vec::new(),
            packs: Vec::new(),
        }
    }

    /// The trace.
    pub(super) fn id(&self) -> TraceId {
        self.id
    }

    /// Bytes kept.
    pub(super) fn size(&self) -> usize {
        self.bytes
    }

    /// It is a pod's start.
    pub(super) fn is_start(&self) -> bool {
        self.is_start
    }

    /// Whether a name, `namespace/name` or UID means its pod.
    pub(super) fn answers_to(&self, wanted: &str) -> bool {
        self.pod.as_ref().is_some_and(|pod| pod.answers_to(wanted))
    }

    /// The trace, as its spans came. Our own encoding reads back; a piece that did not would be left out.
    pub(super) fn found(&self) -> Found {
        let mut spans: Vec<ResourceSpans> = self.packs.iter().flat_map(|pack| unpack(pack)).collect();
        spans.extend(self.pieces.iter().filter_map(|piece| ResourceSpans::decode(&**piece).ok()));
        Found::One(self.id, spans, self.dropped)
    }

    /// Makes what came so far small: spans of one trace say much of the same.
    pub(super) fn pack(&mut self) {
        if self.pieces.is_empty() {
            return;
        }
        let pieces = mem::take(&mut self.pieces);
        match pack(&pieces) {
            Ok(pack) => {
                let before: usize = pieces.iter().map(|piece| piece.len()).sum();
                self.bytes = self.bytes + pack.len() - before;
                self.packs.push(pack.into_boxed_slice());
            }
            Err(failure) => {
                debug_assert!(false, "memory takes what is written: {failure}");
                self.pieces = pieces;
            }
        }
    }

    /// Whose room it takes: 1 for pods' starts, 0 for the rest.
    pub(super) fn lane(&self) -> usize {
        usize::from(self.is_start)
    }

    /// Keeps a piece as far as there is room in this trace.
    pub(super) fn add(&mut self, piece: Piece, limits: &Limits) {
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

    /// The pod as `namespace/name`, where spans told its name.
    pub(super) fn pod_name(&self) -> Option<String> {
        self.named().map(|(_, pod)| format!("{}/{}", pod.namespace, pod.name))
    }

    /// The pod, by its UID, where spans told its name.
    pub(super) fn named(&self) -> Option<(&str, &Pod)> {
        self.pod.as_ref().filter(|pod| !pod.name.is_empty()).map(|pod| (pod.uid.as_str(), pod))
    }

    /// A trace that names no pod but its UID borrows the name from another one of the same pod.
    pub(super) fn summary(&self, named: &HashMap<&str, &Pod>) -> Summary {
        let own = self.pod.as_ref();
        let pod =
            own.and_then(|pod| named.get(pod.uid.as_str()).copied()).or(own).cloned().unwrap_or_default();
        Summary {
            trace: self.id.to_string(),
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

/// Pieces, each behind its length, deflated.
fn pack(pieces: &[Box<[u8]>]) -> io::Result<Vec<u8>> {
    let mut pack = DeflateEncoder::new(Vec::new(), Compression::fast());
    for piece in pieces {
        let mut length = Vec::new();
        prost::encode_length_delimiter(piece.len(), &mut length)?;
        pack.write_all(&length)?;
        pack.write_all(piece)?;
    }
    pack.finish()
}

fn unpack(pack: &[u8]) -> Vec<ResourceSpans> {
    let mut bytes = Vec::new();
    // What cannot be read ends the pack.
    let _ = DeflateDecoder::new(pack).read_to_end(&mut bytes);
    let mut rest = bytes.as_slice();
    let piece =
        || if rest.is_empty() { None } else { ResourceSpans::decode_length_delimited(&mut rest).ok() };
    iter::from_fn(piece).collect()
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
