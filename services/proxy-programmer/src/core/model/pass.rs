//! A pass over changes: what they touch is taken out of the table, and redone at the end.

use super::objects::Objects;
use crate::core::{
    difference::Difference,
    draft::Draft,
    fault::{Fault, Kind, Object},
    name::ServiceName,
    node::Node,
    service::{self, Service},
    slice::{self, Slice},
    table::Table,
};
use k8s_openapi::{
    api::{core::v1 as api, discovery::v1::EndpointSlice},
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use std::collections::BTreeSet;

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
    /// These services, and no others, have no part in the table until this is said anew.
    LeaveOut(BTreeSet<ServiceName>),
}

/// A pass on its way.
#[derive(Debug)]
pub(super) struct Pass<'a> {
    objects: &'a mut Objects,
    draft: Draft<'a>,
    touched: BTreeSet<ServiceName>,
    faults: Vec<Fault>,
}

/// What a pass came to.
#[derive(Debug)]
pub(super) struct Redone {
    pub(super) difference: Difference,
    /// The services that were redone.
    pub(super) touched: BTreeSet<ServiceName>,
    /// What is wrong with the objects that changed.
    pub(super) faults: Vec<Fault>,
}

impl<'a> Pass<'a> {
    /// Nothing is touched yet. The table is that of the objects.
    pub(super) fn over(table: &'a mut Table, objects: &'a mut Objects) -> Self {
        Self { objects, draft: Draft::of(table), touched: BTreeSet::new(), faults: Vec::new() }
    }

    /// Takes a change.
    pub(super) fn take(&mut self, change: Change) {
        match change {
            Change::Service(object) => {
                let service::Reading { service, faults } = service::read(&object);
                let object = named(Kind::Service, &object.metadata);
                self.take_service(&object, service);
                self.take_faults(object, faults);
            }
            Change::Slice(object) => {
                let slice::Reading { slice, faults } = slice::read(&object);
                let object = named(Kind::EndpointSlice, &object.metadata);
                self.take_slice(&object, slice);
                self.take_faults(object, faults);
            }
            Change::ServiceGone(object) => {
                self.take_service(&object, None);
                self.objects.faults.remove(&object);
            }
            Change::SliceGone(object) => {
                self.take_slice(&object, None);
                self.objects.faults.remove(&object);
            }
            Change::Node(node) => self.take_node(*node),
            Change::LeaveOut(names) => self.leave_out(names),
        }
    }

    fn leave_out(&mut self, names: BTreeSet<ServiceName>) {
        let changed = self.objects.left_out.symmetric_difference(&names).cloned().collect::<Vec<_>>();
        changed.into_iter().for_each(|name| self.touch(name));
        self.objects.left_out = names;
    }

    fn take_service(&mut self, object: &Object, service: Option<Service>) {
        let Some(name) = name_of(object) else { return };
        if self.objects.services.get(&name) == service.as_ref() {
            return;
        }
        self.touch(name.clone());
        match service {
            Some(service) => drop(self.objects.services.insert(name, service)),
            None => drop(self.objects.services.remove(&name)),
        }
    }

    fn take_slice(&mut self, object: &Object, slice: Option<Slice>) {
        let Some(name) = name_of(object) else { return };
        let known = self.objects.slices.get(&name);
        if known == slice.as_ref() {
            return;
        }
        let owners = [known, slice.as_ref()].map(|slice| slice.map(|slice| slice.service.clone()));
        owners.into_iter().flatten().for_each(|owner| self.touch(owner));
        self.objects.slices.put(name, slice);
    }

    fn take_node(&mut self, node: Node) {
        if node == self.objects.node {
            return;
        }
        let names = self.objects.services.keys().cloned().collect::<Vec<_>>();
        names.into_iter().for_each(|name| self.touch(name));
        self.draft.settle_on(&node);
        self.objects.node = node;
    }

    fn take_faults(&mut self, object: Object, found: Vec<Fault>) {
        if found.is_empty() {
            self.objects.faults.remove(&object);
        } else {
            self.faults.extend(found.iter().cloned());
            self.objects.faults.insert(object, found);
        }
    }

    /// Takes a service's part out of the table, once, before anything that it is made of changes.
    fn touch(&mut self, name: ServiceName) {
        if self.touched.contains(&name) {
            return;
        }
        if let Some(service) = self.objects.services.get(&name).filter(|_| self.is_placed(&name)) {
            self.draft.withdraw(service);
        }
        self.touched.insert(name);
    }

    fn is_placed(&self, name: &ServiceName) -> bool {
        !self.objects.left_out.contains(name)
    }

    /// Redoes what was touched.
    pub(super) fn finish(self) -> Redone {
        let Self { objects, mut draft, touched, faults } = self;
        for name in touched.iter().filter(|name| !objects.left_out.contains(*name)) {
            let Some(service) = objects.services.get(name) else { continue };
            draft.place(service, &objects.slices.of(name), &objects.node);
        }
        Redone { difference: draft.finish(), touched, faults }
    }
}

fn named(kind: Kind, metadata: &ObjectMeta) -> Object {
    Object::new(kind, metadata.namespace.as_deref(), metadata.name.as_deref())
}

fn name_of(object: &Object) -> Option<ServiceName> {
    ServiceName::new(Some(&object.namespace), Some(&object.name))
}
