//! The ports' paths, and what answers at each.
//!
//! 10250 knows them all and lets nobody through who is not known and allowed ([`admit`]); 10255 knows those that
//! only tell, for everybody; 10248 knows `/healthz`.

mod admit;
mod answer;
mod health;
mod logs;
mod node;
mod pods;
mod streams;

pub(crate) use node::{Node, Port};

use crate::{actors::directory::Count, core::metrics::RequestKind};
use answer::Answer;
use axum::{
    Router,
    extract::{Request, State},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{any, get, post},
};

/// Paths that only tell; on 10255 too.
fn telling() -> Router<Node> {
    Router::new()
        .route("/healthz", get(health::healthz))
        .route("/healthz/{check}", get(health::one_check))
        .route("/pods", get(pods::desired))
        .route("/pods/", get(pods::desired))
        .route("/metrics", get(pods::metrics))
}

/// Paths of `enableDebuggingHandlers`.
fn debugging() -> Router<Node> {
    Router::new()
        .route("/runningpods", get(pods::running))
        .route("/runningpods/", get(pods::running))
        .route("/containerLogs/{namespace}/{pod}/{container}", get(logs::container_logs))
        .route("/exec/{namespace}/{pod}/{container}", get(streams::exec).post(streams::exec))
        .route("/exec/{namespace}/{pod}/{uid}/{container}", get(streams::exec).post(streams::exec))
        .route("/attach/{namespace}/{pod}/{container}", get(streams::attach).post(streams::attach))
        .route("/attach/{namespace}/{pod}/{uid}/{container}", get(streams::attach).post(streams::attach))
        .route("/portForward/{namespace}/{pod}", get(streams::port_forward).post(streams::port_forward))
        .route("/portForward/{namespace}/{pod}/{uid}", get(streams::port_forward).post(streams::port_forward))
        .route("/run/{namespace}/{pod}/{container}", post(streams::run))
        .route("/run/{namespace}/{pod}/{uid}/{container}", post(streams::run))
        .route("/configz", get(pods::configz))
}

/// What stands in their place when they are switched off.
fn disabled() -> Router<Node> {
    const FOLDERS: &[&str] = &[
        "/run/",
        "/exec/",
        "/attach/",
        "/portForward/",
        "/containerLogs/",
        "/runningpods/",
        "/debug/pprof/",
        "/logs/",
    ];
    let refuse = || async { Answer::text(405, "Debug endpoints are disabled.\n") };
    FOLDERS.iter().fold(Router::new(), |router, folder| {
        router.route(folder, any(refuse)).route(&format!("{folder}{{*rest}}"), any(refuse))
    })
}

/// 10250.
pub(crate) fn secure(node: Node) -> Router {
    let debugs = node.config.kubelet.enable_debugging_handlers;
    let paths = telling().merge(if debugs { debugging() } else { disabled() });
    finish(paths.layer(middleware::from_fn_with_state(node.clone(), admit::admit)), node)
}

/// 10255.
pub(crate) fn read_only(node: Node) -> Router {
    finish(telling().merge(disabled()), node)
}

/// 10248.
pub(crate) fn healthz(node: Node) -> Router {
    let paths = Router::new()
        .route("/healthz", get(health::healthz))
        .route("/healthz/{check}", get(health::one_check));
    paths.with_state(node)
}

fn finish(paths: Router<Node>, node: Node) -> Router {
    let nothing = || async { Answer::text(404, "404 page not found\n") };
    let not_so = || async { Answer::text(405, "405: Method Not Allowed") };
    let paths = paths.fallback(nothing).method_not_allowed_fallback(not_so);
    paths.layer(middleware::from_fn_with_state(node.clone(), count)).with_state(node)
}

async fn count(State(node): State<Node>, request: Request, next: Next) -> Response {
    let kind = RequestKind::of(request.method().as_str(), request.uri().path(), node.port.server_type());
    node.directory.do_send(Count(kind));
    next.run(request).await.into_response()
}
