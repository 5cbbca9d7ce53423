//! Finds the node's addresses: `--node-ip`, else the name if it is one, else what the name resolves to, else
//! the address of the default route (`pkg/kubelet/nodestatus/setters.go`).

use crate::ports::Addresses;
use chassis::config::NodeConfig;
use futures::future::LocalBoxFuture;
use messages::NodeName;
use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::Arc,
    time::Duration,
};
use tokio::{
    net::{UdpSocket, lookup_host},
    time::timeout,
};

/// How long the resolver may take.
const PATIENCE: Duration = Duration::from_secs(2);
/// Far away on either family (RFC 5737, RFC 3849): nothing is ever sent there.
const FAR: [(IpAddr, IpAddr); 2] = [
    (IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1))),
    (IpAddr::V6(Ipv6Addr::UNSPECIFIED), IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1))),
];

/// This machine.
pub(crate) struct Machine {
    config: Arc<NodeConfig>,
}

impl Machine {
    pub(crate) fn new(config: Arc<NodeConfig>) -> Self {
        Self { config }
    }
}

impl Addresses for Machine {
    fn find(&self) -> LocalBoxFuture<'static, Vec<IpAddr>> {
        let config = self.config.clone();
        Box::pin(async move {
            let wanted: Vec<_> = config.node_ips.iter().copied().filter(|ip| !ip.is_unspecified()).collect();
            if !wanted.is_empty() {
                return wanted;
            }
            let family = config.node_ips.first().map(IpAddr::is_ipv6);
            let found = of_name(&config.node_name, family).await;
            if found.is_some() { found } else { of_default_route(family).await }.into_iter().collect()
        })
    }
}

/// An address of the wanted family that others can reach; IPv4 before IPv6 when none is wanted.
async fn of_name(name: &NodeName, is_ipv6: Option<bool>) -> Option<IpAddr> {
    let fits = |ip: &IpAddr| is_reachable(*ip) && is_ipv6.is_none_or(|is_ipv6| ip.is_ipv6() == is_ipv6);
    if let Ok(ip) = name.as_str().parse::<IpAddr>() {
        return Some(ip).filter(fits);
    }
    let found = timeout(PATIENCE, lookup_host((name.as_str(), 0))).await.ok()?.ok()?;
    found.map(|address| address.ip()).filter(fits).min_by_key(IpAddr::is_ipv6)
}

/// The kernel's choice of source address for somebody far away. Connecting a datagram socket sends nothing.
async fn of_default_route(is_ipv6: Option<bool>) -> Option<IpAddr> {
    for (any, far) in
        FAR.into_iter().filter(|(any, _)| is_ipv6.is_none_or(|is_ipv6| any.is_ipv6() == is_ipv6))
    {
        let Ok(socket) = UdpSocket::bind((any, 0)).await else { continue };
        if socket.connect((far, 9)).await.is_ok()
            && let Ok(local) = socket.local_addr()
            && is_reachable(local.ip())
        {
            return Some(local.ip());
        }
    }
    None
}

/// Whether others may be able to reach an address.
fn is_reachable(ip: IpAddr) -> bool {
    let is_link_local = match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    };
    !(ip.is_loopback() || ip.is_unspecified() || ip.is_multicast() || is_link_local)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::node::fixtures::config;

    fn found(node_ips: &[&str], name: &str) -> Vec<String> {
        let config = NodeConfig {
            node_ips: node_ips.iter().map(|ip| ip.parse().unwrap()).collect(),
            node_name: name.parse().unwrap(),
            ..config()
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let found = runtime.block_on(Machine::new(Arc::new(config)).find());
        found.iter().map(IpAddr::to_string).collect()
    }

    #[test]
    fn what_the_operator_wants_goes_first_and_then_the_name() {
        assert_eq!(found(&["10.0.0.5", "fd00::5"], "node-1"), ["10.0.0.5", "fd00::5"]);
        assert_eq!(found(&[], "10.0.0.9"), ["10.0.0.9"], "a name that is an address");
    }

    #[test]
    fn a_name_that_leads_to_the_machine_itself_is_no_address_for_others() {
        assert!(!found(&[], "localhost").contains(&"127.0.0.1".to_owned()));
    }

    #[test]
    fn only_what_others_can_reach_counts() {
        let cases = [
            ("10.0.0.1", true),
            ("192.0.2.1", true),
            ("127.0.1.1", false),
            ("169.254.1.1", false),
            ("0.0.0.0", false),
            ("224.0.0.1", false),
            ("fd00::1", true),
            ("::1", false),
            ("fe80::1", false),
        ];
        for (ip, reachable) in cases {
            assert_eq!(is_reachable(ip.parse().unwrap()), reachable, "{ip}");
        }
    }
}
