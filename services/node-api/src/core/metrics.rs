//! `/metrics`: a small set, each told truly.
//!
//! The stock kubelet is one process and we are ten. `process_*` are about the services together (without the
//! supervisor and the bus server), so that a dashboard shows what the node agent costs; `bulkhead_process_*` tell
//! them apart. Metrics of other processes' work (runtime operations, pod workers, volumes) are theirs to tell and
//! are not here yet.

mod families;
mod text;

use super::{directory::Directory, pod_list};
use families as f;
use messages::{Owner, cri_bridge::ContainerState, pod_lifecycle::PodSource};
use std::collections::BTreeMap;
use text::Text;

/// What one process costs, as the kernel tells.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Usage {
    /// User and system time, in seconds.
    pub(crate) cpu_seconds: f64,
    /// Resident memory that is its own, in bytes.
    pub(crate) own: u64,
    /// Resident pages of files, in bytes: the executable's, which all processes share.
    pub(crate) shared: u64,
    /// Virtual memory in bytes.
    pub(crate) virtual_memory: u64,
    /// When it began, seconds since the Unix epoch.
    pub(crate) started: f64,
}

/// Requests so far, by what they are counted by.
pub(crate) type Requests = BTreeMap<RequestKind, u64>;

/// What requests are counted by (`kubelet_http_requests_total`).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct RequestKind {
    /// The method, or `other`.
    pub(crate) method: &'static str,
    /// The first part of the path (of metrics the first two), or `other`.
    pub(crate) path: &'static str,
    /// `readwrite` or `readonly`.
    pub(crate) server: &'static str,
}

impl RequestKind {
    /// The kind of a request.
    pub(crate) fn of(method: &str, path: &str, server: &'static str) -> Self {
        let mut parts = path.trim_start_matches('/').splitn(3, '/');
        let root = match (parts.next().unwrap_or_default(), parts.next()) {
            ("metrics", Some(second)) => format!("metrics/{second}"),
            (first, _) => first.to_owned(),
        };
        let known = |table: &[&'static str], name: &str| {
            table.iter().find(|known| **known == name).copied().unwrap_or("other")
        };
        Self { method: known(f::METHODS, method), path: known(f::PATHS, &root), server }
    }

    fn is_long_running(&self) -> bool {
        matches!(self.path, "exec" | "attach")
    }
}

/// The whole text; the build is the version that the node stands for, and its platform.
pub(crate) fn render(
    directory: &Directory,
    usage: &BTreeMap<Owner, Usage>,
    requests: &Requests,
    (version, platform): (&str, &str),
) -> String {
    let mut text = Text::default();
    processes(&mut text, usage);
    each_process(&mut text, usage);
    pods(&mut text, directory);
    containers(&mut text, directory);
    counted(&mut text, requests);
    text.family(&f::BUILD_INFO);
    text.sample(&f::BUILD_INFO, &[("git_version", version), ("platform", platform)], 1.0);
    text.finish()
}

fn processes(text: &mut Text, usage: &BTreeMap<Owner, Usage>) {
    let sum = |part: fn(&Usage) -> f64| usage.values().map(part).fold(0.0, std::ops::Add::add);
    let shared = usage.values().map(|at| at.shared).max().unwrap_or_default();
    text.single(&f::CPU, sum(|at| at.cpu_seconds));
    text.single(&f::RESIDENT, sum(|at| at.own as f64) + shared as f64);
    text.single(&f::VIRTUAL, sum(|at| at.virtual_memory as f64));
    let started = usage.values().map(|at| at.started).fold(f64::INFINITY, f64::min);
    if started.is_finite() {
        text.single(&f::STARTED, started);
    }
}

fn each_process(text: &mut Text, usage: &BTreeMap<Owner, Usage>) {
    text.family(&f::EACH_CPU);
    for (owner, at) in usage {
        text.sample(&f::EACH_CPU, &[("compartment", owner.name())], at.cpu_seconds);
    }
    text.family(&f::EACH_RESIDENT);
    for (owner, at) in usage {
        text.sample(&f::EACH_RESIDENT, &[("compartment", owner.name())], (at.own + at.shared) as f64);
    }
}

fn pods(text: &mut Text, directory: &Directory) {
    if let Some(node) = directory.node().and_then(|node| node.metadata.name.as_deref()) {
        text.family(&f::NODE_NAME);
        text.sample(&f::NODE_NAME, &[("node", node)], 1.0);
    }
    text.family(&f::DESIRED);
    for (is_static, label) in [(false, ""), (true, "true")] {
        let pods = directory.pods().filter(|(pod, _)| (pod.source != PodSource::Api) == is_static);
        text.sample(&f::DESIRED, &[("static", label)], pods.count() as f64);
    }
    let running = directory.runtime_pods().filter(|pod| pod_list::is_running(pod));
    text.single(&f::RUNNING, running.count() as f64);
}

fn containers(text: &mut Text, directory: &Directory) {
    let mut states: BTreeMap<&str, f64> = BTreeMap::new();
    for container in directory.runtime_pods().flat_map(|pod| &pod.containers) {
        *states.entry(state(container.state)).or_default() += 1.0;
    }
    text.family(&f::CONTAINERS);
    for (state, count) in states {
        text.sample(&f::CONTAINERS, &[("container_state", state)], count);
    }
}

fn counted(text: &mut Text, requests: &Requests) {
    text.family(&f::REQUESTS);
    for (kind, count) in requests {
        let long = if kind.is_long_running() { "true" } else { "false" };
        let labels = [
            ("long_running", long),
            ("method", kind.method),
            ("path", kind.path),
            ("server_type", kind.server),
        ];
        text.sample(&f::REQUESTS, &labels, *count as f64);
    }
}

fn state(state: ContainerState) -> &'static str {
    match state {
        ContainerState::Created => "created",
        ContainerState::Running => "running",
        ContainerState::Exited => "exited",
        ContainerState::Unknown => "unknown",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{core::directory::Fact, samples};

    #[test]
    fn requests_are_counted_by_few_names() {
        let cases = [
            ("GET", "/pods", ("GET", "pods")),
            ("GET", "/metrics/cadvisor", ("GET", "metrics/cadvisor")),
            ("GET", "/metrics", ("GET", "metrics")),
            ("POST", "/exec/ns/pod/app", ("POST", "exec")),
            ("BREW", "/coffee/a/b", ("other", "other")),
            ("GET", "/metrics/nothing", ("GET", "other")),
        ];
        for (method, path, want) in cases {
            let kind = RequestKind::of(method, path, "readwrite");
            assert_eq!((kind.method, kind.path), want, "{method} {path}");
        }
    }

    #[test]
    fn the_text_has_one_type_line_per_family_and_the_right_numbers() {
        let mut directory = Directory::default();
        directory.note(Fact::Pod(Box::new(samples::pod("u-1", "web", &["app"]))));
        directory.note(Fact::RuntimePod(Box::new(samples::runtime_pod("u-1", "web", "app", "c-1"))));
        let usage = |own, shared| Usage { cpu_seconds: 1.5, own, shared, virtual_memory: 1, started: 7.0 };
        let usage = BTreeMap::from([(Owner::Prober, usage(100, 30)), (Owner::NodeApi, usage(50, 40))]);
        let requests = BTreeMap::from([(RequestKind::of("GET", "/pods", "readwrite"), 3)]);
        let text = render(&directory, &usage, &requests, ("v1.36.3", "linux/amd64"));
        for line in [
            "process_resident_memory_bytes 190",
            "process_cpu_seconds_total 3",
            "process_start_time_seconds 7",
            "bulkhead_process_resident_memory_bytes{compartment=\"prober\"} 130",
            "kubelet_desired_pods{static=\"\"} 1",
            "kubelet_running_pods 1",
            "kubelet_running_containers{container_state=\"running\"} 1",
            "kubelet_http_requests_total{long_running=\"false\",method=\"GET\",path=\"pods\",server_type=\"readwrite\"} 3",
        ] {
            assert!(text.lines().any(|at| at == line), "{line} is missing in\n{text}");
        }
        let mut families: Vec<_> = text.lines().filter(|line| line.starts_with("# TYPE")).collect();
        let all = families.len();
        families.dedup();
        assert_eq!(families.len(), all);
    }

    #[test]
    fn nothing_costs_nothing() {
        let text = render(&Directory::default(), &BTreeMap::new(), &Requests::new(), ("v1", "linux/amd64"));
        assert!(text.contains("\nprocess_cpu_seconds_total 0\n"), "{text}");
    }
}
