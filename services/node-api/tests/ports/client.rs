//! A caller of 10250, as kubectl, the API server and curl are.

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Empty};
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use rcgen::{CertificateParams, DnType, Issuer, KeyPair};
use rustls::{
    ClientConfig, DigitallySignedStruct, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::ring::default_provider,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject},
};
use serde_json::Value;
use std::{
    net::SocketAddr,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    net::TcpStream,
    time::{sleep, timeout},
};
use tokio_rustls::{TlsConnector, client::TlsStream};

const PATIENCE: Duration = Duration::from_secs(20);

/// An authority that vouches for callers.
pub(crate) struct Authority {
    pub(crate) pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::default();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let pem = params.self_signed(&key).expect("a certificate").pem();
        Self { pem, issuer: Issuer::new(params, key) }
    }

    pub(crate) fn issue(&self, name: &str, group: &str) -> (CertificateDer<'static>, PrivateKeyDer<'static>) {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(vec![name.to_owned()]).expect("a name");
        params.distinguished_name.push(DnType::CommonName, name);
        params.distinguished_name.push(DnType::OrganizationName, group);
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        (certificate.der().clone(), PrivateKeyDer::try_from(key.serialize_der()).expect("a key"))
    }
}

/// What a whole answer was.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) body: String,
}

impl Reply {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }

    pub(crate) async fn of(response: http::Response<Incoming>) -> Self {
        let status = response.status().as_u16();
        let body = timeout(PATIENCE, response.into_body().collect()).await.expect("a body in time");
        let body = String::from_utf8(body.expect("a body").to_bytes().to_vec()).expect("text");
        Self { status, body }
    }
}

/// Somebody who calls.
pub(crate) struct Caller {
    address: SocketAddr,
    ours: Option<Arc<Authority>>,
    identity: Option<(CertificateDer<'static>, PrivateKeyDer<'static>)>,
    token: Option<String>,
}

impl Caller {
    pub(crate) fn new(port: u16, ours: Arc<Authority>) -> Self {
        Self { address: ([127, 0, 0, 1], port).into(), ours: Some(ours), identity: None, token: None }
    }

    pub(crate) fn with_files(port: u16, certificate: &Path, key: &Path) -> Self {
        let certificate = CertificateDer::from_pem_file(certificate).expect("a certificate");
        let key = PrivateKeyDer::from_pem_file(key).expect("a key");
        Self {
            address: ([127, 0, 0, 1], port).into(),
            ours: None,
            identity: Some((certificate, key)),
            token: None,
        }
    }

    pub(crate) fn certificate(mut self, name: &str, group: &str) -> Self {
        self.identity = self.ours.as_ref().map(|ours| ours.issue(name, group));
        self
    }

    pub(crate) fn foreign_certificate(mut self, name: &str) -> Self {
        self.identity = Some(Authority::new("somebody else").issue(name, "admins"));
        self
    }

    pub(crate) fn token(mut self, token: &str) -> Self {
        self.token = Some(token.to_owned());
        self
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        Reply::of(self.send(self.request("GET", path)).await).await
    }

    pub(crate) async fn post(&self, path: &str) -> Reply {
        Reply::of(self.send(self.request("POST", path)).await).await
    }

    /// Asks again until the answer is as wanted.
    pub(crate) async fn get_until(&self, path: &str, wanted: impl Fn(&Reply) -> bool) -> Reply {
        let since = Instant::now();
        loop {
            let reply = self.get(path).await;
            if wanted(&reply) {
                return reply;
            }
            assert!(since.elapsed() < PATIENCE, "{path} stays {reply:?}");
            sleep(Duration::from_millis(10)).await;
        }
    }

    pub(crate) async fn follow(&self, path: &str) -> Following {
        let response = self.send(self.request("GET", path)).await;
        assert_eq!(response.status(), StatusCode::OK);
        Following { body: response.into_body(), text: String::new() }
    }

    /// Asks for another protocol; the answer's headers and the stream, or what was said instead.
    pub(crate) async fn upgrade(
        &self,
        method: &str,
        path: &str,
        protocol: &str,
    ) -> Result<(HeaderMap, TokioIo<hyper::upgrade::Upgraded>), Reply> {
        let mut request = self.request(method, path);
        let headers = request.headers_mut();
        headers.insert(header::CONNECTION, "Upgrade".parse().expect("a header"));
        headers.insert(header::UPGRADE, protocol.parse().expect("a header"));
        let response = self.send(request).await;
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            return Err(Reply::of(response).await);
        }
        let headers = response.headers().clone();
        Ok((headers, TokioIo::new(hyper::upgrade::on(response).await.expect("an upgrade"))))
    }

    pub(crate) async fn server_certificate(&self) -> CertificateDer<'static> {
        let stream = self.connect().await;
        stream.get_ref().1.peer_certificates().expect("a certificate")[0].clone().into_owned()
    }

    fn request(&self, method: &str, path: &str) -> Request<Empty<Bytes>> {
        let method: Method = method.parse().expect("a method");
        let mut request = Request::builder().method(method).uri(path).header(header::HOST, "node");
        if let Some(token) = &self.token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        request.body(Empty::new()).expect("a request")
    }

    async fn send(&self, request: Request<Empty<Bytes>>) -> http::Response<Incoming> {
        let stream = self.connect().await;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.expect("a handshake");
        tokio::spawn(connection.with_upgrades());
        timeout(PATIENCE, sender.send_request(request)).await.expect("in time").expect("an answer")
    }

    async fn connect(&self) -> TlsStream<TcpStream> {
        let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(TrustsAll));
        let mut config = match &self.identity {
            Some((certificate, key)) => builder
                .with_client_auth_cert(vec![certificate.clone()], key.clone_key())
                .expect("an identity"),
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let tcp = TcpStream::connect(self.address).await.expect("the port is open");
        let name = ServerName::try_from("node").expect("a name");
        TlsConnector::from(Arc::new(config)).connect(name, tcp).await.expect("a handshake")
    }
}

/// An answer that is read as it comes.
pub(crate) struct Following {
    body: Incoming,
    text: String,
}

impl Following {
    pub(crate) async fn expect(&mut self, wanted: &str) {
        while !self.text.starts_with(wanted) {
            let frame = timeout(PATIENCE, self.body.frame()).await;
            let frame = frame.unwrap_or_else(|_| panic!("{wanted:?} did not come, only {:?}", self.text));
            let data = frame.expect("not the end").expect("a frame").into_data().expect("data");
            self.text.push_str(std::str::from_utf8(&data).expect("text"));
        }
        self.text.drain(..wanted.len());
    }

    pub(crate) async fn expect_end(&mut self) {
        let frame = timeout(PATIENCE, self.body.frame()).await.expect("an end in time");
        assert!(frame.is_none(), "{frame:?} instead of the end");
    }
}

/// The API server does not look at kubelets' serving certificates either, unless it is told to.
#[derive(Debug)]
struct TrustsAll;

impl ServerCertVerifier for TrustsAll {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        default_provider().signature_verification_algorithms.supported_schemes()
    }
}
