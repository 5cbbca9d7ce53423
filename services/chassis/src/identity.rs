//! Who each process is to the kernel.
//!
//! The supervisor sets these before exec; api-gate knows its callers by them (`SO_PEERCRED`). Fixed
//! numbers, so that nothing need be added to `/etc/passwd` and a container image needs no user
//! database. 64410 and up lies above distributions' dynamic users and below systemd's 65534.

use messages::Owner;

/// A user and its group, which always have the same number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    /// User.
    pub uid: u32,
    /// Group.
    pub gid: u32,
}

/// The bus server's own, which is no process of ours.
pub const NATS: Identity = fixed(64416);

/// Root, for those whose job needs it.
const ROOT: Identity = fixed(0);

const fn fixed(id: u32) -> Identity {
    Identity { uid: id, gid: id }
}

/// The identity that a process runs as.
pub const fn of(owner: Owner) -> Identity {
    match owner {
        // Mounts, cgroups, pods' files, manifests of root's: theirs is root's work.
        Owner::Bulkhead | Owner::CriBridge | Owner::VolumeMounter | Owner::PodLifecycle => ROOT,
        Owner::ApiGate => fixed(64410),
        Owner::Prober => fixed(64411),
        Owner::StatusReporter => fixed(64412),
        Owner::NodeApi => fixed(64413),
        Owner::ProxyProgrammer => fixed(64414),
        Owner::TraceRecorder => fixed(64415),
    }
}

/// The process that runs as this user, when exactly one does. Root is several, so none of them is
/// told apart by it.
pub fn owner_of(uid: u32) -> Option<Owner> {
    if uid == ROOT.uid {
        return None;
    }
    Owner::ALL.into_iter().find(|owner| of(*owner).uid == uid)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn no_two_unprivileged_processes_share_a_user() {
        let mut seen = BTreeSet::from([NATS.uid]);
        for owner in Owner::ALL.into_iter().filter(|owner| of(*owner) != ROOT) {
            assert!(seen.insert(of(owner).uid), "{owner} shares its user");
            assert_eq!(owner_of(of(owner).uid), Some(owner));
        }
        assert_eq!(owner_of(0), None);
    }
}
