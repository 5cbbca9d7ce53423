//! `/metrics` as Prometheus' text: a small set, each told truly.
//!
//! The stock kubelet is one process and we are ten. `process_*` are the sums over the services (without the
//! supervisor and the bus server), so that a dashboard shows what the node agent costs; `bulkhead_process_*` tell
//! them apart. Metrics of other
//! processes' work (runtime operations, pod workers, volumes) are theirs to tell and are not here yet.

use super::{directory::Directory, pod_list};
use messages::{Owner, cri_bridge::ContainerState, pod_lifecycle::PodSource};
use std::{
    collections::BTreeMap,
    fmt::{Display, Write as _},
};

/// What one process costs, as the kernel tells.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Usage {
    /// User and system time, in seconds.
    pub(crate) cpu_seconds: f64,
    /// Resident memory in bytes.
    pub(crate) resident: u64,
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
        const METHODS: &[&str] = &["OPTIONS", "GET", "HEAD", "POST", "PUT", "DELETE", "TRACE", "CONNECT"];
        const PATHS: &[&str] = &[
            "healthz",
            "pods",
            "stats",
            "metrics",
            "metrics/cadvisor",
            "metrics/probes",
            "metrics/resource",
            "run",
            "exec",
            "attach",
            "portForward",
            "containerLogs",
            "configz",
            "runningpods",
            "logs",
        ];
        let mut parts = path.trim_start_matches('/').splitn(3, '/');
        let root = match (parts.next().unwrap_or_default(), parts.next()) {
            ("metrics", Some(second)) => format!("metrics/{second}"),
            (first, _) => first.to_owned(),
        };
        let known = |table: &[&'static str], name: &str| {
            table.iter().find(|at| **at == name).copied().unwrap_or("other")
        };
        Self { method: known(METHODS, method), path: known(PATHS, &root), server }
    }

    fn is_long_running(&self) -> bool {
        matches!(self.path, "exec" | "attach")
    }
}

/// The whole text.
pub(crate) fn render(
    directory: &Directory,
    usage: &BTreeMap<Owner, Usage>,
    requests: &Requests,
    version: &str,
) -> String {
    let mut text = Text::default();
    processes(&mut text, usage);
    pods(&mut text, directory);
    text.family(
        "kubelet_http_requests_total",
        "counter",
        "Number of the http requests received since the server started",
    );
    for (kind, count) in requests {
        let (method, path, server) = (kind.method, kind.path, kind.server);
        let labels = format!(
            "long_running=\"{}\",method=\"{method}\",path=\"{path}\",server_type=\"{server}\"",
            kind.is_long_running()
        );
        text.sample("kubelet_http_requests_total", &labels, count);
    }
    text.family(
        "kubernetes_build_info",
        "gauge",
        "A metric with a constant '1' value labeled by the version that is told to the API server",
    );
    text.sample(
        "kubernetes_build_info",
        &format!("git_version=\"{version}\",platform=\"linux/{}\"", arch()),
        1,
    );
    text.0
}

fn processes(text: &mut Text, usage: &BTreeMap<Owner, Usage>) {
    let sum = |part: fn(&Usage) -> f64| usage.values().map(part).fold(0.0, std::ops::Add::add);
    text.single(
        "process_cpu_seconds_total",
        "counter",
        "CPU time of all services of the node agent, in seconds",
        sum(|at| at.cpu_seconds),
    );
    text.single(
        "process_resident_memory_bytes",
        "gauge",
        "Resident memory of all services of the node agent; shared pages count in each",
        sum(|at| at.resident as f64),
    );
    text.single(
        "process_virtual_memory_bytes",
        "gauge",
        "Virtual memory of all services of the node agent",
        sum(|at| at.virtual_memory as f64),
    );
    let started = usage.values().map(|at| at.started).fold(f64::INFINITY, f64::min);
    if started.is_finite() {
        text.single(
            "process_start_time_seconds",
            "gauge",
            "When the oldest process of the node agent began, in seconds since the Unix epoch",
            started,
        );
    }
    text.family("bulkhead_process_resident_memory_bytes", "gauge", "Resident memory of each process");
    for (owner, at) in usage {
        text.sample(
            "bulkhead_process_resident_memory_bytes",
            &format!("compartment=\"{owner}\""),
            at.resident,
        );
    }
    text.family("bulkhead_process_cpu_seconds_total", "counter", "CPU time of each process, in seconds");
    for (owner, at) in usage {
        text.sample(
            "bulkhead_process_cpu_seconds_total",
            &format!("compartment=\"{owner}\""),
            at.cpu_seconds,
        );
    }
}

fn pods(text: &mut Text, directory: &Directory) {
    if let Some(node) = directory.node().and_then(|node| node.metadata.name.as_deref()) {
        text.family("kubelet_node_name", "gauge", "The node's name. The count is always 1.");
        text.sample("kubelet_node_name", &format!("node=\"{}\"", escape(node)), 1);
    }
    text.family("kubelet_desired_pods", "gauge", "The number of pods the kubelet is being instructed to run. static is true if the pod is not from the apiserver.");
    for is_static in [false, true] {
        let count = directory.pods().filter(|(pod, _)| (pod.source != PodSource::Api) == is_static).count();
        text.sample(
            "kubelet_desired_pods",
            &format!("static=\"{}\"", if is_static { "true" } else { "" }),
            count,
        );
    }
    let running = directory.runtime_pods().filter(|pod| pod_list::is_running(pod)).count();
    text.single(
        "kubelet_running_pods",
        "gauge",
        "Number of pods that have a running pod sandbox",
        running as f64,
    );
    let mut states: BTreeMap<&str, u64> = BTreeMap::new();
    for container in directory.runtime_pods().flat_map(|pod| &pod.containers) {
        *states.entry(state(container.state)).or_default() += 1;
    }
    text.family("kubelet_running_containers", "gauge", "Number of containers by state");
    for (state, count) in states {
        text.sample("kubelet_running_containers", &format!("container_state=\"{state}\""), count);
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

fn arch() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// The text so far.
#[derive(Default)]
struct Text(String);

impl Text {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn sample(&mut self, name: &str, labels: &str, value: impl Display) {
        let _ = writeln!(self.0, "{name}{{{labels}}} {value}");
    }

    fn single(&mut self, name: &str, kind: &str, help: &str, value: f64) {
        self.family(name, kind, help);
        let _ = writeln!(self.0, "{name} {value}");
    }
}

fn escape(label: &str) -> String {
    label.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
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
        let usage = |resident| Usage { cpu_seconds: 1.5, resident, virtual_memory: 1, started: 7.0 };
        let usage = BTreeMap::from([(Owner::Prober, usage(100)), (Owner::NodeApi, usage(50))]);
        let requests = BTreeMap::from([(RequestKind::of("GET", "/pods", "readwrite"), 3)]);
        let text = render(&directory, &usage, &requests, "v1.36.3");
        for line in [
            "process_resident_memory_bytes 150",
            "process_cpu_seconds_total 3",
            "process_start_time_seconds 7",
            "bulkhead_process_resident_memory_bytes{compartment=\"prober\"} 100",
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
}
