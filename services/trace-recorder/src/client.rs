//! Asks a running recorder. For the command line (`bulkhead trace`) and for tests; blocking, since neither
//! has anything else to do meanwhile.

use crate::{
    core::{model::Trace, ring::Summary},
    error::FetchError,
    wire::{Answer, QUERY_SOCKET, Query},
};
use messages::Owner;
use opentelemetry::trace::TraceId;
use opentelemetry_proto::tonic::trace::v1::TracesData;
use prost::Message as _;
use std::{
    io::{BufRead, BufReader, Read, Write},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    time::Duration,
};

/// How long the recorder may be silent.
const PATIENCE: Duration = Duration::from_secs(10);
/// The longest line of an answer: a list of all traces there is room for.
const LONGEST_LINE: u64 = 4 << 20;
/// The largest trace, more than the ring keeps of one.
const LARGEST: usize = 16 << 20;

/// The trace of a pod, by its name, `namespace/name`, UID or a trace id. Of a pod with several traces its
/// newest start.
///
/// # Errors
/// When no recorder answers, none is kept, or the name is one of several pods.
pub fn fetch(root_dir: &Path, pod: &str) -> Result<Trace, FetchError> {
    let (answer, mut rest) = ask(root_dir, &Query::Trace { of: pod.to_owned() })?;
    match answer {
        Answer::Trace { trace, dropped, bytes } if bytes <= LARGEST => {
            let mut body = vec![0; bytes];
            rest.read_exact(&mut body).map_err(FetchError::Converse)?;
            let id = TraceId::from_hex(&trace).map_err(|_| FetchError::Answer { what: "the trace id" })?;
            let data = TracesData::decode(&*body).map_err(|_| FetchError::Answer { what: "the spans" })?;
            Ok(Trace::read(id, &data.resource_spans, dropped))
        }
        Answer::Several { pods } => Err(FetchError::Ambiguous { name: pod.to_owned(), pods }),
        Answer::Nothing => Err(FetchError::Unknown { pod: pod.to_owned() }),
        Answer::Trace { .. } | Answer::List { .. } => Err(FetchError::Answer { what: "the kind" }),
    }
}

/// Every kept trace, newest first.
///
/// # Errors
/// When no recorder answers.
pub fn list(root_dir: &Path) -> Result<Vec<Summary>, FetchError> {
    match ask(root_dir, &Query::List)?.0 {
        Answer::List { traces } => Ok(traces),
        Answer::Trace { .. } | Answer::Several { .. } | Answer::Nothing => {
            Err(FetchError::Answer { what: "the kind" })
        }
    }
}

/// Where the recorder of a root folder answers.
fn socket(root_dir: &Path) -> PathBuf {
    root_dir.join("bulkhead").join(Owner::TraceRecorder.name()).join(QUERY_SOCKET)
}

fn ask(root_dir: &Path, query: &Query) -> Result<(Answer, BufReader<UnixStream>), FetchError> {
    let path = socket(root_dir);
    let stream = UnixStream::connect(&path).map_err(|source| FetchError::Connect { path, source })?;
    converse(stream, query).map_err(FetchError::Converse)
}

fn converse(mut stream: UnixStream, query: &Query) -> std::io::Result<(Answer, BufReader<UnixStream>)> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut line = serde_json::to_vec(query)?;
    line.push(b'\n');
    stream.write_all(&line)?;
    let mut reader = BufReader::new(stream);
    let mut answer = String::new();
    reader.by_ref().take(LONGEST_LINE).read_line(&mut answer)?;
    Ok((serde_json::from_str(&answer)?, reader))
}
