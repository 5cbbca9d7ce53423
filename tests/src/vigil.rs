//! A vigil over pods while something is done to their node: they were running and ready before, and nothing that is
//! done may be seen on them. Beside them there is work for the node, by which one sees when it is itself again.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::containerd::Containerd;
use crate::control_plane::ControlPlane;
use crate::namespace::{Namespace, SOON};
use crate::recorder::{NodeSeen, PodSeen, Recorder, Sighting};
use crate::wait;

/// Pods that are watched over, with probes of every kind of result that a restart could lose.
const PATIENTS: [(&str, &str); 2] = [
    (
        "served",
        r#"
        nodeName: node-1
        containers:
        - name: web
          command: [httpd, -f, -p, "8080"]
          livenessProbe: &probe { httpGet: { path: /etc/passwd, port: 8080 }, periodSeconds: 1, failureThreshold: 2 }
          readinessProbe: *probe
        - name: plain
          command: [sleep, "3600"]
        "#,
    ),
    (
        "slow-to-start",
        r#"
        nodeName: node-1
        initContainers: [{ name: first, command: ["true"] }]
        containers:
        - name: app
          command: [sh, -c, "touch /tmp/well; exec sleep 3600"]
          startupProbe: { exec: { command: [test, -e, /tmp/well] }, periodSeconds: 1, failureThreshold: 60 }
          readinessProbe: { exec: { command: [test, -e, /tmp/well] }, periodSeconds: 1, failureThreshold: 1 }
        "#,
    ),
];

/// Work: something to start and to end.
const WORK: &str = r#"{ nodeName: node-1, containers: [{ name: app, command: [sleep, "3600"] }] }"#;

/// The watch that is kept.
pub struct Vigil {
    home: Namespace,
    pods: Recorder<PodSeen>,
    nodes: Recorder<NodeSeen>,
    before: BTreeMap<String, PodSeen>,
    node: Option<NodeSeen>,
    usual: Usual,
    since: Instant,
}

/// How long work takes on this machine while all is well.
struct Usual {
    start: Duration,
    end: Duration,
}

impl Vigil {
    /// Starts the pods on node-1, waits until they are ready, and sees how long work usually takes.
    pub fn keep(plane: &ControlPlane, namespace: &str) -> Result<Self> {
        plane.namespace(namespace)?;
        let home = Namespace::new(plane.kubectl(), namespace);
        let (pods, nodes) = (Recorder::pods(plane, namespace)?, Recorder::nodes(plane)?);
        let usual = Usual { start: Duration::ZERO, end: Duration::ZERO };
        let mut vigil =
            Self { home, pods, nodes, before: BTreeMap::new(), node: None, usual, since: Instant::now() };
        for (name, spec) in PATIENTS {
            vigil.home.run(name, spec)?;
        }
        vigil.home.run("leaving", WORK)?;
        vigil.learn_the_usual()?;
        for (name, _) in PATIENTS {
            vigil.home.ready(name)?;
        }
        vigil.home.ready("leaving")?;
        vigil.note_how_it_is()?;
        Ok(vigil)
    }

    fn learn_the_usual(&mut self) -> Result<()> {
        let begin = Instant::now();
        self.home.run("usual", WORK)?;
        self.usual.start = self.when("usual", |each| each.seen.is_running(), SOON)? - begin;
        let begin = Instant::now();
        self.home.kubectl(&["delete", "pod", "usual", "--wait=false"])?;
        self.usual.end = self.when("usual", |each| each.gone, SOON)? - begin;
        Ok(())
    }

    fn note_how_it_is(&mut self) -> Result<()> {
        for (name, _) in PATIENTS {
            let last = self.pods.of(name).pop().with_context(|| format!("{name} was not seen"))?;
            self.before.insert(name.to_owned(), last.seen);
        }
        self.node = self.nodes.of("node-1").pop().map(|last| last.seen);
        self.pods.clear();
        self.nodes.clear();
        self.since = Instant::now();
        Ok(())
    }

    /// How long it has been kept.
    pub fn age(&self) -> Duration {
        self.since.elapsed()
    }

    /// Gives the node work, which it may find out about as late as the fault makes it: a pod to start, one to end.
    pub fn ask(&self) -> Result<()> {
        self.home.run("late", WORK)?;
        self.home.kubectl(&["delete", "pod", "leaving", "--wait=false"]).map(drop)
    }

    /// Lets the fault last, and fails as soon as something is to be seen of it on a pod.
    pub fn hold(&self, time: Duration) -> Result<()> {
        let end = Instant::now() + time;
        wait::until("the end of the outage", time * 2, || {
            let disturbance = self.disturbance();
            ensure!(disturbance.is_some() || Instant::now() >= end, "it lasts");
            Ok(disturbance)
        })?
        .map_or(Ok(()), |disturbance| Err(anyhow::anyhow!("{disturbance}")))
    }

    /// Waits until the work is done. It may take `grace` from `returned` on, and twice as long as it usually does.
    pub fn caught_up(&self, returned: Instant, grace: Duration) -> Result<()> {
        let started = self.when("late", |each| each.seen.is_running(), grace + SOON)?;
        let ended = self.when("leaving", |each| each.gone, grace + SOON)?;
        for (what, at, usual) in
            [("started a pod", started, self.usual.start), ("ended a pod", ended, self.usual.end)]
        {
            let took = at.saturating_duration_since(returned);
            ensure!(
                took <= grace + 2 * usual,
                "the node {what} only {took:?} after the fault; usually in {usual:?}"
            );
        }
        Ok(())
    }

    /// Fails when a watched pod's container was restarted or replaced, when it or the node was not ready for a moment,
    /// or when the runtime has other containers than the API says.
    pub fn undisturbed(&self, runtime: &Containerd) -> Result<()> {
        if let Some(disturbance) = self.disturbance() {
            anyhow::bail!("{disturbance}");
        }
        let running = runtime.running()?;
        for (name, before) in &self.before {
            for container in &before.containers {
                let id = container.id.trim_start_matches("containerd://");
                ensure!(
                    running.iter().any(|each| each == id),
                    "container {} of {name} is gone",
                    container.name
                );
            }
        }
        Ok(())
    }

    /// What was seen of the fault, if anything.
    pub fn disturbance(&self) -> Option<String> {
        let pods = self.before.iter().find_map(|(name, before)| {
            let changed = self.pods.of(name).into_iter().find(|each| each.gone || each.seen != *before)?;
            Some(format!("{name} was disturbed: {:?}, before {before:?}", changed.seen))
        });
        pods.or_else(|| {
            let changed =
                self.nodes.of("node-1").into_iter().find(|each| Some(&each.seen) != self.node.as_ref())?;
            Some(format!("the node was disturbed: {:?}, before {:?}", changed.seen, self.node))
        })
    }

    /// When the pod was first seen so.
    fn when(
        &self,
        pod: &str,
        so: impl Fn(&Sighting<PodSeen>) -> bool,
        patience: Duration,
    ) -> Result<Instant> {
        wait::until(&format!("pod {pod}"), patience, || {
            let seen = self.pods.of(pod);
            let found = seen.iter().find(|each| so(each)).map(|each| each.at);
            found.with_context(|| format!("it is {:?}", seen.last().map(|each| &each.seen)))
        })
    }
}
