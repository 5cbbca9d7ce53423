//! Changes to a table, with what they make different. Its cost is that of what is touched, not that of the table.

use super::{
    claims::{self, Facet},
    difference::{self, Difference, Element},
    endpoints::Target,
    node::Node,
    service::Service,
    slice::Slice,
    table::{Address, Claim, Entry, Face, Hairpin, Health, HealthPort, Members, NodePort, SetId, Table},
};
use std::{collections::BTreeMap, net::IpAddr};

/// A table under change. What a key held when it was first touched is kept until the end.
#[derive(Debug)]
pub struct Draft<'a> {
    table: &'a mut Table,
    before: Before,
}

#[derive(Debug, Default)]
struct Before {
    node: Option<Vec<Element>>,
    addresses: BTreeMap<Address, Option<Claim>>,
    node_ports: BTreeMap<NodePort, Option<Entry>>,
    sets: BTreeMap<SetId, Option<Members>>,
    hairpins: BTreeMap<Hairpin, bool>,
    cluster_ips: BTreeMap<IpAddr, bool>,
    health: BTreeMap<HealthPort, Option<Health>>,
}

impl<'a> Draft<'a> {
    /// Begins to change a table.
    pub fn of(table: &'a mut Table) -> Self {
        Self { table, before: Before::default() }
    }

    /// Takes over the node's facts. What services made of them is not redone here.
    pub fn settle_on(&mut self, node: &Node) {
        self.before.node.get_or_insert_with(|| difference::of_node(self.table));
        self.table.settle_on(node);
    }

    /// Takes back all that a service asked for. It must be the same that was placed.
    pub fn withdraw(&mut self, service: &Service) {
        for facet in claims::facets(service) {
            self.withdraw_facet(&facet);
        }
        for (port, rank) in claims::health_ports(service) {
            self.touch_health(port);
            self.table.health.withdraw(&port, &rank);
        }
        for side in &service.sides {
            self.touch_cluster_ip(side.cluster_ip);
            self.table.cluster_ips.let_go(&side.cluster_ip);
        }
    }

    fn withdraw_facet(&mut self, facet: &Facet<'_>) {
        for (address, face) in facet.addresses() {
            self.touch_address(address);
            self.table.addresses.withdraw(&address, &facet.rank(face));
        }
        if let Some(port) = facet.node_port() {
            self.touch_node_port(port);
            self.table.node_ports.withdraw(&port, &facet.rank(Face::NodePort));
        }
        for set in facet.sets() {
            if let Some(members) = self.table.sets.remove(&set) {
                self.before.sets.entry(set).or_insert(Some(members));
            }
        }
    }

    /// Places all that a service asks for.
    pub fn place(&mut self, service: &Service, slices: &[&Slice], node: &Node) {
        for facet in claims::facets(service) {
            self.place_facet(&facet, slices, node);
        }
        for (port, rank) in claims::health_ports(service) {
            self.touch_health(port);
            let health = claims::health(service, port.family, slices, node);
            self.table.health.claim(port, rank, health);
        }
        for side in &service.sides {
            self.touch_cluster_ip(side.cluster_ip);
            self.table.cluster_ips.need(side.cluster_ip);
        }
    }

    fn place_facet(&mut self, facet: &Facet<'_>, slices: &[&Slice], node: &Node) {
        let choice = facet.choose(slices, node);
        for (address, face) in facet.addresses() {
            self.touch_address(address);
            let claim = facet.claim(&address, face, &choice, node);
            self.table.addresses.claim(address, facet.rank(face), claim);
        }
        if let Some(port) = facet.node_port() {
            let face = Face::NodePort;
            self.touch_node_port(port);
            self.table.node_ports.claim(port, facet.rank(face), facet.entry(face, &choice, node));
        }
        for (set, targets) in facet.used_sets(choice) {
            let before = self.before.sets.entry(set.clone()).or_insert(None).as_ref();
            let numbers: &[Target] = before.map(|members| &*members.targets).unwrap_or_default();
            let members = Members::arrange(numbers, targets, facet.service.affinity.is_some());
            self.table.sets.insert(set, members);
        }
    }

    fn touch_address(&mut self, key: Address) {
        self.before.addresses.entry(key).or_insert_with(|| self.table.addresses.get(&key).cloned());
    }

    fn touch_node_port(&mut self, key: NodePort) {
        self.before.node_ports.entry(key).or_insert_with(|| self.table.node_ports.get(&key).cloned());
    }

    fn touch_hairpin(&mut self, key: Hairpin) {
        self.before.hairpins.entry(key).or_insert_with(|| self.table.hairpins.contains(&key));
    }

    fn touch_cluster_ip(&mut self, key: IpAddr) {
        self.before.cluster_ips.entry(key).or_insert_with(|| self.table.cluster_ips.contains(&key));
    }

    fn touch_health(&mut self, key: HealthPort) {
        self.before.health.entry(key).or_insert_with(|| self.table.health.get(&key).cloned());
    }

    /// Hairpins follow the sets, once these are done: so an endpoint that stays costs nothing.
    fn settle_hairpins(&mut self) {
        let sets = std::mem::take(&mut self.before.sets);
        for (set, old) in &sets {
            let new = self.table.sets.get(set);
            let changed = difference::changed_slots(old.as_ref(), new).collect::<Vec<_>>();
            for (_, old, new) in changed {
                let hairpin = |target| Hairpin { target, protocol: set.port.protocol };
                if let Some(hairpin) = old.map(hairpin) {
                    self.touch_hairpin(hairpin);
                    self.table.hairpins.let_go(&hairpin);
                }
                if let Some(hairpin) = new.map(hairpin) {
                    self.touch_hairpin(hairpin);
                    self.table.hairpins.need(hairpin);
                }
            }
        }
        self.before.sets = sets;
    }

    /// What has become different.
    pub fn finish(mut self) -> Difference {
        self.settle_hairpins();
        let Self { table, before } = self;
        let (mut old, mut new) = (Vec::new(), Vec::new());
        if let Some(node) = before.node {
            old.extend(node);
            new.extend(difference::of_node(table));
        }
        for (key, claim) in &before.addresses {
            claim.iter().for_each(|claim| difference::of_address(key, claim, &mut old));
            table.addresses.get(key).iter().for_each(|claim| difference::of_address(key, claim, &mut new));
        }
        for (key, entry) in before.node_ports {
            old.extend(entry.map(|entry| Element::NodePort(key, entry)));
            new.extend(table.node_ports.get(&key).map(|entry| Element::NodePort(key, entry.clone())));
        }
        for (hairpin, was_there) in before.hairpins {
            old.extend(was_there.then_some(Element::Hairpin(hairpin)));
            new.extend(table.hairpins.contains(&hairpin).then_some(Element::Hairpin(hairpin)));
        }
        for (ip, was_there) in before.cluster_ips {
            old.extend(was_there.then_some(Element::ClusterIp(ip)));
            new.extend(table.cluster_ips.contains(&ip).then_some(Element::ClusterIp(ip)));
        }
        for (key, health) in before.health {
            old.extend(health.map(|health| Element::Health(key, health)));
            new.extend(table.health.get(&key).map(|health| Element::Health(key, health.clone())));
        }
        let mut difference = difference::compare(old, new);
        for (set, members) in &before.sets {
            difference::in_set(set, members.as_ref(), table.sets.get(set), &mut difference);
        }
        difference.put_in_order();
        difference
    }
}
