//! `/exec`, `/attach`, `/portForward` and `/run`: cri-bridge has the runtime prepare the stream, and the connection is
//! handed through to where that serves it.

use super::{answer::Answer, node::Node};
use crate::{
    adapters::{self, tunnel},
    core::{
        directory::StreamTarget,
        query::Query,
        refused::Refused,
        run,
        streams::{self, Streams},
    },
};
use axum::{
    extract::{Path, RawQuery, Request, State},
    response::Response,
};
use chassis::error;
use http::{HeaderMap, header};
use messages::{
    ContainerName, Refusal,
    cri_bridge::{OpenStream, OpenStreamReply, StreamKind},
};
use serde::Deserialize;
use std::time::Duration;
use tokio::sync::OwnedSemaphorePermit;
use tracing::{Instrument, info_span, warn};

/// How long the runtime may take to prepare a stream.
const PATIENCE: Duration = Duration::from_secs(15);

/// What stands in the path.
#[derive(Debug, Deserialize)]
pub(crate) struct Place {
    namespace: String,
    pod: String,
    uid: Option<String>,
    container: Option<String>,
}

/// `/exec`. The UID in the path is not looked at; upstream does not either.
pub(crate) async fn exec(
    State(node): State<Node>,
    Path(place): Path<Place>,
    request: Request,
) -> Result<Response, Answer> {
    let query = query(&request);
    let Streams { stdin, stdout, stderr, tty } = Streams::of(&query)?;
    let target = find(&node, &place).await?;
    let name = place.container.unwrap_or_default();
    let missing = Refused::internal(format!("container not found ({name:?})"));
    let container = container(&name, &missing)?;
    let command = query.all("command").map(str::to_owned).collect();
    let stream = StreamKind::Exec { container, command, tty, stdin, stdout, stderr };
    open(&node, (target, stream), &missing, request).await
}

/// `/attach`. Whether there is a terminal is the container's to say, not the caller's.
pub(crate) async fn attach(
    State(node): State<Node>,
    Path(place): Path<Place>,
    request: Request,
) -> Result<Response, Answer> {
    let Streams { stdin, stdout, stderr, .. } = Streams::of(&query(&request))?;
    let target = find(&node, &place).await?;
    if !target.is(place.uid.as_deref()) {
        return Err(Refused::internal(format!("pod {} not found", target.full_name())).into());
    }
    let name = place.container.unwrap_or_default();
    let missing = Refused::internal(format!("container {name} not found in pod {}", target.full_name()));
    let container = container(&name, &missing)?;
    let tty = target.terminals.contains(&name);
    let stream = StreamKind::Attach { container, tty, stdin, stdout, stderr: stderr && !tty };
    open(&node, (target, stream), &missing, request).await
}

/// `/portForward`.
pub(crate) async fn port_forward(
    State(node): State<Node>,
    Path(place): Path<Place>,
    request: Request,
) -> Result<Response, Answer> {
    let ports = streams::ports(&query(&request), is_websocket(request.headers()))?;
    let target = find(&node, &place).await?;
    if !target.is(place.uid.as_deref()) {
        return Err(Refused::not_found("pod not found").into());
    }
    let missing = Refused::internal(format!("pod not found ({:?})", target.full_name()));
    open(&node, (target, StreamKind::PortForward { ports }), &missing, request).await
}

/// `/run`: a command without a stream; its output is the answer.
pub(crate) async fn run(
    State(node): State<Node>,
    Path(place): Path<Place>,
    RawQuery(query): RawQuery,
) -> Result<Answer, Answer> {
    let target = find(&node, &place).await?;
    let name = place.container.unwrap_or_default();
    let missing = Refused::internal(format!("container not found ({name:?})"));
    let container = container(&name, &missing)?;
    let command = run::command(&Query::parse(&query.unwrap_or_default()));
    let stream = StreamKind::Exec {
        container,
        command: command.clone(),
        tty: false,
        stdin: false,
        stdout: true,
        stderr: true,
    };
    let _hand = hand(&node)?;
    let url = prepare(&node, target, stream, &missing).await?;
    let ran = adapters::run::run(&url).await?;
    match run::failed(&command, &ran.ended, &ran.stderr) {
        Some(failed) => Err(failed.into()),
        None => Ok(Answer::json([ran.stdout, ran.stderr].concat())),
    }
}

fn query(request: &Request) -> Query {
    Query::parse(request.uri().query().unwrap_or_default())
}

fn is_websocket(headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    streams::is_websocket(text(header::CONNECTION), text(header::UPGRADE))
}

async fn find(node: &Node, place: &Place) -> Result<StreamTarget, Answer> {
    let (namespace, pod) = (place.namespace.clone(), place.pod.clone());
    Ok(node.look(move |directory| directory.stream_target(&namespace, &pod)).await??)
}

fn container(name: &str, missing: &Refused) -> Result<ContainerName, Refused> {
    name.parse().map_err(|_| missing.clone())
}

/// Has the stream prepared, and hands the connection through to it.
async fn open(
    node: &Node,
    (target, stream): (StreamTarget, StreamKind),
    missing: &Refused,
    request: Request,
) -> Result<Response, Answer> {
    if !tunnel::is_upgrade(request.headers()) {
        return Err(Answer::text(500, "Upgrade request required\n"));
    }
    let hand = hand(node)?;
    let url = prepare(node, target, stream, missing).await?;
    Ok(tunnel::open(request, &url, hand).await?)
}

/// One more stream, if there may be one.
fn hand(node: &Node) -> Result<OwnedSemaphorePermit, Answer> {
    let full = |_| Answer::text(429, "too many streams are open\n");
    node.streams.clone().try_acquire_owned().map_err(full)
}

/// The URL of a stream.
async fn prepare(
    node: &Node,
    target: StreamTarget,
    stream: StreamKind,
    missing: &Refused,
) -> Result<String, Refused> {
    let StreamTarget { pod, namespace, name, .. } = target;
    let span =
        info_span!("open stream", k8s.pod.uid = %pod, k8s.namespace.name = namespace, k8s.pod.name = name);
    match node.bus.ask(&OpenStream { pod, stream }, PATIENCE).instrument(span).await {
        Ok(OpenStreamReply::Opened { url }) => Ok(url),
        Ok(OpenStreamReply::Failed { why }) => Err(Refused::internal(why)),
        Ok(OpenStreamReply::Refused { refusal: Refusal::Unknown { .. } }) => Err(missing.clone()),
        Ok(OpenStreamReply::Refused { refusal }) => Err(Refused::internal(refusal.to_string())),
        Err(failure) => {
            warn!(error = error::chain(&failure), "a stream could not be asked for");
            Err(Refused::internal(format!("could not ask for a stream: {}", error::chain(&failure))))
        }
    }
}
