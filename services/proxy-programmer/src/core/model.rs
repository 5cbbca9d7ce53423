//! All objects as far as they are known, and the table that they make. Takes changes, redoes the services that they touch,
//! and tells the difference. A change costs what its services have, however many others there are; only a change
//! of the node's own facts redoes all.

mod slices;

use super::{
    difference::Difference,
    draft::Draft,
    fault::{Fault, Kind, Object},
    name::ServiceName,
    node::Node,
    service::{self, Service},
    slice::{self, Slice},
    table::{Rank, Table},
};
use k8s_openapi::api::{core::v1 as api, discovery::v1::EndpointSlice};
use slices::Slices;
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Display,
};

/// What a watch tells, and what the node tells.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// A service was made or changed.
    Service(Box<api::Service>),
    /// A service is gone.
    ServiceGone(Box<Object>),
    /// A slice was made or changed.
    Slice(Box<EndpointSlice>),
    /// A slice is gone.
    SliceGone(Box<Object>),
    /// The node's own facts changed.
    Node(Box<Node>),
}

/// What changes came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outcome {
    /// What to do to the rules.
    pub difference: Difference,
    /// What is wrong with the objects that changed, and whom the services that they touch stand in the way of or
    /// are kept out by.
    pub faults: Vec<Fault>,
}

/// Objects, and their table.
#[derive(Debug, Clone)]
pub struct Model {
    node: Node,
    services: BTreeMap<ServiceName, Service>,
    slices: Slices,
    faults: BTreeMap<Object, Vec<Fault>>,
    table: Table,
}

/// A pass over changes: the draft, and the services whose part was taken out of it.
struct Pass<'a> {
    draft: Draft<'a>,
    touched: BTreeSet<ServiceName>,
    faults: Vec<Fault>,
}

impl Model {
    /// A node without services.
    pub fn of(node: Node) -> Self {
        let table = Table::of(&node);
        Self { node, services: BTreeMap::new(), slices: Slices::default(), faults: BTreeMap::new(), table }
    }

    /// The table as it is.
    pub fn table(&self) -> &Table {
        &self.table
    }

    /// The node as it is.
    pub fn node(&self) -> &Node {
        &self.node
    }

    /// Takes changes in their order and redoes, once, what they touch.
    pub fn apply(&mut self, changes: impl IntoIterator<Item = Change>) -> Outcome {
        let Self { node, services, slices, faults, table } = self;
        let mut pass = Pass { draft: Draft::of(table), touched: BTreeSet::new(), faults: Vec::new() };
        for change in changes {
            match change {
                Change::Service(object) => {
                    let reading = service::read(&object);
                    let metadata = &object.metadata;
                    let object =
                        Object::new(Kind::Service, metadata.namespace.as_deref(), metadata.name.as_deref());
                    pass.take_service(services, &object, reading.service);
                    pass.take_faults(faults, object, reading.faults);
                }
                Change::ServiceGone(object) => {
                    pass.take_service(services, &object, None);
                    faults.remove(&object);
                }
                Change::Slice(object) => {
                    let reading = slice::read(&object);
                    let metadata = &object.metadata;
                    let object = Object::new(
                        Kind::EndpointSlice,
                        metadata.namespace.as_deref(),
                        metadata.name.as_deref(),
                    );
                    pass.take_slice(services, slices, &object, reading.slice);
                    pass.take_faults(faults, object, reading.faults);
                }
                Change::SliceGone(object) => {
                    pass.take_slice(services, slices, &object, None);
                    faults.remove(&object);
                }
                Change::Node(facts) if *facts == *node => {}
                Change::Node(facts) => {
                    let names = services.keys().cloned().collect::<Vec<_>>();
                    names.into_iter().for_each(|name| pass.touch(services, name));
                    pass.draft.settle_on(&facts);
                    *node = *facts;
                }
            }
        }
        for name in &pass.touched {
            let Some(service) = services.get(name) else { continue };
            pass.draft.place(service, &slices.of(name), node);
        }
        let Pass { draft, touched, faults: mut told } = pass;
        let difference = draft.finish();
        told.extend(conflicts(&self.table, |service| touched.contains(service)));
        Outcome { difference, faults: told }
    }

    /// All that is wrong now.
    pub fn faults(&self) -> Vec<Fault> {
        let of_objects = self.faults.values().flatten().cloned();
        of_objects.chain(conflicts(&self.table, |_| true)).collect()
    }

    /// A table from nothing, out of the same objects: for checks.
    pub fn rebuilt(&self) -> Table {
        let mut table = Table::of(&self.node);
        let mut draft = Draft::of(&mut table);
        for (name, service) in &self.services {
            draft.place(service, &self.slices.of(name), &self.node);
        }
        draft.finish();
        table
    }
}

type Services = BTreeMap<ServiceName, Service>;

impl Pass<'_> {
    /// Takes a service's part out of the table, once, before anything that it is made of changes.
    fn touch(&mut self, services: &Services, name: ServiceName) {
        if self.touched.contains(&name) {
            return;
        }
        if let Some(service) = services.get(&name) {
            self.draft.withdraw(service);
        }
        self.touched.insert(name);
    }

    fn take_service(&mut self, services: &mut Services, object: &Object, service: Option<Service>) {
        let Some(name) = name_of(object) else { return };
        if services.get(&name) == service.as_ref() {
            return;
        }
        self.touch(services, name.clone());
        match service {
            Some(service) => drop(services.insert(name, service)),
            None => drop(services.remove(&name)),
        }
    }

    fn take_slice(&mut self, services: &Services, all: &mut Slices, object: &Object, slice: Option<Slice>) {
        let Some(name) = name_of(object) else { return };
        let known = all.get(&name);
        if known == slice.as_ref() {
            return;
        }
        let owners = [known, slice.as_ref()].map(|slice| slice.map(|slice| slice.service.clone()));
        owners.into_iter().flatten().for_each(|owner| self.touch(services, owner));
        all.put(name, slice);
    }

    fn take_faults(&mut self, all: &mut BTreeMap<Object, Vec<Fault>>, object: Object, found: Vec<Fault>) {
        if found.is_empty() {
            all.remove(&object);
        } else {
            self.faults.extend(found.iter().cloned());
            all.insert(object, found);
        }
    }
}

fn name_of(object: &Object) -> Option<ServiceName> {
    ServiceName::new(Some(&object.namespace), Some(&object.name))
}

/// Whoever claims what another holds, as far as one of both is of interest.
fn conflicts(table: &Table, is_of_interest: impl Fn(&ServiceName) -> bool) -> Vec<Fault> {
    let mut found = Vec::new();
    for (key, loser, holder) in table.addresses.disputes() {
        found.push((conflict(key, loser, holder), loser, holder));
    }
    for (key, loser, holder) in table.node_ports.disputes() {
        found.push((conflict(key, loser, holder), loser, holder));
    }
    for (key, loser, holder) in table.health.disputes() {
        found.push((conflict(key, loser, holder), loser, holder));
    }
    let wanted = found.into_iter().filter(|(_, loser, holder)| {
        is_of_interest(&loser.port.service) || is_of_interest(&holder.port.service)
    });
    wanted.map(|(fault, ..)| fault).collect()
}

fn conflict(key: &impl Display, loser: &Rank, holder: &Rank) -> Fault {
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
