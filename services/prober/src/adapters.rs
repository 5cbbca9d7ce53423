//! Real probes: over the network from this process, and in a container through cri-bridge.

pub mod exec;
pub mod grpc;
pub mod http;
pub mod socket;
pub mod tcp;
mod tls;

use crate::{
    core::{check::Check, outcome::Outcome},
    ports::{Subject, Target},
};
use chassis::Bus;
use futures::{FutureExt, future::LocalBoxFuture};
use std::{fmt, time::Duration};

/// Everything that can be probed.
pub struct Outside {
    bus: Bus,
    http: http::Http,
}

impl Outside {
    /// Probes by network and by this bus.
    pub fn new(bus: Bus) -> Self {
        Self { bus, http: http::Http::new() }
    }
}

impl Target for Outside {
    fn probe<'a>(
        &'a self,
        subject: &'a Subject,
        check: &'a Check,
        timeout: Duration,
    ) -> LocalBoxFuture<'a, Outcome> {
        match check {
            Check::Exec { command } => exec::probe(&self.bus, subject, command, timeout).boxed_local(),
            Check::Http(get) => self.http.probe(get, timeout).boxed_local(),
            Check::Tcp { host, port } => tcp::probe(host, *port, timeout).boxed_local(),
            Check::Grpc { host, port, service } => grpc::probe((host, *port), service, timeout).boxed_local(),
        }
    }
}

/// An address as URLs and messages write it: IPv6 in brackets.
pub(crate) struct HostPort<'a>(pub(crate) &'a str, pub(crate) u16);

impl fmt::Display for HostPort<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(host, port) = self;
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}
