//! What every process of a node knows about it, as the supervisor worked it out from files and
//! flags: `<root-dir>/bulkhead/node.json`.
//!
//! Unprivileged processes read this file, so it holds no secret: header values of `staticPodURL` are
//! masked in it and stand in a file that only pod-lifecycle's user may read.

use super::{ConfigError, KubeletConfiguration, ServiceProxy, parts::RequestHeaders};
use messages::{NodeName, Owner};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    fs,
    net::IpAddr,
    path::{Path, PathBuf},
};

/// The version of the kubelet that this node stands for, as the node object and `--version` say it.
/// kubeadm compares the part before the `+`.
pub const KUBELET_VERSION: &str = "v1.36.3+bulkhead";

/// The node's configuration, effective, the same for all its processes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeConfig {
    /// `metadata.name` of the node object.
    pub node_name: NodeName,
    /// The kubelet's folder, usually `/var/lib/kubelet`.
    pub root_dir: PathBuf,
    /// Credentials for the API server; absent when the node runs standalone.
    pub kubeconfig: Option<PathBuf>,
    /// Credentials for asking for credentials.
    pub bootstrap_kubeconfig: Option<PathBuf>,
    /// Where certificates are kept.
    pub cert_dir: PathBuf,
    /// `--node-ip`: the addresses that the operator wants, at most one of each family. An unspecified
    /// one (`::`) asks for an address of that family.
    pub node_ips: Vec<IpAddr>,
    /// `--node-labels`.
    pub node_labels: BTreeMap<String, String>,
    /// `--cloud-provider=external`: a controller in the cluster completes the node object.
    pub external_cloud_provider: bool,
    /// `--image-credential-provider-config`: a file or folder that names the plugins for registries.
    pub image_credential_provider_config: Option<PathBuf>,
    /// Where those plugins are.
    pub image_credential_provider_bin_dir: Option<PathBuf>,
    /// `--runtime-cgroups`: the runtime's own cgroup, which `/stats/summary` reports.
    pub runtime_cgroups: String,
    /// Sandboxes that no journal knows do not hinder the start.
    pub takeover: bool,
    /// `--proxy`: who programs services. Under the name `kubelet` it is somebody else.
    pub proxy: ServiceProxy,
    /// How to reach the bus.
    pub bus: BusAddress,
    /// The operator's collector (`http://host:4317`), to which trace-recorder forwards spans.
    pub otlp_endpoint: Option<String>,
    /// `KubeletConfiguration`, effective.
    pub kubelet: KubeletConfiguration,
}

/// Where the node's bus listens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BusAddress {
    /// `nats://127.0.0.1:<port>`.
    pub url: String,
}

impl NodeConfig {
    /// Where the file of a root folder stands.
    pub fn path(root_dir: &Path) -> PathBuf {
        dir_of(root_dir).join("node.json")
    }

    /// Reads the file of a root folder.
    ///
    /// # Errors
    /// When it is missing or not readable as this type.
    pub fn read(root_dir: &Path) -> Result<Self, ConfigError> {
        let path = Self::path(root_dir);
        let text = fs::read(&path).map_err(|source| ConfigError::Read { path: path.clone(), source })?;
        serde_json::from_slice(&text).map_err(|source| ConfigError::NotNode { path, source })
    }

    /// The folder of all our processes.
    pub fn dir(&self) -> PathBuf {
        dir_of(&self.root_dir)
    }

    /// The folder of one process.
    pub fn dir_of(&self, owner: Owner) -> PathBuf {
        self.dir().join(owner.name())
    }

    /// There is no API server.
    pub fn is_standalone(&self) -> bool {
        self.kubeconfig.is_none()
    }

    /// The CRI socket's path.
    pub fn runtime_socket(&self) -> PathBuf {
        socket(&self.kubelet.container_runtime_endpoint)
    }

    /// The CRI image socket's path.
    pub fn image_socket(&self) -> PathBuf {
        match self.kubelet.image_service_endpoint.as_str() {
            "" => self.runtime_socket(),
            endpoint => socket(endpoint),
        }
    }

    /// Where the headers of `staticPodURL` stand, readable for pod-lifecycle alone.
    pub fn url_header_path(&self) -> PathBuf {
        self.dir_of(Owner::PodLifecycle).join("static-pod-url-header.json")
    }

    /// Reads the headers for `staticPodURL`; none when the configuration names none.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn read_url_headers(&self) -> Result<RequestHeaders, ConfigError> {
        if self.kubelet.static_pod_url_header.is_empty() {
            return Ok(RequestHeaders::default());
        }
        let path = self.url_header_path();
        let text = fs::read(&path).map_err(|source| ConfigError::Read { path: path.clone(), source })?;
        serde_json::from_slice(&text).map_err(|source| ConfigError::NotNode { path, source })
    }
}

fn dir_of(root_dir: &Path) -> PathBuf {
    root_dir.join("bulkhead")
}

/// The path in a CRI endpoint. A path without scheme is accepted, as crictl and older kubelets do.
fn socket(endpoint: &str) -> PathBuf {
    endpoint.strip_prefix("unix://").unwrap_or(endpoint).into()
}
