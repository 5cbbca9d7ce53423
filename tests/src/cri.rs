//! What a runtime holds, asked over CRI as a kubelet asks.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use hyper_util::rt::TokioIo;
use proto::runtime::v1::runtime_service_client::RuntimeServiceClient;
use proto::runtime::v1::{Container, ListContainersRequest, ListPodSandboxRequest, PodSandbox};
use tokio::net::UnixStream;
use tonic::transport::{Endpoint, Uri};
use tower::service_fn;

use crate::api;

/// Everything that a runtime holds, running or not.
pub struct Held {
    /// Sandboxes.
    pub sandboxes: Vec<PodSandbox>,
    /// Containers.
    pub containers: Vec<Container>,
}

/// Asks the runtime at this socket.
pub fn held(socket: &Path) -> Result<Held> {
    let dial = move |socket: PathBuf| async move { UnixStream::connect(socket).await.map(TokioIo::new) };
    let socket = socket.to_owned();
    let asking = async {
        // The name is never looked up; the socket is all there is.
        let endpoint = Endpoint::from_static("http://runtime");
        let channel = endpoint.connect_with_connector(service_fn(move |_: Uri| dial(socket.clone()))).await?;
        let mut client = RuntimeServiceClient::new(channel);
        let sandboxes = client.list_pod_sandbox(ListPodSandboxRequest::default()).await?.into_inner().items;
        let containers =
            client.list_containers(ListContainersRequest::default()).await?.into_inner().containers;
        anyhow::Ok(Held { sandboxes, containers })
    };
    api::runtime()?.block_on(asking).context("asking the runtime")
}
