//! Everything that the node object is composed from, as it was last heard.

use super::{
    compose::{self, Facts},
    conditions::{self, Wanted},
    pressure::DiskPressure,
    ready::{self, RuntimeSeen},
    silence::{self, Ears},
};
use chassis::config::NodeConfig;
use k8s_openapi::api::core::v1::{Node, NodeCondition, NodeStatus};
use messages::{
    BootTime,
    cri_bridge::{Machine, Runtime},
};
use std::{net::IpAddr, sync::Arc};

/// The machine, the runtime and the other processes.
#[derive(Debug)]
pub(super) struct Situation {
    config: Arc<NodeConfig>,
    machine: Option<Machine>,
    addresses: Option<Vec<IpAddr>>,
    runtime: RuntimeSeen,
    in_use: Vec<String>,
    ears: Ears,
    disk: DiskPressure,
    /// When something was last heard; there is something at least every 10 s.
    heard_at: BootTime,
}

impl Situation {
    pub(super) fn new(config: Arc<NodeConfig>, now: BootTime) -> Self {
        Self {
            config,
            machine: None,
            addresses: None,
            runtime: RuntimeSeen::default(),
            in_use: Vec::new(),
            ears: Ears::new(now),
            disk: DiskPressure::default(),
            heard_at: now,
        }
    }

    /// Something is about to be heard. Who has slept himself has heard nobody, and blames nobody.
    pub(super) fn wake(&mut self, now: BootTime) {
        if now.since(self.heard_at) > silence::PATIENCE {
            self.ears.forgive(now);
        }
        self.heard_at = now;
    }

    pub(super) fn machine(&mut self, now: BootTime, machine: Machine) {
        self.disk.measure(now, &machine.nodefs, &self.config.kubelet);
        self.machine = Some(machine);
    }

    pub(super) fn runtime(&mut self, now: BootTime, runtime: Runtime) {
        self.runtime.see(now, runtime);
    }

    pub(super) fn in_use(&mut self, volumes: Vec<String>) {
        self.in_use = volumes;
    }

    pub(super) fn addresses(&mut self, addresses: Vec<IpAddr>) {
        self.addresses = Some(addresses);
    }

    pub(super) fn ears(&mut self) -> &mut Ears {
        &mut self.ears
    }

    pub(super) fn cgroup_version(&self) -> Option<u8> {
        self.machine.as_ref().map(|machine| machine.cgroup_version)
    }

    /// The status without conditions; none before the machine and its addresses are known. Addresses that an
    /// external cloud provider has written stay as they are.
    pub(super) fn status(&self, accepted: Option<&Node>) -> Option<NodeStatus> {
        let mut status = compose::status(self.facts()?);
        let written = accepted.and_then(|node| node.status.as_ref()?.addresses.clone());
        if self.config.external_cloud_provider && written.as_ref().is_some_and(|written| !written.is_empty())
        {
            status.addresses = written;
        }
        Some(status)
    }

    /// The conditions that follow; `known` are those that hold so far.
    pub(super) fn wanted(&self, now: BootTime, known: &[NodeCondition]) -> Vec<Wanted> {
        let faults = ready::faults(now, &self.runtime, &self.ears, conditions::say_ready(known));
        let ready = if faults.is_empty() { Ok(()) } else { Err(ready::message(&faults)) };
        conditions::wanted(self.disk.holds(now, &self.config.kubelet), ready)
    }

    /// The whole object, as it is registered.
    pub(super) fn node(&self, status: NodeStatus, conditions: Vec<NodeCondition>) -> Node {
        let mut node = self.facts().map(compose::node).unwrap_or_default();
        node.status = Some(NodeStatus { conditions: Some(conditions), ..status });
        node
    }

    fn facts(&self) -> Option<Facts<'_>> {
        Some(Facts {
            config: &self.config,
            machine: self.machine.as_ref()?,
            runtime: self.runtime.newest(),
            addresses: self.addresses.as_deref()?,
            in_use: &self.in_use,
        })
    }
}
