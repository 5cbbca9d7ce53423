//! The stage that every part plays on: a control plane, a node's containerd, and a watcher that notes when each pod
//! came and went.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use futures::future::try_join_all;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, PostParams};
use kube::{Api, Client};
use serde_json::json;
use tests::containerd::{PAUSE, Version};
use tests::control_plane::ControlPlane;
use tests::ground::Ground;
use tests::node::Node;
use tests::processes::{self, Seen};
use tests::recorder::{PodSeen, Recorder};
use tests::{api, wait};
use tokio::runtime::Runtime;

/// The namespace of the pods.
pub(crate) const NAMESPACE: &str = "bench";

/// How long a batch of pods may take to come or go, on a slow machine.
const PATIENCE: Duration = Duration::from_secs(300);

/// What the machine is given after pods came or went before it is looked at as resting.
const SETTLING: Duration = Duration::from_secs(15);

/// Lets the machine come to rest.
pub(crate) fn settle() {
    thread::sleep(SETTLING);
}

/// Everything around the part that is measured.
pub(crate) struct Stage {
    pub(crate) recorder: Recorder<PodSeen>,
    pub(crate) node: Node,
    pub(crate) plane: ControlPlane,
    pub(crate) ground: Arc<Ground>,
    pub(crate) client: Client,
    pub(crate) runtime: Runtime,
    number: usize,
}

impl Stage {
    /// Raises a stage, acts on it in the control plane's namespace, and takes it down.
    pub(crate) fn play<T: Send>(
        containerd: Version,
        act: impl FnOnce(&mut Stage) -> Result<T> + Send,
    ) -> Result<T> {
        let ground = Ground::new()?;
        let plane = ControlPlane::start(&ground)?;
        let hub = plane.lan().hub().clone();
        hub.run(move || act(&mut Stage::new(ground, plane, containerd)?))?
    }

    fn new(ground: Arc<Ground>, plane: ControlPlane, containerd: Version) -> Result<Self> {
        let node = Node::joined(&ground, &plane, 1, containerd)?;
        plane.namespace(NAMESPACE)?;
        let recorder = Recorder::pods(&plane, NAMESPACE)?;
        let runtime = api::runtime()?;
        let client = runtime.block_on(api::client(plane.admin()))?;
        Ok(Self { recorder, node, plane, ground, client, runtime, number: 0 })
    }

    /// Names for so many pods, never used before.
    pub(crate) fn names(&mut self, count: usize) -> Vec<String> {
        self.number += count;
        (self.number - count..self.number).map(|number| format!("pod-{number}")).collect()
    }

    /// Makes the pods, all at once, and returns when each call was sent.
    pub(crate) fn create(&self, names: &[String]) -> Result<BTreeMap<String, Instant>> {
        let node = self.node.name();
        self.each(names, |pods, name| async move {
            let pod = pod(&name, node)?;
            let sent = Instant::now();
            pods.create(&PostParams::default(), &pod).await.with_context(|| format!("making {name}"))?;
            Ok((name, sent))
        })
    }

    /// Deletes the pods, all at once and as a user does, and returns when each call was sent.
    pub(crate) fn delete(&self, names: &[String]) -> Result<BTreeMap<String, Instant>> {
        self.each(names, |pods, name| async move {
            let sent = Instant::now();
            pods.delete(&name, &DeleteParams::default()).await.with_context(|| format!("deleting {name}"))?;
            Ok((name, sent))
        })
    }

    /// Waits until the watcher has seen all of them running, every container started; returns when.
    pub(crate) fn running(&self, names: &[String]) -> Result<BTreeMap<String, Instant>> {
        self.seen(names, "running", |sighting| sighting.seen.is_running())
    }

    /// Waits until the watcher has seen all of them gone; returns when.
    pub(crate) fn gone(&self, names: &[String]) -> Result<BTreeMap<String, Instant>> {
        self.seen(names, "gone", |sighting| sighting.gone)
    }

    /// Waits until nothing runs in the runtime any more, and forgets what was seen.
    pub(crate) fn clear(&mut self) -> Result<()> {
        let containerd = self.node.containerd();
        wait::until("an empty runtime", PATIENCE, || {
            let running = containerd.running()?;
            ensure!(running.is_empty(), "{} containers", running.len());
            Ok(())
        })?;
        self.recorder.clear();
        Ok(())
    }

    /// What containerd itself has used of CPU so far.
    pub(crate) fn containerd_cpu(&mut self) -> Result<Duration> {
        let pid = self.node.containerd().process().pid();
        processes::cpu(&processes::all()?.into_iter().filter(|seen| seen.pid == pid).collect::<Vec<_>>())
    }

    /// What the shims of its containers have used of CPU so far.
    pub(crate) fn shims_cpu(&mut self) -> Result<Duration> {
        let socket = self.node.containerd().socket().display().to_string();
        let is_shim =
            |seen: &Seen| seen.command.contains("containerd-shim") && seen.command.contains(&socket);
        processes::cpu(&processes::all()?.into_iter().filter(is_shim).collect::<Vec<_>>())
    }

    /// How these amounts of CPU time grow while nothing is done for the time of `window`, in percent of a core.
    pub(crate) fn over<const N: usize>(
        &mut self,
        window: Duration,
        mut used: impl FnMut(&mut Self) -> Result<[Duration; N]>,
    ) -> Result<[f64; N]> {
        let begin = Instant::now();
        let before = used(self)?;
        thread::sleep(window);
        let after = used(self)?;
        let passed = begin.elapsed().as_secs_f64();
        let share = |which: usize| after[which].saturating_sub(before[which]).as_secs_f64() / passed;
        Ok(std::array::from_fn(|which| 100.0 * share(which)))
    }

    /// The pods of this stage at the API server.
    pub(crate) fn pods(&self) -> Api<Pod> {
        Api::namespaced(self.client.clone(), NAMESPACE)
    }

    fn seen(
        &self,
        names: &[String],
        what: &str,
        so: impl Fn(&tests::recorder::Sighting<PodSeen>) -> bool,
    ) -> Result<BTreeMap<String, Instant>> {
        wait::until(&format!("{} pods {what}", names.len()), PATIENCE, || {
            let mut moments = self.recorder.moments(&so);
            moments.retain(|name, _| names.contains(name));
            ensure!(moments.len() == names.len(), "only {} are {what}", moments.len());
            Ok(moments)
        })
    }

    fn each<F>(
        &self,
        names: &[String],
        deed: impl Fn(Api<Pod>, String) -> F,
    ) -> Result<BTreeMap<String, Instant>>
    where
        F: Future<Output = Result<(String, Instant)>>,
    {
        let deeds = try_join_all(names.iter().map(|name| deed(self.pods(), name.clone())));
        Ok(self.runtime.block_on(deeds)?.into_iter().collect())
    }
}

/// From each moment of `from` to that of `to`.
pub(crate) fn between(from: &BTreeMap<String, Instant>, to: &BTreeMap<String, Instant>) -> Vec<Duration> {
    let both = from.iter().filter_map(|(name, begin)| Some((begin, to.get(name)?)));
    both.map(|(begin, end)| end.saturating_duration_since(*begin)).collect()
}

/// From the first moment of `from` to the last of `to`.
pub(crate) fn overall(from: &BTreeMap<String, Instant>, to: &BTreeMap<String, Instant>) -> Duration {
    let (begin, end) = (from.values().min(), to.values().max());
    begin.zip(end).map(|(begin, end)| end.saturating_duration_since(*begin)).unwrap_or_default()
}

/// A pod of one pause container, bound directly: what the scheduler takes would be the same for all and is none of
/// the node's. It has what every pod has: a service account's token, a hosts file, a log.
fn pod(name: &str, node: &str) -> Result<Pod> {
    Ok(serde_json::from_value(json!({
        "metadata": { "name": name, "namespace": NAMESPACE },
        "spec": {
            "nodeName": node,
            "containers": [{ "name": "pause", "image": PAUSE, "imagePullPolicy": "IfNotPresent" }],
        },
    }))?)
}
