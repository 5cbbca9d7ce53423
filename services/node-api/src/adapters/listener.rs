//! Ports: bound, connections taken up to a limit, TLS where it is due, HTTP/1.1 served.

use super::client_ca::{ClientCa, TakesAny};
use crate::{
    Error,
    adapters::certificates::Identity,
    core::{tls::Terms, user::Certificate},
};
use axum::{Router, extract::Request};
use chassis::clock;
use hyper::{body::Incoming, server::conn::http1::Builder};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use messages::BootTime;
use rustls::{ServerConfig, crypto::CryptoProvider, server::NoClientAuth};
use std::{
    cell::RefCell,
    net::{IpAddr, Ipv6Addr, SocketAddr, TcpListener as StdListener},
    rc::Rc,
    sync::Arc,
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{sleep, timeout},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tower::ServiceExt;
use tracing::{debug, warn};

/// Connections of one port at once: every log that is followed holds one.
const CONNECTIONS: usize = 1024;
/// How long a handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long the next request's head may take, and so how long an idle connection is kept.
const HEAD: Duration = Duration::from_secs(90);
/// How often it is looked whether the client authorities changed.
const LOOK: Duration = Duration::from_secs(30);
/// The pause when the kernel gives no connection, such as for want of descriptors.
const PAUSE: Duration = Duration::from_millis(100);

/// Listens. An unspecified address means all of both families, as it does to the stock kubelet.
pub(crate) fn listen(address: IpAddr, port: u16) -> Result<TcpListener, Error> {
    let both = SocketAddr::from((Ipv6Addr::UNSPECIFIED, port));
    let wanted = SocketAddr::from((address, port));
    let bound = match address.is_unspecified() {
        true => StdListener::bind(both).or_else(|_| StdListener::bind(wanted)),
        false => StdListener::bind(wanted),
    };
    let listen = || {
        let listener = bound?;
        listener.set_nonblocking(true)?;
        TcpListener::from_std(listener)
    };
    listen().map_err(|source| Error::Listen { address: wanted, source })
}

/// Serves a port without TLS, for ever.
pub(crate) async fn serve_plain(listener: TcpListener, router: Router) {
    let limit = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let (stream, permit) = accept(&listener, &limit).await;
        let router = router.clone();
        tokio::spawn(async move { serve(stream, Certificate::None, router, permit).await });
    }
}

/// What TLS connections need.
pub(crate) struct Tls {
    acceptor: TlsAcceptor,
    client_ca: Option<Rc<RefCell<ClientCa>>>,
}

impl Tls {
    /// Shows `identity`; asks callers for theirs where there are authorities to vouch for them.
    pub(crate) fn new(terms: Terms, identity: Identity, client_ca: Option<ClientCa>) -> Result<Self, Error> {
        let provider: Arc<CryptoProvider> = Arc::new(terms.provider);
        let builder = ServerConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&terms.versions)
            .map_err(Error::Certificate)?;
        let builder = match client_ca {
            Some(_) => builder.with_client_cert_verifier(Arc::new(TakesAny(provider))),
            None => builder.with_client_cert_verifier(Arc::new(NoClientAuth)),
        };
        let mut config =
            builder.with_single_cert(identity.chain, identity.key).map_err(Error::Certificate)?;
        // As the stock kubelet, which leaves HTTP/2 out: streams are upgrades, and those are HTTP/1.1's.
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let client_ca = client_ca.map(RefCell::new).map(Rc::new);
        Ok(Self { acceptor: TlsAcceptor::from(Arc::new(config)), client_ca })
    }

    /// The connection after its handshake, and whose it is.
    async fn shake_hands(&self, stream: TcpStream) -> Option<(TlsStream<TcpStream>, Certificate)> {
        let shaken = timeout(HANDSHAKE, self.acceptor.accept(stream)).await;
        let stream = match shaken {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => {
                debug!(%error, "a handshake failed");
                return None;
            }
            Err(_) => return None,
        };
        let shown = stream.get_ref().1.peer_certificates();
        let certificate = match &self.client_ca {
            Some(client_ca) => client_ca.borrow().identify(shown),
            None => Certificate::None,
        };
        Some((stream, certificate))
    }
}

/// Serves a port with TLS, for ever.
pub(crate) async fn serve_tls(listener: TcpListener, tls: Tls, router: Router) {
    let limit = Arc::new(Semaphore::new(CONNECTIONS));
    let tls = Rc::new(tls);
    let mut looked = clock::now_boot();
    loop {
        let (stream, permit) = accept(&listener, &limit).await;
        refresh(&tls, &mut looked);
        let (tls, router) = (tls.clone(), router.clone());
        actix::spawn(async move {
            if let Some((stream, certificate)) = tls.shake_hands(stream).await {
                serve(stream, certificate, router, permit).await;
            }
        });
    }
}

fn refresh(tls: &Tls, looked: &mut BootTime) {
    let now = clock::now_boot();
    if let Some(client_ca) = &tls.client_ca
        && now.since(*looked) >= LOOK
    {
        *looked = now;
        client_ca.borrow_mut().refresh();
    }
}

/// The next connection, once there may be one more.
async fn accept(listener: &TcpListener, limit: &Arc<Semaphore>) -> (TcpStream, Option<OwnedSemaphorePermit>) {
    // Never closed, so that there always comes one.
    let permit = limit.clone().acquire_owned().await.ok();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                // Keystrokes of an exec are small and should not wait for each other.
                let _ = stream.set_nodelay(true);
                return (stream, permit);
            }
            Err(error) => {
                warn!(%error, "a connection could not be taken");
                sleep(PAUSE).await;
            }
        }
    }
}

/// Serves the requests of one connection; each carries whose the connection is.
async fn serve<S>(stream: S, certificate: Certificate, router: Router, permit: Option<OwnedSemaphorePermit>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = TowerToHyperService::new(router.map_request(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(certificate.clone());
        request
    }));
    let served = Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades()
        .await;
    drop(permit);
    if let Err(error) = served {
        debug!(error = %error, "a connection broke off");
    }
}
