//! pod-lifecycle and the pods, as the tests of the whole service play them.

use chassis::{Bus, Heard, Hearing, Service, testing::BusServer};
use futures::FutureExt;
use k8s_openapi::{api::core::v1 as core, apimachinery::pkg::util::intstr::IntOrString};
use messages::{
    Owner, PodUid,
    pod_lifecycle::{ContainerKind, ProbedContainer, Probes},
    prober::{Finding, ProbeKind, Verdict},
};
use std::{collections::BTreeMap, time::Duration};
use tokio::{net::TcpListener, time::timeout};

/// Long enough for a machine that does much else.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// pod-lifecycle as the test plays it, and the verdicts it hears.
pub(crate) struct Lifecycle {
    pub(crate) bus: Bus,
    verdicts: Hearing<Verdict>,
}

impl Lifecycle {
    pub(crate) async fn on(server: &BusServer) -> Self {
        let bus = server.bus(Owner::PodLifecycle).await;
        let verdicts = bus.hear().await.unwrap();
        Self { bus, verdicts }
    }

    pub(crate) async fn say(&self, probes: &Probes) {
        self.bus.say(probes).await;
        self.bus.complete::<Probes>().await;
    }

    /// The next thing heard that `wanted` makes something of.
    pub(crate) async fn expect<T>(&mut self, what: &str, wanted: impl Fn(&Heard<Verdict>) -> Option<T>) -> T {
        let mut last = String::from("nothing");
        let found = timeout(PATIENCE, async {
            loop {
                let heard = self.verdicts.next().await;
                if let Some(found) = wanted(&heard) {
                    return found;
                }
                last = format!("{heard:?}");
            }
        });
        found.await.unwrap_or_else(|_| panic!("{what} was not heard; last: {last}"))
    }

    pub(crate) async fn expect_finding(&mut self, finding: Finding) -> Verdict {
        let wanted = |heard: &Heard<Verdict>| match heard {
            Heard::Value { state, .. } if state.finding == finding => Some(state.clone()),
            _ => None,
        };
        self.expect(&format!("{finding:?}"), wanted).await
    }
}

pub(crate) fn uid() -> PodUid {
    "0b2c6f1e-7a3d-4d52-9a2b-2f6f0f5b1a11".parse().unwrap()
}

pub(crate) fn pod(kind: ProbeKind, probe: core::Probe) -> Probes {
    let container = ProbedContainer {
        name: "app".parse().unwrap(),
        kind: ContainerKind::Regular,
        container_id: Some("c1".into()),
        running: true,
        started_at: chassis::clock::now_unix(),
        started: kind != ProbeKind::Startup,
        probes: BTreeMap::from([(kind, probe)]),
        ports: BTreeMap::new(),
    };
    Probes {
        pod: uid(),
        namespace: "default".into(),
        name: "web".into(),
        ip: Some("127.0.0.1".into()),
        terminating: false,
        containers: vec![container],
    }
}

fn every_second() -> core::Probe {
    core::Probe { period_seconds: Some(1), failure_threshold: Some(1), ..Default::default() }
}

pub(crate) fn tcp(port: u16) -> core::Probe {
    let action = core::TCPSocketAction { port: IntOrString::Int(port.into()), host: None };
    core::Probe { tcp_socket: Some(action), ..every_second() }
}

pub(crate) fn exec() -> core::Probe {
    let action = core::ExecAction { command: Some(vec!["cat".into(), "/healthy".into()]) };
    core::Probe { exec: Some(action), ..every_second() }
}

pub(crate) async fn listen() -> (TcpListener, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

pub(crate) fn run(service: &Service) {
    actix::spawn(prober::run(service.clone()).map(|ended| ended.unwrap()));
}
