//! `KubeletConfiguration` of `kubelet.config.k8s.io/v1beta1` as Kubernetes 1.36 has it: every field,
//! its name in files and its default (k8s.io/kubelet v0.36, `config/v1beta1/types.go`).
//!
//! The values are effective: [`super::load`] has applied files, flags and defaults. A field marked
//! *without effect* is read, checked and shown by `/configz`, and changes nothing here.

use super::{
    access::{Authentication, Authorization},
    choices::{
        AllocatableEnforcement, CgroupDriver, ChangeDetection, CpuManagerPolicy, CredentialsVerification,
        HairpinMode, MemoryManagerPolicy, MemoryReservationPolicy, TopologyManagerPolicy,
        TopologyManagerScope,
    },
    duration::GoDuration,
    logging::{Logging, Tracing},
    parts::{
        CrashLoopBackOff, MemoryReservation, MemorySwap, RequestHeaders, ShutdownByPriority, UserNamespaces,
    },
    table::table,
};
use k8s_openapi::api::core::v1::Taint;
use std::{collections::BTreeMap, net::IpAddr, net::Ipv4Addr, path::PathBuf};

/// Text to text, as resource lists, thresholds and policy options are.
pub type Texts = BTreeMap<String, String>;

table! {
    /// The node's configuration, effective.
    KubeletConfiguration {
        // What pods there are.

        /// A folder of pod manifests, or one manifest.
        #[serde(skip_serializing_if = "Option::is_none")]
        "staticPodPath" static_pod_path: Option<PathBuf> = None;
        /// How often the folder is read although nothing was noticed.
        "fileCheckFrequency" file_check_frequency: GoDuration = GoDuration::seconds(20);
        /// A URL that answers with manifests.
        #[serde(skip_serializing_if = "String::is_empty")]
        "staticPodURL" static_pod_url: String = String::new();
        /// Headers sent to it. Secret: masked wherever it is written.
        #[serde(skip_serializing_if = "RequestHeaders::is_empty")]
        "staticPodURLHeader" static_pod_url_header: RequestHeaders = RequestHeaders::default();
        /// How often it is asked.
        "httpCheckFrequency" http_check_frequency: GoDuration = GoDuration::seconds(20);
        /// How often a pod is looked at although nothing changed.
        "syncFrequency" sync_frequency: GoDuration = GoDuration::seconds(60);
        /// Most pods.
        "maxPods" max_pods: u32 = 110;
        /// Most pods for each CPU; 0 for no such limit.
        "podsPerCore" pods_per_core: u32 = 0;
        /// Upstream's one-shot mode; true is refused, as upstream does.
        "runOnce" run_once: bool = false;
        /// Without effect: the network plugin has it, even standalone.
        #[serde(skip_serializing_if = "String::is_empty")]
        "podCIDR" pod_cidr: String = String::new();

        // The ports.

        /// 10250 is served.
        "enableServer" enable_server: bool = true;
        /// Where 10250 and 10255 listen.
        "address" address: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        /// The HTTPS port.
        "port" port: u16 = 10250;
        /// The port without authentication; 0 for none.
        "readOnlyPort" read_only_port: u16 = 0;
        /// The port of `/healthz`; 0 for none.
        "healthzPort" healthz_port: u16 = 10248;
        /// Where it listens.
        "healthzBindAddress" healthz_bind_address: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
        /// PEM file of the serving certificate.
        #[serde(skip_serializing_if = "Option::is_none")]
        "tlsCertFile" tls_cert_file: Option<PathBuf> = None;
        /// PEM file of its key.
        #[serde(skip_serializing_if = "Option::is_none")]
        "tlsPrivateKeyFile" tls_private_key_file: Option<PathBuf> = None;
        /// Cipher suites of TLS 1.2 by their IANA names; empty for a good choice.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        "tlsCipherSuites" tls_cipher_suites: Vec<String> = Vec::new();
        /// Key exchanges by their TLS numbers; empty for a good choice.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        "tlsCurvePreferences" tls_curve_preferences: Vec<u16> = Vec::new();
        /// `VersionTLS12` or `VersionTLS13`; empty for 1.2. Older ones are raised to 1.2.
        #[serde(skip_serializing_if = "String::is_empty")]
        "tlsMinVersion" tls_min_version: String = String::new();
        /// The client certificate is renewed before it expires.
        "rotateCertificates" rotate_certificates: bool = false;
        /// The serving certificate comes from the API server.
        "serverTLSBootstrap" server_tls_bootstrap: bool = false;
        /// Who callers are.
        "authentication" authentication: Authentication = Authentication::default();
        /// What they may do.
        "authorization" authorization: Authorization = Authorization::default();
        /// Logs, exec, attach, port forwarding and running pods are served.
        "enableDebuggingHandlers" enable_debugging_handlers: bool = true;
        /// Without effect: there is no Go runtime to profile.
        "enableContentionProfiling" enable_contention_profiling: bool = false;
        /// `/debug/pprof` is served. Without effect, as above.
        "enableProfilingHandler" enable_profiling_handler: bool = true;
        /// `/debug/flags/v` is served.
        "enableDebugFlagsHandler" enable_debug_flags_handler: bool = true;
        /// `/logs/` is served.
        "enableSystemLogHandler" enable_system_log_handler: bool = true;
        /// `/logs/?query=` is served.
        "enableSystemLogQuery" enable_system_log_query: bool = false;
        /// Without effect, upstream too.
        "streamingConnectionIdleTimeout" streaming_connection_idle_timeout: GoDuration = GoDuration::seconds(14_400);
        /// The minor version whose hidden metrics are shown; empty for none.
        #[serde(skip_serializing_if = "String::is_empty")]
        "showHiddenMetricsForVersion" show_hidden_metrics_for_version: String = String::new();

        // The node object and the API server.

        /// The node registers itself.
        "registerNode" register_node: bool = true;
        /// Taints of a node that registers for the first time.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        "registerWithTaints" register_with_taints: Vec<Taint> = Vec::new();
        /// `spec.providerID`.
        #[serde(skip_serializing_if = "String::is_empty")]
        "providerID" provider_id: String = String::new();
        /// How often the node's status is computed; written when it differs.
        "nodeStatusUpdateFrequency" node_status_update_frequency: GoDuration = GoDuration::seconds(10);
        /// How often it is written although it does not differ.
        "nodeStatusReportFrequency" node_status_report_frequency: GoDuration = GoDuration::seconds(300);
        /// `spec.leaseDurationSeconds`; renewed four times as often.
        "nodeLeaseDurationSeconds" node_lease_duration_seconds: u32 = 40;
        /// Most images in the node's status; 0 for none, -1 for all.
        "nodeStatusMaxImages" node_status_max_images: i32 = 50;
        /// The attach-detach controller attaches volumes.
        "enableControllerAttachDetach" enable_controller_attach_detach: bool = true;
        /// Without effect: JSON is what `kube` speaks.
        "contentType" content_type: String = "application/vnd.kubernetes.protobuf".into();
        /// Most requests per second to the API server; 0 for no limit.
        "kubeAPIQPS" kube_api_qps: u32 = 50;
        /// Most of them at once.
        "kubeAPIBurst" kube_api_burst: u32 = 100;
        /// Most events per second; 0 for no limit.
        "eventRecordQPS" event_record_qps: u32 = 50;
        /// Most of them at once.
        "eventBurst" event_burst: u32 = 100;
        /// How configMaps and secrets are kept up to date.
        "configMapAndSecretChangeDetectionStrategy" config_map_and_secret_change_detection_strategy: ChangeDetection = ChangeDetection::Watch;

        // The runtime, images and logs.

        /// The CRI socket.
        "containerRuntimeEndpoint" container_runtime_endpoint: String = "unix:///run/containerd/containerd.sock".into();
        /// The CRI image socket; empty for the same.
        #[serde(skip_serializing_if = "String::is_empty")]
        "imageServiceEndpoint" image_service_endpoint: String = String::new();
        /// Patience with CRI calls, save pull, logs, exec and attach.
        "runtimeRequestTimeout" runtime_request_timeout: GoDuration = GoDuration::seconds(120);
        /// Most pulls per second; 0 for no limit.
        "registryPullQPS" registry_pull_qps: u32 = 5;
        /// Most of them at once.
        "registryBurst" registry_burst: u32 = 10;
        /// One pull at a time.
        "serializeImagePulls" serialize_image_pulls: bool = true;
        /// Most pulls at once; absent for no limit.
        #[serde(skip_serializing_if = "Option::is_none")]
        "maxParallelImagePulls" max_parallel_image_pulls: Option<u32> = None;
        /// Whether an image that is there still needs its registry's yes.
        "imagePullCredentialsVerificationPolicy" image_pull_credentials_verification_policy: CredentialsVerification = CredentialsVerification::NeverVerifyPreloadedImages;
        /// Images exempt from that under `NeverVerifyAllowlistedImages`.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        "preloadedImagesVerificationAllowlist" preloaded_images_verification_allowlist: Vec<String> = Vec::new();
        /// An unused image younger than that stays.
        "imageMinimumGCAge" image_minimum_gc_age: GoDuration = GoDuration::seconds(120);
        /// An image unused for longer goes; 0 for never.
        "imageMaximumGCAge" image_maximum_gc_age: GoDuration = GoDuration::ZERO;
        /// Percent of the disk at which images are collected.
        "imageGCHighThresholdPercent" image_gc_high_threshold_percent: u32 = 85;
        /// Percent of the disk down to which they are.
        "imageGCLowThresholdPercent" image_gc_low_threshold_percent: u32 = 80;
        /// Where container logs stand.
        "podLogsDir" pod_logs_dir: PathBuf = "/var/log/pods".into();
        /// A quantity of bytes at which a log is rotated.
        "containerLogMaxSize" container_log_max_size: String = "10Mi".into();
        /// Most files of one container's log.
        "containerLogMaxFiles" container_log_max_files: u32 = 5;
        /// Most rotations at once.
        "containerLogMaxWorkers" container_log_max_workers: u32 = 1;
        /// How often sizes are looked at.
        "containerLogMonitorInterval" container_log_monitor_interval: GoDuration = GoDuration::seconds(10);
        /// How long a crashing container is held back at most.
        "crashLoopBackOff" crash_loop_back_off: CrashLoopBackOff = CrashLoopBackOff::default();

        // What pods find.

        /// The cluster's DNS domain.
        #[serde(skip_serializing_if = "String::is_empty")]
        "clusterDomain" cluster_domain: String = String::new();
        /// DNS servers of `ClusterFirst` pods. One that is no address is skipped and said so.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        "clusterDNS" cluster_dns: Vec<String> = Vec::new();
        /// The node's resolver configuration; empty for none.
        "resolvConf" resolv_conf: String = "/etc/resolv.conf".into();
        /// Without effect: the network plugin decides.
        "hairpinMode" hairpin_mode: HairpinMode = HairpinMode::PromiscuousBridge;
        /// Unsafe sysctls that pods may set; `*` ends a pattern.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        "allowedUnsafeSysctls" allowed_unsafe_sysctls: Vec<String> = Vec::new();
        /// Containers without a seccomp profile get the runtime's default.
        "seccompDefault" seccomp_default: bool = false;
        /// How many user ids a pod with its own user namespace has.
        #[serde(skip_serializing_if = "Option::is_none")]
        "userNamespaces" user_namespaces: Option<UserNamespaces> = None;
        /// Folder of FlexVolume drivers.
        "volumePluginDir" volume_plugin_dir: PathBuf = "/usr/libexec/kubernetes/kubelet-plugins/volume/exec/".into();
        /// How often volumes are measured; negative for never.
        "volumeStatsAggPeriod" volume_stats_agg_period: GoDuration = GoDuration::seconds(60);
        /// Use of local disk is measured and limited.
        "localStorageCapacityIsolation" local_storage_capacity_isolation: bool = true;

        // Cgroups and the machine.

        /// Who writes cgroups.
        "cgroupDriver" cgroup_driver: CgroupDriver = CgroupDriver::Cgroupfs;
        /// The cgroup above `kubepods`.
        #[serde(skip_serializing_if = "String::is_empty")]
        "cgroupRoot" cgroup_root: String = String::new();
        /// Pods stand in cgroups by QoS class.
        "cgroupsPerQOS" cgroups_per_qos: bool = true;
        /// The cgroup of the node agents.
        #[serde(skip_serializing_if = "String::is_empty")]
        "kubeletCgroups" kubelet_cgroups: String = String::new();
        /// The cgroup for all other processes.
        #[serde(skip_serializing_if = "String::is_empty")]
        "systemCgroups" system_cgroups: String = String::new();
        /// A machine with cgroup v1 is refused.
        "failCgroupV1" fail_cgroup_v1: bool = true;
        /// A machine with swap is refused.
        "failSwapOn" fail_swap_on: bool = true;
        /// Who may swap.
        "memorySwap" memory_swap: MemorySwap = MemorySwap::default();
        /// CPU limits are enforced.
        "cpuCFSQuota" cpu_cfs_quota: bool = true;
        /// Over this period.
        "cpuCFSQuotaPeriod" cpu_cfs_quota_period: GoDuration = GoDuration::milliseconds(100);
        /// Most process ids in a pod; -1 for the node's allocatable.
        "podPidsLimit" pod_pids_limit: i64 = -1;
        /// Only the greedy process of a container is killed, not all; absent: all on cgroup v2.
        #[serde(skip_serializing_if = "Option::is_none")]
        "singleProcessOOMKill" single_process_oom_kill: Option<bool> = None;
        /// `memory.high` as a share of the limit, under MemoryQoS.
        "memoryThrottlingFactor" memory_throttling_factor: f64 = 0.9;
        /// What is protected, under MemoryQoS.
        "memoryReservationPolicy" memory_reservation_policy: MemoryReservationPolicy = MemoryReservationPolicy::None;
        /// Whole CPUs.
        "cpuManagerPolicy" cpu_manager_policy: CpuManagerPolicy = CpuManagerPolicy::None;
        /// Options of that.
        #[serde(skip_serializing_if = "Texts::is_empty")]
        "cpuManagerPolicyOptions" cpu_manager_policy_options: Texts = Texts::new();
        /// How often CPU sets are written again.
        "cpuManagerReconcilePeriod" cpu_manager_reconcile_period: GoDuration = GoDuration::seconds(10);
        /// Memory of NUMA nodes.
        "memoryManagerPolicy" memory_manager_policy: MemoryManagerPolicy = MemoryManagerPolicy::None;
        /// What of each NUMA node's memory pods do not get.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        "reservedMemory" reserved_memory: Vec<MemoryReservation> = Vec::new();
        /// Placement.
        "topologyManagerPolicy" topology_manager_policy: TopologyManagerPolicy = TopologyManagerPolicy::None;
        /// Of what.
        "topologyManagerScope" topology_manager_scope: TopologyManagerScope = TopologyManagerScope::Container;
        /// Options of that.
        #[serde(skip_serializing_if = "Texts::is_empty")]
        "topologyManagerPolicyOptions" topology_manager_policy_options: Texts = Texts::new();
        /// Percent of a resource kept for guaranteed pods.
        #[serde(skip_serializing_if = "Texts::is_empty")]
        "qosReserved" qos_reserved: Texts = Texts::new();
        /// Kernel settings that differ are an error, not mended.
        "protectKernelDefaults" protect_kernel_defaults: bool = false;
        /// Without effect: memory is watched otherwise.
        "kernelMemcgNotification" kernel_memcg_notification: bool = false;
        /// The iptables chain `KUBE-IPTABLES-HINT` is made.
        "makeIPTablesUtilChains" make_iptables_util_chains: bool = true;
        /// Without effect, upstream too.
        "iptablesMasqueradeBit" iptables_masquerade_bit: u32 = 14;
        /// Without effect, upstream too.
        "iptablesDropBit" iptables_drop_bit: u32 = 15;
        /// `oom_score_adj` of the node's own processes.
        "oomScoreAdj" oom_score_adj: i32 = -999;
        /// Most open files of one of them.
        "maxOpenFiles" max_open_files: u64 = 1_000_000;

        // What pods do not get, and when they have to go.

        /// Of each resource, what the system gets.
        #[serde(skip_serializing_if = "Texts::is_empty")]
        "systemReserved" system_reserved: Texts = Texts::new();
        /// Of each resource, what node agents get.
        #[serde(skip_serializing_if = "Texts::is_empty")]
        "kubeReserved" kube_reserved: Texts = Texts::new();
        /// A CPU list that only the system uses.
        #[serde(skip_serializing_if = "String::is_empty")]
        "reservedSystemCPUs" reserved_system_cpus: String = String::new();
        /// The system's cgroup.
        #[serde(skip_serializing_if = "String::is_empty")]
        "systemReservedCgroup" system_reserved_cgroup: String = String::new();
        /// The node agents' cgroup.
        #[serde(skip_serializing_if = "String::is_empty")]
        "kubeReservedCgroup" kube_reserved_cgroup: String = String::new();
        /// Where that is enforced.
        "enforceNodeAllocatable" enforce_node_allocatable: Vec<AllocatableEnforcement> = vec![AllocatableEnforcement::Pods];
        /// Signals and thresholds at which pods go at once.
        "evictionHard" eviction_hard: Texts = default_eviction_hard();
        /// Signals and thresholds at which they go with grace.
        #[serde(skip_serializing_if = "Texts::is_empty")]
        "evictionSoft" eviction_soft: Texts = Texts::new();
        /// For how long such a signal must last.
        #[serde(skip_serializing_if = "Texts::is_empty")]
        "evictionSoftGracePeriod" eviction_soft_grace_period: Texts = Texts::new();
        /// How much is won back at least.
        #[serde(skip_serializing_if = "Texts::is_empty")]
        "evictionMinimumReclaim" eviction_minimum_reclaim: Texts = Texts::new();
        /// How long a pressure condition outlasts its signal.
        "evictionPressureTransitionPeriod" eviction_pressure_transition_period: GoDuration = GoDuration::seconds(300);
        /// Most seconds of grace in a soft eviction.
        "evictionMaxPodGracePeriod" eviction_max_pod_grace_period: i32 = 0;
        /// Signals that `evictionHard` leaves out keep their defaults.
        "mergeDefaultEvictionSettings" merge_default_eviction_settings: bool = false;
        /// How long the machine's shutdown waits for pods; 0 for not at all.
        "shutdownGracePeriod" shutdown_grace_period: GoDuration = GoDuration::ZERO;
        /// How much of that is for critical pods.
        "shutdownGracePeriodCriticalPods" shutdown_grace_period_critical_pods: GoDuration = GoDuration::ZERO;
        /// The same by priority.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        "shutdownGracePeriodByPodPriority" shutdown_grace_period_by_pod_priority: Vec<ShutdownByPriority> = Vec::new();

        // The rest.

        /// Gates that differ from upstream's defaults.
        #[serde(skip_serializing_if = "BTreeMap::is_empty")]
        "featureGates" feature_gates: BTreeMap<String, bool> = BTreeMap::new();
        /// The one log.
        "logging" logging: Logging = Logging::default();
        /// Where spans go beside the local recorder; absent for nowhere.
        #[serde(skip_serializing_if = "Option::is_none")]
        "tracing" tracing: Option<Tracing> = None;
    }
}

/// The thresholds of `evictionHard` on Linux where a configuration names none
/// (`pkg/kubelet/eviction/defaults_linux.go`).
pub(super) fn default_eviction_hard() -> Texts {
    [
        ("memory.available", "100Mi"),
        ("nodefs.available", "10%"),
        ("nodefs.inodesFree", "5%"),
        ("imagefs.available", "15%"),
        ("imagefs.inodesFree", "5%"),
    ]
    .map(|(signal, threshold)| (signal.to_owned(), threshold.to_owned()))
    .into()
}

impl KubeletConfiguration {
    /// Whether a feature gate is open, upstream's default included. One that Kubernetes 1.36 does not
    /// know is shut.
    pub fn gate(&self, name: &str) -> bool {
        super::gates::is_open(&self.feature_gates, name)
    }
}
