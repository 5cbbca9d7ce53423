//! Stopping one container, and the sentence that says why.

use super::{
    restart,
    situation::Situation,
    spec::{self, Part},
};
use messages::{container_hash, cri_bridge::Container, pod_lifecycle::ContainerKind, prober::ProbeKind};

/// One instance to stop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Halt {
    /// The container.
    pub container: String,
    /// The instance.
    pub id: String,
    /// Seconds until it is killed.
    pub grace_seconds: u64,
    /// The sentence for the event.
    pub why: String,
    /// Start it again afterwards, whatever it exits with.
    pub restarts: bool,
}

/// Why a running container cannot stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// Its image in the spec is another one now.
    Changed,
    /// A probe has failed.
    Probe(ProbeKind),
    /// The runtime does not know its state: stopped, so that there are never two.
    Unknown,
    /// Its sandbox is given up.
    Sandbox,
}

impl Halt {
    /// Stops an instance for this cause.
    pub fn of(situation: &Situation<'_>, part: &Part<'_>, container: &Container, cause: Cause) -> Self {
        Self {
            container: part.name().to_owned(),
            id: container.id.clone(),
            grace_seconds: grace(situation, part, cause),
            restarts: restarts(situation, part, cause),
            why: sentence(situation, part, cause),
        }
    }
}

/// Whether a running instance is of another image than the spec's. An instance whose hash is not
/// known is left alone.
pub fn has_changed(part: &Part<'_>, container: &Container) -> bool {
    !container.hash.is_empty() && container.hash != container_hash(part.name(), part.image())
}

/// The grace of the probe that failed, where it names one, else the pod's.
fn grace(situation: &Situation<'_>, part: &Part<'_>, cause: Cause) -> u64 {
    let probe = match cause {
        Cause::Probe(kind) => part.probe(kind),
        _ => None,
    };
    let own = probe.and_then(|probe| probe.termination_grace_period_seconds);
    own.and_then(|own| u64::try_from(own).ok())
        .map_or_else(|| spec::grace_seconds(situation.pod), |own| own.max(1))
}

/// A sidecar is always started again; otherwise a probe asks the policy, and everything else
/// restarts in any case.
fn restarts(situation: &Situation<'_>, part: &Part<'_>, cause: Cause) -> bool {
    match cause {
        Cause::Probe(_) | Cause::Unknown if part.kind != ContainerKind::Sidecar => {
            restart::restarts_after_probe(&part.container, situation.spec)
        }
        _ => true,
    }
}

fn sentence(situation: &Situation<'_>, part: &Part<'_>, cause: Cause) -> String {
    let is_init = matches!(part.kind, ContainerKind::Init | ContainerKind::Sidecar);
    let who = if is_init { "Init container" } else { "Container" };
    let name = part.name();
    let what = match cause {
        Cause::Changed => format!("{who} {name} definition changed"),
        Cause::Probe(kind) => format!("{who} {name} failed {kind} probe"),
        Cause::Unknown => return format!("{who} is in \"unknown\" state, try killing it before restart"),
        Cause::Sandbox => return format!("Stopping container {name}"),
    };
    let again = !is_init && restarts(situation, part, cause);
    if again { format!("{what}, will be restarted") } else { what }
}
