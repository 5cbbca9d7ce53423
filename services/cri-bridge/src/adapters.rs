//! The world outside, named for what is there.

pub mod api_server;
pub mod cgroupfs;
pub mod cgroups;
pub mod containerd;
pub mod hook_server;
pub mod log_files;
pub mod machine;
pub mod pod_files;
pub mod systemd;
