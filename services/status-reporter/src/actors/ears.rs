//! What is heard on the bus, handed to the actors whom it concerns.

use super::{
    ApiIsBack,
    node::{Node, Told},
    pods::{self, Pods},
};
use crate::core::node::Fact;
use actix::Addr;
use chassis::{Bus, BusError, Heard, Hearing};
use messages::{
    Owner, State,
    cri_bridge::{Machine, Runtime},
    health::Health,
    pod_lifecycle::Status,
    volume_mounter::InUse,
};

/// Whose silence is noticed.
const COMPARTMENTS: [Owner; 6] = [
    Owner::CriBridge,
    Owner::NodeApi,
    Owner::PodLifecycle,
    Owner::Prober,
    Owner::TraceRecorder,
    Owner::VolumeMounter,
];

/// Begins to hear everything that the node object is composed from.
///
/// # Errors
/// When the catalog does not let this process hear it.
pub(crate) async fn of_node(bus: &Bus, node: &Addr<Node>) -> Result<(), BusError> {
    facts(bus.hear().await?, node, |machine: Machine| Fact::Machine(Box::new(machine)));
    facts(bus.hear().await?, node, |runtime: Runtime| Fact::Runtime(Box::new(runtime)));
    facts(bus.hear().await?, node, |in_use: InUse| Fact::InUse(in_use.volumes));
    for owner in COMPARTMENTS {
        facts(bus.hear_from(owner).await?, node, move |health: Health| Fact::Heard(owner, health.at));
    }
    of_gate(bus.hear_from(Owner::ApiGate).await?, node.clone());
    Ok(())
}

/// Begins to hear the pods' statuses.
///
/// # Errors
/// When the catalog does not let this process hear them.
pub(crate) async fn of_pods(bus: &Bus, pods: &Addr<Pods>) -> Result<(), BusError> {
    let (mut statuses, pods) = (bus.hear::<Status>().await?, pods.clone());
    actix::spawn(async move {
        // Waits for the actor, so that the bus is made to wait when there is too much. It ends with it.
        while pods.send(pods::HeardStatus(statuses.next().await)).await.is_ok() {}
    });
    Ok(())
}

fn facts<S: State>(mut hearing: Hearing<S>, node: &Addr<Node>, fact: impl Fn(S) -> Fact + 'static) {
    let node = node.clone();
    actix::spawn(async move {
        loop {
            if let Heard::Value { state, .. } = hearing.next().await
                && node.send(Told(fact(state))).await.is_err()
            {
                return;
            }
        }
    });
}

/// Tells when the gate says that the API server answers again, so that nobody waits for his pause to end.
fn of_gate(mut hearing: Hearing<Health>, node: Addr<Node>) {
    actix::spawn(async move {
        let mut was_ready = false;
        loop {
            if let Heard::Value { state, .. } = hearing.next().await {
                let is_back = state.ready && !std::mem::replace(&mut was_ready, state.ready);
                if is_back && node.send(ApiIsBack).await.is_err() {
                    return;
                }
            }
        }
    });
}
