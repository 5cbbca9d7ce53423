//! The settings of cri-bridge, out of the node's configuration.

use crate::{
    adapters::machine::{self, Hardware},
    core::{
        cgroup::{CpuQuota, Driver, Hierarchy, Layout, Name},
        dns::{self, Resolver},
        linux_resources::Machine,
        node::Node,
        resources::{self, Amounts},
        security::Defaults,
    },
};
use chassis::config::{AllocatableEnforcement, CgroupDriver, KubeletConfiguration, NodeConfig, SwapBehavior};
use k8s_openapi::api::core::v1 as core;
use messages::{Amount, BadAmount};
use proto::runtime::v1 as cri;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    net::IpAddr,
    path::{Path, PathBuf},
    time::Duration,
};

/// A setting that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{setting} cannot be used")]
pub struct BadSetting {
    setting: String,
    #[source]
    source: BadAmount,
}

/// When and how container logs are rotated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogRotation {
    /// Bytes from which on a log is moved; `None` for never.
    pub max_size: Option<u64>,
    /// Files of a log at most, the live one among them.
    pub max_files: usize,
    /// How often sizes are looked at.
    pub every: Duration,
}

/// The settings.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The CRI socket.
    pub runtime_socket: PathBuf,
    /// The CRI socket for images.
    pub image_socket: PathBuf,
    /// `runtimeRequestTimeout`.
    pub patience: Duration,
    /// How many images are pulled at once.
    pub pulls_at_once: usize,
    /// `registryPullQPS` and `registryBurst`; `None` for no limit.
    pub pull_rate: Option<(u32, u32)>,
    /// Rotation.
    pub log_rotation: LogRotation,
    /// `nodeStatusMaxImages`; `None` for all.
    pub max_images: Option<usize>,
    /// What `kubepods` leaves to others; `None` when nothing is enforced.
    pub reserved: Option<Amounts>,
    /// `podPidsLimit`; `None` for no limit.
    pub pod_pids: Option<i64>,
    /// Running pods that nobody claims do not hinder the start.
    pub takeover: bool,
    /// The kubelet's folder.
    pub root_dir: PathBuf,
    kubelet: KubeletConfiguration,
}

impl Settings {
    /// Takes them out of the node's configuration.
    ///
    /// # Errors
    /// When a quantity cannot be read. The rest was checked by whoever wrote it.
    pub fn of(config: &NodeConfig) -> Result<Self, BadSetting> {
        let kubelet = config.kubelet.clone();
        let pulls_at_once = match (kubelet.serialize_image_pulls, kubelet.max_parallel_image_pulls) {
            (true, _) => 1,
            (false, most) => most.map_or(usize::MAX, |most| most as usize),
        };
        let enforces = kubelet.enforce_node_allocatable.contains(&AllocatableEnforcement::Pods);
        Ok(Self {
            runtime_socket: config.runtime_socket(),
            image_socket: config.image_socket(),
            patience: kubelet.runtime_request_timeout.get(),
            pulls_at_once,
            pull_rate: Some((kubelet.registry_pull_qps, kubelet.registry_burst)).filter(|(qps, _)| *qps > 0),
            log_rotation: log_rotation(&kubelet)?,
            max_images: usize::try_from(kubelet.node_status_max_images).ok(),
            reserved: if enforces { Some(reserved(&kubelet)?) } else { None },
            pod_pids: Some(kubelet.pod_pids_limit).filter(|limit| *limit > 0),
            takeover: config.takeover,
            root_dir: config.root_dir.clone(),
            kubelet,
        })
    }

    /// `podLogsDir`.
    pub fn pod_logs(&self) -> &Path {
        &self.kubelet.pod_logs_dir
    }

    /// How cgroups are laid out, with the driver that the runtime uses, or else the configured one.
    pub fn layout(&self, of_runtime: Option<cri::CgroupDriver>) -> Layout {
        let driver = match (of_runtime, self.kubelet.cgroup_driver) {
            (Some(cri::CgroupDriver::Systemd), _) | (None, CgroupDriver::Systemd) => Driver::Systemd,
            (Some(cri::CgroupDriver::Cgroupfs), _) | (None, CgroupDriver::Cgroupfs) => Driver::Cgroupfs,
        };
        let root = Name::of_path(&self.kubelet.cgroup_root, driver);
        Layout { root, driver, per_qos: self.kubelet.cgroups_per_qos }
    }

    /// What the rules need to know of the node. `object` is the Node as status-reporter says it.
    pub fn node(
        &self,
        hardware: &Hardware,
        hierarchy: Hierarchy,
        layout: Layout,
        object: Option<&core::Node>,
    ) -> Node {
        let status = object.and_then(|node| node.status.as_ref());
        let ips: Vec<IpAddr> = status.into_iter().flat_map(internal_ips).collect();
        let allocatable = status.and_then(|status| status.allocatable.as_ref());
        Node {
            // What cannot be read there is nothing that a container could be told.
            allocatable: resources::amounts("the node", allocatable).unwrap_or_default(),
            resolver: self.resolver(&ips),
            ips,
            machine: self.machine(hardware, hierarchy),
            layout,
            defaults: Defaults {
                seccomp_is_runtime_default: self.kubelet.seccomp_default,
                seccomp_root: self.root_dir.join("seccomp"),
                masked: machine::thermal_throttle_paths(),
            },
            pod_logs: self.kubelet.pod_logs_dir.clone(),
            selinux: machine::has_selinux(),
            rro_handlers: BTreeSet::new(),
        }
    }

    /// The node's resolver as its file says now.
    pub fn resolver(&self, node_ips: &[IpAddr]) -> Resolver {
        let path = &self.kubelet.resolv_conf;
        let host = (!path.is_empty()).then(|| dns::parse(&fs::read_to_string(path).unwrap_or_default()));
        Resolver {
            cluster: self.kubelet.cluster_dns.iter().filter_map(|ip| ip.parse().ok()).collect(),
            domain: self.kubelet.cluster_domain.clone(),
            host,
            node_ips: node_ips.to_vec(),
        }
    }

    /// How CPU limits are enforced.
    pub fn cpu(&self) -> CpuQuota {
        let period = self.kubelet.cpu_cfs_quota_period.get().as_micros();
        CpuQuota {
            is_enforced: self.kubelet.cpu_cfs_quota,
            period: i64::try_from(period).unwrap_or(i64::MAX),
        }
    }

    fn machine(&self, hardware: &Hardware, hierarchy: Hierarchy) -> Machine {
        let memsw = Path::new("/sys/fs/cgroup/memory/memory.memsw.limit_in_bytes");
        let is_v1 = hierarchy == Hierarchy::V1;
        Machine {
            memory: hardware.memory,
            swap: hardware.swap,
            page_sizes: hardware.hugepages.keys().copied().collect(),
            hierarchy,
            has_swap_controller: if is_v1 { memsw.exists() } else { hardware.swap > 0 },
            cpu: self.cpu(),
            allows_swap: self.kubelet.memory_swap.swap_behavior == SwapBehavior::LimitedSwap,
            kills_single_processes: self.kubelet.single_process_oom_kill.unwrap_or(is_v1),
        }
    }
}

fn log_rotation(kubelet: &KubeletConfiguration) -> Result<LogRotation, BadSetting> {
    let max_size = amount("containerLogMaxSize", &kubelet.container_log_max_size)?;
    Ok(LogRotation {
        max_size: u64::try_from(max_size.value()).ok(),
        max_files: kubelet.container_log_max_files as usize,
        every: kubelet.container_log_monitor_interval.get().max(Duration::from_secs(1)),
    })
}

fn reserved(kubelet: &KubeletConfiguration) -> Result<Amounts, BadSetting> {
    let mut reserved = Amounts::new();
    let lists = [("systemReserved", &kubelet.system_reserved), ("kubeReserved", &kubelet.kube_reserved)];
    for (setting, list) in lists {
        for (resource, text) in list {
            let sum = reserved.entry(resource.clone()).or_default();
            *sum = *sum + amount(&format!("{setting}.{resource}"), text)?;
        }
    }
    Ok(reserved)
}

fn amount(setting: &str, text: &str) -> Result<Amount, BadSetting> {
    text.parse().map_err(|source| BadSetting { setting: setting.to_owned(), source })
}

fn internal_ips(status: &core::NodeStatus) -> impl Iterator<Item = IpAddr> {
    let internal = status.addresses.iter().flatten().filter(|address| address.type_ == "InternalIP");
    internal.filter_map(|address| address.address.parse().ok())
}

/// What the machine has, by resource name, as cgroups are sized by it.
pub fn capacity(hardware: &Hardware) -> Amounts {
    let whole = |ones: u64| Amount::whole(i64::try_from(ones).unwrap_or(i64::MAX));
    let plain = [
        ("cpu".to_owned(), whole(hardware.cpus.into())),
        ("memory".to_owned(), whole(hardware.memory)),
        ("pid".to_owned(), whole(hardware.pids)),
    ];
    let pages = hardware
        .hugepages
        .iter()
        .map(|(size, bytes)| (crate::core::cgroup::resource_name(*size), whole(*bytes)));
    plain.into_iter().chain(pages).collect::<BTreeMap<_, _>>()
}
