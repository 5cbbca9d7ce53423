//! All objects that are known, as far as they were understood.

use crate::core::{
    fault::{Fault, Object},
    name::ServiceName,
    node::Node,
    service::Service,
    slice::Slice,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// What the table is made of.
#[derive(Debug, Clone)]
pub(super) struct Objects {
    pub(super) node: Node,
    pub(super) services: BTreeMap<ServiceName, Service>,
    pub(super) slices: Slices,
    /// What is wrong with each, as long as it is.
    pub(super) faults: BTreeMap<Object, Vec<Fault>>,
    /// Services that have no part in the table for now.
    pub(super) left_out: BTreeSet<ServiceName>,
}

impl Objects {
    /// A node without services.
    pub(super) fn of(node: Node) -> Self {
        Self {
            node,
            services: BTreeMap::new(),
            slices: Slices::default(),
            faults: BTreeMap::new(),
            left_out: BTreeSet::new(),
        }
    }

    /// The services that have a part in the table.
    pub(super) fn placed(&self) -> impl Iterator<Item = (&ServiceName, &Service)> {
        self.services.iter().filter(|(name, _)| !self.left_out.contains(*name))
    }
}

/// Slices by service, and whose each is: the label that says so may change.
#[derive(Debug, Clone, Default)]
pub(super) struct Slices {
    by_service: BTreeMap<ServiceName, BTreeMap<Arc<str>, Slice>>,
    owners: BTreeMap<ServiceName, ServiceName>,
}

impl Slices {
    /// A service's slices, in the order of their names.
    pub(super) fn of(&self, service: &ServiceName) -> Vec<&Slice> {
        self.by_service.get(service).into_iter().flat_map(BTreeMap::values).collect()
    }

    /// The slice of this name.
    pub(super) fn get(&self, name: &ServiceName) -> Option<&Slice> {
        self.by_service.get(self.owners.get(name)?)?.get(&name.name)
    }

    /// Puts a slice in the place of the one of this name, or takes that away.
    pub(super) fn put(&mut self, name: ServiceName, slice: Option<Slice>) {
        if let Some(owner) = self.owners.remove(&name)
            && let Some(own) = self.by_service.get_mut(&owner)
        {
            own.remove(&name.name);
            if own.is_empty() {
                self.by_service.remove(&owner);
            }
        }
        if let Some(slice) = slice {
            let owner = slice.service.clone();
            self.owners.insert(name.clone(), owner.clone());
            self.by_service.entry(owner).or_default().insert(name.name, slice);
        }
    }

    /// The names of all slices.
    pub(super) fn names(&self) -> impl Iterator<Item = &ServiceName> {
        self.owners.keys()
    }

    #[cfg(test)]
    pub(super) fn are_none(&self) -> bool {
        self.by_service.is_empty() && self.owners.is_empty()
    }
}
