//! What node-api knows of the node: the last words of the others, and how a pod is found in them.

use super::{logs::target, refused::Refused};
use k8s_openapi::api::core::v1 as core;
use messages::{
    BootTime, ContainerName, Owner, PodUid,
    cri_bridge::RuntimePod,
    health::Health,
    pod_lifecycle::{Pod, Stage, Status},
    status_reporter::Node,
};
use std::collections::BTreeMap;

/// Something that was heard.
#[derive(Debug)]
pub(crate) enum Fact {
    /// An accepted pod.
    Pod(Box<Pod>),
    /// There is no such pod any more.
    PodGone(PodUid),
    /// A pod's status.
    Status(Box<Status>),
    /// It has none any more.
    StatusGone(PodUid),
    /// A pod as the runtime holds it.
    RuntimePod(Box<RuntimePod>),
    /// The runtime holds nothing of it any more.
    RuntimePodGone(PodUid),
    /// The node object.
    Node(Box<Node>),
    /// What a process says of itself, and when that was heard.
    Health(Box<Health>, BootTime),
}

/// Everything that was heard, the last of each.
#[derive(Debug, Default)]
pub(crate) struct Directory {
    pods: BTreeMap<PodUid, Pod>,
    statuses: BTreeMap<PodUid, Status>,
    runtime_pods: BTreeMap<PodUid, RuntimePod>,
    node: Option<Node>,
    health: BTreeMap<Owner, (Health, BootTime)>,
}

/// Whose log is to be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LogTarget {
    /// The pod.
    pub(crate) pod: PodUid,
    /// The container.
    pub(crate) container: ContainerName,
    /// CRI id of the instance.
    pub(crate) instance: String,
}

/// A pod that a stream is opened to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StreamTarget {
    /// The pod.
    pub(crate) pod: PodUid,
    /// Its namespace.
    pub(crate) namespace: String,
    /// Its name.
    pub(crate) name: String,
    /// Containers with a terminal.
    pub(crate) terminals: Vec<String>,
}

impl StreamTarget {
    /// Name and namespace joined by `_`, as upstream's texts have it.
    pub(crate) fn full_name(&self) -> String {
        format!("{}_{}", self.name, self.namespace)
    }

    /// Whether it is the pod of a UID, where one is given.
    pub(crate) fn is(&self, uid: Option<&str>) -> bool {
        uid.is_none_or(|uid| uid == self.pod.as_str())
    }
}

impl Directory {
    /// Notes what was heard.
    pub(crate) fn note(&mut self, fact: Fact) {
        match fact {
            Fact::Pod(pod) => drop(self.pods.insert(pod.pod.clone(), *pod)),
            Fact::PodGone(pod) => drop(self.pods.remove(&pod)),
            Fact::Status(status) => drop(self.statuses.insert(status.pod.clone(), *status)),
            Fact::StatusGone(pod) => drop(self.statuses.remove(&pod)),
            Fact::RuntimePod(pod) => drop(self.runtime_pods.insert(pod.pod.clone(), *pod)),
            Fact::RuntimePodGone(pod) => drop(self.runtime_pods.remove(&pod)),
            Fact::Node(node) => self.node = Some(*node),
            Fact::Health(health, at) => drop(self.health.insert(health.owner, (*health, at))),
        }
    }

    /// Accepted pods with their statuses, by UID.
    pub(crate) fn pods(&self) -> impl Iterator<Item = (&Pod, Option<&core::PodStatus>)> {
        self.pods.values().map(|pod| (pod, self.status(&pod.pod)))
    }

    /// Pods as the runtime holds them.
    pub(crate) fn runtime_pods(&self) -> impl Iterator<Item = &RuntimePod> {
        self.runtime_pods.values()
    }

    /// What a process last said of itself, and when.
    pub(crate) fn health(&self, owner: Owner) -> Option<&(Health, BootTime)> {
        self.health.get(&owner)
    }

    /// The node object, once it was heard of.
    pub(crate) fn node(&self) -> Option<&core::Node> {
        self.node.as_ref().map(|node| &*node.object)
    }

    /// Finds the instance whose log is wanted, or says why there is none.
    pub(crate) fn log_target(
        &self,
        (namespace, name): (&str, &str),
        container: &str,
        previous: bool,
    ) -> Result<LogTarget, Refused> {
        let missing = || Refused::not_found(format!("pod {name:?} does not exist"));
        let pod = self.find(namespace, name).ok_or_else(missing)?;
        let unknown = || Refused::not_found(format!("container {container:?} not found in pod {name:?}"));
        let known = container_names(pod).any(|known| known == container);
        let parsed = container.parse().ok().filter(|_| known).ok_or_else(unknown)?;
        let instance = target::instance(name, self.status(&pod.pod), container, previous)
            .map_err(Refused::bad_request)?;
        Ok(LogTarget { pod: pod.pod.clone(), container: parsed, instance })
    }

    /// Finds a pod to open a stream to.
    pub(crate) fn stream_target(&self, namespace: &str, name: &str) -> Result<StreamTarget, Refused> {
        let pod = self.find(namespace, name).ok_or_else(|| Refused::not_found("pod does not exist"))?;
        let spec = pod.object.spec.as_ref();
        let containers =
            spec.iter().flat_map(|spec| spec.containers.iter().chain(spec.init_containers.iter().flatten()));
        let debuggers = spec.iter().flat_map(|spec| spec.ephemeral_containers.iter().flatten());
        let terminals = containers
            .filter(|container| container.tty == Some(true))
            .map(|container| container.name.clone())
            .chain(
                debuggers.filter(|debugger| debugger.tty == Some(true)).map(|debugger| debugger.name.clone()),
            );
        Ok(StreamTarget {
            pod: pod.pod.clone(),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            terminals: terminals.collect(),
        })
    }

    /// The pod of that name: one that should run before one that is leaving, the newest decision first.
    fn find(&self, namespace: &str, name: &str) -> Option<&Pod> {
        let named = self.pods.values().filter(|pod| {
            let meta = &pod.object.metadata;
            meta.name.as_deref() == Some(name) && meta.namespace.as_deref() == Some(namespace)
        });
        named.max_by_key(|pod| (pod.stage == Stage::Running, pod.decision))
    }

    fn status(&self, pod: &PodUid) -> Option<&core::PodStatus> {
        self.statuses.get(pod).map(|status| &*status.status)
    }
}

fn container_names(pod: &Pod) -> impl Iterator<Item = &str> {
    let spec = pod.object.spec.iter();
    spec.flat_map(|spec| {
        let regular = spec.containers.iter().map(|at| at.name.as_str());
        let init = spec.init_containers.iter().flatten().map(|at| at.name.as_str());
        let debuggers = spec.ephemeral_containers.iter().flatten().map(|at| at.name.as_str());
        regular.chain(init).chain(debuggers)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;

    #[test]
    fn a_log_is_found_or_refused_in_the_kubelets_words() {
        let mut directory = Directory::default();
        directory.note(Fact::Pod(Box::new(samples::pod("u-1", "web", &["app", "init"]))));
        directory.note(Fact::Status(Box::new(samples::status("u-1", "web", "app", "containerd://c-1"))));
        let target = LogTarget {
            pod: "u-1".parse().unwrap(),
            container: "app".parse().unwrap(),
            instance: "c-1".into(),
        };
        let not_found = |text: &str| Err(Refused::not_found(text));
        let cases = [
            ("it is there", ("default", "web"), "app", Ok(target)),
            ("no such pod", ("default", "db"), "app", not_found("pod \"db\" does not exist")),
            ("in another namespace", ("other", "web"), "app", not_found("pod \"web\" does not exist")),
            (
                "no such container",
                ("default", "web"),
                "x",
                not_found("container \"x\" not found in pod \"web\""),
            ),
            (
                "a container without a status",
                ("default", "web"),
                "init",
                Err(Refused::bad_request("container \"init\" in pod \"web\" is not available")),
            ),
        ];
        for (name, pod, container, want) in cases {
            assert_eq!(directory.log_target(pod, container, false), want, "{name}");
        }
    }

    #[test]
    fn of_two_pods_of_one_name_the_one_that_should_run_is_meant() {
        let mut directory = Directory::default();
        let mut leaving = samples::pod("u-1", "web", &["app"]);
        leaving.stage = Stage::Terminating { grace_seconds: 30 };
        leaving.decision.revision = 9;
        directory.note(Fact::Pod(Box::new(leaving)));
        directory.note(Fact::Pod(Box::new(samples::pod("u-2", "web", &["app"]))));
        let found = directory.stream_target("default", "web").unwrap();
        assert_eq!(found.pod.as_str(), "u-2");
        assert!(found.is(None) && found.is(Some("u-2")) && !found.is(Some("u-1")));
    }

    #[test]
    fn what_is_gone_is_not_found() {
        let mut directory = Directory::default();
        directory.note(Fact::Pod(Box::new(samples::pod("u-1", "web", &["app"]))));
        directory.note(Fact::RuntimePod(Box::new(samples::runtime_pod("u-1", "web", "app", "c-1"))));
        let pod: PodUid = "u-1".parse().unwrap();
        assert_eq!(directory.runtime_pods().count(), 1);
        directory.note(Fact::RuntimePodGone(pod.clone()));
        directory.note(Fact::PodGone(pod.clone()));
        assert_eq!(directory.runtime_pods().count(), 0);
        let refused = directory.stream_target("default", "web");
        assert_eq!(refused, Err(Refused::not_found("pod does not exist")));
    }
}
