//! Security contexts: the container's settings over the pod's, as the runtime is told them.
//!
//! Upstream: `pkg/securitycontext`, `pkg/kubelet/kuberuntime/security_context.go`.

mod profiles;

pub use profiles::{BadProfile, apparmor, seccomp};

use super::spec;
use k8s_openapi::api::core::v1 as core;
use proto::runtime::v1 as cri;
use std::path::PathBuf;

/// What the node adds to what pods say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Defaults {
    /// `seccompDefault`: RuntimeDefault where nothing is said, and not Unconfined.
    pub seccomp_is_runtime_default: bool,
    /// `<root-dir>/seccomp`, where Localhost profiles are.
    pub seccomp_root: PathBuf,
    /// Paths of this machine that are hidden besides `MASKED`: the thermal throttle counters of
    /// each CPU, by which containers could watch each other.
    pub masked: Vec<String>,
}

/// Paths that containers do not see, as Docker and the kubelet have it.
const MASKED: [&str; 12] = [
    "/proc/asound",
    "/proc/acpi",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/firmware",
    "/sys/devices/virtual/powercap",
];

/// Paths that containers see and can't write.
const READONLY: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// Who an image runs as when nobody says otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImageUser {
    /// A number; 0 where the image names nobody.
    Id(i64),
    /// A name, which only the runtime can look up.
    Name(String),
}

/// Why a container's security context is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadSecurity {
    /// `runAsNonRoot` and `runAsUser: 0`.
    #[error("container's runAsUser breaks non-root policy (pod: \"{pod}\", container: {container})")]
    RunsAsRoot {
        /// The pod.
        pod: String,
        /// The container.
        container: String,
    },
    /// `runAsNonRoot` and an image whose user is a name.
    #[error(
        "container has runAsNonRoot and image has non-numeric user ({user}), cannot verify user is non-root \
         (pod: \"{pod}\", container: {container})"
    )]
    UnknownUser {
        /// The name.
        user: String,
        /// The pod.
        pod: String,
        /// The container.
        container: String,
    },
    /// `runAsNonRoot` and an image that runs as root.
    #[error("container has runAsNonRoot and image will run as root (pod: \"{pod}\", container: {container})")]
    ImageRunsAsRoot {
        /// The pod.
        pod: String,
        /// The container.
        container: String,
    },
    /// No such policy.
    #[error("unsupported supplementalGroupsPolicy: {0}")]
    GroupsPolicy(String),
    /// A seccomp or AppArmor profile that is none.
    #[error(transparent)]
    Profile(#[from] BadProfile),
}

/// Everything that a container's security context follows from.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'s> {
    /// The pod.
    pub pod: &'s core::Pod,
    /// The container.
    pub container: &'s core::Container,
    /// Whom its image runs as.
    pub image_user: &'s ImageUser,
    /// Groups that the pod's volumes need.
    pub volume_groups: &'s [i64],
    /// CRI id of the container whose processes an ephemeral container sees.
    pub target: Option<&'s str>,
}

/// A container's security context.
///
/// # Errors
/// When pod or container ask for what is not allowed or does not exist.
pub fn of_container(
    subject: Subject,
    defaults: &Defaults,
) -> Result<cri::LinuxContainerSecurityContext, BadSecurity> {
    let Subject { pod, container, .. } = subject;
    let of_pod = pod_context(pod);
    let own = container.security_context.clone().unwrap_or_default();
    let run_as_user = own.run_as_user.or(of_pod.run_as_user);
    let run_as_group = own.run_as_group.or(of_pod.run_as_group);
    refuse_root(subject, own.run_as_non_root.or(of_pod.run_as_non_root), run_as_user)?;
    let apparmor = apparmor(pod, container)?;
    let unmasked = own.proc_mount.as_deref() == Some("Unmasked");
    let (user, username) = match (run_as_user, subject.image_user) {
        (Some(user), _) => (Some(user), String::new()),
        (None, ImageUser::Id(user)) => (Some(*user), String::new()),
        (None, ImageUser::Name(name)) => (None, name.clone()),
    };
    Ok(cri::LinuxContainerSecurityContext {
        capabilities: own.capabilities.map(capabilities),
        privileged: own.privileged.unwrap_or_default(),
        namespace_options: Some(namespaces(pod, subject.target)),
        selinux_options: own.se_linux_options.or(of_pod.se_linux_options.clone()).map(selinux),
        run_as_user: user.map(int64),
        run_as_group: run_as_group.map(int64),
        run_as_username: username,
        readonly_rootfs: own.read_only_root_filesystem.unwrap_or_default(),
        supplemental_groups: groups(&of_pod, subject.volume_groups),
        supplemental_groups_policy: groups_policy(&of_pod)?.into(),
        no_new_privs: own.allow_privilege_escalation == Some(false),
        masked_paths: if unmasked { Vec::new() } else { masked(defaults) },
        readonly_paths: if unmasked { Vec::new() } else { READONLY.map(Into::into).into() },
        seccomp: Some(seccomp(pod, container, defaults)?),
        apparmor: apparmor.as_ref().map(|(profile, _)| profile.clone()),
        apparmor_profile: apparmor.map(|(_, name)| name).unwrap_or_default(),
    })
}

/// A sandbox's security context. Its seccomp profile is always the runtime's, so that a pod may
/// have the tightest profiles for its containers.
///
/// # Errors
/// When the pod asks for what does not exist.
pub fn of_sandbox(
    pod: &core::Pod,
    volume_groups: &[i64],
) -> Result<cri::LinuxSandboxSecurityContext, BadSecurity> {
    let context = pod_context(pod);
    Ok(cri::LinuxSandboxSecurityContext {
        namespace_options: Some(namespaces(pod, None)),
        selinux_options: context.se_linux_options.clone().map(selinux),
        run_as_user: context.run_as_user.map(int64),
        run_as_group: context.run_as_group.map(int64),
        supplemental_groups: groups(&context, volume_groups),
        supplemental_groups_policy: groups_policy(&context)?.into(),
        privileged: has_privileged(pod),
        seccomp: Some(profiles::runtime_default()),
        ..Default::default()
    })
}

/// Which namespaces the pod's containers share, with each other or with the node.
pub fn namespaces(pod: &core::Pod, target: Option<&str>) -> cri::NamespaceOption {
    use cri::NamespaceMode::{Container, Node, Pod, Target};
    let spec = spec::of(pod);
    let node_if = |host: Option<bool>| if host.unwrap_or_default() { Node } else { Pod };
    let pid = match (spec.host_pid, spec.share_process_namespace) {
        (Some(true), _) => Node,
        (_, Some(true)) => Pod,
        _ if target.is_some() => Target,
        _ => Container,
    };
    cri::NamespaceOption {
        network: node_if(spec.host_network).into(),
        pid: pid.into(),
        ipc: node_if(spec.host_ipc).into(),
        target_id: target.filter(|_| pid == Target).unwrap_or_default().to_owned(),
        userns_options: None,
    }
}

fn refuse_root(subject: Subject, non_root: Option<bool>, user: Option<i64>) -> Result<(), BadSecurity> {
    if non_root != Some(true) {
        return Ok(());
    }
    let pod = spec::shown(subject.pod);
    let container = subject.container.name.clone();
    match (user, subject.image_user) {
        (Some(0), _) => Err(BadSecurity::RunsAsRoot { pod, container }),
        (None, ImageUser::Name(user)) => Err(BadSecurity::UnknownUser { user: user.clone(), pod, container }),
        (None, ImageUser::Id(0)) => Err(BadSecurity::ImageRunsAsRoot { pod, container }),
        _ => Ok(()),
    }
}

fn pod_context(pod: &core::Pod) -> core::PodSecurityContext {
    pod.spec.as_ref().and_then(|spec| spec.security_context.clone()).unwrap_or_default()
}

fn has_privileged(pod: &core::Pod) -> bool {
    let spec = spec::of(pod);
    let init = spec::init_containers(&spec);
    let contexts = spec.containers.iter().chain(init).map(|container| &container.security_context);
    let ephemeral = spec.ephemeral_containers.iter().flatten().map(|container| &container.security_context);
    contexts.chain(ephemeral).flatten().any(|context| context.privileged == Some(true))
}

fn groups(context: &core::PodSecurityContext, of_volumes: &[i64]) -> Vec<i64> {
    let own = context.supplemental_groups.iter().flatten();
    context.fs_group.iter().chain(own).chain(of_volumes).copied().collect()
}

fn groups_policy(context: &core::PodSecurityContext) -> Result<cri::SupplementalGroupsPolicy, BadSecurity> {
    match context.supplemental_groups_policy.as_deref() {
        None | Some("Merge") => Ok(cri::SupplementalGroupsPolicy::Merge),
        Some("Strict") => Ok(cri::SupplementalGroupsPolicy::Strict),
        Some(other) => Err(BadSecurity::GroupsPolicy(other.to_owned())),
    }
}

fn capabilities(capabilities: core::Capabilities) -> cri::Capability {
    cri::Capability {
        add_capabilities: capabilities.add.unwrap_or_default(),
        drop_capabilities: capabilities.drop.unwrap_or_default(),
        add_ambient_capabilities: Vec::new(),
    }
}

fn selinux(options: core::SELinuxOptions) -> cri::SeLinuxOption {
    cri::SeLinuxOption {
        user: options.user.unwrap_or_default(),
        role: options.role.unwrap_or_default(),
        r#type: options.type_.unwrap_or_default(),
        level: options.level.unwrap_or_default(),
    }
}

fn int64(value: i64) -> cri::Int64Value {
    cri::Int64Value { value }
}

fn masked(defaults: &Defaults) -> Vec<String> {
    MASKED.map(Into::into).into_iter().chain(defaults.masked.clone()).collect()
}

#[cfg(test)]
mod tests;
