//! The calls that start and stop a pod, as a kubelet makes them.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use hyper_util::rt::TokioIo;
use proto::runtime::v1::security_profile::ProfileType;
use proto::runtime::v1::{
    ContainerConfig, ContainerMetadata, CreateContainerRequest, DnsConfig, ImageSpec, KeyValue,
    LinuxContainerConfig, LinuxContainerResources, LinuxContainerSecurityContext, LinuxPodSandboxConfig,
    LinuxSandboxSecurityContext, Mount, NamespaceMode, NamespaceOption, PodSandboxConfig, PodSandboxMetadata,
    RemovePodSandboxRequest, RunPodSandboxRequest, SecurityProfile, StartContainerRequest,
    StopPodSandboxRequest, runtime_service_client::RuntimeServiceClient,
};
use tests::containerd::PAUSE;
use tests::dns;
use tokio::net::UnixStream;
use tonic::transport::{Channel, Endpoint, Uri};
use tower::service_fn;

use crate::floor::furniture::Room;
use crate::stage::NAMESPACE;

/// A client of the runtime.
pub(crate) struct Cri(RuntimeServiceClient<Channel>);

/// A pod that runs.
pub(crate) struct Started {
    pub(crate) room: Room,
    sandbox: String,
}

impl Cri {
    pub(crate) async fn connect(socket: &Path) -> Result<Self> {
        let socket = socket.to_owned();
        let dial = move |_: Uri| {
            let socket: PathBuf = socket.clone();
            async move { UnixStream::connect(socket).await.map(TokioIo::new) }
        };
        // The name is never looked up; the socket is all there is.
        let channel =
            Endpoint::from_static("http://runtime").connect_with_connector(service_fn(dial)).await?;
        Ok(Self(RuntimeServiceClient::new(channel)))
    }

    /// From nothing to a running container.
    pub(crate) async fn start(&self, room: Room) -> Result<Started> {
        let mut client = self.0.clone();
        let config = sandbox(&room);
        let request = RunPodSandboxRequest { config: Some(config.clone()), runtime_handler: String::new() };
        let answer = client.run_pod_sandbox(request).await;
        let sandbox = answer.with_context(|| format!("the sandbox of {}", room.name))?.into_inner();
        let sandbox = sandbox.pod_sandbox_id;
        let request = CreateContainerRequest {
            pod_sandbox_id: sandbox.clone(),
            config: Some(container(&room)),
            sandbox_config: Some(config),
        };
        let answer = client.create_container(request).await;
        let container = answer.with_context(|| format!("the container of {}", room.name))?.into_inner();
        let request = StartContainerRequest { container_id: container.container_id };
        client.start_container(request).await.with_context(|| format!("starting {}", room.name))?;
        Ok(Started { room, sandbox })
    }

    /// From running to nothing.
    pub(crate) async fn stop(&self, pod: &Started) -> Result<()> {
        let mut client = self.0.clone();
        let request = StopPodSandboxRequest { pod_sandbox_id: pod.sandbox.clone() };
        client.stop_pod_sandbox(request).await.with_context(|| format!("stopping {}", pod.room.name))?;
        let request = RemovePodSandboxRequest { pod_sandbox_id: pod.sandbox.clone() };
        client.remove_pod_sandbox(request).await.with_context(|| format!("removing {}", pod.room.name))?;
        Ok(())
    }
}

fn sandbox(room: &Room) -> PodSandboxConfig {
    PodSandboxConfig {
        metadata: Some(PodSandboxMetadata {
            name: room.name.clone(),
            uid: room.uid.clone(),
            namespace: NAMESPACE.to_owned(),
            attempt: 0,
        }),
        hostname: room.name.clone(),
        log_directory: room.logs.display().to_string(),
        dns_config: Some(DnsConfig { servers: vec![dns::SERVICE.to_owned()], ..DnsConfig::default() }),
        labels: labels(room),
        linux: Some(LinuxPodSandboxConfig {
            cgroup_parent: room.cgroup.clone(),
            security_context: Some(LinuxSandboxSecurityContext {
                namespace_options: Some(namespaces()),
                seccomp: Some(profile(ProfileType::RuntimeDefault)),
                ..LinuxSandboxSecurityContext::default()
            }),
            resources: Some(smallest()),
            ..LinuxPodSandboxConfig::default()
        }),
        ..PodSandboxConfig::default()
    }
}

fn container(room: &Room) -> ContainerConfig {
    let mut labels = labels(room);
    labels.insert("io.kubernetes.container.name".to_owned(), "pause".to_owned());
    ContainerConfig {
        metadata: Some(ContainerMetadata { name: "pause".to_owned(), attempt: 0 }),
        image: Some(ImageSpec { image: PAUSE.to_owned(), ..ImageSpec::default() }),
        envs: environment(),
        mounts: mounts(room),
        labels,
        log_path: "pause/0.log".to_owned(),
        linux: Some(LinuxContainerConfig {
            resources: Some(LinuxContainerResources { oom_score_adj: 1000, ..smallest() }),
            security_context: Some(LinuxContainerSecurityContext {
                namespace_options: Some(namespaces()),
                seccomp: Some(profile(ProfileType::Unconfined)),
                ..LinuxContainerSecurityContext::default()
            }),
        }),
        ..ContainerConfig::default()
    }
}

fn mounts(room: &Room) -> Vec<Mount> {
    let mount = |container: &str, host: PathBuf, readonly| Mount {
        container_path: container.to_owned(),
        host_path: host.display().to_string(),
        readonly,
        ..Mount::default()
    };
    vec![
        mount("/var/run/secrets/kubernetes.io/serviceaccount", room.token(), true),
        mount("/etc/hosts", room.hosts(), false),
        mount("/dev/termination-log", room.last_word(), false),
    ]
}

/// What every container is told of the API server's Service.
fn environment() -> Vec<KeyValue> {
    let variables = [
        ("KUBERNETES_SERVICE_HOST", "10.96.0.1"),
        ("KUBERNETES_SERVICE_PORT", "443"),
        ("KUBERNETES_SERVICE_PORT_HTTPS", "443"),
        ("KUBERNETES_PORT", "tcp://10.96.0.1:443"),
        ("KUBERNETES_PORT_443_TCP", "tcp://10.96.0.1:443"),
        ("KUBERNETES_PORT_443_TCP_PROTO", "tcp"),
        ("KUBERNETES_PORT_443_TCP_PORT", "443"),
    ];
    variables.map(|(key, value)| KeyValue { key: key.to_owned(), value: value.to_owned() }).to_vec()
}

fn labels(room: &Room) -> HashMap<String, String> {
    let labels = [
        ("io.kubernetes.pod.name", room.name.as_str()),
        ("io.kubernetes.pod.namespace", NAMESPACE),
        ("io.kubernetes.pod.uid", &room.uid),
    ];
    labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into()
}

/// A pod's network and IPC are its own and shared by its containers; processes are each container's.
fn namespaces() -> NamespaceOption {
    NamespaceOption { pid: NamespaceMode::Container.into(), ..NamespaceOption::default() }
}

fn profile(kind: ProfileType) -> SecurityProfile {
    SecurityProfile { profile_type: kind.into(), localhost_ref: String::new() }
}

/// What a pod that asks for nothing gets.
fn smallest() -> LinuxContainerResources {
    LinuxContainerResources { cpu_period: 100_000, cpu_shares: 2, ..LinuxContainerResources::default() }
}
