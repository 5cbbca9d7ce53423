//! What the neighbours say, passed on as facts.

use super::{node::NodeActor, outbox::Notice, rows::Cause};
use crate::core::{
    life::Fact as LifeFact,
    roster::{Fact, Sighting},
    runtime::View,
    situation::NodeFacts,
};
use actix::{AsyncContext, Context, StreamHandler};
use chassis::{Bus, BusError, Heard, Hearing};
use messages::{
    BootTime, Key, Owner, PodUid,
    cri_bridge::{ContainerState, Runtime, RuntimePod},
    prober::{ProbeKind, Verdict},
    status_reporter::Node,
    volume_mounter::Volumes,
};
use opentelemetry::Context as TraceContext;

/// Everything that is heard.
#[derive(Debug)]
pub(crate) struct Hearings {
    runtime_pods: Hearing<RuntimePod>,
    volumes: Hearing<Volumes>,
    verdicts: Hearing<Verdict>,
    runtime: Hearing<Runtime>,
    node: Hearing<Node>,
}

impl Hearings {
    /// Begins to hear.
    ///
    /// # Errors
    /// When the catalog does not have one of them.
    pub(crate) async fn begin(bus: &Bus) -> Result<Self, BusError> {
        Ok(Self {
            runtime_pods: bus.hear().await?,
            volumes: bus.hear().await?,
            verdicts: bus.hear().await?,
            runtime: bus.hear().await?,
            node: bus.hear().await?,
        })
    }

    /// Hands all to the node's actor.
    pub(crate) fn attach(self, ctx: &mut Context<NodeActor>) {
        ctx.add_stream(self.runtime_pods);
        ctx.add_stream(self.volumes);
        ctx.add_stream(self.verdicts);
        ctx.add_stream(self.runtime);
        ctx.add_stream(self.node);
    }
}

/// A fact that a neighbour has said.
fn heard_of(fact: LifeFact, sent: BootTime, context: TraceContext) -> Notice {
    Notice { fact, cause: Cause { sent, context } }
}

/// The pod that a key is about.
fn pod_of(key: &Key) -> Option<PodUid> {
    key.tokens().first()?.as_str().parse().ok()
}

impl StreamHandler<Heard<RuntimePod>> for NodeActor {
    fn handle(&mut self, heard: Heard<RuntimePod>, ctx: &mut Context<Self>) {
        match heard {
            Heard::Value { state, said, context, .. } => {
                let (uid, is_empty) = (state.pod.clone(), View(Some(&state)).is_empty());
                let fact = if is_empty { Fact::Unseen(uid.clone()) } else { Fact::Seen(sighting(&state)) };
                if self.lives(&uid) {
                    let fact = LifeFact::Runtime(Some(Box::new(state)));
                    self.send(&uid, heard_of(fact, said, context), ctx);
                } else {
                    self.early.entry(uid).or_default().runtime = Some(Box::new(state));
                }
                self.step(fact, ctx);
            }
            Heard::Gone { key } => {
                let Some(uid) = pod_of(&key) else { return };
                self.early.entry(uid.clone()).and_modify(|early| early.runtime = None);
                self.send(&uid, LifeFact::Runtime(None), ctx);
                self.step(Fact::Unseen(uid), ctx);
            }
            Heard::Complete => self.on_complete(Owner::CriBridge, ctx),
        }
    }
}

fn sighting(pod: &RuntimePod) -> Sighting {
    let runs = pod.containers.iter().any(|it| it.state == ContainerState::Running);
    let (namespace, name) = (pod.namespace.clone(), pod.name.clone());
    Sighting { uid: pod.pod.clone(), namespace, name, runs }
}

impl StreamHandler<Heard<Volumes>> for NodeActor {
    fn handle(&mut self, heard: Heard<Volumes>, ctx: &mut Context<Self>) {
        match heard {
            Heard::Value { state, said, context, .. } => {
                let uid = state.pod.clone();
                if self.lives(&uid) {
                    let fact = LifeFact::Volumes(Some(Box::new(state)));
                    self.send(&uid, heard_of(fact, said, context), ctx);
                } else {
                    self.early.entry(uid).or_default().volumes = Some(Box::new(state));
                }
            }
            Heard::Gone { key } => {
                let Some(uid) = pod_of(&key) else { return };
                self.early.entry(uid.clone()).and_modify(|early| early.volumes = None);
                self.send(&uid, LifeFact::Volumes(None), ctx);
            }
            Heard::Complete => self.on_complete(Owner::VolumeMounter, ctx),
        }
    }
}

impl StreamHandler<Heard<Verdict>> for NodeActor {
    fn handle(&mut self, heard: Heard<Verdict>, ctx: &mut Context<Self>) {
        match heard {
            Heard::Value { state, said, context, .. } => {
                let (uid, about) = (state.pod.clone(), (state.container.to_string(), state.probe));
                if self.lives(&uid) {
                    self.send(&uid, heard_of(LifeFact::Verdict(Box::new(state)), said, context), ctx);
                } else {
                    self.early.entry(uid).or_default().verdicts.insert(about, Box::new(state));
                }
            }
            Heard::Gone { key } => {
                let Some((uid, container, probe)) = verdict_of(&key) else { return };
                let about = (container.clone(), probe);
                self.early.entry(uid.clone()).and_modify(|early| drop(early.verdicts.remove(&about)));
                self.send(&uid, LifeFact::NoVerdict { container, probe }, ctx);
            }
            // A verdict that is not there decides nothing.
            Heard::Complete => {}
        }
    }
}

fn verdict_of(key: &Key) -> Option<(PodUid, String, ProbeKind)> {
    let [pod, container, probe] = key.tokens() else { return None };
    let probe = ProbeKind::ALL.into_iter().find(|kind| kind.name() == probe.as_str())?;
    Some((pod.as_str().parse().ok()?, container.to_string(), probe))
}

impl StreamHandler<Heard<Runtime>> for NodeActor {
    fn handle(&mut self, heard: Heard<Runtime>, ctx: &mut Context<Self>) {
        if let Heard::Value { state, .. } = heard {
            let facts = with_runtime(&self.facts, &state);
            self.learn(facts, ctx);
        }
    }
}

impl StreamHandler<Heard<Node>> for NodeActor {
    fn handle(&mut self, heard: Heard<Node>, ctx: &mut Context<Self>) {
        if let Heard::Value { state, .. } = heard {
            let facts = NodeFacts { host_ips: internal_ips(&state), ..self.facts.clone() };
            self.learn(facts, ctx);
            self.step(Fact::Node(state.object), ctx);
        }
    }
}

impl NodeActor {
    fn learn(&mut self, facts: NodeFacts, ctx: &mut Context<Self>) {
        if self.facts != facts {
            self.facts = facts;
            self.send_all(&LifeFact::Node(self.facts.clone()), ctx);
        }
    }
}

fn with_runtime(facts: &NodeFacts, runtime: &Runtime) -> NodeFacts {
    let fails = |kind: &str| runtime.conditions.iter().find(|it| it.kind == kind && !it.holds);
    let network = fails("NetworkReady").map(|it| {
        let (reason, message) = (&it.reason, &it.message);
        format!("container runtime network not ready: NetworkReady=false reason:{reason} message:{message}")
    });
    let usual = runtime.handlers.iter().find(|handler| handler.name.is_empty());
    NodeFacts {
        runtime_name: Some(runtime.name.clone())
            .filter(|name| !name.is_empty())
            .unwrap_or_else(|| facts.runtime_name.clone()),
        runtime_ready: runtime.reachable && fails("RuntimeReady").is_none(),
        network_fault: network,
        recursive_read_only: usual.is_some_and(|handler| handler.recursive_read_only_mounts),
        ..facts.clone()
    }
}

/// The node's own addresses, in the order in which it has them.
fn internal_ips(node: &Node) -> Vec<String> {
    let addresses = node.object.status.iter().flat_map(|status| status.addresses.iter().flatten());
    addresses.filter(|address| address.type_ == "InternalIP").map(|address| address.address.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use messages::{
        Token,
        cri_bridge::{Condition, RuntimeHandler},
    };

    fn runtime(reachable: bool, conditions: &[(&str, bool)]) -> Runtime {
        let condition = |(kind, holds): &(&str, bool)| Condition {
            kind: (*kind).into(),
            holds: *holds,
            reason: "NetworkPluginNotReady".into(),
            message: "cni plugin not initialized".into(),
        };
        Runtime {
            reachable,
            error: String::new(),
            name: "containerd".into(),
            version: "2".into(),
            conditions: conditions.iter().map(condition).collect(),
            handlers: vec![RuntimeHandler {
                name: String::new(),
                recursive_read_only_mounts: true,
                user_namespaces: false,
            }],
            supplemental_groups_policy: false,
            events: true,
            cgroup_driver: "cgroupfs".into(),
        }
    }

    #[test]
    fn the_runtime_is_asked_only_when_it_answers_and_is_ready() {
        let cases = [
            ("all is well", runtime(true, &[("RuntimeReady", true), ("NetworkReady", true)]), (true, false)),
            ("it does not answer", runtime(false, &[("RuntimeReady", true)]), (false, false)),
            ("it is not ready", runtime(true, &[("RuntimeReady", false)]), (false, false)),
            ("it has no network", runtime(true, &[("NetworkReady", false)]), (true, true)),
        ];
        for (sentence, runtime, want) in cases {
            let facts = with_runtime(&NodeFacts::default(), &runtime);
            assert_eq!((facts.runtime_ready, facts.network_fault.is_some()), want, "{sentence}");
            assert!(facts.recursive_read_only && facts.runtime_name == "containerd");
        }
    }

    #[test]
    fn a_verdicts_key_is_taken_apart() {
        let token = |text: &str| text.parse::<Token>().unwrap();
        let key = Key::from([token("u"), token("app"), token("readiness")]);
        assert_eq!(verdict_of(&key), Some(("u".parse().unwrap(), "app".into(), ProbeKind::Readiness)));
        for odd in [Key::none(), Key::from([token("u"), token("app"), token("odd")])] {
            assert_eq!(verdict_of(&odd), None);
        }
    }
}
