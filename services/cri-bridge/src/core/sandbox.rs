//! A pod becomes a sandbox's configuration (`kuberuntime_sandbox.go`).

use super::{
    dns::{self, Notice},
    hosts::{BadHostname, Hostname},
    labels, names,
    node::Node,
    qos::QosClass,
    resources::{BadDemand, PodDemand},
    security::{self, BadSecurity},
    spec,
};
use k8s_openapi::api::core::v1 as core;
use messages::PodUid;
use proto::runtime::v1 as cri;
use std::collections::BTreeSet;

/// Why a pod has no sandbox configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SandboxError {
    /// Its host name.
    #[error(transparent)]
    Hostname(#[from] BadHostname),
    /// Its security context.
    #[error(transparent)]
    Security(#[from] BadSecurity),
    /// Its numbers.
    #[error(transparent)]
    Demand(#[from] BadDemand),
    /// `hostUsers: false`. Running it with the node's users would be less than it asks for.
    #[error("pods with user namespaces of their own (hostUsers: false) are not served by this node yet")]
    UserNamespace,
}

/// A sandbox's configuration, and what the pod's author should hear.
#[derive(Debug, Clone, PartialEq)]
pub struct Sandbox {
    /// For RunPodSandbox, and again for each CreateContainer and PullImage.
    pub config: cri::PodSandboxConfig,
    /// About its resolver.
    pub notices: Vec<Notice>,
}

/// The configuration of one attempt.
///
/// # Errors
/// When the spec asks for what cannot be.
pub fn config(
    pod: &core::Pod,
    uid: &PodUid,
    attempt: u32,
    volume_groups: &[i64],
    node: &Node,
) -> Result<Sandbox, SandboxError> {
    let spec = spec::of(pod);
    if spec.host_users == Some(false) {
        return Err(SandboxError::UserNamespace);
    }
    let (namespace, name) = (spec::namespace(pod), spec::name(pod));
    let (dns_config, notices) = dns::of(pod, &node.resolver);
    let log_directory = names::pod_log_directory(&node.pod_logs, namespace, name, uid);
    let config = cri::PodSandboxConfig {
        metadata: Some(cri::PodSandboxMetadata {
            name: name.to_owned(),
            uid: uid.to_string(),
            namespace: namespace.to_owned(),
            attempt,
        }),
        hostname: hostname(pod, node)?,
        log_directory: log_directory.to_string_lossy().into_owned(),
        dns_config: Some(dns_config),
        port_mappings: spec.containers.iter().flat_map(ports).collect(),
        labels: labels::of_sandbox(pod),
        annotations: pod.metadata.annotations.clone().unwrap_or_default().into_iter().collect(),
        linux: Some(linux(pod, uid, volume_groups, node)?),
    };
    Ok(Sandbox { config, notices })
}

fn hostname(pod: &core::Pod, node: &Node) -> Result<String, BadHostname> {
    if spec::has_host_network(pod) {
        return Ok(String::new());
    }
    let as_fqdn = spec::of(pod).set_hostname_as_fqdn.unwrap_or_default();
    Hostname::of(pod, &node.resolver.domain)?.for_kernel(as_fqdn)
}

fn linux(
    pod: &core::Pod,
    uid: &PodUid,
    volume_groups: &[i64],
    node: &Node,
) -> Result<cri::LinuxPodSandboxConfig, SandboxError> {
    let demand = PodDemand::of(pod)?;
    let context = pod.spec.as_ref().and_then(|spec| spec.security_context.as_ref());
    let sysctls = context.into_iter().flat_map(|context| context.sysctls.iter().flatten());
    Ok(cri::LinuxPodSandboxConfig {
        cgroup_parent: node.layout.parent(QosClass::of(&demand), uid),
        security_context: Some(security::of_sandbox(pod, volume_groups)?),
        // Both `net/ipv4/x` and `net.ipv4.x` are valid; runtimes know the latter.
        sysctls: sysctls.map(|sysctl| (sysctl.name.replace('/', "."), sysctl.value.clone())).collect(),
        overhead: Some(node.machine.overhead(&demand)),
        resources: Some(node.machine.sandbox(&demand)),
    })
}

/// A container's ports, those without a host port among them; a name counts once.
fn ports(container: &core::Container) -> Vec<cri::PortMapping> {
    let mut seen = BTreeSet::new();
    let ports = container.ports.iter().flatten();
    ports.filter(|port| seen.insert(port_name(port))).map(port_mapping).collect()
}

fn port_name(port: &core::ContainerPort) -> String {
    match port.name.as_deref().filter(|name| !name.is_empty()) {
        Some(name) => name.to_owned(),
        None => {
            format!("{:?}/{:?}:{}:{:?}", port.protocol, port.host_ip, port.container_port, port.host_port)
        }
    }
}

fn port_mapping(port: &core::ContainerPort) -> cri::PortMapping {
    let protocol = match port.protocol.as_deref() {
        Some("UDP") => cri::Protocol::Udp,
        Some("SCTP") => cri::Protocol::Sctp,
        _ => cri::Protocol::Tcp,
    };
    cri::PortMapping {
        protocol: protocol.into(),
        container_port: port.container_port,
        host_port: port.host_port.unwrap_or_default(),
        host_ip: port.host_ip.clone().unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::samples;
    use serde_json::{Value, json};

    fn sandbox(spec: Value) -> Result<Sandbox, SandboxError> {
        let pod = samples::pod(spec);
        config(&pod, &"u-1".parse().unwrap(), 2, &[], &samples::node())
    }

    fn app(mut spec: Value) -> Value {
        spec["containers"] = json!([{"name": "app"}]);
        spec
    }

    #[test]
    fn a_sandbox_is_named_and_found_as_the_kubelets() {
        let config = sandbox(app(json!({}))).unwrap().config;
        let metadata = config.metadata.unwrap();
        let names =
            (metadata.name.as_str(), metadata.namespace.as_str(), metadata.uid.as_str(), metadata.attempt);
        assert_eq!(names, ("web", "shop", "u-1", 2));
        assert_eq!(config.log_directory, "/var/log/pods/shop_web_u-1");
        assert_eq!(config.hostname, "web");
        assert_eq!(config.linux.unwrap().cgroup_parent, "/kubepods/besteffort/podu-1");
    }

    #[test]
    fn a_pod_in_the_hosts_network_has_no_host_name_of_its_own() {
        assert_eq!(sandbox(app(json!({"hostNetwork": true}))).unwrap().config.hostname, "");
    }

    #[test]
    fn ports_are_mapped_once_per_name() {
        let ports = json!([
            {"containerPort": 80, "hostPort": 8080, "protocol": "TCP"},
            {"containerPort": 53, "protocol": "UDP"},
            {"name": "a", "containerPort": 1, "protocol": "SCTP"},
            {"name": "a", "containerPort": 2},
        ]);
        let config = sandbox(json!({"containers": [{"name": "app", "ports": ports}]})).unwrap().config;
        let got: Vec<_> =
            config.port_mappings.iter().map(|p| (p.protocol(), p.container_port, p.host_port)).collect();
        use cri::Protocol::{Sctp, Tcp, Udp};
        assert_eq!(got, [(Tcp, 80, 8080), (Udp, 53, 0), (Sctp, 1, 0)]);
    }

    #[test]
    fn sysctls_are_written_with_dots() {
        let context = json!({"sysctls": [{"name": "net/ipv4/ip_forward", "value": "1"}]});
        let linux = sandbox(app(json!({"securityContext": context}))).unwrap().config.linux.unwrap();
        assert_eq!(linux.sysctls, [("net.ipv4.ip_forward".to_owned(), "1".to_owned())].into());
    }

    #[test]
    fn what_the_node_cannot_give_is_refused_and_not_left_out() {
        assert_eq!(sandbox(app(json!({"hostUsers": false}))), Err(SandboxError::UserNamespace));
        let bad = json!({"containers": [{"name": "a", "resources": {"limits": {"cpu": "x"}}}]});
        assert!(matches!(sandbox(bad), Err(SandboxError::Demand(_))));
        assert!(matches!(sandbox(app(json!({"hostname": "-"}))), Err(SandboxError::Hostname(_))));
    }
}
