//! Every flag of the stock kubelet 1.36 and what it stands for here. A table; nothing is done in it.
//!
//! A flag is refused only where the stock kubelet does not know it either: a unit file that starts
//! the one must start the other. What has no effect says so, once, in the log.

use Kind::{Bool, Gates, Headers, Int, Pair, Pairs, Reservations, Taints, Text, Thresholds, Words};

/// How a flag's text is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `--flag`, `--flag=true`, `--flag=false`.
    Bool,
    /// A whole number.
    Int,
    /// Text as it is; durations and choices are checked as the field that they become.
    Text,
    /// `a,b`, and the flag again for more.
    Words,
    /// `key=value,…`, and the flag again for more.
    Pairs,
    /// One `key=value`, whose value may hold commas; the flag again for more.
    Pair,
    /// `signal<quantity,…`.
    Thresholds,
    /// `Gate=true,…`.
    Gates,
    /// `Name:value,…`, several of one name allowed.
    Headers,
    /// `key=value:Effect,…`.
    Taints,
    /// `<NUMA node>:memory=1Gi,hugepages-2Mi=4Mi`, and the flag again for more nodes.
    Reservations,
}

impl Kind {
    /// What help shows for a value.
    pub(crate) const fn shape(self) -> &'static str {
        match self {
            Self::Bool => "BOOL",
            Self::Int => "NUMBER",
            Self::Text => "TEXT",
            Self::Words => "A,B,…",
            Self::Pairs | Self::Pair => "KEY=VALUE,…",
            Self::Thresholds => "SIGNAL<QUANTITY,…",
            Self::Gates => "GATE=BOOL,…",
            Self::Headers => "NAME:VALUE,…",
            Self::Taints => "KEY=VALUE:EFFECT,…",
            Self::Reservations => "NUMA-NODE:KIND=QUANTITY,…",
        }
    }
}

/// What a flag stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// A field of `KubeletConfiguration`, as a path.
    Field(&'static str),
    /// Something about the node that is no such field; [`super::arguments`] knows each by its name.
    Node,
    /// Nothing.
    Nothing,
}

/// A flag of the kubelet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Flag {
    /// Without the dashes.
    pub(crate) name: &'static str,
    /// How its text is read.
    pub(crate) kind: Kind,
    /// What it stands for.
    pub(crate) meaning: Meaning,
    /// Why it has no effect here; empty when it has.
    pub(crate) idle: &'static str,
}

const fn field(name: &'static str, kind: Kind, path: &'static str) -> Flag {
    Flag { name, kind, meaning: Meaning::Field(path), idle: "" }
}

const fn idle_field(name: &'static str, kind: Kind, path: &'static str, idle: &'static str) -> Flag {
    Flag { name, kind, meaning: Meaning::Field(path), idle }
}

const fn node(name: &'static str, kind: Kind) -> Flag {
    Flag { name, kind, meaning: Meaning::Node, idle: "" }
}

const fn idle(name: &'static str, kind: Kind, idle: &'static str) -> Flag {
    Flag { name, kind, meaning: Meaning::Nothing, idle }
}

const CADVISOR: &str = "it is cAdvisor's, which is not part of this node";
const CNI: &str = "the network plugin decides it";
const DEAD: &str = "dead containers are kept as long as their pod, the newest of each";
const FILES: &str = "the source files are others here";
const GONE: &str = "upstream took its effect away too";
const JSON_ONLY: &str = "the API server is spoken to in JSON";
const MEMCG: &str = "memory is watched without it";
const NO_GO: &str = "there is no Go runtime to profile";
const ONE_STREAM: &str = "the log is one stream, standard error";
const UNBUFFERED: &str = "the log is not buffered";

/// Every flag, by name.
pub(crate) const FLAGS: &[Flag] = &[
    field("address", Text, "address"),
    field("allowed-unsafe-sysctls", Words, "allowedUnsafeSysctls"),
    field("anonymous-auth", Bool, "authentication.anonymous.enabled"),
    idle("application-metrics-count-limit", Int, CADVISOR),
    field("authentication-token-webhook", Bool, "authentication.webhook.enabled"),
    field("authentication-token-webhook-cache-ttl", Text, "authentication.webhook.cacheTTL"),
    field("authorization-mode", Text, "authorization.mode"),
    field("authorization-webhook-cache-authorized-ttl", Text, "authorization.webhook.cacheAuthorizedTTL"),
    field("authorization-webhook-cache-unauthorized-ttl", Text, "authorization.webhook.cacheUnauthorizedTTL"),
    idle("boot-id-file", Text, CADVISOR),
    node("bootstrap-kubeconfig", Text),
    node("cert-dir", Text),
    field("cgroup-driver", Text, "cgroupDriver"),
    field("cgroup-root", Text, "cgroupRoot"),
    field("cgroups-per-qos", Bool, "cgroupsPerQOS"),
    field("client-ca-file", Text, "authentication.x509.clientCAFile"),
    node("cloud-provider", Text),
    field("cluster-dns", Words, "clusterDNS"),
    field("cluster-domain", Text, "clusterDomain"),
    node("config", Text),
    node("config-dir", Text),
    idle("container-hints", Text, CADVISOR),
    field("container-log-max-files", Int, "containerLogMaxFiles"),
    field("container-log-max-size", Text, "containerLogMaxSize"),
    field("container-runtime-endpoint", Text, "containerRuntimeEndpoint"),
    idle("containerd", Text, CADVISOR),
    idle("containerd-namespace", Text, CADVISOR),
    idle_field("contention-profiling", Bool, "enableContentionProfiling", NO_GO),
    field("cpu-cfs-quota", Bool, "cpuCFSQuota"),
    field("cpu-cfs-quota-period", Text, "cpuCFSQuotaPeriod"),
    field("cpu-manager-policy", Text, "cpuManagerPolicy"),
    field("cpu-manager-policy-options", Pair, "cpuManagerPolicyOptions"),
    field("cpu-manager-reconcile-period", Text, "cpuManagerReconcilePeriod"),
    field("enable-controller-attach-detach", Bool, "enableControllerAttachDetach"),
    field("enable-debugging-handlers", Bool, "enableDebuggingHandlers"),
    idle("enable-load-reader", Bool, CADVISOR),
    field("enable-server", Bool, "enableServer"),
    field("enforce-node-allocatable", Words, "enforceNodeAllocatable"),
    field("event-burst", Int, "eventBurst"),
    field("event-qps", Int, "eventRecordQPS"),
    idle("event-storage-age-limit", Text, CADVISOR),
    idle("event-storage-event-limit", Text, CADVISOR),
    field("eviction-hard", Thresholds, "evictionHard"),
    field("eviction-max-pod-grace-period", Int, "evictionMaxPodGracePeriod"),
    field("eviction-minimum-reclaim", Pairs, "evictionMinimumReclaim"),
    field("eviction-pressure-transition-period", Text, "evictionPressureTransitionPeriod"),
    field("eviction-soft", Thresholds, "evictionSoft"),
    field("eviction-soft-grace-period", Pairs, "evictionSoftGracePeriod"),
    node("exit-on-lock-contention", Bool),
    idle("experimental-allocatable-ignore-eviction", Bool, GONE),
    idle("experimental-mounter-path", Text, GONE),
    field("fail-cgroupv1", Bool, "failCgroupV1"),
    field("fail-swap-on", Bool, "failSwapOn"),
    field("feature-gates", Gates, "featureGates"),
    field("file-check-frequency", Text, "fileCheckFrequency"),
    idle("global-housekeeping-interval", Text, CADVISOR),
    idle_field("hairpin-mode", Text, "hairpinMode", CNI),
    field("healthz-bind-address", Text, "healthzBindAddress"),
    field("healthz-port", Int, "healthzPort"),
    node("hostname-override", Text),
    idle("housekeeping-interval", Text, CADVISOR),
    field("http-check-frequency", Text, "httpCheckFrequency"),
    node("image-credential-provider-bin-dir", Text),
    node("image-credential-provider-config", Text),
    field("image-gc-high-threshold", Int, "imageGCHighThresholdPercent"),
    field("image-gc-low-threshold", Int, "imageGCLowThresholdPercent"),
    field("image-service-endpoint", Text, "imageServiceEndpoint"),
    idle_field("kernel-memcg-notification", Bool, "kernelMemcgNotification", MEMCG),
    field("kube-api-burst", Int, "kubeAPIBurst"),
    idle_field("kube-api-content-type", Text, "contentType", JSON_ONLY),
    field("kube-api-qps", Int, "kubeAPIQPS"),
    field("kube-reserved", Pairs, "kubeReserved"),
    field("kube-reserved-cgroup", Text, "kubeReservedCgroup"),
    node("kubeconfig", Text),
    field("kubelet-cgroups", Text, "kubeletCgroups"),
    field("local-storage-capacity-isolation", Bool, "localStorageCapacityIsolation"),
    node("lock-file", Text),
    idle("log-cadvisor-usage", Bool, CADVISOR),
    idle_field("log-flush-frequency", Text, "logging.flushFrequency", UNBUFFERED),
    idle_field("log-json-info-buffer-size", Text, "logging.options.json.infoBufferSize", UNBUFFERED),
    idle_field("log-json-split-stream", Bool, "logging.options.json.splitStream", ONE_STREAM),
    idle_field("log-text-info-buffer-size", Text, "logging.options.text.infoBufferSize", UNBUFFERED),
    idle_field("log-text-split-stream", Bool, "logging.options.text.splitStream", ONE_STREAM),
    field("logging-format", Text, "logging.format"),
    idle("machine-id-file", Text, CADVISOR),
    field("make-iptables-util-chains", Bool, "makeIPTablesUtilChains"),
    field("manifest-url", Text, "staticPodURL"),
    field("manifest-url-header", Headers, "staticPodURLHeader"),
    field("max-open-files", Int, "maxOpenFiles"),
    field("max-pods", Int, "maxPods"),
    idle("maximum-dead-containers", Int, DEAD),
    idle("maximum-dead-containers-per-container", Int, DEAD),
    field("memory-manager-policy", Text, "memoryManagerPolicy"),
    idle("minimum-container-ttl-duration", Text, DEAD),
    field("minimum-image-ttl-duration", Text, "imageMinimumGCAge"),
    node("node-ip", Text),
    node("node-labels", Pairs),
    field("node-status-max-images", Int, "nodeStatusMaxImages"),
    field("node-status-update-frequency", Text, "nodeStatusUpdateFrequency"),
    field("oom-score-adj", Int, "oomScoreAdj"),
    idle_field("pod-cidr", Text, "podCIDR", CNI),
    field("pod-manifest-path", Text, "staticPodPath"),
    field("pod-max-pids", Int, "podPidsLimit"),
    field("pods-per-core", Int, "podsPerCore"),
    field("port", Int, "port"),
    field("protect-kernel-defaults", Bool, "protectKernelDefaults"),
    field("provider-id", Text, "providerID"),
    field("qos-reserved", Pairs, "qosReserved"),
    field("read-only-port", Int, "readOnlyPort"),
    field("register-node", Bool, "registerNode"),
    field("register-with-taints", Taints, "registerWithTaints"),
    field("registry-burst", Int, "registryBurst"),
    field("registry-qps", Int, "registryPullQPS"),
    field("reserved-cpus", Text, "reservedSystemCPUs"),
    field("reserved-memory", Reservations, "reservedMemory"),
    field("resolv-conf", Text, "resolvConf"),
    node("root-dir", Text),
    field("rotate-certificates", Bool, "rotateCertificates"),
    field("rotate-server-certificates", Bool, "serverTLSBootstrap"),
    field("runonce", Bool, "runOnce"),
    node("runtime-cgroups", Text),
    field("runtime-request-timeout", Text, "runtimeRequestTimeout"),
    field("seccomp-default", Bool, "seccompDefault"),
    field("serialize-image-pulls", Bool, "serializeImagePulls"),
    idle("storage-driver-buffer-duration", Text, CADVISOR),
    idle("storage-driver-db", Text, CADVISOR),
    idle("storage-driver-host", Text, CADVISOR),
    idle("storage-driver-password", Text, CADVISOR),
    idle("storage-driver-secure", Bool, CADVISOR),
    idle("storage-driver-table", Text, CADVISOR),
    idle("storage-driver-user", Text, CADVISOR),
    idle_field("streaming-connection-idle-timeout", Text, "streamingConnectionIdleTimeout", GONE),
    field("sync-frequency", Text, "syncFrequency"),
    field("system-cgroups", Text, "systemCgroups"),
    field("system-reserved", Pairs, "systemReserved"),
    field("system-reserved-cgroup", Text, "systemReservedCgroup"),
    field("tls-cert-file", Text, "tlsCertFile"),
    field("tls-cipher-suites", Words, "tlsCipherSuites"),
    field("tls-min-version", Text, "tlsMinVersion"),
    field("tls-private-key-file", Text, "tlsPrivateKeyFile"),
    field("topology-manager-policy", Text, "topologyManagerPolicy"),
    field("topology-manager-policy-options", Pairs, "topologyManagerPolicyOptions"),
    field("topology-manager-scope", Text, "topologyManagerScope"),
    field("v", Int, "logging.verbosity"),
    idle("vmodule", Text, FILES),
    field("volume-plugin-dir", Text, "volumePluginDir"),
    field("volume-stats-agg-period", Text, "volumeStatsAggPeriod"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use chassis::config::KubeletConfiguration;
    use serde_json::Value;

    #[test]
    fn the_table_is_in_order_and_names_each_flag_once() {
        assert!(FLAGS.is_sorted_by(|one, next| one.name < next.name));
    }

    #[test]
    fn every_field_is_one_of_the_configuration() {
        let mut known = serde_json::to_value(KubeletConfiguration::default()).unwrap();
        let Value::Object(fields) = &mut known else { panic!("the configuration is an object") };
        // What is absent by default is not written.
        for absent in ABSENT_BY_DEFAULT {
            fields.entry(absent).or_insert(Value::Null);
        }
        for flag in FLAGS {
            let Meaning::Field(path) = flag.meaning else { continue };
            let pointer = format!("/{}", path.replace('.', "/"));
            let known = known.pointer(&pointer).is_some() || path == "authentication.x509.clientCAFile";
            assert!(known, "--{} stands for {path}, which is no field", flag.name);
        }
    }

    const ABSENT_BY_DEFAULT: [&str; 30] = [
        "allowedUnsafeSysctls",
        "cgroupRoot",
        "clusterDNS",
        "clusterDomain",
        "cpuManagerPolicyOptions",
        "evictionMinimumReclaim",
        "evictionSoft",
        "evictionSoftGracePeriod",
        "featureGates",
        "imageServiceEndpoint",
        "kubeReserved",
        "kubeReservedCgroup",
        "kubeletCgroups",
        "podCIDR",
        "providerID",
        "qosReserved",
        "registerWithTaints",
        "reservedMemory",
        "reservedSystemCPUs",
        "staticPodPath",
        "staticPodURL",
        "staticPodURLHeader",
        "systemCgroups",
        "systemReserved",
        "systemReservedCgroup",
        "tlsCertFile",
        "tlsCipherSuites",
        "tlsMinVersion",
        "tlsPrivateKeyFile",
        "topologyManagerPolicyOptions",
    ];
}
