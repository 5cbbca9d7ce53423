//! A service's addresses in one family.

use crate::core::{
    address::{self, Cidr, Family},
    fault::Faults,
};
use k8s_openapi::api::core::v1::{ServiceSpec, ServiceStatus};
use std::{collections::BTreeSet, net::IpAddr};

/// What a service has in one address family.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Side {
    /// Which family.
    pub family: Family,
    /// Its cluster IP. Without one a service has no part in the family, as upstream.
    pub cluster_ip: IpAddr,
    /// Addresses that somebody routes to the cluster's nodes.
    pub external_ips: BTreeSet<IpAddr>,
    /// Addresses of a balancer that passes packets on unchanged (ingress of ipMode VIP, KEP-1860).
    pub balancer_ips: BTreeSet<IpAddr>,
    /// Who alone may use the balancer's addresses; nothing means everybody, an empty list nobody.
    pub guard: Option<BTreeSet<Cidr>>,
}

/// The sides that have a cluster IP.
pub(super) fn read(spec: &ServiceSpec, status: Option<&ServiceStatus>, faults: &mut Faults) -> Vec<Side> {
    let cluster_ips = cluster_ips(spec, faults);
    let external_ips = external_ips(spec, &cluster_ips, faults);
    let balancer_ips = balancer_ips(status, faults);
    let (ranges, unreadable) = ranges(spec, faults);
    let side = |cluster_ip: IpAddr| {
        let family = Family::of(cluster_ip);
        let own = |ips: &[IpAddr]| ips.iter().copied().filter(|ip| Family::of(*ip) == family).collect();
        Side {
            family,
            cluster_ip,
            external_ips: own(&external_ips),
            balancer_ips: own(&balancer_ips),
            guard: guard(&ranges, unreadable, family),
        }
    };
    cluster_ips.into_iter().map(side).collect()
}

/// At most one of each family, the first.
fn cluster_ips(spec: &ServiceSpec, faults: &mut Faults) -> Vec<IpAddr> {
    let list = spec.cluster_ips.as_deref().unwrap_or_default();
    let single = if list.is_empty() { spec.cluster_ip.as_slice() } else { &[] };
    let mut found: Vec<IpAddr> = Vec::new();
    for (index, text) in list.iter().chain(single).enumerate() {
        let field = format!("spec.clusterIPs[{index}]");
        match usable(text) {
            None => faults.tell(field, format!("{text:?} is no address"), "make the service anew"),
            Some(ip) if found.iter().any(|other| Family::of(*other) == Family::of(ip)) => {
                let what = format!("a second {} address", Family::of(ip));
                faults.tell(field, what, "keep one cluster IP per family");
            }
            Some(ip) => found.push(ip),
        }
    }
    found
}

fn external_ips(spec: &ServiceSpec, cluster_ips: &[IpAddr], faults: &mut Faults) -> Vec<IpAddr> {
    let mut found = Vec::new();
    for (index, text) in spec.external_ips.iter().flatten().enumerate() {
        let field = format!("spec.externalIPs[{index}]");
        match usable(text) {
            None => faults.tell(field, format!("{text:?} is no address"), "correct or remove it"),
            Some(ip) if !cluster_ips.iter().any(|other| Family::of(*other) == Family::of(ip)) => {
                let what = format!("{ip} is {} and the service has no cluster IP of it", Family::of(ip));
                faults.tell(field, what, "add the family to spec.ipFamilies or remove the address");
            }
            Some(ip) => found.push(ip),
        }
    }
    found
}

/// Balancers that are reached by name, or that speak to the pods themselves (ipMode Proxy), need no rules. A balancer may
/// well have an address of a family that the service lacks, so that is no fault.
fn balancer_ips(status: Option<&ServiceStatus>, faults: &mut Faults) -> Vec<IpAddr> {
    let balancer = status.and_then(|status| status.load_balancer.as_ref());
    let mut found = Vec::new();
    for (index, ingress) in balancer.iter().flat_map(|it| it.ingress.iter().flatten()).enumerate() {
        let Some(text) = ingress.ip.as_deref().filter(|ip| !ip.is_empty()) else { continue };
        if !matches!(ingress.ip_mode.as_deref(), None | Some("VIP")) {
            continue;
        }
        let field = format!("status.loadBalancer.ingress[{index}].ip");
        match usable(text) {
            None => {
                faults.tell(field, format!("{text:?} is no address"), "correct the balancer's controller")
            }
            Some(ip) => found.push(ip),
        }
    }
    found
}

/// An address that a packet can be sent to.
fn usable(text: &str) -> Option<IpAddr> {
    address::read(text).filter(|ip| !ip.is_unspecified() && !ip.is_multicast())
}

fn ranges(spec: &ServiceSpec, faults: &mut Faults) -> (Vec<Cidr>, bool) {
    let (mut found, mut unreadable) = (Vec::new(), false);
    for (index, text) in spec.load_balancer_source_ranges.iter().flatten().enumerate() {
        match Cidr::read(text) {
            Some(range) => found.push(range),
            None => {
                unreadable = true;
                let field = format!("spec.loadBalancerSourceRanges[{index}]");
                let what = format!("{text:?} is no range and lets nobody in");
                faults.tell(field, what, "write it as address/length");
            }
        }
    }
    (found, unreadable)
}

/// Ranges of the other family neither open nor close. A range that holds everybody opens. One that cannot be read
/// must not open: upstream leaves it out, and a service with no other range would then be open to all.
fn guard(ranges: &[Cidr], unreadable: bool, family: Family) -> Option<BTreeSet<Cidr>> {
    let own: BTreeSet<Cidr> = ranges.iter().copied().filter(|range| range.family() == family).collect();
    let is_open = own.iter().any(Cidr::is_everything) || (own.is_empty() && !unreadable);
    (!is_open).then_some(own)
}
