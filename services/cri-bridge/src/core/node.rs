//! What the rules need to know of this node, gathered once and refreshed when it changes.

use super::{
    cgroup::Layout, dns::Resolver, linux_resources::Machine, resources::Amounts, security::Defaults,
};
use std::{collections::BTreeSet, net::IpAddr, path::PathBuf};

/// The node's facts and settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Its addresses, primary first. Empty until status-reporter has said the node.
    pub ips: Vec<IpAddr>,
    /// `status.allocatable`, what a container without limits is told.
    pub allocatable: Amounts,
    /// Name resolution.
    pub resolver: Resolver,
    /// The machine under it.
    pub machine: Machine,
    /// Where pods' cgroups are.
    pub layout: Layout,
    /// Security settings.
    pub defaults: Defaults,
    /// `podLogsDir`.
    pub pod_logs: PathBuf,
    /// SELinux is on.
    pub selinux: bool,
    /// Runtime handlers that know recursive read-only mounts; the default one has no name.
    pub rro_handlers: BTreeSet<String>,
}

/// A pod's addresses as Kubernetes shows them: the node's for a pod in the host's network, else
/// the sandbox's, one of each family, the node's own family first.
pub fn pod_ips(of_sandbox: &[String], host_network: bool, node_ips: &[IpAddr]) -> Vec<IpAddr> {
    let given: Vec<IpAddr> = match host_network {
        true => node_ips.to_vec(),
        false => of_sandbox.iter().filter_map(|ip| ip.parse().ok()).collect(),
    };
    let first_is_v6 = node_ips.first().or(given.first()).is_some_and(IpAddr::is_ipv6);
    let of_family = |v6: bool| given.iter().find(|ip| ip.is_ipv6() == v6).copied();
    [first_is_v6, !first_is_v6].into_iter().filter_map(of_family).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_shows_one_address_per_family_the_nodes_first() {
        let (v4, v6) = ("192.168.0.4", "fd00::4");
        type Case<'c> = (&'c str, &'c [&'c str], bool, &'c [&'c str], &'c [&'c str]);
        let cases: [Case<'_>; 6] = [
            ("one", &["10.1.0.5"], false, &[v4], &["10.1.0.5"]),
            ("two", &["10.1.0.5", "fd01::5"], false, &[v4], &["10.1.0.5", "fd01::5"]),
            ("turned round", &["10.1.0.5", "fd01::5"], false, &[v6], &["fd01::5", "10.1.0.5"]),
            ("too many", &["10.1.0.5", "10.1.0.6", "fd01::5"], false, &[v4], &["10.1.0.5", "fd01::5"]),
            ("the node's", &[], true, &[v4, v6], &[v4, v6]),
            ("nonsense", &["web"], false, &[v4], &[]),
        ];
        for (sentence, sandbox, host, node, want) in cases {
            let sandbox: Vec<_> = sandbox.iter().map(|ip| (*ip).to_owned()).collect();
            let node: Vec<IpAddr> = node.iter().map(|ip| ip.parse().unwrap()).collect();
            let got: Vec<_> = pod_ips(&sandbox, host, &node).iter().map(IpAddr::to_string).collect();
            assert_eq!(got, want, "{sentence}");
        }
    }
}
