//! The stock kubelet's command line, which `bulkhead up` takes too.
//!
//! [`flags`] is the table of flags, [`arguments`] takes a command line apart by it, [`convert`] reads
//! single values. Everything here is pure; what it means for the node is [`crate::settings`]'.

pub(crate) mod arguments;
pub(crate) mod convert;
pub(crate) mod flags;

/// What `--version` prints. kubeadm parses it, and the node object says the same.
pub(crate) fn version() -> String {
    format!("Kubernetes {}", chassis::config::KUBELET_VERSION)
}
