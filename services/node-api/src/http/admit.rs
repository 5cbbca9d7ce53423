//! Before every path of 10250: who asks, and whether he may.

use super::{answer::Answer, node::Node};
use crate::{
    actors::gate::{May, WhoIs},
    core::{
        access,
        user::{Certificate, User, bearer},
    },
};
use axum::{
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use http::{header, request::Parts};
use tracing::info;

/// Lets a request through, or answers it with 401 or 403.
pub(crate) async fn admit(State(node): State<Node>, request: Request, next: Next) -> Response {
    let (head, body) = request.into_parts();
    match check(&node, &head).await {
        Ok(()) => next.run(Request::from_parts(head, body)).await,
        Err(answer) => answer.into_response(),
    }
}

async fn check(node: &Node, head: &Parts) -> Result<(), Answer> {
    let user = who(node, head).await?.ok_or_else(|| Answer::text(401, "Unauthorized"))?;
    let questions = access::questions(&user, head.method.as_str(), head.uri.path());
    for question in &questions {
        let answer = node.gate.send(May(question.clone())).await.map_err(|_| Answer::leaving())?;
        match answer {
            Some(true) => return Ok(()),
            Some(false) => {}
            None => return Err(Answer::text(500, access::failed(question))),
        }
    }
    info!(user = user.name, path = head.uri.path(), "forbidden");
    Err(Answer::text(403, access::forbidden(&questions)))
}

async fn who(node: &Node, head: &Parts) -> Result<Option<User>, Answer> {
    let certificate = head.extensions.get::<Certificate>().cloned().unwrap_or(Certificate::None);
    let shown = head.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let token = shown.and_then(bearer).map(str::to_owned);
    node.gate.send(WhoIs { certificate, token }).await.map_err(|_| Answer::leaving())
}
