//! The client of the API server, against a gate that only says which version it is.
#![expect(clippy::unwrap_used, reason = "a test ends where it cannot go on")]

use hyper::{Request, Response, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use std::{convert::Infallible, path::Path};
use tokio::net::UnixListener;

const VERSION: &str = r#"{"major":"1","minor":"36","gitVersion":"v1.36.3","gitCommit":"","gitTreeState":"",
    "buildDate":"","goVersion":"","compiler":"","platform":""}"#;

/// Answers one connection after the other, each for one request, then is gone.
async fn serve(socket: &Path, connections: usize) {
    let listener = UnixListener::bind(socket).unwrap();
    for _ in 0..connections {
        let (stream, _) = listener.accept().await.unwrap();
        let answer = service_fn(|request: Request<Incoming>| async move {
            let known = request.uri().path() == "/version" && request.headers()["host"] == "api-gate";
            let status = if known { 200 } else { 404 };
            let response = Response::builder().status(status).header("connection", "close");
            Ok::<_, Infallible>(response.body(VERSION.to_owned()).unwrap())
        });
        let served = http1::Builder::new().serve_connection(TokioIo::new(stream), answer);
        served.await.unwrap();
    }
}

#[actix::test]
async fn it_asks_through_the_gates_socket_and_again_after_the_gate_was_restarted() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("prober.sock");
    let client = chassis::api::client_at(&socket);

    assert!(client.apiserver_version().await.is_err(), "there is no gate yet");
    for _ in 0..2 {
        let path = socket.clone();
        let gate = actix::spawn(async move { serve(&path, 1).await });
        while !socket.exists() {
            tokio::task::yield_now().await;
        }
        assert_eq!(client.apiserver_version().await.unwrap().git_version, "v1.36.3");
        gate.await.unwrap();
        std::fs::remove_file(&socket).unwrap();
    }
}
