//! The processes of a node as the supervisor sees them: the bus server and the services.

use chassis::identity::{self, Identity};
use messages::Owner;
use std::{fmt, path::Path};

/// One process that the supervisor starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Process {
    /// nats-server.
    Bus,
    /// A service of ours.
    Service(Owner),
}

impl Process {
    /// Every process, the bus first.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        let services = Owner::ALL.into_iter().filter(|owner| *owner != Owner::Bulkhead);
        std::iter::once(Self::Bus).chain(services.map(Self::Service))
    }

    /// Its name in the log, on command lines and in tables.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Bus => "nats-server",
            Self::Service(owner) => owner.name(),
        }
    }

    /// The process of a name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::all().find(|process| process.name() == name)
    }

    /// Who it is to the kernel.
    pub(crate) const fn identity(self) -> Identity {
        match self {
            Self::Bus => identity::NATS,
            Self::Service(owner) => identity::of(owner),
        }
    }

    /// Its folder's name below `<root-dir>/bulkhead`.
    pub(crate) const fn folder(self) -> &'static str {
        self.name()
    }

    /// Its own folder.
    pub(crate) fn dir(self, node_dir: &Path) -> std::path::PathBuf {
        node_dir.join(self.folder())
    }
}

impl fmt::Display for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The groups in which processes leave: who decides and who serves callers first, then who acts, then
/// who reports and holds the connection that this needs, the trace and the bus at the very end.
pub(crate) const LEAVING: [&[Process]; 5] = [
    &[
        Process::Service(Owner::PodLifecycle),
        Process::Service(Owner::Prober),
        Process::Service(Owner::NodeApi),
    ],
    &[
        Process::Service(Owner::CriBridge),
        Process::Service(Owner::VolumeMounter),
        Process::Service(Owner::ProxyProgrammer),
    ],
    &[Process::Service(Owner::StatusReporter), Process::Service(Owner::ApiGate)],
    &[Process::Service(Owner::TraceRecorder)],
    &[Process::Bus],
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn everyone_leaves_once() {
        let leaving: Vec<Process> = LEAVING.concat();
        assert_eq!(leaving.len(), Process::all().count());
        assert_eq!(BTreeSet::from_iter(leaving), Process::all().collect());
    }

    #[test]
    fn a_name_is_one_process() {
        for process in Process::all() {
            assert_eq!(Process::named(process.name()), Some(process));
        }
        assert_eq!(Process::named("bulkhead"), None);
    }
}
