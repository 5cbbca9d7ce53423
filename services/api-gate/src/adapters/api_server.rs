//! The connections to the API server: HTTP/2 over rustls where the server speaks it, HTTP/1.1 elsewhere.
//!
//! Short requests share one connection. Watches have others, because the API server allows a hundred
//! streams on a connection (`--http2-max-streams-per-connection`), and a node that watches each secret of
//! each pod has more: a request that waits for a free stream would wait for hours.

use crate::ports::{Body, BoxError, Credentials, Lost, Upstream};
use futures::future::{BoxFuture, LocalBoxFuture};
use http::{HeaderValue, Request, Response, Uri, header::AUTHORIZATION, uri::PathAndQuery};
use http_body_util::BodyExt;
use hyper_rustls::{FixedServerNameResolver, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use std::{
    cell::RefCell,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};
use tokio::time::timeout;
use tower::Service;

/// Watches on one connection: below the API server's hundred, with room for the odd retry.
const WATCHES: usize = 80;
/// How long connecting may take.
const CONNECTING: Duration = Duration::from_secs(10);
/// A connection with requests on it is pinged this often, and given up when the answer takes as long again:
/// a server that vanished without a word is noticed within 20 s (client-go: 30 s and 15 s).
const PING: Duration = Duration::from_secs(10);
/// How long a connection without requests is kept. The lease alone makes one each 10 s.
const IDLE: Duration = Duration::from_secs(90);

type Https = HttpsConnector<HttpConnector>;
type HttpClient = Client<InTime, Body>;

/// Connects, TLS included, in time or not at all: a server that is stopped takes connections and never
/// answers on them.
#[derive(Clone)]
struct InTime(Https);

impl Service<Uri> for InTime {
    type Response = <Https as Service<Uri>>::Response;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Self::Response, BoxError>>;

    fn poll_ready(&mut self, task: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.0.poll_ready(task)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connecting = self.0.call(uri);
        Box::pin(async { timeout(CONNECTING, connecting).await? })
    }
}

/// The API server, reached with one set of credentials.
pub(crate) struct ApiServer {
    server: Uri,
    authorization: Option<HeaderValue>,
    connector: InTime,
    short: HttpClient,
    watches: RefCell<Vec<WatchLane>>,
}

/// A connection for watches. Each watch holds a clone of `load` for as long as its answer lasts.
struct WatchLane {
    client: HttpClient,
    load: Arc<()>,
}

impl ApiServer {
    /// Connects to nothing yet.
    ///
    /// # Errors
    /// When `tls-server-name` is no name.
    pub(crate) fn new(credentials: Credentials) -> Result<Self, BoxError> {
        let Credentials { server, tls, tls_server_name, authorization } = credentials;
        let mut http = HttpConnector::new();
        http.enforce_http(false);
        http.set_nodelay(true);
        let mut builder = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http();
        if let Some(name) = tls_server_name {
            builder = builder.with_server_name_resolver(FixedServerNameResolver::new(name.try_into()?));
        }
        let connector = InTime(builder.enable_all_versions().wrap_connector(http));
        let short = client(&connector);
        Ok(Self { server, authorization, connector, short, watches: RefCell::default() })
    }

    /// A connection that has room for one more watch. Connections without any are let go.
    fn watch_lane(&self) -> (HttpClient, Arc<()>) {
        let mut lanes = self.watches.borrow_mut();
        lanes.retain(|lane| lane.watches() > 0);
        if let Some(lane) = lanes.iter().find(|lane| lane.watches() < WATCHES) {
            return (lane.client.clone(), lane.load.clone());
        }
        let lane = WatchLane { client: client(&self.connector), load: Arc::default() };
        let taken = (lane.client.clone(), lane.load.clone());
        lanes.push(lane);
        taken
    }

    /// The whole URI of a request that has a path and query only.
    fn whole(&self, uri: &Uri) -> Result<Uri, http::Error> {
        let own = uri.path_and_query().map_or("/", PathAndQuery::as_str);
        let before = self.server.path().trim_end_matches('/');
        let mut parts = self.server.clone().into_parts();
        parts.path_and_query = Some(format!("{before}{own}").try_into()?);
        Ok(Uri::from_parts(parts)?)
    }
}

impl WatchLane {
    fn watches(&self) -> usize {
        Arc::strong_count(&self.load) - 1
    }
}

fn client(connector: &InTime) -> HttpClient {
    Client::builder(TokioExecutor::new())
        .timer(TokioTimer::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE)
        .http2_keep_alive_interval(PING)
        .http2_keep_alive_timeout(PING)
        .build(connector.clone())
}

impl Upstream for ApiServer {
    fn exchange(
        &self,
        mut request: Request<Body>,
        watch: bool,
    ) -> LocalBoxFuture<'static, Result<Response<Body>, Lost>> {
        let whole = self.whole(request.uri());
        if let Some(authorization) = &self.authorization {
            request.headers_mut().insert(AUTHORIZATION, authorization.clone());
        }
        let (client, load) = if watch { self.watch_lane() } else { (self.short.clone(), Arc::default()) };
        Box::pin(async move {
            *request.uri_mut() = whole.map_err(|error| Lost::NotSent(error.into()))?;
            let answer = client.request(request).await.map_err(|error| match error.is_connect() {
                true => Lost::NotSent(error.into()),
                false => Lost::Unknown(error.into()),
            })?;
            Ok(answer.map(|body| {
                body.map_frame(move |frame| {
                    // Counts as a watch until the last of it was passed on.
                    let _held = &load;
                    frame
                })
                .map_err(Into::into)
                .boxed_unsync()
            }))
        })
    }
}
