//! The way to the API server: through api-gate's Unix socket of this process. No credentials and no
//! TLS here; the gate knows who calls by the socket and the caller's user.
//!
//! A request bears the trace context of the span that it is made in. One that the catalog does not
//! allow ends the process ([`FORBIDDEN_BY`]).

use crate::{config::NodeConfig, telemetry};
use futures::{FutureExt, TryFutureExt};
use http::{HeaderValue, Request, Uri};
use hyper_util::{
    client::legacy::{Client as HttpClient, connect::Connect},
    rt::{TokioExecutor, TokioIo, TokioTimer},
};
use kube::{
    Config,
    client::{Body, ConfigExt},
    runtime::utils::Backoff,
};
use messages::Owner;
use rand::Rng;
use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};
use tokio::{net::UnixStream, sync::watch};
use tower::{BoxError, Service, ServiceBuilder};

/// Pauses between tries to watch, the first and the longest: an API server that comes back is noticed within
/// half of the ten seconds in which a node has to catch up.
const WATCH_PAUSES: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));

/// How long an unused connection to the gate is kept, so that an idle process holds none.
const IDLE: Duration = Duration::from_secs(30);

/// The header of an answer that says: this is api-gate speaking, the catalog allows the asker nothing of
/// the kind, and its program is at fault.
pub const FORBIDDEN_BY: &str = "bulkhead-forbidden-by";

/// Pauses between tries to watch, for `kube`'s watchers: doubled with each failure, and spread by chance.
#[derive(Debug, Default)]
pub struct WatchPauses {
    failures: u32,
}

impl Iterator for WatchPauses {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let (first, longest) = WATCH_PAUSES;
        let whole = first.saturating_mul(1 << self.failures.min(16)).min(longest);
        self.failures = self.failures.saturating_add(1);
        Some(rand::rng().random_range(whole / 2..=whole))
    }
}

impl Backoff for WatchPauses {
    fn reset(&mut self) {
        self.failures = 0;
    }
}

/// The first request of this process that the catalog does not allow.
#[derive(Debug, Clone)]
pub(crate) struct Forbidden {
    first: watch::Sender<Option<String>>,
}

impl Default for Forbidden {
    fn default() -> Self {
        Self { first: watch::Sender::new(None) }
    }
}

impl Forbidden {
    /// Returns it once there was one. Cancel-safe.
    pub(crate) async fn first(&self) -> String {
        let mut first = self.first.subscribe();
        let told = first.wait_for(Option::is_some).await.map(|what| what.clone());
        // Never the default: `self` holds the sender, and there is something to wait for.
        told.ok().flatten().unwrap_or_default()
    }

    fn note(&self, what: String) {
        self.first.send_if_modified(|first| first.is_none() && first.replace(what).is_none());
    }
}

/// The socket at which api-gate serves one process.
pub fn socket(config: &NodeConfig, owner: Owner) -> PathBuf {
    config.dir_of(Owner::ApiGate).join(format!("{owner}.sock"))
}

/// A client of the API server for one process; none when the node runs standalone. Must be made
/// inside the runtime. Connects at the first request, and again whenever the gate was restarted.
pub fn client(config: &NodeConfig, owner: Owner) -> Option<kube::Client> {
    (!config.is_standalone()).then(|| client_at(&socket(config, owner)))
}

/// A client of the API server that is served at a socket.
pub fn client_at(socket: &Path) -> kube::Client {
    noting_client_at(socket, Forbidden::default())
}

/// The same, which notes what the catalog does not allow.
pub(crate) fn noting_client_at(socket: &Path, forbidden: Forbidden) -> kube::Client {
    let config = Config::new(Uri::from_static("http://api-gate/"));
    let namespace = config.default_namespace.clone();
    let mut gate = http_client(socket.to_owned());
    let asking = tower::service_fn(move |request: Request<Body>| {
        let what = format!("{} {}", request.method(), request.uri().path());
        let forbidden = forbidden.clone();
        gate.call(request).map_ok(move |answer| {
            if answer.headers().contains_key(FORBIDDEN_BY) {
                forbidden.note(what);
            }
            answer
        })
    });
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .map_request(with_trace)
        .map_err(BoxError::from)
        .service(asking);
    kube::Client::new(service, namespace)
}

/// The request with the context of the span in which it is made.
fn with_trace(mut request: Request<Body>) -> Request<Body> {
    let traceparent = telemetry::traceparent(&telemetry::context_of_current());
    if let Some(value) = traceparent.and_then(|text| HeaderValue::try_from(text).ok()) {
        request.headers_mut().insert("traceparent", value);
    }
    request
}

fn http_client(socket: PathBuf) -> HttpClient<impl Connect + Clone + Send + Sync + 'static, Body> {
    let connector = tower::service_fn(move |_: Uri| connect(socket.clone()).map_ok(TokioIo::new).boxed());
    HttpClient::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE)
        .build(connector)
}

async fn connect(socket: PathBuf) -> io::Result<UnixStream> {
    UnixStream::connect(socket).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::UnixListener,
        time::timeout,
    };

    /// A gate that gives one answer; the request that it was asked.
    async fn answered(answer: &'static str) -> (String, Forbidden) {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("gate.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let forbidden = Forbidden::default();
        let client = noting_client_at(&socket, forbidden.clone());
        let asking = actix::spawn(async move {
            client.request_text(Request::get("/api/v1/pods").body(vec![]).unwrap()).await
        });
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut asked = vec![0; 4096];
        let length = stream.read(&mut asked).await.unwrap();
        stream.write_all(answer.as_bytes()).await.unwrap();
        drop(stream);
        let _ = asking.await.unwrap();
        (String::from_utf8_lossy(&asked[..length]).into_owned(), forbidden)
    }

    #[actix::test]
    async fn what_the_catalog_does_not_allow_is_noted_and_nothing_else() {
        let (asked, forbidden) =
            answered("HTTP/1.1 403 F\r\nbulkhead-forbidden-by: api-gate\r\ncontent-length: 0\r\n\r\n").await;
        assert!(asked.starts_with("GET /api/v1/pods "), "{asked}");
        assert_eq!(forbidden.first().await, "GET /api/v1/pods");

        let (_, forbidden) = answered("HTTP/1.1 403 F\r\ncontent-length: 0\r\n\r\n").await;
        assert!(
            timeout(Duration::from_millis(20), forbidden.first()).await.is_err(),
            "the API server's own no"
        );
    }

    #[test]
    fn pauses_double_up_to_the_longest_and_begin_anew() {
        let mut pauses = WatchPauses::default();
        let ms = Duration::from_millis;
        for (least, most) in
            [(100, 200), (200, 400), (400, 800), (800, 1600), (1600, 3200), (2500, 5000), (2500, 5000)]
        {
            let pause = pauses.next().unwrap();
            assert!((ms(least)..=ms(most)).contains(&pause), "{pause:?} is not within {least} to {most} ms");
        }
        pauses.reset();
        assert!(pauses.next().unwrap() <= ms(200));
    }

    #[actix::test]
    async fn a_gate_that_is_away_is_an_error_that_says_so() {
        let client = client_at(Path::new("/nowhere/gate.sock"));
        let failure = client.request_text(Request::get("/version").body(vec![]).unwrap()).await.unwrap_err();
        let told = crate::error::chain(&failure);
        assert!(told.contains("No such file"), "{told}");
    }
}
