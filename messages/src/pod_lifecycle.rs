//! What pod-lifecycle says: the pods it has decided on, what to probe, and their statuses.

use crate::{
    Command, ContainerName, Decision, Key, Kind, Message, Outcome, Owner, PodUid, Refusal, State, Token,
};
use k8s_openapi::api::core::v1 as core;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Where a pod's spec came from; the value of the annotation `kubernetes.io/config.source`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PodSource {
    /// The API server's pods bound to this node.
    Api,
    /// A manifest in `staticPodPath`.
    File,
    /// The answer of `staticPodURL`.
    Http,
}

/// What a pod should be doing. Only ever moves downwards.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "stage", rename_all = "kebab-case")]
pub enum Stage {
    /// Its containers should be as the spec says.
    Running,
    /// Its containers are to be stopped, and none started.
    Terminating {
        /// Seconds that containers are given after SIGTERM; only ever shrinks.
        grace_seconds: u64,
    },
    /// No container runs any more: volumes, sandboxes and cgroup are to be given back.
    Terminated,
}

/// `pod-lifecycle.state.pod.{pod}`: a pod that this node has accepted. Tombstoned when nothing of
/// it is left on the node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Pod {
    /// The pod; equals `object.metadata.uid`.
    pub pod: PodUid,
    /// Which decision this is.
    pub decision: Decision,
    /// Where the spec came from.
    pub source: PodSource,
    /// What the pod should be doing.
    pub stage: Stage,
    /// The pod as accepted: metadata and spec with defaults applied; `status` is left out.
    pub object: Box<core::Pod>,
}

impl Message for Pod {
    const OWNER: Owner = Owner::PodLifecycle;
    const KIND: Kind = Kind::State;
    const NAME: &'static str = "pod";
    fn key(&self) -> Key {
        Key::from(&self.pod)
    }
}
impl State for Pod {}

/// Which list of the pod's spec a container stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ContainerKind {
    /// `spec.initContainers` without `restartPolicy: Always`.
    Init,
    /// `spec.initContainers` with `restartPolicy: Always`.
    Sidecar,
    /// `spec.containers`.
    Regular,
    /// `spec.ephemeralContainers`.
    Ephemeral,
}

/// A container as the prober needs to know it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProbedContainer {
    /// Its name.
    pub name: ContainerName,
    /// Which list of the spec it stands in, for events.
    pub kind: ContainerKind,
    /// CRI id of the instance that a verdict would be about; `None` while there is none.
    pub container_id: Option<String>,
    /// Whether that instance runs.
    pub running: bool,
    /// When it was started, nanoseconds since the Unix epoch; 0 while it was not.
    pub started_at: i64,
    /// Whether it counts as started (`status.started`), which opens liveness and readiness.
    pub started: bool,
    /// The probes as in the spec, by kind. A kind without a probe is absent.
    pub probes: BTreeMap<crate::prober::ProbeKind, core::Probe>,
    /// `containerPort` by port name, for probes that name a port.
    pub ports: BTreeMap<String, u16>,
}

/// `pod-lifecycle.state.probes.{pod}`: what to probe of a pod. Holds no environment and no other
/// part of the spec: the prober is not trusted with it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Probes {
    /// The pod.
    pub pod: PodUid,
    /// `metadata.namespace`, for spans and metrics.
    pub namespace: String,
    /// `metadata.name`, for spans and metrics.
    pub name: String,
    /// The address that http, tcp and grpc probes go to by default.
    pub ip: Option<String>,
    /// Set once the pod is being stopped: only readiness goes on.
    pub terminating: bool,
    /// Containers that have at least one probe.
    pub containers: Vec<ProbedContainer>,
}

impl Message for Probes {
    const OWNER: Owner = Owner::PodLifecycle;
    const KIND: Kind = Kind::State;
    const NAME: &'static str = "probes";
    fn key(&self) -> Key {
        Key::from(&self.pod)
    }
}
impl State for Probes {}

/// `pod-lifecycle.state.status.{pod}`: a pod's whole status, composed here and nowhere else.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// The pod.
    pub pod: PodUid,
    /// `metadata.namespace`.
    pub namespace: String,
    /// `metadata.name`.
    pub name: String,
    /// Where the spec came from. For anything but `Api` the status goes to the mirror pod.
    pub source: PodSource,
    /// The status to write. Conditions that others own are merged in by status-reporter.
    pub status: Box<core::PodStatus>,
    /// The mirror pod that should exist for a static pod, with its hash annotation but without
    /// the owner reference, which status-reporter adds. `None` for API pods, and once a static
    /// pod is gone.
    pub mirror: Option<Box<core::Pod>>,
    /// Volumes, containers and cgroup are confirmed gone: an API pod that is marked deleted may
    /// be deleted for good once this status was accepted.
    pub release: bool,
    /// When the pod was first seen, nanoseconds since the Unix epoch: where its start begins.
    pub seen_at: i64,
    /// How many lives of the same UID came before this one.
    pub life: u32,
}

impl Message for Status {
    const OWNER: Owner = Owner::PodLifecycle;
    const KIND: Kind = Kind::State;
    const NAME: &'static str = "status";
    fn key(&self) -> Key {
        Key::from(&self.pod)
    }
}
impl State for Status {}

/// `pod-lifecycle.state.refused.{source}`: a manifest that was refused, shown by
/// `bulkhead status` until it is mended or gone. The key is a hash of where it came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// Hex digest of `from`.
    pub id: Token,
    /// The file or URL.
    pub from: String,
    /// The field at fault, as a path such as `spec.containers[0].name`; empty when the whole is.
    pub field: String,
    /// Why.
    pub why: String,
}

impl Message for Refused {
    const OWNER: Owner = Owner::PodLifecycle;
    const KIND: Kind = Kind::State;
    const NAME: &'static str = "refused";
    fn key(&self) -> Key {
        Key::from([self.id.clone()])
    }
}
impl State for Refused {}

/// `pod-lifecycle.cmd.remove-pods`: stop every pod, each with its grace period, and give back what it
/// has, as if its source had dropped it. Until the process is started again, no source brings another.
/// `Accepted`; [`Pod`] tells when none is left. For `bulkhead down --pods`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemovePods {}

impl Message for RemovePods {
    const OWNER: Owner = Owner::PodLifecycle;
    const KIND: Kind = Kind::Command;
    const NAME: &'static str = "remove-pods";
    fn key(&self) -> Key {
        Key::none()
    }
}
impl Command for RemovePods {
    type Reply = Outcome;
    fn refuse(refusal: Refusal) -> Outcome {
        Outcome::Refused { refusal }
    }
    fn refusal(reply: &Outcome) -> Option<&Refusal> {
        match reply {
            Outcome::Refused { refusal } => Some(refusal),
            Outcome::Done { .. } | Outcome::Accepted | Outcome::Failed { .. } => None,
        }
    }
}
