//! From a command line to the node's settings: files are read, defaults filled in, everything checked.
//!
//! Nothing is opened, made or started here, so that a bad configuration ends the process before
//! anything else happened.

use crate::{
    host,
    kubelet::arguments::{Arguments, NodeArguments},
};
use chassis::config::{
    self, Base, BusAddress, ConfigError, KubeletConfiguration, Machine, NodeConfig, ServiceProxy, Sources,
};
use messages::{BadId, NodeName};
use std::{
    net::IpAddr,
    path::{Path, PathBuf},
};

/// The kubelet's folder where none is named.
pub(crate) const ROOT_DIR: &str = "/var/lib/kubelet";

/// Why a command line makes no node.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BadSettings {
    /// Files, fields or labels.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The node has no usable name.
    #[error("the node's name, which --hostname-override or the host's name gives, is not usable")]
    Name(#[source] BadId),
    /// The addresses are none, or too many.
    #[error("--node-ip {text:?}: expected an address, or one of each family joined by a comma")]
    NodeIp {
        /// What was given.
        text: String,
    },
    /// A provider that the kubelet no longer has.
    #[error("--cloud-provider {given:?}: expected \"external\" or nothing")]
    CloudProvider {
        /// What was given.
        given: String,
    },
    /// One of two flags that belong together.
    #[error("{given} needs {missing}")]
    Alone {
        /// The one that was given.
        given: &'static str,
        /// The one that was not.
        missing: &'static str,
    },
    /// The credentials do not exist, and nothing is there to ask for new ones.
    #[error("{path}: there is no such kubeconfig, and asking for credentials with --bootstrap-kubeconfig comes later", path = path.display())]
    NoKubeconfig {
        /// Where they should be.
        path: PathBuf,
    },
    /// The machine swaps.
    #[error("the machine has swap in use ({device}) and failSwapOn is true; turn it off with: swapoff -a")]
    Swap {
        /// Where it swaps to.
        device: String,
    },
}

/// The settings that a command line gives; the bus has no address yet.
///
/// # Errors
/// With everything that is wrong in files, fields or flags.
pub(crate) fn node_config(arguments: Arguments, base: Base) -> Result<NodeConfig, BadSettings> {
    let node = arguments.node;
    together(&node)?;
    config::check_node_labels(node.node_labels.iter())?;
    let sources = Sources { base, file: node.config, dir: node.config_dir, flags: arguments.fields };
    let kubelet = config::load(&sources, Machine { cgroup_v2: host::has_cgroup_v2() })?;
    no_swap(&kubelet)?;
    let root_dir = absolute(node.root_dir.unwrap_or_else(|| ROOT_DIR.into()));
    Ok(NodeConfig {
        node_name: node_name(node.hostname_override.as_deref(), &host::name())?,
        kubeconfig: existing(node.kubeconfig.map(absolute))?,
        bootstrap_kubeconfig: node.bootstrap_kubeconfig.map(absolute),
        cert_dir: node.cert_dir.map_or_else(|| root_dir.join("pki"), absolute),
        node_ips: node_ips(node.node_ip.as_deref())?,
        node_labels: node.node_labels,
        external_cloud_provider: is_external(node.cloud_provider)?,
        image_credential_provider_config: node.image_credential_provider_config.map(absolute),
        image_credential_provider_bin_dir: node.image_credential_provider_bin_dir.map(absolute),
        runtime_cgroups: node.runtime_cgroups.unwrap_or_default(),
        takeover: node.takeover,
        proxy: node.proxy.unwrap_or(proxy(base)),
        bus: BusAddress { url: String::new() },
        otlp_endpoint: node.otlp_endpoint.or_else(|| collector(&kubelet)),
        root_dir,
        kubelet,
    })
}

/// Beside a kubelet stands a kube-proxy, which goes on when the kubelet is taken over; `up` is both.
fn proxy(base: Base) -> ServiceProxy {
    match base {
        Base::StockFlags => ServiceProxy::None,
        Base::AnyMachine => ServiceProxy::Nftables,
    }
}

fn together(node: &NodeArguments) -> Result<(), BadSettings> {
    let alone = |given, missing| Err(BadSettings::Alone { given, missing });
    if node.exit_on_lock_contention && node.lock_file.is_none() {
        return alone("--exit-on-lock-contention", "--lock-file");
    }
    match (&node.image_credential_provider_config, &node.image_credential_provider_bin_dir) {
        (Some(_), None) => alone("--image-credential-provider-config", "--image-credential-provider-bin-dir"),
        (None, Some(_)) => alone("--image-credential-provider-bin-dir", "--image-credential-provider-config"),
        _ => Ok(()),
    }
}

/// A path as every process of the node will read it.
fn absolute(path: PathBuf) -> PathBuf {
    std::path::absolute(&path).unwrap_or(path)
}

fn existing(kubeconfig: Option<PathBuf>) -> Result<Option<PathBuf>, BadSettings> {
    match kubeconfig {
        Some(path) if !path.exists() => Err(BadSettings::NoKubeconfig { path }),
        other => Ok(other),
    }
}

/// The name by `--hostname-override`, or the host's own; both in lower case, as the kubelet has it.
fn node_name(override_: Option<&str>, host: &str) -> Result<NodeName, BadSettings> {
    override_.unwrap_or(host).trim().to_lowercase().parse().map_err(BadSettings::Name)
}

/// At most one address of each family.
fn node_ips(text: Option<&str>) -> Result<Vec<IpAddr>, BadSettings> {
    let Some(text) = text else { return Ok(Vec::new()) };
    let wrong = || BadSettings::NodeIp { text: text.to_owned() };
    let ips: Vec<IpAddr> =
        text.split(',').map(|ip| ip.trim().parse().map_err(|_| wrong())).collect::<Result<_, _>>()?;
    match ips.as_slice() {
        [_] => Ok(ips),
        [one, other] if one.is_ipv4() != other.is_ipv4() => Ok(ips),
        _ => Err(wrong()),
    }
}

fn is_external(provider: Option<String>) -> Result<bool, BadSettings> {
    match provider.as_deref() {
        None => Ok(false),
        Some("external") => Ok(true),
        Some(given) => Err(BadSettings::CloudProvider { given: given.to_owned() }),
    }
}

/// The collector of `tracing`, as a URL.
fn collector(kubelet: &KubeletConfiguration) -> Option<String> {
    let tracing = kubelet.tracing.as_ref()?;
    let endpoint = tracing.endpoint.as_deref().unwrap_or("localhost:4317");
    Some(if endpoint.contains("//") { endpoint.to_owned() } else { format!("http://{endpoint}") })
}

fn no_swap(kubelet: &KubeletConfiguration) -> Result<(), BadSettings> {
    match host::swap_device() {
        Some(device) if kubelet.fail_swap_on => Err(BadSettings::Swap { device }),
        _ => Ok(()),
    }
}

/// The root folder that a command names, or the usual one.
pub(crate) fn root_dir(named: Option<&Path>) -> PathBuf {
    absolute(named.unwrap_or(Path::new(ROOT_DIR)).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_override_names_the_node_before_the_host_does() {
        assert_eq!(node_name(None, "Host.Example\n").unwrap().as_str(), "host.example");
        assert_eq!(node_name(Some("n1"), "host").unwrap().as_str(), "n1");
        assert!(node_name(Some("n_1"), "host").is_err());
    }

    #[test]
    fn a_node_has_at_most_one_address_of_each_family() {
        let cases = [
            ("one", "10.0.0.1", true),
            ("one of each", "10.0.0.1,fd00::1", true),
            ("the other order", "::,0.0.0.0", true),
            ("two of one family", "10.0.0.1,10.0.0.2", false),
            ("three", "10.0.0.1,::1,::2", false),
            ("a name", "host", false),
        ];
        for (name, text, fine) in cases {
            assert_eq!(node_ips(Some(text)).is_ok(), fine, "{name}");
        }
    }

    #[test]
    fn flags_that_belong_together_are_wanted_together() {
        let node = NodeArguments { exit_on_lock_contention: true, ..NodeArguments::default() };
        let told = together(&node).unwrap_err().to_string();
        assert_eq!(told, "--exit-on-lock-contention needs --lock-file");
    }

    #[test]
    fn services_are_programmed_by_up_and_never_beside_a_kube_proxy() {
        use ServiceProxy::{Nftables, None as Nobody};
        // (sentence, base, --proxy, who programs)
        let cases = [
            ("up is the whole node", Base::AnyMachine, None, Nftables),
            ("up beside a kube-proxy", Base::AnyMachine, Some(Nobody), Nobody),
            ("a kubelet has a kube-proxy beside it", Base::StockFlags, None, Nobody),
        ];
        for (sentence, base, proxy, want) in cases {
            let node =
                NodeArguments { hostname_override: Some("n1".into()), proxy, ..NodeArguments::default() };
            let fields = json!({"failSwapOn": false, "failCgroupV1": false});
            let arguments = Arguments { fields, node, idle: Vec::new() };
            assert_eq!(node_config(arguments, base).unwrap().proxy, want, "{sentence}");
        }
    }

    #[test]
    fn a_command_line_becomes_a_node() {
        let node = NodeArguments {
            hostname_override: Some("n1".into()),
            root_dir: Some("/r".into()),
            ..NodeArguments::default()
        };
        let fields = json!({"maxPods": 7, "tracing": {"endpoint": "collector:4317"}});
        let arguments = Arguments { fields, node, idle: Vec::new() };
        let config = node_config(arguments, Base::AnyMachine).unwrap();
        assert_eq!((config.node_name.as_str(), config.kubelet.max_pods), ("n1", 7));
        assert_eq!(config.cert_dir, Path::new("/r/pki"));
        assert_eq!(config.otlp_endpoint.as_deref(), Some("http://collector:4317"));
        assert!(config.is_standalone());
    }
}
