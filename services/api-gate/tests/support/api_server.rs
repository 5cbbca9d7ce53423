//! An API server that answers as a test tells it, over TLS with HTTP/2, and remembers what it was asked.

use bytes::Bytes;
use futures::{StreamExt, channel::mpsc, stream};
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Either, Full, StreamBody};
use hyper::{
    body::{Frame, Incoming},
    service::service_fn,
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto::Builder,
};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{Arc, Mutex},
};
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_rustls::{TlsAcceptor, rustls::ServerConfig};

type Frames = mpsc::UnboundedReceiver<Result<Frame<Bytes>, Infallible>>;
type Body = Either<Full<Bytes>, StreamBody<Frames>>;
type Script = dyn Fn(&Seen) -> Answer + Send + Sync;

/// A request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) line: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// What to answer.
pub(crate) enum Answer {
    /// Status and body.
    Now(u16, &'static str),
    /// Status 429 and `retry-after`.
    Later(u64),
    /// A body that comes in pieces, as the test sends them.
    Watch(Frames),
}

/// The server; it goes on when this is dropped, until the test's system ends.
pub(crate) struct ApiServer {
    pub(crate) address: SocketAddr,
    authority: String,
    acceptor: TlsAcceptor,
    script: Arc<Script>,
    seen: Arc<Mutex<Vec<Seen>>>,
    serving: Option<JoinHandle<()>>,
}

impl ApiServer {
    /// A server on a free port.
    pub(crate) async fn start(script: impl Fn(&Seen) -> Answer + Send + Sync + 'static) -> Self {
        let CertifiedKey { cert, signing_key } =
            generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(signing_key.serialize_der()));
        let _already = rustls::crypto::ring::default_provider().install_default();
        let mut tls = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![cert.der().clone()], key)
            .unwrap();
        tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let mut server = Self {
            address: "127.0.0.1:0".parse().unwrap(),
            authority: cert.pem(),
            acceptor: TlsAcceptor::from(Arc::new(tls)),
            script: Arc::new(script),
            seen: Arc::default(),
            serving: None,
        };
        server.come_back().await;
        server
    }

    /// A kubeconfig that leads here.
    pub(crate) fn kubeconfig(&self, user: &str) -> String {
        use base64::{Engine, prelude::BASE64_STANDARD};
        let (address, authority) = (self.address, BASE64_STANDARD.encode(&self.authority));
        format!(
            "current-context: node\n\
             contexts: [{{name: node, context: {{cluster: c, user: u}}}}]\n\
             clusters: [{{name: c, cluster: {{server: 'https://{address}', certificate-authority-data: {authority}}}}}]\n\
             users: [{{name: u, user: {{{user}}}}}]\n"
        )
    }

    /// What was asked so far, the gate's own tries left out.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        let seen = self.seen.lock().unwrap();
        seen.iter().filter(|seen| seen.line != "GET /version").cloned().collect()
    }

    /// Stops listening and cuts every connection.
    pub(crate) async fn go_away(&mut self) {
        if let Some(serving) = self.serving.take() {
            serving.abort();
            // Only then is the port free; the error is that it was aborted.
            let _ = serving.await;
        }
    }

    /// Listens again, at the same port.
    pub(crate) async fn come_back(&mut self) {
        let listener = TcpListener::bind(self.address).await.unwrap();
        self.address = listener.local_addr().unwrap();
        let (acceptor, script, seen) = (self.acceptor.clone(), self.script.clone(), self.seen.clone());
        self.serving = Some(tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, script, seen) = (acceptor.clone(), script.clone(), seen.clone());
                connections.spawn(async move {
                    let Ok(stream) = acceptor.accept(stream).await else { return };
                    let service = service_fn(move |request| answer(request, script.clone(), seen.clone()));
                    let mut builder = Builder::new(TokioExecutor::new());
                    builder.http2().max_concurrent_streams(100);
                    // A connection that the gate cuts is no fault here.
                    let _ = builder.serve_connection(TokioIo::new(stream), service).await;
                });
            }
        }));
    }
}

async fn answer(
    request: Request<Incoming>,
    script: Arc<Script>,
    seen: Arc<Mutex<Vec<Seen>>>,
) -> Result<Response<Body>, Infallible> {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path_and_query().unwrap();
    let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let asked = Seen { line: format!("{} {path}", parts.method), headers: parts.headers, body };
    seen.lock().unwrap().push(asked.clone());
    let response = Response::builder().header("content-type", "application/json");
    Ok(match script(&asked) {
        Answer::Now(status, body) => response.status(status).body(Either::Left(Full::from(body))),
        Answer::Later(seconds) => {
            response.status(429).header("retry-after", seconds).body(Either::Left(Full::default()))
        }
        Answer::Watch(frames) => response.body(Either::Right(StreamBody::new(frames))),
    }
    .unwrap())
}

/// A watch that says these lines and then stays open.
pub(crate) fn open_watch(lines: &[&'static str]) -> Answer {
    let (sender, receiver) = mpsc::unbounded();
    for line in lines {
        sender.unbounded_send(Ok(Frame::data(Bytes::from_static(line.as_bytes())))).unwrap();
    }
    // Kept open until the connection ends, by a task that holds the sender.
    tokio::spawn(async move {
        let _held = sender;
        stream::pending::<()>().next().await;
    });
    Answer::Watch(receiver)
}
