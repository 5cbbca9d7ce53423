//! What each process may do at the kernel beyond what everyone may. A table, and nothing is done in it.
//!
//! A process of an own user gets its capabilities as ambient ones; one that is root keeps these and
//! loses all others for good. Lines of code that run with rights are the ones to read twice.

use crate::process::Process;
use messages::Owner;
use rustix::thread::CapabilitySet;

/// The capabilities of a process. `systemd` says whether systemd runs the machine.
pub(crate) fn capabilities(process: Process, systemd: bool) -> CapabilitySet {
    let Process::Service(owner) = process else { return CapabilitySet::empty() };
    match owner {
        // Kubeconfig, keys and certificates are root's files.
        Owner::ApiGate => CapabilitySet::DAC_READ_SEARCH,
        // Manifests are root's files, or somebody's.
        Owner::PodLifecycle => CapabilitySet::DAC_READ_SEARCH,
        // Logs, termination messages and `/etc/hosts` of pods belong to the pods' users. systemd lets
        // nobody make slices who may not administer the system.
        Owner::CriBridge => files() | if systemd { CapabilitySet::SYS_ADMIN } else { CapabilitySet::empty() },
        // mount(2), and files for the pods' users.
        Owner::VolumeMounter => files() | CapabilitySet::SYS_ADMIN,
        // nftables, iptables, IPVS.
        Owner::ProxyProgrammer => CapabilitySet::NET_ADMIN,
        Owner::Bulkhead | Owner::NodeApi | Owner::Prober | Owner::StatusReporter | Owner::TraceRecorder => {
            CapabilitySet::empty()
        }
    }
}

/// Making, reading and giving away files of any user.
fn files() -> CapabilitySet {
    CapabilitySet::CHOWN
        | CapabilitySet::DAC_OVERRIDE
        | CapabilitySet::DAC_READ_SEARCH
        | CapabilitySet::FOWNER
        | CapabilitySet::FSETID
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_untrusted_have_no_rights_but_the_proxys() {
        for owner in [Owner::Prober, Owner::StatusReporter, Owner::TraceRecorder, Owner::NodeApi] {
            let process = Process::Service(owner);
            assert!(capabilities(process, true).is_empty(), "{owner}");
            assert_ne!(process.identity().uid, 0, "{owner}");
        }
        let proxy = Process::Service(Owner::ProxyProgrammer);
        assert_eq!(capabilities(proxy, true), CapabilitySet::NET_ADMIN);
        assert_ne!(proxy.identity().uid, 0);
        assert!(capabilities(Process::Bus, true).is_empty() && Process::Bus.identity().uid != 0);
    }

    #[test]
    fn only_those_who_mount_or_ask_systemd_administer() {
        let administers = |systemd| {
            Process::all()
                .filter(|process| capabilities(*process, systemd).contains(CapabilitySet::SYS_ADMIN))
                .collect::<Vec<_>>()
        };
        assert_eq!(administers(false), [Process::Service(Owner::VolumeMounter)]);
        assert_eq!(administers(true).len(), 2);
    }
}
