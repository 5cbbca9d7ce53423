//! What one service asks of the table: pure, from the service, its slices and the node alone.

use super::{
    address::{Cidr, Family},
    endpoints::{self, Choice, Merged, Place, Target},
    name::PortId,
    node::Node,
    service::{Policy, Port, Service, Side},
    slice::Slice,
    table::{Address, Claim, Course, Entry, Face, Health, HealthPort, NodePort, Rank, Scope, SetId, Way},
};
use std::{collections::BTreeSet, net::IpAddr, sync::Arc};

/// One port of a service in one family, with all that is said of it.
#[derive(Debug, Clone)]
pub struct Facet<'a> {
    /// Its name.
    pub id: Arc<PortId>,
    /// The service.
    pub service: &'a Service,
    /// Its addresses in the family.
    pub side: &'a Side,
    /// The port.
    pub port: &'a Port,
}

/// Each port in each family.
pub fn facets(service: &Service) -> impl Iterator<Item = Facet<'_>> {
    service.sides.iter().flat_map(move |side| {
        service.ports.iter().map(move |port| {
            let (name, protocol, family) = (port.name.clone(), port.protocol, side.family);
            let id = Arc::new(PortId { service: service.name.clone(), name, protocol, family });
            Facet { id, service, side, port }
        })
    })
}

/// The health check ports of a service, one in each family that it has, with the rank of its claim.
pub fn health_ports(service: &Service) -> impl Iterator<Item = (HealthPort, Rank)> {
    let ports = service.health_port.into_iter().flat_map(move |port| {
        let families = service.sides.iter().map(|side| side.family);
        families.map(move |family| HealthPort { family, port })
    });
    ports.filter_map(|port| {
        let facet = facets(service).find(|facet| facet.id.family == port.family)?;
        Some((port, facet.rank(Face::NodePort)))
    })
}

/// How many of the service's endpoints in a family are ready here.
pub fn health(service: &Service, family: Family, slices: &[&Slice], node: &Node) -> Health {
    let place = place(node);
    let own = facets(service).filter(|facet| facet.id.family == family);
    let merged: Vec<Merged<'_>> =
        own.map(|facet| endpoints::merge(slices.iter().copied(), &facet.id, place)).collect();
    Health { service: service.name.clone(), local_ready: endpoints::local_ready(&merged, place) }
}

fn place(node: &Node) -> Place<'_> {
    Place { node: &node.name, zone: node.zone.as_deref() }
}

impl Facet<'_> {
    /// Its place among those who claim the same.
    pub fn rank(&self, face: Face) -> Rank {
        Rank { created: self.service.created, port: self.id.clone(), face }
    }

    /// Its addresses, each once; what is a cluster IP is nothing else.
    pub fn addresses(&self) -> Vec<(Address, Face)> {
        let Side { cluster_ip, external_ips, balancer_ips, .. } = self.side;
        let external = external_ips.iter().map(|ip| (*ip, Face::ExternalIp));
        let balancers = balancer_ips.iter().map(|ip| (*ip, Face::LoadBalancer));
        let mut seen = BTreeSet::new();
        let all = std::iter::once((*cluster_ip, Face::ClusterIp)).chain(balancers).chain(external);
        let each_once = all.filter(|(ip, _)| seen.insert(*ip));
        let (protocol, port) = (self.port.protocol, self.port.port);
        each_once.map(|(ip, face)| (Address { ip, protocol, port }, face)).collect()
    }

    /// Its node port.
    pub fn node_port(&self) -> Option<NodePort> {
        let (family, protocol) = (self.id.family, self.port.protocol);
        self.port.node_port.map(|port| NodePort { family, protocol, port })
    }

    /// The names of the sets that it may have.
    pub fn sets(&self) -> [SetId; 2] {
        [Scope::Cluster, Scope::Local].map(|scope| SetId { port: self.id.clone(), scope })
    }

    /// The endpoints that this node uses for it.
    pub fn choose(&self, slices: &[&Slice], node: &Node) -> Choice {
        let place = place(node);
        endpoints::choose(&endpoints::merge(slices.iter().copied(), &self.id, place), place)
    }

    /// The sets that any of its traffic goes to, and that are not empty.
    pub fn used_sets(&self, choice: Choice) -> Vec<(SetId, BTreeSet<Target>)> {
        let is_external = self.is_external();
        let uses_cluster = self.service.internal == Policy::Cluster || is_external;
        let uses_local =
            self.service.internal == Policy::Local || (self.service.external == Policy::Local && is_external);
        let [cluster, local] = self.sets();
        let sets = [(uses_cluster, cluster, choice.cluster), (uses_local, local, choice.local)];
        let used = sets.into_iter().filter(|(is_used, _, targets)| *is_used && !targets.is_empty());
        used.map(|(_, id, targets)| (id, targets)).collect()
    }

    /// Whether it has more than a cluster IP.
    fn is_external(&self) -> bool {
        let Side { external_ips, balancer_ips, .. } = self.side;
        self.port.node_port.is_some() || !external_ips.is_empty() || !balancer_ips.is_empty()
    }

    /// What becomes of traffic to one of its addresses.
    pub fn claim(&self, address: &Address, face: Face, choice: &Choice, node: &Node) -> Claim {
        let entry = self.entry(face, choice, node);
        let guard = self.side.guard.as_ref().filter(|_| entry.guarded);
        let sources = guard.map(|guard| sources(guard, address.ip, node)).unwrap_or_default();
        Claim { entry, sources }
    }

    /// What becomes of traffic to one of its faces.
    pub fn entry(&self, face: Face, choice: &Choice, node: &Node) -> Entry {
        let (pods, host, others) = match (face, self.service.external) {
            (Face::ClusterIp, _) => self.internal(choice, node),
            (_, Policy::Cluster) => same(course(choice, Policy::Cluster, true)),
            (_, Policy::Local) => self.external_local(choice, node),
        };
        let guarded = face == Face::LoadBalancer && self.side.guard.is_some();
        let affinity = self.service.affinity;
        Entry { port: self.id.clone(), face, pods, host, others, affinity, guarded }
    }

    /// To a cluster IP: whoever is not known to be a pod is masqueraded, so that a route to the service range may lead to any
    /// node; or everybody, or, where pods cannot be told, nobody.
    fn internal(&self, choice: &Choice, node: &Node) -> (Course, Course, Course) {
        let course = |masquerade| course(choice, self.service.internal, masquerade);
        let strangers = node.masquerade_all || node.pods.can_tell(self.id.family);
        (course(node.masquerade_all), course(strangers), course(strangers))
    }

    /// From outside, policy Local keeps the client's address. Pods and the host are no outsiders: they use the whole
    /// cluster, as if they had gone out to a balancer and come back in, and the host is masqueraded, since the address that it
    /// would use may be the balancer's.
    fn external_local(&self, choice: &Choice, node: &Node) -> (Course, Course, Course) {
        let others = course(choice, Policy::Local, false);
        let can_tell = node.pods.can_tell(self.id.family);
        let pods = if can_tell { course(choice, Policy::Cluster, false) } else { others };
        (pods, course(choice, Policy::Cluster, true), others)
    }
}

fn same(course: Course) -> (Course, Course, Course) {
    (course, course, course)
}

fn course(choice: &Choice, policy: Policy, masquerade: bool) -> Course {
    let (scope, set) = match policy {
        Policy::Cluster => (Scope::Cluster, &choice.cluster),
        Policy::Local => (Scope::Local, &choice.local),
    };
    let way = match (choice.has_any(), set.is_empty()) {
        (false, _) => Way::Reject,
        (true, true) => Way::Drop,
        (true, false) => Way::To(scope, u32::try_from(set.len()).unwrap_or(u32::MAX)),
    };
    let masquerade = masquerade && matches!(way, Way::To(..));
    Course { way, masquerade }
}

/// A balancer's address may be the node's own as well; what the node sends there then bears it as its source. So it is let
/// in where the node is.
fn sources(guard: &BTreeSet<Cidr>, ip: IpAddr, node: &Node) -> BTreeSet<Cidr> {
    let lets_node_in = node.primary.iter().any(|own| guard.iter().any(|range| range.contains(*own)));
    guard.iter().copied().chain(lets_node_in.then(|| Cidr::host(ip))).collect()
}
