//! Kills, as `kill -9` does them.

use std::time::Duration;

use anyhow::{Context, Result};
use nix::sys::signal::Signal;
use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use tests::ward::Ward;

/// What is killed: a process by its job, or one of the others below.
const VICTIMS: [&str; 12] = [
    "api-gate",
    "pod-lifecycle",
    "cri-bridge",
    "volume-mounter",
    "status-reporter",
    "prober",
    "node-api",
    "trace-recorder",
    "nats-server",
    SUPERVISOR,
    EVERYTHING,
    RUNTIME,
];
const SUPERVISOR: &str = "the supervisor";
const EVERYTHING: &str = "everything of ours";
const RUNTIME: &str = "containerd";
/// How long the runtime is away, in milliseconds.
const ABSENCE: std::ops::Range<u64> = 0..4000;

/// Kills one of them. What does not come back by itself is begun again, as a service manager would.
pub(crate) fn kill(ward: &mut Ward, dice: &mut StdRng) -> Result<()> {
    let victim = *VICTIMS.choose(dice).context("there are victims")?;
    eprintln!("{:?} {victim} is killed", ward.vigil.age());
    ward.node.kubelet()?.check_alive()?;
    match victim {
        SUPERVISOR => {
            ward.node.kubelet()?.kill()?;
            ward.start_kubelet()
        }
        EVERYTHING => {
            ward.node.kill_kubelet()?;
            ward.start_kubelet()
        }
        RUNTIME => {
            ward.node.containerd().process().kill()?;
            ward.vigil.hold(Duration::from_millis(dice.random_range(ABSENCE)))?;
            ward.node.containerd().restart()
        }
        // It may be between two lives.
        job => ward.node.process(job).map_or(Ok(()), |process| process.signal(Signal::SIGKILL)),
    }
}
