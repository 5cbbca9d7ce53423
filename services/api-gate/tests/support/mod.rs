//! A gate on a bus of its own, in front of a scripted API server.

pub(crate) mod api_server;
pub(crate) mod peer;

use api_server::ApiServer;
use chassis::{Service, testing::BusServer};
use messages::Owner;
use std::{fs, path::PathBuf, time::Duration};
use tempfile::TempDir;

/// Longer than anything here takes on a busy machine.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

/// A gate, up while this lives.
pub(crate) struct Gate {
    service: Service,
    folder: TempDir,
    _bus: BusServer,
}

impl Gate {
    /// A gate whose kubeconfig leads to `server`; `None` where there is no bus server to run it on.
    pub(crate) async fn before(server: &ApiServer) -> Option<Self> {
        Self::with_budget(server, 0, 0).await
    }

    /// The same with `kubeAPIQPS` and `kubeAPIBurst`.
    pub(crate) async fn with_budget(server: &ApiServer, per_second: u32, burst: u32) -> Option<Self> {
        let bus = BusServer::start()?;
        let folder = tempfile::tempdir().unwrap();
        let kubeconfig = folder.path().join("kubelet.conf");
        fs::write(&kubeconfig, server.kubeconfig("token: first")).unwrap();
        let service = bus
            .service_with(Owner::ApiGate, |config| {
                config.kubeconfig = Some(kubeconfig);
                config.kubelet.kube_api_qps = per_second;
                config.kubelet.kube_api_burst = burst;
            })
            .await;
        let running = service.clone();
        actix::spawn(async { api_gate::run(running).await.unwrap() });
        let gate = Self { service, folder, _bus: bus };
        until("the socket is there", || gate.socket(Owner::StatusReporter).exists()).await;
        Some(gate)
    }

    /// Where a peer is served.
    pub(crate) fn socket(&self, owner: Owner) -> PathBuf {
        chassis::api::socket(&self.service.config, owner)
    }

    /// Whether the gate says that it is ready.
    pub(crate) fn is_ready(&self) -> bool {
        self.service.health.is_ready()
    }

    /// Writes other credentials into the kubeconfig.
    pub(crate) fn replace_credentials(&self, server: &ApiServer, user: &str) {
        fs::write(self.folder.path().join("kubelet.conf"), server.kubeconfig(user)).unwrap();
    }
}

/// Waits for a condition.
pub(crate) async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let waiting = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(tokio::time::timeout(DEADLINE, waiting).await.is_ok(), "in vain waited until {what}");
}
