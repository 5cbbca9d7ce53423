//! The cgroups that the requests and limits of a pod become, with both versions of cgroups.

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tests::cgroups::{self, Version};
use tests::namespace::Namespace;
use tests::scene::{Scene, Scenes};
use tests::status::container;

static SCENES: Scenes = Scenes::new(|_| {});

const MIB: u64 = 1 << 20;

/// What a cgroup holds: CPU asked for and CPU allowed, both in
/// thousandths, and bytes of memory allowed. `None` is no limit.
struct Held {
    request: u64,
    limit: Option<u64>,
    memory: Option<u64>,
}

/// Plays a scenario with a pod of two containers with these `resources`.
fn play(name: &str, resources: [&str; 2], scenario: impl Fn(&Groups) -> Result<()>) -> Result<()> {
    SCENES.play(|scene| {
        let home = scene.namespace(name)?;
        let [app, helper] = resources;
        home.run(
            "web",
            &format!(
                "containers:\n- {{ name: app, command: [sleep, '3600'], resources: {app} }}\n\
                 - {{ name: helper, command: [sleep, '3600'], resources: {helper} }}"
            ),
        )?;
        home.ready("web")?;
        scenario(&Groups::of(scene, &home)?)
    })
}

#[test]
fn a_guaranteed_pod_has_what_it_asks_for_and_no_more() -> Result<()> {
    let resources = ["{ limits: { cpu: 250m, memory: 64Mi } }", "{ limits: { cpu: 100m, memory: 32Mi } }"];
    play("guaranteed", resources, |groups| {
        groups.are_below("", "Guaranteed")?;
        groups.pod_holds(Held { request: 350, limit: Some(350), memory: Some(96 * MIB) })?;
        groups.container_holds("app", Held { request: 250, limit: Some(250), memory: Some(64 * MIB) })?;
        groups.container_holds("helper", Held { request: 100, limit: Some(100), memory: Some(32 * MIB) })
    })
}

#[test]
fn a_burstable_pod_has_at_least_what_it_asks_for() -> Result<()> {
    let resources = ["{ requests: { cpu: 300m, memory: 16Mi }, limits: { memory: 64Mi } }", "{}"];
    play("burstable", resources, |groups| {
        groups.are_below("burstable", "Burstable")?;
        groups.pod_holds(Held { request: 300, limit: None, memory: None })?;
        groups.container_holds("app", Held { request: 300, limit: None, memory: Some(64 * MIB) })?;
        groups.container_holds("helper", Held { request: 0, limit: None, memory: None })
    })
}

#[test]
fn a_burstable_pod_whose_containers_are_all_limited_is_limited() -> Result<()> {
    let resources = [
        "{ requests: { cpu: 100m, memory: 16Mi }, limits: { cpu: 500m, memory: 64Mi } }",
        "{ requests: { cpu: 200m }, limits: { cpu: '1', memory: 32Mi } }",
    ];
    play("limited", resources, |groups| {
        groups.are_below("burstable", "Burstable")?;
        groups.pod_holds(Held { request: 300, limit: Some(1500), memory: Some(96 * MIB) })?;
        groups.container_holds("app", Held { request: 100, limit: Some(500), memory: Some(64 * MIB) })
    })
}

#[test]
fn a_best_effort_pod_has_what_is_left() -> Result<()> {
    play("best-effort", ["{}", "{}"], |groups| {
        groups.are_below("besteffort", "BestEffort")?;
        groups.pod_holds(Held { request: 0, limit: None, memory: None })?;
        groups.container_holds("app", Held { request: 0, limit: None, memory: None })?;
        groups.hold("kubepods/besteffort", Held { request: 0, limit: None, memory: None })
    })
}

#[test]
fn a_container_that_takes_more_memory_than_it_may_is_killed() -> Result<()> {
    SCENES.play(|scene| {
        let home = scene.namespace("oom")?;
        home.run(
            "web",
            r#"
            restartPolicy: Never
            containers:
            - name: app
              command: [sh, -c, "dd if=/dev/zero of=/dev/null bs=64M count=1"]
              resources: { limits: { memory: 16Mi } }
            "#,
        )?;
        let pod = home.phase("web", "Failed")?;
        let state = &container(&pod, "app")["state"]["terminated"];
        ensure!(state["reason"] == "OOMKilled" && state["exitCode"] == 137, "it ended as {state}");
        Ok(())
    })
}

/// A running pod and where its cgroups are.
struct Groups {
    root: String,
    pod: Value,
}

impl Groups {
    fn of(scene: &Scene, home: &Namespace) -> Result<Self> {
        Ok(Self { root: scene.node().cgroup().to_owned(), pod: home.pod("web")? })
    }

    fn folder(&self) -> Result<String> {
        let uid = self.pod["metadata"]["uid"].as_str().context("a pod without UID")?;
        let all = cgroups::below(&self.root)?;
        let named = |path: &&std::path::PathBuf| path.ends_with(format!("pod{uid}"));
        let found = all.iter().find(named).with_context(|| format!("no cgroup of the pod in {all:?}"))?;
        let path = found.display().to_string();
        let (_, below) = path.split_once(&self.root).context("a cgroup elsewhere")?;
        Ok(below.trim_start_matches('/').to_owned())
    }

    /// The pod's cgroup is in that of its class of service, and the API tells the same class.
    fn are_below(&self, class: &str, told: &str) -> Result<()> {
        let folder = self.folder()?;
        let parent = if class.is_empty() { "kubepods".to_owned() } else { format!("kubepods/{class}") };
        let is = folder.rsplit_once('/').map(|(parent, _)| parent);
        ensure!(is == Some(&parent), "the pod's cgroup is {folder}");
        ensure!(self.pod["status"]["qosClass"] == told, "the class is {}", self.pod["status"]["qosClass"]);
        Ok(())
    }

    fn pod_holds(&self, held: Held) -> Result<()> {
        self.hold(&self.folder()?, held)
    }

    fn container_holds(&self, name: &str, held: Held) -> Result<()> {
        let status = container(&self.pod, name);
        let id = status["containerID"].as_str().and_then(|id| id.strip_prefix("containerd://"));
        self.hold(&format!("{}/{}", self.folder()?, id.context("a container without id")?), held)
    }

    fn hold(&self, group: &str, held: Held) -> Result<()> {
        let wanted = match cgroups::version() {
            Version::V1 => held.in_version_1(),
            Version::V2 => held.in_version_2(),
        };
        for (file, wanted) in wanted {
            let is = cgroups::read(&format!("{}/{group}", self.root), file)?;
            ensure!(is == wanted, "{file} of {group} is {is}, not {wanted}");
        }
        Ok(())
    }
}

impl Held {
    /// 1024 shares are a CPU, the fewest are 2; a limit is microseconds in 100 ms, the least 1 ms.
    fn in_version_1(&self) -> Vec<(&'static str, String)> {
        let shares = (self.request * 1024 / 1000).max(2);
        let quota = self.limit.map_or(-1, |limit| i64::try_from(limit * 100).unwrap_or(i64::MAX));
        let memory = self.memory.unwrap_or(9_223_372_036_854_771_712); // the largest multiple of a page
        vec![
            ("cpu.shares", shares.to_string()),
            ("cpu.cfs_quota_us", quota.to_string()),
            ("memory.limit_in_bytes", memory.to_string()),
        ]
    }

    /// Limits as in version 1. Weights are left out: each generation of runc has another formula for them.
    fn in_version_2(&self) -> Vec<(&'static str, String)> {
        let quota = self.limit.map_or("max".to_owned(), |limit| (limit * 100).to_string());
        let memory = self.memory.map_or("max".to_owned(), |bytes| bytes.to_string());
        vec![("cpu.max", format!("{quota} 100000")), ("memory.max", memory)]
    }
}
