//! The names of what is measured; those without `bulkhead_` are the stock kubelet's (`pkg/kubelet/metrics`,
//! `pkg/kubelet/server/metrics`) or every Prometheus client's.

use super::text::Family;

pub(super) const METHODS: &[&str] = &["OPTIONS", "GET", "HEAD", "POST", "PUT", "DELETE", "TRACE", "CONNECT"];
pub(super) const PATHS: &[&str] = &[
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

pub(super) const CPU: Family =
    Family::counter("process_cpu_seconds_total", "CPU time of all services of the node agent, in seconds");
pub(super) const RESIDENT: Family = Family::gauge(
    "process_resident_memory_bytes",
    "Resident memory of all services of the node agent; pages of the one executable count once",
);
pub(super) const VIRTUAL: Family =
    Family::gauge("process_virtual_memory_bytes", "Virtual memory of all services of the node agent");
pub(super) const STARTED: Family = Family::gauge(
    "process_start_time_seconds",
    "When the oldest service of the node agent began, in seconds since the Unix epoch",
);
pub(super) const EACH_CPU: Family =
    Family::counter("bulkhead_process_cpu_seconds_total", "CPU time of each service, in seconds");
pub(super) const EACH_RESIDENT: Family =
    Family::gauge("bulkhead_process_resident_memory_bytes", "Resident memory of each service");
pub(super) const NODE_NAME: Family =
    Family::gauge("kubelet_node_name", "The node's name. The count is always 1.");
pub(super) const DESIRED: Family = Family::gauge(
    "kubelet_desired_pods",
    "The number of pods that should run; static is true if they are not from the API server.",
);
pub(super) const RUNNING: Family =
    Family::gauge("kubelet_running_pods", "Number of pods that have a running pod sandbox");
pub(super) const CONTAINERS: Family =
    Family::gauge("kubelet_running_containers", "Number of containers by state");
pub(super) const REQUESTS: Family =
    Family::counter("kubelet_http_requests_total", "Number of HTTP requests since the server began");
pub(super) const BUILD_INFO: Family =
    Family::gauge("kubernetes_build_info", "Always 1; the version that the node stands for");
