//! The socket at which root asks for traces: one line of JSON in ([`Query`]), one line of JSON out
//! ([`Answer`]), followed by the trace's bytes where there is one.

use super::socket::{Peers, connections};
use crate::{
    actor::{Ask, Recorder, Told},
    core::ring::Found,
    wire::{Answer, LONGEST_QUERY, Query},
};
use actix::Addr;
use futures::StreamExt as _;
use opentelemetry_proto::tonic::trace::v1::TracesData;
use prost::Message as _;
use std::{io, time::Duration};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{UnixListener, UnixStream},
    time::timeout,
};
use tracing::debug;

/// How long one question may take, from connecting to the last byte of the answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Serves the socket, one question at a time: the answers are at hand, and people ask.
pub(crate) async fn serve(listener: UnixListener, recorder: Addr<Recorder>) {
    let mut connections = connections(listener, Peers::Root);
    while let Some(accepted) = connections.next().await {
        let Ok(stream) = accepted else { continue };
        match timeout(PATIENCE, converse(stream, &recorder)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => debug!(%error, "a question was not answered"),
            Err(_) => debug!("a question took too long"),
        }
    }
}

async fn converse(mut stream: UnixStream, recorder: &Addr<Recorder>) -> io::Result<()> {
    let mut line = String::new();
    let (reading, _) = stream.split();
    BufReader::new(reading.take(LONGEST_QUERY)).read_line(&mut line).await?;
    let query: Query = serde_json::from_str(&line)?;
    let (answer, bytes) = answer(query, recorder).await?;
    let mut text = serde_json::to_vec(&answer)?;
    text.push(b'\n');
    stream.write_all(&text).await?;
    stream.write_all(&bytes).await?;
    stream.shutdown().await
}

async fn answer(query: Query, recorder: &Addr<Recorder>) -> io::Result<(Answer, Vec<u8>)> {
    let told = recorder.send(Ask(query)).await.map_err(io::Error::other)?;
    Ok(match told {
        Told::List(traces) => (Answer::List { traces }, Vec::new()),
        Told::Trace(Found::Nothing) => (Answer::Nothing, Vec::new()),
        Told::Trace(Found::Several(pods)) => (Answer::Several { pods }, Vec::new()),
        Told::Trace(Found::One(id, resource_spans, dropped)) => {
            let bytes = TracesData { resource_spans }.encode_to_vec();
            (Answer::Trace { trace: id.to_string(), dropped, bytes: bytes.len() }, bytes)
        }
    })
}
