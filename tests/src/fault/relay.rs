//! The way through the stand-in: TLS ended for the node, requests passed on with the node's own rights.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use bytes::Bytes;
use futures::stream;
use http::header::{CONTENT_TYPE, HOST, RETRY_AFTER};
use http::{Request, Response, StatusCode, Uri, Version};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use rustls::ServerConfig;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tower::BoxError;

use super::api::{Asked, Shared};
use crate::api;
use crate::identity::Identity;

type Body = UnsyncBoxBody<Bytes, BoxError>;
type Upstream = Client<HttpsConnector<HttpConnector>, Incoming>;

/// Serves one node.
pub(super) struct Relay {
    server: Uri,
    acceptor: TlsAcceptor,
    short: Upstream,
    /// Watches have connections of their own: the API server allows a hundred streams on one.
    watches: Upstream,
    orders: Shared,
}

impl Relay {
    /// Passes on with the rights of `kubeconfig` what it is asked as `serving`.
    pub(super) fn new(kubeconfig: &Path, serving: &Identity, orders: Shared) -> Result<Self> {
        let (server, tls) = api::runtime()?.block_on(api::access(kubeconfig))?;
        let builder = HttpsConnectorBuilder::new().with_tls_config(tls.clone()).https_only();
        let short =
            Client::builder(TokioExecutor::new()).http2_only(true).build(builder.enable_http2().build());
        let builder = HttpsConnectorBuilder::new().with_tls_config(tls).https_only();
        let watches = Client::builder(TokioExecutor::new()).build(builder.enable_http1().build());
        Ok(Self { server, acceptor: acceptor(serving)?, short, watches, orders })
    }

    async fn answer(&self, request: Request<Incoming>) -> Result<Response<Body>, BoxError> {
        let query = request.uri().query().unwrap_or_default();
        let watch = query.split('&').any(|each| ["watch=true", "watch=1"].contains(&each));
        let asked = Asked { method: request.method(), path: request.uri().path(), watch };
        if let Some(status) = self.orders.refusal(&asked) {
            return refusal(status);
        }
        let late = self.orders.answer_delay(&asked);
        tokio::time::sleep(self.orders.delay(&asked)).await;
        let request = self.readdressed(request)?;
        if watch {
            let answer = self.watches.request(request).await?;
            return Ok(answer.map(|body| breakable(body, self.orders.clone())));
        }
        let answer = self.short.request(request).await?;
        tokio::time::sleep(late).await;
        Ok(answer.map(|body| body.map_err(Into::into).boxed_unsync()))
    }

    fn readdressed(&self, mut request: Request<Incoming>) -> Result<Request<Incoming>, BoxError> {
        let mut parts = self.server.clone().into_parts();
        parts.path_and_query = request.uri().path_and_query().cloned();
        *request.uri_mut() = Uri::from_parts(parts)?;
        *request.version_mut() = Version::default();
        request.headers_mut().remove(HOST);
        Ok(request)
    }
}

/// Serves until it is dropped.
pub(super) async fn serve(address: SocketAddr, relay: Relay) {
    let relay = Arc::new(relay);
    match TcpListener::bind(address).await {
        Ok(listener) => {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(connection(stream, relay.clone()));
            }
        }
        Err(error) => eprintln!("the stand-in for the API server can't listen on {address}: {error}"),
    }
}

/// One connection of the node. How it ends is the node's business.
async fn connection(stream: TcpStream, relay: Arc<Relay>) {
    let Ok(stream) = relay.acceptor.accept(stream).await else { return };
    let service = service_fn(move |request| {
        let relay = relay.clone();
        // Where there is no answer the connection ends, as it does where there is no API server.
        async move { relay.answer(request).await.map_err(io::Error::other) }
    });
    let _ = auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
}

/// A refusal as the API server words it.
fn refusal(status: StatusCode) -> Result<Response<Body>, BoxError> {
    let reason = match status {
        StatusCode::FORBIDDEN => "Forbidden",
        StatusCode::NOT_FOUND => "NotFound",
        StatusCode::TOO_MANY_REQUESTS => "TooManyRequests",
        _ => "InternalError",
    };
    let body = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": "refused by a scenario", "reason": reason, "code": status.as_u16(),
    });
    let mut answer = Response::builder().status(status).header(CONTENT_TYPE, "application/json");
    if status == StatusCode::TOO_MANY_REQUESTS {
        answer = answer.header(RETRY_AFTER, "1");
    }
    Ok(answer.body(Full::from(body.to_string()).map_err(|never| match never {}).boxed_unsync())?)
}

/// The body of a watch, which ends in the middle of a chunk once that is ordered.
fn breakable(body: Incoming, orders: Shared) -> Body {
    let chunks = stream::unfold(Some((body, orders)), |rest| async move {
        let (mut body, orders) = rest?;
        let chunk = match body.frame().await? {
            Ok(frame) => frame.into_data().unwrap_or_default(),
            Err(error) => return Some((Err(error.into()), None)),
        };
        match orders.break_watches() {
            true => Some((Ok(Frame::data(chunk.slice(..chunk.len() / 2))), None)),
            false => Some((Ok(Frame::data(chunk)), Some((body, orders)))),
        }
    });
    StreamBody::new(chunks).boxed_unsync()
}

/// Both versions of HTTP, since the two kubelets speak different ones.
fn acceptor(serving: &Identity) -> Result<TlsAcceptor> {
    let certificate = CertificateDer::from_pem_file(&serving.certificate).context("reading a certificate")?;
    let key = PrivateKeyDer::from_pem_file(&serving.key).context("reading a key")?;
    let mut tls = ServerConfig::builder().with_no_client_auth().with_single_cert(vec![certificate], key)?;
    tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(tls)))
}
