//! Which endpoints a service port has, out of all its slices, and which of them this node uses.
//!
//! Follows `pkg/proxy/topology.go` and `pkg/proxy/endpointslicecache.go` upstream; KEP-1669 (terminating endpoints),
//! KEP-2433 and KEP-4444 (zones), KEP-3015 (nodes).

use super::{
    name::PortId,
    slice::{Candidate, Slice},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    net::IpAddr,
};

/// Where packets are sent: an endpoint's address and port. Nothing else is told apart about endpoints of a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Target {
    /// The address.
    pub ip: IpAddr,
    /// The port.
    pub port: u16,
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        std::net::SocketAddr::new(self.ip, self.port).fmt(f)
    }
}

/// Where this node is, to compare with hints.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// The node's name. An empty one makes no endpoint local.
    pub node: &'a str,
    /// Its zone, if it has one.
    pub zone: Option<&'a str>,
}

impl Place<'_> {
    fn is_local(&self, candidate: &Candidate) -> bool {
        !self.node.is_empty() && candidate.node.as_deref() == Some(self.node)
    }

    fn is_nodes_hint(&self, candidate: &Candidate) -> bool {
        candidate.for_nodes.iter().any(|node| **node == *self.node)
    }

    fn is_zones_hint(&self, candidate: &Candidate) -> bool {
        let zone = self.zone.unwrap_or_default();
        candidate.for_zones.iter().any(|name| **name == *zone)
    }
}

/// The endpoints of a port, merged: where, and what is said of each.
pub type Merged<'a> = BTreeMap<Target, &'a Candidate>;

/// Merges a service's slices, given in the order of their names. An endpoint that stands in two counts once, as it stands
/// in the first, or in the first where it is on this node. Upstream the first is any, since its order is random.
pub fn merge<'a>(slices: impl IntoIterator<Item = &'a Slice>, port: &PortId, place: Place<'_>) -> Merged<'a> {
    let mut merged = Merged::new();
    for slice in slices.into_iter().filter(|slice| slice.family == port.family) {
        let is_same = |it: &&super::slice::SlicePort| it.name == port.name && it.protocol == port.protocol;
        for number in slice.ports.iter().filter(is_same).map(|port| port.port) {
            for candidate in &slice.candidates {
                let target = Target { ip: candidate.ip, port: number };
                let known = merged.entry(target).or_insert(candidate);
                if !place.is_local(known) && place.is_local(candidate) {
                    *known = candidate;
                }
            }
        }
    }
    merged
}

/// The endpoints that this node uses.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Choice {
    /// For policy Cluster.
    pub cluster: BTreeSet<Target>,
    /// For policy Local.
    pub local: BTreeSet<Target>,
}

impl Choice {
    /// Whether there is anything to send to, anywhere: hints never leave the cluster's set empty.
    pub fn has_any(&self) -> bool {
        !self.cluster.is_empty()
    }
}

/// Chooses: those that are ready, or if none is, those that end and still answer; each set for itself.
pub fn choose(merged: &Merged<'_>, place: Place<'_>) -> Choice {
    let hint = hint(merged, place);
    let is_near = |candidate: &Candidate| match hint {
        Hint::None => true,
        Hint::Node => place.is_nodes_hint(candidate),
        Hint::Zone => place.is_zones_hint(candidate),
    };
    Choice {
        cluster: usable(merged, is_near, |_| true),
        local: usable(merged, |candidate| place.is_local(candidate), |candidate| place.is_local(candidate)),
    }
}

fn usable(
    merged: &Merged<'_>,
    of_ready: impl Fn(&Candidate) -> bool,
    of_ending: impl Fn(&Candidate) -> bool,
) -> BTreeSet<Target> {
    let those = |wanted: &dyn Fn(&Candidate) -> bool| {
        let found = merged.iter().filter(|(_, candidate)| wanted(candidate));
        found.map(|(target, _)| *target).collect::<BTreeSet<_>>()
    };
    let ready = those(&|candidate| candidate.ready && of_ready(candidate));
    if ready.is_empty() {
        those(&|candidate| candidate.serving && candidate.terminating && of_ending(candidate))
    } else {
        ready
    }
}

/// What the hints keep to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hint {
    None,
    Node,
    Zone,
}

/// Hints count only if every ready endpoint has one and one of them names this node, or this zone: else somebody's share
/// of the traffic would go nowhere.
fn hint(merged: &Merged<'_>, place: Place<'_>) -> Hint {
    let ready = || merged.values().filter(|candidate| candidate.ready);
    let all = |has: fn(&Candidate) -> bool| ready().all(|candidate| has(candidate));
    if all(|it| !it.for_nodes.is_empty()) && ready().any(|it| place.is_nodes_hint(it)) {
        Hint::Node
    } else if all(|it| !it.for_zones.is_empty()) && ready().any(|it| place.is_zones_hint(it)) {
        Hint::Zone
    } else {
        Hint::None
    }
}

/// How many of a service's endpoints are ready on this node: distinct addresses, as a balancer counts them. Upstream:
/// `LocalReadyEndpoints` in `pkg/proxy/endpointschangetracker.go`.
pub fn local_ready<'a>(merged: impl IntoIterator<Item = &'a Merged<'a>>, place: Place<'_>) -> usize {
    let all = merged.into_iter().flatten();
    let ready = all.filter(|(_, candidate)| candidate.ready && place.is_local(candidate));
    ready.map(|(target, _)| target.ip).collect::<BTreeSet<_>>().len()
}

#[cfg(test)]
mod tests;
