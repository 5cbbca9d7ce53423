//! All objects as far as they are known, and the table that they make. Takes changes, redoes the services that they touch,
//! and tells the difference. A change costs what its services have, however many others there are; only a change
//! of the node's own facts redoes all.

mod objects;
mod pass;

use super::{
    address,
    difference::Difference,
    draft::Draft,
    endpoints::Target,
    fault::{Fault, Kind, Object},
    name::ServiceName,
    node::Node,
    table::{Rank, SetId, Table},
};
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointSlice};
use objects::Objects;
pub use pass::Change;
use pass::{Pass, Redone};
use std::{collections::BTreeSet, fmt::Display};

/// What changes came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outcome {
    /// What to do to the rules.
    pub difference: Difference,
    /// The services that were redone.
    pub touched: BTreeSet<ServiceName>,
    /// What is wrong with the objects that changed, and whom the services that they touch stand in the way of or
    /// are kept out by.
    pub faults: Vec<Fault>,
}

/// Objects, and their table.
#[derive(Debug, Clone)]
pub struct Model {
    objects: Objects,
    table: Table,
}

impl Model {
    /// A node without services.
    pub fn of(node: Node) -> Self {
        let table = Table::of(&node);
        Self { objects: Objects::of(node), table }
    }

    /// The table as it is.
    pub fn table(&self) -> &Table {
        &self.table
    }

    /// The node as it is.
    pub fn node(&self) -> &Node {
        &self.objects.node
    }

    /// Takes over the numbers that a set's endpoints had in a former life: see [`Table::renumber`]. Only before the table is
    /// first written anywhere, since no difference tells of it.
    pub fn renumber(&mut self, set: &SetId, before: &[Target]) {
        self.table.renumber(set, before);
    }

    /// Takes changes in their order and redoes, once, what they touch.
    pub fn apply(&mut self, changes: impl IntoIterator<Item = Change>) -> Outcome {
        let mut pass = Pass::over(&mut self.table, &mut self.objects);
        changes.into_iter().for_each(|change| pass.take(change));
        let Redone { difference, touched, mut faults } = pass.finish();
        faults.extend(conflicts(&self.table, |service| touched.contains(service)));
        Outcome { difference, touched, faults }
    }

    /// All that is wrong now.
    pub fn faults(&self) -> Vec<Fault> {
        let of_objects = self.objects.faults.values().flatten().cloned();
        of_objects.chain(conflicts(&self.table, |_| true)).collect()
    }

    /// The services that have a part in the table.
    pub fn placed(&self) -> impl Iterator<Item = &ServiceName> {
        self.objects.placed().map(|(name, _)| name)
    }

    /// What is known of a kind and does not stand in a complete list.
    pub fn missing_in(&self, kind: Kind, listed: &BTreeSet<Object>) -> Vec<Object> {
        let known: Box<dyn Iterator<Item = &ServiceName>> = match kind {
            Kind::Service => Box::new(self.objects.services.keys()),
            Kind::EndpointSlice => Box::new(self.objects.slices.names()),
        };
        let known = known.map(|ServiceName { namespace, name }| Object {
            kind,
            namespace: namespace.clone(),
            name: name.clone(),
        });
        let at_fault = self.objects.faults.keys().filter(|object| object.kind == kind).cloned();
        known.chain(at_fault).filter(|object| !listed.contains(object)).collect()
    }

    /// The UIDs of pods that a slice has as ready endpoints, and that the same slice as it is known had not.
    pub fn newly_ready<'a>(&self, slice: &'a EndpointSlice) -> impl Iterator<Item = &'a str> {
        let metadata = &slice.metadata;
        let name = ServiceName::new(metadata.namespace.as_deref(), metadata.name.as_deref());
        let known = name.and_then(|name| self.objects.slices.get(&name));
        let ready = known.into_iter().flat_map(|slice| &slice.candidates).filter(|it| it.ready);
        let ready = ready.map(|it| it.ip).collect::<BTreeSet<_>>();
        let is_ready = |it: &Endpoint| it.conditions.as_ref().and_then(|it| it.ready).unwrap_or(true);
        let was_ready = move |it: &Endpoint| {
            let ip = it.addresses.first().and_then(|text| address::read(text));
            ip.is_some_and(|ip| ready.contains(&ip))
        };
        let endpoints = slice.endpoints.iter().flatten();
        let new = endpoints.filter(move |endpoint| is_ready(endpoint) && !was_ready(endpoint));
        let targets = new.filter_map(|endpoint| endpoint.target_ref.as_ref());
        targets.filter(|target| target.kind.as_deref() == Some("Pod")).filter_map(|pod| pod.uid.as_deref())
    }

    /// A table from nothing, out of the same objects: for checks.
    pub fn rebuilt(&self) -> Table {
        let objects = &self.objects;
        let mut table = Table::of(&objects.node);
        let mut draft = Draft::of(&mut table);
        for (name, service) in objects.placed() {
            draft.place(service, &objects.slices.of(name), &objects.node);
        }
        draft.finish();
        table
    }
}

/// Whoever claims what another holds, as far as one of both is of interest.
fn conflicts(table: &Table, is_of_interest: impl Fn(&ServiceName) -> bool) -> Vec<Fault> {
    let mut found = Vec::new();
    let mut tell = |key: &dyn Display, loser: &Rank, holder: &Rank| {
        if is_of_interest(&loser.port.service) || is_of_interest(&holder.port.service) {
            found.push(conflict(key, loser, holder));
        }
    };
    table.addresses.disputes().for_each(|(key, loser, holder)| tell(key, loser, holder));
    table.node_ports.disputes().for_each(|(key, loser, holder)| tell(key, loser, holder));
    table.health.disputes().for_each(|(key, loser, holder)| tell(key, loser, holder));
    found
}

fn conflict(key: &dyn Display, loser: &Rank, holder: &Rank) -> Fault {
    let ServiceName { namespace, name } = &loser.port.service;
    Fault {
        object: Object { kind: Kind::Service, namespace: namespace.clone(), name: name.clone() },
        field: key.to_string(),
        what: format!("is {}'s, which came first", holder.port),
        remedy: "give one of the two another address or port",
    }
}

#[cfg(test)]
mod tests;
