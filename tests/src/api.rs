//! A client of the API server for what kubectl is too slow or too heavy for: watches whose moments count, and many
//! calls at once. It has to be used in a thread that is in the control plane's or a node's namespace
//! ([`crate::netns::Netns::run`]), by a runtime that has no other threads.

use std::path::Path;

use anyhow::Result;
use http::Uri;
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::client::legacy::Client as HttpClient;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use kube::Config;
use kube::client::{Body, ConfigExt};
use kube::config::{KubeConfigOptions, Kubeconfig};
use rustls::ClientConfig;
use tokio::runtime::{Builder, Runtime};
use tower::{BoxError, ServiceBuilder, ServiceExt};

/// A runtime whose tasks run in the thread that calls `block_on`, and so in that thread's namespace.
pub fn runtime() -> Result<Runtime> {
    Ok(Builder::new_current_thread().enable_all().build()?)
}

/// A client with the rights of a kubeconfig file. Its calls share one HTTP/2 connection, so that a hundred at once do
/// not pay for a hundred handshakes.
pub async fn client(kubeconfig: &Path) -> Result<kube::Client> {
    let config = config(kubeconfig).await?;
    let connector = HttpsConnectorBuilder::new()
        .with_tls_config(config.rustls_client_config()?)
        .https_only()
        .enable_http2()
        .build();
    let http = HttpClient::builder(TokioExecutor::new())
        .timer(TokioTimer::new())
        .http2_only(true)
        .build::<_, Body>(connector);
    let service = ServiceBuilder::new().layer(config.base_uri_layer()).service(http.map_err(BoxError::from));
    Ok(kube::Client::new(service, config.default_namespace))
}

/// The server's address and the TLS settings of a kubeconfig file, for what speaks HTTP by itself.
pub async fn access(kubeconfig: &Path) -> Result<(Uri, ClientConfig)> {
    let config = config(kubeconfig).await?;
    let tls = config.rustls_client_config()?;
    Ok((config.cluster_url, tls))
}

async fn config(kubeconfig: &Path) -> Result<Config> {
    let kubeconfig = Kubeconfig::read_from(kubeconfig)?;
    Ok(Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?)
}
