//! `/containerLogs`.

use super::{answer::Answer, node::Node};
use crate::{
    adapters::log_file,
    core::{logs::options, query::Query},
    ports::NoLog,
};
use axum::{
    body::Body,
    extract::{Path, RawQuery, State},
    response::Response,
};
use chassis::{clock, error};
use futures::{StreamExt, stream};
use http::{HeaderValue, header};
use jiff::Timestamp;
use std::convert::Infallible;
use tokio::sync::mpsc;
use tracing::{debug, info};

/// Pieces of a log on their way to a reader, each at most 32 KiB or a record.
const PIECES: usize = 4;
/// The gate behind `stream=`.
const SPLIT_STREAMS: &str = "PodLogsQuerySplitStreams";

/// The log of a container.
pub(crate) async fn container_logs(
    State(node): State<Node>,
    Path((namespace, pod, container)): Path<(String, String, String)>,
    RawQuery(query): RawQuery,
) -> Result<Response, Answer> {
    let query = Query::parse(&query.unwrap_or_default());
    let now = Timestamp::from_nanosecond(clock::now_unix().into()).unwrap_or(Timestamp::UNIX_EPOCH);
    let options = options::read(&query, now, node.config.kubelet.gate(SPLIT_STREAMS))?;
    let found = node
        .look(move |directory| directory.log_target((&namespace, &pod), &container, options.previous))
        .await?;
    let target = found?;
    let instance = target.instance.clone();
    match node.logs.open(target).await {
        Ok(log) => {
            let (sender, receiver) = mpsc::channel(PIECES);
            tokio::spawn(log_file::print(log, options, sender));
            let pieces = stream::unfold(receiver, |mut receiver| async move {
                receiver.recv().await.map(|piece| (Ok::<_, Infallible>(piece), receiver))
            });
            Ok(plain(Body::from_stream(pieces.boxed())))
        }
        // The stock kubelet has said 200 by now, and so the reason is the body.
        Err(failure) => {
            complain(&failure);
            Ok(plain(Body::from(format!("unable to retrieve container logs for {instance}"))))
        }
    }
}

fn complain(failure: &NoLog) {
    match failure {
        NoLog::Refused(why) => info!(why, "a log was not opened"),
        NoLog::Away(_) | NoLog::Unreadable => debug!(error = error::chain(failure), "a log was not opened"),
    }
}

fn plain(body: Body) -> Response {
    let mut response = Response::new(body);
    let kind = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}
