//! `/healthz`.

use super::{answer::Answer, node::Node};
use crate::core::{
    directory::Directory,
    healthz::{self, Facts},
    query::Query,
};
use axum::extract::{Path, RawQuery, State};
use chassis::clock;

/// All checks.
pub(crate) async fn healthz(State(node): State<Node>, RawQuery(query): RawQuery) -> Result<Answer, Answer> {
    let query = Query::parse(&query.unwrap_or_default());
    let answer = ask(&node, move |facts| healthz::all(facts, &query)).await?;
    Ok(Answer::text(if answer.is_well { 200 } else { 500 }, answer.body))
}

/// One of them.
pub(crate) async fn one_check(State(node): State<Node>, Path(check): Path<String>) -> Result<Answer, Answer> {
    let answer = ask(&node, move |facts| healthz::one(&check, facts)).await?;
    Ok(match answer {
        Some(answer) => Answer::text(if answer.is_well { 200 } else { 500 }, answer.body),
        None => Answer::text(404, "404 page not found\n"),
    })
}

async fn ask<R: Send + 'static>(
    node: &Node,
    ask: impl FnOnce(Facts<'_>) -> R + Send + 'static,
) -> Result<R, Answer> {
    let (since, sync_frequency) = (node.since, node.config.kubelet.sync_frequency.get());
    let own = (std::process::id(), node.incarnation);
    let look = move |directory: &Directory| {
        ask(Facts { directory, now: clock::now_boot(), since, sync_frequency, own })
    };
    node.look(look).await
}
