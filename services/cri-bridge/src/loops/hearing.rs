//! Hearing the others: pods, volumes and the node object, and serving commands.

use crate::{
    actors::{
        pod::{Open, Probe},
        relay::{PodHeard, Relay, Route, VolumesHeard, Whose},
    },
    adapters::machine::Hardware,
    config::Settings,
    core::{cgroup::Hierarchy, ledger::Ask, node::Node},
    ports::World,
};
use actix::Addr;
use chassis::{Bus, BusError, Heard, Hearing, Serving};
use messages::{
    Decision, Key, PodUid, Refusal,
    cri_bridge::{
        EnsureSandbox, ExecProbe, ExecProbeReply, ForgetPod, OpenStream, OpenStreamReply, PullImage,
        StartContainer, StopContainer, StopPod,
    },
    pod_lifecycle::Pod,
    status_reporter,
    volume_mounter::Volumes,
};
use std::sync::Arc;
use tokio::sync::watch;

/// Commands of one type in hand at once: several for each of a node's pods.
const COMMANDS: usize = 1024;

/// Passes on what pod-lifecycle says of pods, for ever.
pub async fn pods(mut hearing: Hearing<Pod>, relay: Addr<Relay>) {
    loop {
        let heard = match hearing.next().await {
            Heard::Value { state, .. } => Some(PodHeard(state.pod.clone(), Some(state))),
            Heard::Gone { key } => pod_of(&key).map(|pod| PodHeard(pod, None)),
            Heard::Complete => None,
        };
        if let Some(heard) = heard {
            // Fails only when the process is ending.
            let _ = relay.send(heard).await;
        }
    }
}

/// Passes on what volume-mounter says of pods' volumes, for ever.
pub async fn volumes(mut hearing: Hearing<Volumes>, relay: Addr<Relay>) {
    loop {
        let heard = match hearing.next().await {
            Heard::Value { state, .. } => Some(VolumesHeard(state.pod.clone(), Some(state))),
            Heard::Gone { key } => pod_of(&key).map(|pod| VolumesHeard(pod, None)),
            Heard::Complete => None,
        };
        if let Some(heard) = heard {
            // Fails only when the process is ending.
            let _ = relay.send(heard).await;
        }
    }
}

fn pod_of(key: &Key) -> Option<PodUid> {
    key.tokens().first()?.as_str().parse().ok()
}

/// What the node's facts are made of, besides the Node object.
pub struct Facts {
    /// Settings.
    pub settings: Settings,
    /// The machine.
    pub hardware: Hardware,
    /// cgroup v1 or v2.
    pub hierarchy: Hierarchy,
}

impl Facts {
    /// Of this world, on this machine.
    pub fn of(world: &World, hardware: Hardware) -> Self {
        Self { settings: world.settings.clone(), hardware, hierarchy: world.cgroups.hierarchy() }
    }
}

/// Keeps the node's facts up to date with the Node object, for ever.
pub async fn node(
    mut hearing: Hearing<status_reporter::Node>,
    facts: Facts,
    known: watch::Sender<Arc<Node>>,
) {
    loop {
        let Heard::Value { state, .. } = hearing.next().await else { continue };
        known.send_if_modified(|node| {
            let Facts { settings, hardware, hierarchy } = &facts;
            let (layout, rro_handlers) = (node.layout.clone(), node.rro_handlers.clone());
            let now = settings.node(hardware, *hierarchy, layout, Some(&state.object));
            let now = Node { rro_handlers, ..now };
            let changed = **node != now;
            *node = Arc::new(now);
            changed
        });
    }
}

/// Serves every command, for as long as the result is kept.
///
/// # Errors
/// When the bus refuses.
pub async fn serve(bus: &Bus, relay: &Addr<Relay>) -> Result<Vec<Serving>, BusError> {
    Ok(vec![
        serve_deed(bus, relay, |it: PullImage| (it.pod, it.decision, Ask::Pull { container: it.container }))
            .await?,
        serve_deed(bus, relay, |it: EnsureSandbox| {
            let EnsureSandbox { pod, decision, attempt, volumes_first } = it;
            (pod, decision, Ask::Sandbox { attempt, volumes_first })
        })
        .await?,
        serve_deed(bus, relay, |it: StartContainer| {
            let StartContainer { pod, decision, container, kind, attempt } = it;
            (pod, decision, Ask::Start { container, kind, attempt })
        })
        .await?,
        serve_deed(bus, relay, |it: StopContainer| {
            let StopContainer { pod, decision, container, container_id, grace_seconds, why } = it;
            (pod, decision, Ask::Stop { container, container_id, grace_seconds, why })
        })
        .await?,
        serve_deed(bus, relay, |it: StopPod| {
            (it.pod, it.decision, Ask::StopPod { grace_seconds: it.grace_seconds })
        })
        .await?,
        serve_deed(bus, relay, |it: ForgetPod| {
            (it.pod, it.decision, Ask::Forget { remove_containers: it.remove_containers })
        })
        .await?,
        serve_probes(bus, relay.clone()).await?,
        serve_streams(bus, relay.clone()).await?,
    ])
}

async fn serve_deed<C>(
    bus: &Bus,
    relay: &Addr<Relay>,
    deed: impl Fn(C) -> (PodUid, Decision, Ask) + Copy + 'static,
) -> Result<Serving, BusError>
where
    C: messages::Command<Reply = messages::Outcome>,
{
    let relay = relay.clone();
    bus.serve_up_to(COMMANDS, move |asked: chassis::Asked<C>| {
        let (pod, decision, ask) = deed(asked.command);
        let routed = relay.send(Route { pod, ask, decision, span: asked.caller_span });
        async move { routed.await.unwrap_or_else(|_| C::refuse(Refusal::Unavailable)) }
    })
    .await
}

async fn serve_probes(bus: &Bus, relay: Addr<Relay>) -> Result<Serving, BusError> {
    bus.serve_up_to(COMMANDS, move |asked: chassis::Asked<ExecProbe>| {
        let relay = relay.clone();
        async move {
            let refuse = |refusal| ExecProbeReply::Refused { refusal };
            let Ok(Some(pod)) = relay.send(Whose(asked.command.pod.clone())).await else {
                return refuse(Refusal::Unknown { what: "the pod".to_owned() });
            };
            pod.send(Probe(asked.command)).await.unwrap_or_else(|_| refuse(Refusal::Unavailable))
        }
    })
    .await
}

async fn serve_streams(bus: &Bus, relay: Addr<Relay>) -> Result<Serving, BusError> {
    bus.serve(move |asked: chassis::Asked<OpenStream>| {
        let relay = relay.clone();
        async move {
            let refuse = |refusal| OpenStreamReply::Refused { refusal };
            let Ok(Some(pod)) = relay.send(Whose(asked.command.pod.clone())).await else {
                return refuse(Refusal::Unknown { what: "the pod".to_owned() });
            };
            pod.send(Open(asked.command)).await.unwrap_or_else(|_| refuse(Refusal::Unavailable))
        }
    })
    .await
}
