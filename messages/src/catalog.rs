//! The table of who says what to whom.
//!
//! From it come the NATS permissions, the rules of api-gate, the table in `messages/README.md` and
//! the "hears / says" lines of the services' READMEs; tests hold the last three against it.

use crate::{
    Kind, Message, Owner, cri_bridge, health, pod_lifecycle, prober, proxy_programmer, status_reporter,
    volume_mounter,
};

/// One kind of message.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// Receiver of a command; sayer of state and events. For `health`: each process for itself.
    pub owner: Owner,
    /// Kind.
    pub kind: Kind,
    /// Name.
    pub name: &'static str,
    /// Version that is written.
    pub version: u16,
    /// What the key's tokens are; empty where there is one per node.
    pub key: &'static [&'static str],
    /// Who may call (commands) or read (state, events).
    pub others: &'static [Owner],
}

impl Row {
    const fn of<M: Message>(key: &'static [&'static str], others: &'static [Owner]) -> Self {
        Self { owner: M::OWNER, kind: M::KIND, name: M::NAME, version: M::VERSION, key, others }
    }

    /// Whether every process says this of itself.
    pub fn is_said_by_each(&self) -> bool {
        self.name == <health::Health as Message>::NAME
    }
}

const POD: &[&str] = &["pod"];

use Owner::{
    ApiGate, Bulkhead, CriBridge, NodeApi, PodLifecycle, Prober, ProxyProgrammer, StatusReporter,
    TraceRecorder, VolumeMounter,
};

/// Everyone who may have something to tell as an event.
const TELLERS: &[Owner] = &[
    ApiGate,
    Bulkhead,
    CriBridge,
    NodeApi,
    PodLifecycle,
    Prober,
    ProxyProgrammer,
    TraceRecorder,
    VolumeMounter,
];

/// Every message there is.
pub const ROWS: &[Row] = &[
    Row::of::<pod_lifecycle::Pod>(POD, &[Bulkhead, CriBridge, VolumeMounter, NodeApi]),
    Row::of::<pod_lifecycle::Probes>(POD, &[Prober]),
    Row::of::<pod_lifecycle::Status>(POD, &[StatusReporter, NodeApi, Bulkhead]),
    Row::of::<pod_lifecycle::Refused>(&["manifest"], &[StatusReporter, Bulkhead]),
    Row::of::<pod_lifecycle::RemovePods>(&[], &[Bulkhead]),
    Row::of::<volume_mounter::PrepareVolumes>(POD, &[PodLifecycle]),
    Row::of::<volume_mounter::ReleaseVolumes>(POD, &[PodLifecycle]),
    Row::of::<volume_mounter::BindSubpath>(POD, &[CriBridge]),
    Row::of::<volume_mounter::Volumes>(POD, &[PodLifecycle, CriBridge]),
    Row::of::<volume_mounter::InUse>(&[], &[StatusReporter]),
    Row::of::<cri_bridge::PullImage>(POD, &[PodLifecycle]),
    Row::of::<cri_bridge::EnsureSandbox>(POD, &[PodLifecycle]),
    Row::of::<cri_bridge::StartContainer>(POD, &[PodLifecycle]),
    Row::of::<cri_bridge::StopContainer>(POD, &[PodLifecycle]),
    Row::of::<cri_bridge::StopPod>(POD, &[PodLifecycle]),
    Row::of::<cri_bridge::ForgetPod>(POD, &[PodLifecycle]),
    Row::of::<cri_bridge::ExecProbe>(POD, &[Prober]),
    Row::of::<cri_bridge::OpenStream>(POD, &[NodeApi]),
    Row::of::<cri_bridge::RuntimePod>(POD, &[PodLifecycle, NodeApi, Bulkhead]),
    Row::of::<cri_bridge::Runtime>(&[], &[PodLifecycle, StatusReporter, NodeApi, Bulkhead]),
    Row::of::<cri_bridge::Machine>(&[], &[PodLifecycle, StatusReporter, NodeApi]),
    Row::of::<prober::Verdict>(&["pod", "container", "probe"], &[PodLifecycle]),
    Row::of::<status_reporter::RecordEvent>(&[], TELLERS),
    Row::of::<status_reporter::Node>(&[], &[PodLifecycle, CriBridge, VolumeMounter, NodeApi, Bulkhead]),
    Row::of::<proxy_programmer::Table>(&[], &[StatusReporter, NodeApi, Bulkhead]),
    Row::of::<health::Health>(&[], &[StatusReporter, NodeApi, Bulkhead]),
];

/// What a process may do at the API server, through api-gate.
#[derive(Debug, Clone, Copy)]
pub struct ApiRule {
    /// Who.
    pub owner: Owner,
    /// API group; empty for core.
    pub group: &'static str,
    /// `resource` or `resource/subresource`.
    pub resource: &'static str,
    /// Verbs, as Kubernetes' RBAC has them.
    pub verbs: &'static [&'static str],
}

const READ: &[&str] = &["get", "list", "watch"];

const fn rule(
    owner: Owner,
    group: &'static str,
    resource: &'static str,
    verbs: &'static [&'static str],
) -> ApiRule {
    ApiRule { owner, group, resource, verbs }
}

/// Everything that may be asked of the API server. What is not here is refused by the gate.
pub const API_RULES: &[ApiRule] = &[
    rule(PodLifecycle, "", "pods", READ),
    rule(CriBridge, "", "secrets", READ),
    rule(CriBridge, "", "configmaps", READ),
    rule(CriBridge, "", "services", READ),
    rule(CriBridge, "", "serviceaccounts", &["get"]),
    rule(CriBridge, "node.k8s.io", "runtimeclasses", READ),
    rule(VolumeMounter, "", "pods", &["get"]),
    rule(VolumeMounter, "", "secrets", READ),
    rule(VolumeMounter, "", "configmaps", READ),
    rule(VolumeMounter, "", "persistentvolumeclaims", READ),
    rule(VolumeMounter, "", "persistentvolumes", READ),
    rule(VolumeMounter, "", "serviceaccounts/token", &["create"]),
    rule(NodeApi, "authentication.k8s.io", "tokenreviews", &["create"]),
    rule(NodeApi, "authorization.k8s.io", "subjectaccessreviews", &["create"]),
    rule(StatusReporter, "", "nodes", &["get", "list", "watch", "create", "patch"]),
    rule(StatusReporter, "", "nodes/status", &["patch"]),
    rule(StatusReporter, "coordination.k8s.io", "leases", &["get", "create", "update", "patch"]),
    rule(StatusReporter, "", "pods", &["get", "list", "watch", "create", "delete"]),
    rule(StatusReporter, "", "pods/status", &["patch"]),
    rule(StatusReporter, "", "events", &["create", "patch"]),
    rule(ProxyProgrammer, "", "services", READ),
    rule(ProxyProgrammer, "", "nodes", READ),
    rule(ProxyProgrammer, "discovery.k8s.io", "endpointslices", READ),
    rule(ProxyProgrammer, "networking.k8s.io", "servicecidrs", READ),
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_subject_stands_once() {
        let mut seen = BTreeSet::new();
        for row in ROWS {
            assert!(seen.insert((row.owner, row.kind, row.name)), "{} stands twice", row.name);
        }
    }

    #[test]
    fn nobody_is_his_own_counterpart() {
        for row in ROWS.iter().filter(|row| !row.is_said_by_each()) {
            assert!(!row.others.contains(&row.owner), "{}", row.name);
        }
    }

    #[test]
    fn the_untrusted_read_no_pod_spec_and_no_secret() {
        let untrusted = [Prober, StatusReporter, TraceRecorder, ProxyProgrammer];
        let pod = ROWS.iter().find(|row| row.name == "pod").unwrap();
        assert!(untrusted.iter().all(|owner| !pod.others.contains(owner)));
        let secrets = API_RULES.iter().filter(|rule| rule.resource == "secrets");
        assert!(secrets.clone().all(|rule| !untrusted.contains(&rule.owner)));
        assert!(secrets.count() > 0);
    }
}
