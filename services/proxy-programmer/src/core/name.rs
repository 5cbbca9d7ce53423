//! What services and their ports are called.

use super::address::{Family, Protocol};
use std::{fmt, sync::Arc};

/// A service's name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceName {
    /// Its namespace.
    pub namespace: Arc<str>,
    /// Its name within it.
    pub name: Arc<str>,
}

impl ServiceName {
    /// A name of both parts; nothing if one is empty.
    pub fn new(namespace: Option<&str>, name: Option<&str>) -> Option<Self> {
        let (namespace, name) = (namespace.unwrap_or_default(), name.unwrap_or_default());
        let is_whole = !namespace.is_empty() && !name.is_empty();
        is_whole.then(|| Self { namespace: namespace.into(), name: name.into() })
    }
}

impl fmt::Display for ServiceName {
    /// `namespace/name`; what no Kubernetes name may hold is escaped, since this goes to logs and events.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace.escape_debug(), self.name.escape_debug())
    }
}

/// One port of one service in one address family: what has endpoints of its own.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PortId {
    /// Whose port.
    pub service: ServiceName,
    /// The port's name, empty for a service's only port.
    pub name: Arc<str>,
    /// Its protocol.
    pub protocol: Protocol,
    /// The family of its addresses and its endpoints.
    pub family: Family,
}

impl fmt::Display for PortId {
    /// `namespace/name:port/TCP (IPv4)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { service, name, protocol, family } = self;
        write!(f, "{service}:{}/{protocol} ({family})", name.escape_debug())
    }
}
