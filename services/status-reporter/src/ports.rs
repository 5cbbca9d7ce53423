//! The outside as the reporter needs it: the API server, and the addresses of this machine.

use crate::core::{
    events,
    failure::Failure,
    lease, node,
    pod::{View, plan::Deed},
    pods::Name,
};
use futures::{future::LocalBoxFuture, stream::LocalBoxStream};
use k8s_openapi::api::{coordination::v1::Lease, core::v1::Node};
use std::net::IpAddr;

/// An answer to come.
pub(crate) type Answer<T> = LocalBoxFuture<'static, Result<T, Failure>>;

/// The API server. Every request has a deadline of its own.
pub(crate) trait Api {
    /// A request about the node object.
    fn node(&self, ask: node::Ask) -> Answer<Box<Node>>;

    /// A request about the node's lease.
    fn lease(&self, ask: lease::Ask) -> Answer<Box<Lease>>;

    /// A request about a pod; a deletion leaves nothing to view.
    fn pod(&self, name: &Name, deed: Deed) -> Answer<Option<Box<View>>>;

    /// A request about an event.
    fn event(&self, ask: events::Ask) -> Answer<()>;

    /// The node object as it changes, for ever.
    fn watch_node(&self) -> LocalBoxStream<'static, NodeSight>;

    /// The pods of this node as they change, for ever.
    fn watch_pods(&self) -> LocalBoxStream<'static, PodSight>;
}

/// What a watch of the node object tells.
#[derive(Debug, Clone)]
pub(crate) enum NodeSight {
    /// It is so.
    Seen(Box<Node>),
    /// There is none.
    Gone,
}

/// What a watch of this node's pods tells.
#[derive(Debug, Clone)]
pub(crate) enum PodSight {
    /// One is so.
    Seen(Name, Box<View>),
    /// One is gone: its name and UID.
    Gone(Name, String),
    /// All of them were told: these.
    All(Vec<Name>),
}

/// The addresses of this machine.
pub(crate) trait Addresses {
    /// Those by which others reach the node, the primary one first; none when it has none.
    fn find(&self) -> LocalBoxFuture<'static, Vec<IpAddr>>;
}
