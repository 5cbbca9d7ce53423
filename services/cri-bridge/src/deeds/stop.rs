//! Stopping one container, or everything of a pod.

use super::{
    End, Halt, Saw, Subject, deed_span, hook,
    read::{self, Holding},
};
use crate::{
    adapters::containerd::RuntimeError,
    core::{
        labels::Remembered,
        spec,
        stop::{self, ORPHAN_GRACE},
    },
    ports::Told,
};
use chassis::{clock, error, telemetry};
use futures::future::{join_all, pending};
use k8s_openapi::api::core::v1 as core;
use messages::{
    BootTime, ContainerName, Fault,
    cri_bridge::{Container, ContainerState},
    pod_lifecycle::ContainerKind,
};
use std::{collections::BTreeSet, pin::pin, time::Duration};
use tokio::{sync::watch, time::sleep};
use tracing::warn;

/// How long the runtime works at stopping a container that ends when it is told to.
const AT_WORK: Duration = Duration::from_millis(300);

/// Which container is stopped, and why.
#[derive(Debug, Clone)]
pub struct One {
    /// The container.
    pub container: ContainerName,
    /// The instance.
    pub container_id: String,
    /// Seconds until it is killed.
    pub grace_seconds: u64,
    /// The sentence for the event.
    pub why: String,
}

/// Stops one container.
pub async fn one(subject: &Subject, one: One) -> End {
    let Some(instance) = subject.containers.iter().find(|it| it.id == one.container_id) else {
        // Started in this very deed: its sandbox is the active one.
        let sandbox = subject.active_sandbox().map(|it| it.id.clone()).unwrap_or_default();
        let stopping = Stopping::new(subject, &one.container, &one.container_id, &sandbox);
        return ended(stopping.run(one.why, Clock::fixed(one.grace_seconds), None).await);
    };
    let stopping = Stopping::new(subject, &instance.name, &instance.id, &instance.sandbox);
    ended(stopping.run(one.why, Clock::fixed(one.grace_seconds), None).await)
}

/// The grace that the pod's spec gives its containers.
pub fn own_grace(subject: &Subject) -> u64 {
    let pod = subject.object();
    let of_spec = pod.spec.as_ref().and_then(|spec| spec.termination_grace_period_seconds);
    let grace = pod.metadata.deletion_grace_period_seconds.or(of_spec);
    grace.and_then(|grace| u64::try_from(grace).ok()).unwrap_or(stop::LEAST_GRACE)
}

fn ended(result: Result<(), RuntimeError>) -> End {
    let failed = |error: RuntimeError| {
        End::of_call(&error, || End::Failed(Fault::new("KillContainerError", error.shown())))
    };
    result.map_or_else(failed, |()| End::Done)
}

/// Stops everything of a pod. The pod's actor has ended what makes things before, and whatever was made
/// meanwhile shows in a fresh list.
pub async fn pod(mut subject: Subject) -> End {
    match read::all(&subject).await {
        Err(error) => return failed(&subject, &[error]),
        Ok(Holding { sandboxes, containers }) => {
            subject.sandboxes = sandboxes;
            subject.containers = containers;
        }
    }
    let running: Vec<&Container> = subject.containers.iter().filter(|it| may_run(it)).collect();
    let names: BTreeSet<&str> = running.iter().map(|it| it.name.as_str()).collect();
    let order = stop::order(subject.object(), &names);
    let (done, ended) = watch::channel(BTreeSet::new());
    let clock = Clock { halt: Some(subject.halt.clone()), ..Clock::fixed(ORPHAN_GRACE) };
    let stopped = running.iter().map(|it| {
        let turn = Turn { after: order.get(it.name.as_str()), ended: ended.clone(), done: &done };
        let stopping = Stopping::new(&subject, &it.name, &it.id, &it.sandbox);
        let clock = clock.clone();
        async move { stopping.run(format!("Stopping container {}", it.name), clock, Some(turn)).await }
    });
    let failures: Vec<RuntimeError> = join_all(stopped).await.into_iter().filter_map(Result::err).collect();
    let pass = subject.turn_to_end().await;
    let sandboxes = subject.sandboxes.iter().map(|sandbox| async {
        let span = deed_span!(subject, Runtime, "stop sandbox", bulkhead.sandbox.attempt = sandbox.attempt);
        telemetry::call(span, subject.world.runtime.stop_sandbox(&sandbox.id)).await?;
        read::sandbox(&subject, &sandbox.id).await
    });
    let sandboxes = join_all(sandboxes).await.into_iter().filter_map(Result::err);
    let failures: Vec<RuntimeError> = failures.into_iter().chain(sandboxes).collect();
    if failures.is_empty() {
        if let Some(pass) = pass {
            pass.keep();
        }
        return End::Done;
    }
    match read::all(&subject).await {
        Err(error) => failed(&subject, &[error]),
        Ok(_) => failed(&subject, &failures),
    }
}

/// Where one call found the runtime away, what the others say does not matter.
fn failed(subject: &Subject, failures: &[RuntimeError]) -> End {
    let told = || {
        let why = failures.iter().map(RuntimeError::shown).collect::<Vec<_>>().join("; ");
        subject.tell(Told::warning("FailedKillPod", format!("error killing pod: {why}")));
        End::Failed(Fault::new("FailedKillPod", why))
    };
    let is_away = |error: &RuntimeError| End::of_call(error, || End::Done) == End::Away;
    if failures.iter().any(is_away) { End::Away } else { told() }
}

fn may_run(container: &Container) -> bool {
    matches!(container.state, ContainerState::Running | ContainerState::Unknown)
}

/// How long a container has, from when the order was given; a pod's order can be tightened.
#[derive(Clone)]
struct Clock {
    halt: Option<watch::Receiver<Halt>>,
    begun: BootTime,
    fixed: u64,
    /// For how long the runtime was busy with others: that costs no container its time.
    waited: Duration,
}

impl Clock {
    fn fixed(seconds: u64) -> Self {
        Self { halt: None, begun: clock::now_boot(), fixed: seconds, waited: Duration::ZERO }
    }

    /// Seconds that are left now.
    fn left(&self) -> u64 {
        let order = self.halt.as_ref().and_then(|halt| halt.borrow().order);
        let (begun, grace) = order.unwrap_or((self.begun, self.fixed));
        stop::left(grace, clock::now_boot().since(begun).saturating_sub(self.waited))
    }

    /// Returns when the order was tightened. Cancel-safe.
    async fn tightened(&mut self) {
        let changed = match &mut self.halt {
            Some(halt) => halt.changed().await.is_ok(),
            None => false,
        };
        if !changed {
            pending().await
        }
    }

    /// Waits until nothing is left, however the order changes. Cancel-safe.
    async fn run_out(&mut self) {
        loop {
            let left = Duration::from_secs(self.left());
            if left.is_zero() {
                return;
            }
            tokio::select! {
                () = sleep(left) => {}
                () = self.tightened() => {}
            }
        }
    }
}

/// A container's place in the order in which a pod's containers stop.
struct Turn<'t> {
    after: Option<&'t BTreeSet<String>>,
    ended: watch::Receiver<BTreeSet<String>>,
    done: &'t watch::Sender<BTreeSet<String>>,
}

/// One container that is being stopped.
struct Stopping<'s> {
    subject: &'s Subject,
    name: &'s ContainerName,
    id: &'s str,
    sandbox: &'s str,
}

impl<'s> Stopping<'s> {
    fn new(subject: &'s Subject, name: &'s ContainerName, id: &'s str, sandbox: &'s str) -> Self {
        Self { subject, name, id, sandbox }
    }

    async fn run(&self, why: String, mut clock: Clock, turn: Option<Turn<'_>>) -> Result<(), RuntimeError> {
        self.subject.tell_of(self.kind(), self.name, Told::normal("Killing", why));
        // Each is cancel-safe: a hook that runs out of time goes on in the container until that is killed.
        if clock.left() > 0 {
            let hook = self.pre_stop();
            let mut limit = clock.clone();
            tokio::select! {
                () = hook => {}
                () = limit.run_out() => {}
            }
        }
        if let Some(turn) = &turn {
            let mut limit = clock.clone();
            tokio::select! {
                () = turn.comes() => {}
                () = limit.run_out() => {}
            }
        }
        let stopped = self.stop(&mut clock).await;
        if let Some(turn) = turn {
            turn.done.send_if_modified(|ended| ended.insert(self.name.to_string()));
        }
        // Read back whatever came of it.
        if let Err(error) = read::container(self.subject, self.id, self.sandbox).await {
            warn!(error = error::chain(&error), "a stopped container could not be read");
        }
        stopped
    }

    /// Tells the runtime to stop it; again with less time when the order is tightened.
    async fn stop(&self, clock: &mut Clock) -> Result<(), RuntimeError> {
        let span = deed_span!(
            self.subject,
            Runtime,
            "stop container",
            k8s.container.name = %self.name,
            container.id = self.id,
        );
        let busy = clock::now_boot();
        let mut pass = self.subject.turn_to_end().await;
        clock.waited += clock::now_boot().since(busy);
        loop {
            let seconds = stop::for_runtime(clock.left());
            let stop = self.subject.world.runtime.stop_container(self.id, seconds);
            let mut stop = pin!(telemetry::call(span.clone(), stop));
            loop {
                // Cancel-safe: the runtime is asked again at once, and asking twice is asking once.
                tokio::select! {
                    stopped = &mut stop => {
                        if let Some(pass) = pass {
                            pass.keep();
                        }
                        return stopped;
                    }
                    () = clock.tightened() => break,
                    // It is the container that takes its time, and not the runtime that works.
                    () = sleep(AT_WORK), if pass.is_some() => drop(pass.take()),
                }
            }
        }
    }

    /// Runs the preStop hook, if there is one and it was not begun before.
    async fn pre_stop(&self) {
        let Some((handler, ports)) = self.hook().await else { return };
        if self.subject.hooked.contains(self.id) {
            return;
        }
        self.subject.saw(Saw::PreStop(self.id.to_owned()));
        let target = hook::Target { id: self.id, container: self.name.as_str(), ports: Some(&ports) };
        let span = deed_span!(self.subject, Container, "run preStop hook", k8s.container.name = %self.name);
        if let Err(why) = hook::run(self.subject, target, &handler, &span).await {
            // What the hook said may hold a secret: it stays in this node's log.
            warn!(pod = %self.subject.uid, container = %self.name, why, "a preStop hook failed");
            let told = Told::warning("FailedPreStopHook", "PreStopHook failed");
            self.subject.tell_of(self.kind(), self.name, told);
        }
    }

    /// The hook and the ports that it may name: from the spec, or from what the container remembers.
    async fn hook(&self) -> Option<(core::LifecycleHandler, Vec<core::ContainerPort>)> {
        if let Some(found) = spec::container(self.subject.object(), self.name.as_str()) {
            let lifecycle = found.container.lifecycle.clone()?;
            return Some((lifecycle.pre_stop?, found.container.ports.clone().unwrap_or_default()));
        }
        let status = self.subject.world.runtime.container_status(self.id).await.ok()??;
        let remembered = Remembered::of(&status.annotations);
        Some((remembered.pre_stop?, remembered.ports))
    }

    fn kind(&self) -> ContainerKind {
        spec::container(self.subject.object(), self.name.as_str())
            .map_or(ContainerKind::Regular, |found| found.kind)
    }
}

impl Turn<'_> {
    async fn comes(&self) {
        let Some(after) = self.after else { return };
        let mut ended = self.ended.clone();
        // Fails only when all others have ended.
        let _ = ended.wait_for(|ended| after.iter().all(|name| ended.contains(name))).await;
    }
}
