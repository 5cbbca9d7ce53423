//! The calls, one method each.

use super::{Containerd, RuntimeError, answered, traced};
use crate::core::labels;
use futures::{Stream, TryStreamExt};
use messages::PodUid;
use proto::runtime::v1 as cri;
use std::{collections::HashMap, time::Duration};

/// What we say when asked for our version; runtimes do not look at it.
const VERSION: &str = "0.1.0";

/// How much longer than other calls making a sandbox may take: CNI plugins are slow.
const SANDBOX_FACTOR: u32 = 2;

type Result<T> = std::result::Result<T, RuntimeError>;

macro_rules! calls {
    ($($(#[$doc:meta])* $method:ident($service:ident.$rpc:ident: $request:ident) -> $response:ident, $name:literal;)*) => {
        impl Containerd {
            $($(#[$doc])*
            ///
            /// # Errors
            /// See [`RuntimeError`].
            pub async fn $method(&self, request: cri::$request) -> Result<cri::$response> {
                let mut client = self.$service.clone();
                answered($name, Some(self.patience), client.$rpc(traced(request))).await
            })*
        }
    };
}

calls! {
    /// Where to connect for a command in a container.
    exec(runtime.exec: ExecRequest) -> ExecResponse, "Exec";
    /// Where to connect for a container's own streams.
    attach(runtime.attach: AttachRequest) -> AttachResponse, "Attach";
    /// Where to connect for a sandbox's ports.
    port_forward(runtime.port_forward: PortForwardRequest) -> PortForwardResponse, "PortForward";
}

impl Containerd {
    /// Who the runtime is.
    ///
    /// # Errors
    /// See [`RuntimeError`].
    pub async fn version(&self) -> Result<cri::VersionResponse> {
        let request = traced(cri::VersionRequest { version: VERSION.to_owned() });
        answered("Version", Some(self.patience), self.runtime.clone().version(request)).await
    }

    /// What it can do and whether it is ready. Given up early, because it is asked every few seconds.
    ///
    /// # Errors
    /// See [`RuntimeError`].
    pub async fn status(&self, patience: Duration) -> Result<cri::StatusResponse> {
        let request = traced(cri::StatusRequest { verbose: false });
        answered("Status", Some(patience), self.runtime.clone().status(request)).await
    }

    /// The cgroup driver that the runtime is set to; `None` where it does not tell.
    ///
    /// # Errors
    /// See [`RuntimeError`].
    pub async fn cgroup_driver(&self) -> Result<Option<cri::CgroupDriver>> {
        let request = traced(cri::RuntimeConfigRequest {});
        let mut client = self.runtime.clone();
        match answered("RuntimeConfig", Some(self.patience), client.runtime_config(request)).await {
            Ok(config) => Ok(config.linux.map(|linux| linux.cgroup_driver())),
            Err(error) if error.is_unimplemented() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Runtime events from now on. The stream lives as long as the runtime.
    ///
    /// # Errors
    /// See [`RuntimeError`]; unimplemented before containerd 1.7.
    pub async fn events(&self) -> Result<impl Stream<Item = Result<cri::ContainerEventResponse>> + use<>> {
        const CALL: &str = "GetContainerEvents";
        let request = traced(cri::GetEventsRequest {});
        let mut client = self.runtime.clone();
        let events = answered(CALL, None, client.get_container_events(request)).await?;
        Ok(events.map_err(|status| RuntimeError::Said { call: CALL, status: Box::new(status) }))
    }

    /// All sandboxes, or those of one pod.
    ///
    /// # Errors
    /// See [`RuntimeError`].
    pub async fn list_sandboxes(&self, pod: Option<&PodUid>) -> Result<Vec<cri::PodSandbox>> {
        let filter = cri::PodSandboxFilter { label_selector: selector(pod), ..Default::default() };
        let request = traced(cri::ListPodSandboxRequest { filter: Some(filter) });
        let mut client = self.runtime.clone();
        let answer =
            answered("ListPodSandbox", Some(self.patience), client.list_pod_sandbox(request)).await?;
        Ok(answer.items)
    }

    /// All containers, or those of one pod.
    ///
    /// # Errors
    /// See [`RuntimeError`].
    pub async fn list_containers(&self, pod: Option<&PodUid>) -> Result<Vec<cri::Container>> {
        let filter = cri::ContainerFilter { label_selector: selector(pod), ..Default::default() };
        let request = traced(cri::ListContainersRequest { filter: Some(filter) });
        let mut client = self.runtime.clone();
        let answer = answered("ListContainers", Some(self.patience), client.list_containers(request)).await?;
        Ok(answer.containers)
    }

    /// A sandbox; `None` when it is gone.
    ///
    /// # Errors
    /// See [`RuntimeError`].
    pub async fn sandbox_status(&self, id: &str) -> Result<Option<cri::PodSandboxStatus>> {
        let request = traced(cri::PodSandboxStatusRequest { pod_sandbox_id: id.to_owned(), verbose: false });
        let mut client = self.runtime.clone();
        let asked =
            answered("PodSandboxStatus", Some(self.patience), client.pod_sandbox_status(request)).await;
        Ok(found(asked)?.and_then(|answer| answer.status))
    }

    /// A container; `None` when it is gone.
    ///
    /// # Errors
    /// See [`RuntimeError`].
    pub async fn container_status(&self, id: &str) -> Result<Option<cri::ContainerStatus>> {
        let request = traced(cri::ContainerStatusRequest { container_id: id.to_owned(), verbose: false });
        let mut client = self.runtime.clone();
        let asked = answered("ContainerStatus", Some(self.patience), client.container_status(request)).await;
        Ok(found(asked)?.and_then(|answer| answer.status))
    }

    /// What the runtime tells of a container beyond the contract; empty when the container is gone.
    ///
    /// # Errors
    /// See [`RuntimeError`].
    pub async fn container_info(&self, id: &str) -> Result<HashMap<String, String>> {
        let request = traced(cri::ContainerStatusRequest { container_id: id.to_owned(), verbose: true });
        let mut client = self.runtime.clone();
        let asked = answered("ContainerStatus", Some(self.patience), client.container_status(request)).await;
        Ok(found(asked)?.map(|answer| answer.info).unwrap_or_default())
    }

    /// Makes and starts a sandbox; tells its id.
    ///
    /// # Errors
    /// See [`RuntimeError`].
    pub async fn run_sandbox(&self, config: cri::PodSandboxConfig, handler: String) -> Result<String> {
        let request = traced(cri::RunPodSandboxRequest { config: Some(config), runtime_handler: handler });
        let patience = Some(self.patience * SANDBOX_FACTOR);
        let mut client = self.runtime.clone();
        Ok(answered("RunPodSandbox", patience, client.run_pod_sandbox(request)).await?.pod_sandbox_id)
    }

    /// Stops a sandbox and everything in it. One that is gone is stopped.
    ///
    /// # Errors
    /// See [`RuntimeError`].
    pub async fn stop_sandbox(&self, id: &str) -> Result<()> {
        let request = traced(cri::StopPodSandboxRequest { pod_sandbox_id: id.to_owned() });
        let mut client = self.runtime.clone();
        found(answered("StopPodSandbox", Some(self.patience), client.stop_pod_sandbox(request)).await)
            .map(drop)
    }

    /// Removes a sandbox. One that is gone is removed.
    ///
    /// # Errors
    /// See [`RuntimeError`].
    pub async fn remove_sandbox(&self, id: &str) -> Result<()> {
        let request = traced(cri::RemovePodSandboxRequest { pod_sandbox_id: id.to_owned() });
        let mut client = self.runtime.clone();
        found(answered("RemovePodSandbox", Some(self.patience), client.remove_pod_sandbox(request)).await)
            .map(drop)
    }

    /// Makes a container; tells its id.
    ///
    /// # Errors
    /// See [`RuntimeError`].
    pub async fn create_container(
        &self,
        sandbox: &str,
        config: cri::ContainerConfig,
        sandbox_config: cri::PodSandboxConfig,
    ) -> Result<String> {
        let request = traced(cri::CreateContainerRequest {
            pod_sandbox_id: sandbox.to_owned(),
            config: Some(config),
            sandbox_config: Some(sandbox_config),
        });
        let mut client = self.runtime.clone();
        Ok(answered("CreateContainer", Some(self.patience), client.create_container(request))
            .await?
            .container_id)
    }

    /// Starts a container.
    ///
    /// # Errors
    /// See [`RuntimeError`].
    pub async fn start_container(&self, id: &str) -> Result<()> {
        let request = traced(cri::StartContainerRequest { container_id: id.to_owned() });
        let mut client = self.runtime.clone();
        answered("StartContainer", Some(self.patience), client.start_container(request)).await.map(drop)
    }

    /// Stops a container, with force after so many seconds. One that is gone is stopped.
    ///
    /// # Errors
    /// See [`RuntimeError`].
    pub async fn stop_container(&self, id: &str, grace_seconds: u64) -> Result<()> {
        let seconds = i64::try_from(grace_seconds).unwrap_or(i64::MAX);
        let request = traced(cri::StopContainerRequest { container_id: id.to_owned(), timeout: seconds });
        let patience = self.patience.saturating_add(Duration::from_secs(grace_seconds));
        let mut client = self.runtime.clone();
        found(answered("StopContainer", Some(patience), client.stop_container(request)).await).map(drop)
    }

    /// Removes a container. One that is gone is removed.
    ///
    /// # Errors
    /// See [`RuntimeError`].
    pub async fn remove_container(&self, id: &str) -> Result<()> {
        let request = traced(cri::RemoveContainerRequest { container_id: id.to_owned() });
        let mut client = self.runtime.clone();
        found(answered("RemoveContainer", Some(self.patience), client.remove_container(request)).await)
            .map(drop)
    }

    /// Has the runtime open a container's log anew, under its old name.
    ///
    /// # Errors
    /// See [`RuntimeError`].
    pub async fn reopen_log(&self, id: &str) -> Result<()> {
        let request = traced(cri::ReopenContainerLogRequest { container_id: id.to_owned() });
        let mut client = self.runtime.clone();
        answered("ReopenContainerLog", Some(self.patience), client.reopen_container_log(request))
            .await
            .map(drop)
    }

    /// Runs a command in a container and waits for it, for ever without a limit.
    ///
    /// # Errors
    /// See [`RuntimeError`].
    pub async fn exec_sync(
        &self,
        id: &str,
        command: Vec<String>,
        limit: Option<Duration>,
    ) -> Result<cri::ExecSyncResponse> {
        let timeout = limit.map_or(0, |limit| i64::try_from(limit.as_secs()).unwrap_or(i64::MAX));
        let request = traced(cri::ExecSyncRequest { container_id: id.to_owned(), cmd: command, timeout });
        let patience = limit.map(|limit| self.patience.saturating_add(limit));
        answered("ExecSync", patience, self.runtime.clone().exec_sync(request)).await
    }

    /// All images.
    ///
    /// # Errors
    /// See [`RuntimeError`].
    pub async fn list_images(&self) -> Result<Vec<cri::Image>> {
        let request = traced(cri::ListImagesRequest { filter: None });
        Ok(answered("ListImages", Some(self.patience), self.images.clone().list_images(request))
            .await?
            .images)
    }

    /// An image; `None` when the runtime does not have it.
    ///
    /// # Errors
    /// See [`RuntimeError`].
    pub async fn image_status(&self, image: cri::ImageSpec) -> Result<Option<cri::Image>> {
        let request = traced(cri::ImageStatusRequest { image: Some(image), verbose: false });
        let mut client = self.images.clone();
        Ok(answered("ImageStatus", Some(self.patience), client.image_status(request)).await?.image)
    }

    /// Pulls an image, however long it takes; tells what the runtime calls it.
    ///
    /// # Errors
    /// See [`RuntimeError`].
    pub async fn pull_image(&self, request: cri::PullImageRequest) -> Result<String> {
        Ok(answered("PullImage", None, self.images.clone().pull_image(traced(request))).await?.image_ref)
    }
}

fn selector(pod: Option<&PodUid>) -> HashMap<String, String> {
    pod.map(labels::selector).unwrap_or_default()
}

/// What is gone is no error to whoever wants it gone or asks for it.
fn found<T>(asked: Result<T>) -> Result<Option<T>> {
    match asked {
        Ok(answer) => Ok(Some(answer)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}
