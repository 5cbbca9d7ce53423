//! Limits that the supervisor sets for itself, and so for every process that it starts.

use chassis::config::KubeletConfiguration;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use std::fs;
use tracing::warn;

/// Sets open files (`maxOpenFiles`), the out-of-memory score (`oomScoreAdj`), and no core dumps, which
/// would hold secrets. What the machine does not allow is said once and hinders nothing.
pub(crate) fn set(kubelet: &KubeletConfiguration) {
    let files = open_files(kubelet.max_open_files);
    if files < kubelet.max_open_files {
        warn!(wanted = kubelet.max_open_files, files, "maxOpenFiles is more than this machine allows");
    }
    if let Err(errno) = setrlimit(Resource::RLIMIT_CORE, 0, 0) {
        warn!(error = %errno, "core dumps could not be ruled out");
    }
    if let Err(failure) = fs::write("/proc/self/oom_score_adj", kubelet.oom_score_adj.to_string()) {
        warn!(wanted = kubelet.oom_score_adj, error = %failure, "oomScoreAdj cannot be set on this machine");
    }
}

/// Allows so many open files, or as many as the machine does; says how many.
fn open_files(wanted: u64) -> u64 {
    if setrlimit(Resource::RLIMIT_NOFILE, wanted, wanted).is_ok() {
        return wanted;
    }
    let hard = getrlimit(Resource::RLIMIT_NOFILE).map_or(0, |(_, hard)| hard);
    let most = wanted.min(hard);
    // The hard limit is the machine's word; asking for no more than it cannot be refused.
    let _ = setrlimit(Resource::RLIMIT_NOFILE, most, hard);
    most
}
