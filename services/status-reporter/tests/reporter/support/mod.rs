//! A reporter on a bus of its own, with the processes that it hears played by the test, in front of an API
//! server that keeps what it is told.

pub(crate) mod api_server;
pub(crate) mod said;

use api_server::ApiServer;
use chassis::{Bus, Service, config::NodeConfig, testing::BusServer};
use messages::{Owner, State};
use said::{machine, runtime};
use std::time::Duration;

/// Longer than anything here takes on a busy machine.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// A reporter, up while this lives.
pub(crate) struct Reporter {
    pub(crate) api: ApiServer,
    lifecycle: Service,
    bridge: Service,
    gate: Service,
    _others: (Service, Service),
    _bus: BusServer,
}

impl Reporter {
    /// A reporter in a cluster; `None` where there is no bus server to run it on.
    pub(crate) async fn start() -> Option<Self> {
        Self::with(|config| config.kubeconfig = Some("/etc/kubernetes/kubelet.conf".into())).await
    }

    /// The same with another configuration.
    pub(crate) async fn with(change: impl FnOnce(&mut NodeConfig)) -> Option<Self> {
        Self::after(change, |_| {}).await
    }

    /// The same, with something done before it begins.
    pub(crate) async fn after(
        change: impl FnOnce(&mut NodeConfig),
        prepare: impl FnOnce(&Service),
    ) -> Option<Self> {
        let bus = BusServer::start()?;
        // pod-lifecycle makes the streams of processes that may not do so themselves.
        let lifecycle = bus.service(Owner::PodLifecycle).await;
        let bridge = bus.service(Owner::CriBridge).await;
        let mounter = bus.service(Owner::VolumeMounter).await;
        let gate = bus.service(Owner::ApiGate).await;
        let service = bus
            .service_with(Owner::StatusReporter, |config| {
                config.node_ips = vec!["192.168.0.5".parse().unwrap()];
                change(config);
            })
            .await;
        let api = ApiServer::start(&chassis::api::socket(&service.config, Owner::StatusReporter)).await;
        prepare(&service);
        let running = service.clone();
        actix::spawn(async { status_reporter::run(running).await.unwrap() });
        Some(Self { api, lifecycle, bridge, gate, _others: (mounter, service), _bus: bus })
    }

    /// The machine and its runtime are well, and api-gate reaches the API server.
    pub(crate) async fn is_well(&self) {
        self.bridge.bus.say(&machine()).await;
        self.bridge.bus.say(&runtime()).await;
        self.gate.health.ready();
    }

    /// The node is registered and its lease is there.
    pub(crate) async fn is_registered(&self) {
        self.is_well().await;
        until("the node is registered", || self.api.object("leases/node-1").is_some()).await;
    }

    /// pod-lifecycle says this.
    pub(crate) async fn lifecycle_says<S: State>(&self, state: &S) {
        self.lifecycle.bus.say(state).await;
    }

    /// pod-lifecycle's place on the bus.
    pub(crate) fn lifecycle(&self) -> &Bus {
        &self.lifecycle.bus
    }

    /// cri-bridge's place on the bus.
    pub(crate) fn bridge(&self) -> &Service {
        &self.bridge
    }

    /// What the gate says of the API server.
    pub(crate) fn gate(&self) -> &Service {
        &self.gate
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
