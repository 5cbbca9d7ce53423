//! The way to the API server: through api-gate's Unix socket of this process. No credentials and no
//! TLS here; the gate knows who calls by the socket and the caller's user.

use crate::config::NodeConfig;
use futures::{FutureExt, TryFutureExt};
use http::Uri;
use hyper_util::{
    client::legacy::{Client as HttpClient, connect::Connect},
    rt::{TokioExecutor, TokioIo, TokioTimer},
};
use kube::{
    Config,
    client::{Body, ConfigExt},
};
use messages::Owner;
use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};
use tokio::net::UnixStream;
use tower::{BoxError, ServiceBuilder};

/// How long an unused connection to the gate is kept, so that an idle process holds none.
const IDLE: Duration = Duration::from_secs(30);

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
    let config = Config::new(Uri::from_static("http://api-gate/"));
    let namespace = config.default_namespace.clone();
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .map_err(BoxError::from)
        .service(http_client(socket.to_owned()));
    kube::Client::new(service, namespace)
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
