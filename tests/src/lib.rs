//! The harness: real parts, raised for one scenario and taken back after it.
//!
//! A scenario stands on a [`ground::Ground`]: a folder, a mark that its processes carry, cgroups and network
//! namespaces of its own. On it stand, as far as the scenario needs them,
//!
//! ```text
//!   network namespace "control-plane"            network namespace "node-<n>"
//!   etcd, kube-apiserver, controller-manager,    containerd with its CNI network, the kubelet (stock or ours)
//!   scheduler, registry, CoreDNS                 and its nats-server, kube-proxy
//!          bridge lan 10.77.0.1 ───────────────── eth0 10.77.0.<10+n>, pods 10.88.<n>.0/24
//! ```
//!
//! A node may also be a machine of its own, with systemd and cgroup version 2 ([`vm`]): then `node-1` is no namespace
//! but a tap device of the bridge.
//!
//! Since every ground has namespaces of its own, ports and addresses are the same in all of them and scenarios run
//! side by side. What costs seconds to raise may be shared by the scenarios of one test binary in a `OnceLock`:
//! the ground is taken back when the process ends, however it ends.
//!
//! The programs come from [`parts`]: Debian's packages (`tests/tools/install`) and what `tests/tools/build` built.
//! Everything here blocks, and is meant for tests and for the `playground` binary only.

pub mod api;
pub mod belongings;
pub mod census;
pub mod cgroups;
pub mod containerd;
pub mod control_plane;
pub mod cri;
pub mod dns;
pub mod fault;
pub mod ground;
pub mod identity;
pub mod jaeger;
pub mod kube_proxy;
pub mod kubectl;
pub mod kubelet;
pub mod namespace;
pub mod nats;
pub mod netns;
pub mod node;
pub mod noise;
pub mod parts;
pub mod process;
pub mod processes;
pub mod recorder;
pub mod registry;
pub mod scene;
pub mod status;
pub mod trace;
pub mod vigil;
pub mod vm;
pub mod wait;
pub mod ward;
