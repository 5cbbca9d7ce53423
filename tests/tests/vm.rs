//! The node on a machine of its own (`tests/run --vm`): Debian with systemd, cgroup version 2 and containerd under
//! systemd's cgroup driver, where the kubelet is a unit like any other.
//!
//! The machine is raised once; each scenario leaves the unit as it found it, running.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use tests::control_plane::ControlPlane;
use tests::ground::Ground;
use tests::kubelet::Flavour;
use tests::namespace::Namespace;
use tests::scene;
use tests::status::container;
use tests::vm::node::{NAME, PATIENCE, VmNode};
use tests::{vm, wait};

/// Bytes of a MiB.
const MIB: u64 = 1 << 20;

/// A cluster whose only node is a machine.
struct Stage {
    flavour: Flavour,
    node: VmNode,
    plane: ControlPlane,
}

static STAGES: Mutex<Vec<Stage>> = Mutex::new(Vec::new());

/// Plays a scenario on every flavour asked for; fails where there can be no machine.
fn play(scenario: impl Fn(&mut Stage) -> Result<()>) -> Result<()> {
    for flavour in scene::selected()? {
        // Nobody asks for these by accident.
        if let Some(reason) = scene::lacking(flavour).or_else(vm::lacking) {
            bail!("there can be no machine: {reason}");
        }
        let mut stages = STAGES.lock().unwrap_or_else(PoisonError::into_inner);
        let position = stages.iter().position(|stage| stage.flavour == flavour);
        if position.is_none() {
            stages.push(Stage::raise(flavour).with_context(|| format!("raising the machine for {flavour}"))?);
        }
        let position = position.unwrap_or(stages.len() - 1);
        let stage = &mut stages[position];
        let played = scenario(stage);
        played.with_context(|| format!("on the kubelet of {flavour}; {}", stage.node.journal("kubelet")))?;
    }
    Ok(())
}

impl Stage {
    fn raise(flavour: Flavour) -> Result<Self> {
        let ground = Ground::new()?;
        let plane = ControlPlane::start(&ground)?;
        let node = VmNode::joined(&ground, &plane, flavour)?;
        Ok(Self { flavour, node, plane })
    }

    fn namespace(&self, name: &str) -> Result<Namespace> {
        self.plane.namespace(name)?;
        Ok(Namespace::new(self.plane.kubectl(), name).with_patience(PATIENCE))
    }

    /// A pod of one running container that nothing restarts, in a namespace of this name; what earlier scenarios ran
    /// has ended.
    fn sleeper(&self, namespace: &str) -> Result<Namespace> {
        let home = self.namespace(namespace)?;
        home.run("sleeper", "containers: [{ name: app, command: [sleep, '36000'] }]")?;
        home.ready("sleeper")?;
        wait::until("its sandbox and its container alone", PATIENCE, || {
            let running = self.node.running()?;
            ensure!(running.len() == 2, "there are {running:?}");
            Ok(())
        })?;
        Ok(home)
    }

    /// Waits until the unit runs in another process than this and the node is Ready.
    fn is_back(&self, before: &str) -> Result<()> {
        wait::until("another life of the unit", PATIENCE, || {
            let now = self.node.property("kubelet", "MainPID")?;
            ensure!(now != before && now != "0", "its main process is {now}");
            Ok(())
        })?;
        self.node.wait_property("kubelet", "ActiveState", "active")?;
        self.plane.kubectl().wait_condition(&["node", NAME], "Ready", PATIENCE).map(drop)
    }

    /// Does something to the unit after which it runs in another process, and expects every container of before.
    fn outlived_by_containers(&self, namespace: &str, deed: impl Fn(&str) -> Result<()>) -> Result<()> {
        let home = self.sleeper(namespace)?;
        let (containers, main) = (self.node.running()?, self.node.property("kubelet", "MainPID")?);
        ensure!(!containers.is_empty(), "the runtime shows no running container");
        deed(&main)?;
        self.is_back(&main)?;
        let still = self.node.running()?;
        ensure!(still == containers, "the containers were {containers:?} and are {still:?}");
        let pod = home.ready("sleeper")?;
        let restarts = &container(&pod, "app")["restartCount"];
        ensure!(*restarts == 0, "the container was restarted {restarts} times");
        // The new life works: it carries out what it is asked for.
        home.kubectl(&["delete", "pod", "sleeper", "--wait=false"])?;
        home.gone("sleeper")
    }
}

#[test]
#[ignore = "needs a machine of its own: tests/run --vm"]
fn a_unit_that_is_ready_is_a_registered_node() -> Result<()> {
    play(|stage| {
        stage.node.wait_property("kubelet", "ActiveState", "active")?;
        stage.node.wait_property("kubelet", "SubState", "running")?;
        let node = stage.plane.kubectl().wait_condition(&["node", NAME], "Ready", PATIENCE)?;
        let info = &node["status"]["nodeInfo"];
        let version = info["kubeletVersion"].as_str().unwrap_or_default();
        ensure!(version.starts_with("v1.36.3"), "the version is {version}");
        ensure!(info["containerRuntimeVersion"].as_str().is_some_and(|it| it.starts_with("containerd://")));
        let addresses = node["status"]["addresses"].to_string();
        ensure!(
            addresses.contains("10.77.0.11") && addresses.contains(NAME),
            "the addresses are {addresses}"
        );
        let journal = stage.node.vm().shell("journalctl --unit kubelet --output cat")?;
        ensure!(journal.contains("Successfully registered node"), "the journal does not tell of it");
        Ok(())
    })
}

#[test]
#[ignore = "needs a machine of its own: tests/run --vm"]
fn the_watchdog_is_fed() -> Result<()> {
    play(|stage| {
        let fed = || stage.node.property("kubelet", "WatchdogTimestampMonotonic");
        let before = fed()?;
        wait::until("a sign of life to the watchdog", Duration::from_secs(60), || {
            let now = fed()?;
            ensure!(now != before && now != "0", "the last was at {now}");
            Ok(())
        })
    })
}

#[test]
#[ignore = "needs a machine of its own: tests/run --vm"]
fn a_pod_with_volumes_and_probes_becomes_ready() -> Result<()> {
    play(|stage| {
        let home = stage.namespace("volumes-and-probes")?;
        home.create("{ apiVersion: v1, kind: ConfigMap, metadata: { name: colours }, data: { sky: blue } }")?;
        home.create(
            "{ apiVersion: v1, kind: Secret, metadata: { name: word }, stringData: { pass: sesame } }",
        )?;
        home.run("web", WEB)?;
        home.ready("web")?;
        let seen =
            home.shell("web", "app", "cat /config/sky /secret/pass /all/sky /all/name /scratch/first")?;
        ensure!(seen == "bluesesamebluewebwritten\n", "the volumes hold {seen:?}");
        let token =
            home.shell("web", "app", "cut -d. -f1 /var/run/secrets/kubernetes.io/serviceaccount/token")?;
        ensure!(token.starts_with("ey"), "the token begins with {token:?}");
        ensure!(home.logs(&["web"])?.contains("serving"), "the log does not tell what was written");
        Ok(())
    })
}

const WEB: &str = r#"
initContainers:
- { name: first, command: [sh, -c, "echo written > /scratch/first"], volumeMounts: [{ name: scratch, mountPath: /scratch }] }
containers:
- name: app
  command: [sh, -c, "echo serving; exec httpd -f -p 8080 -h /scratch"]
  startupProbe: { exec: { command: [test, -e, /scratch/first] }, periodSeconds: 1, failureThreshold: 600, timeoutSeconds: 30 }
  livenessProbe: { tcpSocket: { port: 8080 }, periodSeconds: 5, timeoutSeconds: 30 }
  readinessProbe: { httpGet: { path: /first, port: 8080 }, periodSeconds: 1, timeoutSeconds: 30 }
  volumeMounts:
  - { name: scratch, mountPath: /scratch }
  - { name: config, mountPath: /config }
  - { name: secret, mountPath: /secret }
  - { name: all, mountPath: /all }
volumes:
- { name: scratch, emptyDir: { medium: Memory, sizeLimit: 4Mi } }
- { name: config, configMap: { name: colours } }
- { name: secret, secret: { secretName: word, defaultMode: 256 } }
- name: all
  projected:
    sources:
    - configMap: { name: colours }
    - downwardAPI: { items: [{ path: name, fieldRef: { fieldPath: metadata.name } }] }
"#;

/// What a pod of one container asks for, and what its cgroups then are. CPU in thousandths.
struct Sized {
    name: &'static str,
    resources: &'static str,
    class: &'static str,
    requested: u64,
    limited: Option<u64>,
    memory: Option<u64>,
}

const SIZED: [Sized; 3] = [
    Sized {
        name: "guaranteed",
        resources: "{ limits: { cpu: 250m, memory: 64Mi } }",
        class: "",
        requested: 250,
        limited: Some(250),
        memory: Some(64 * MIB),
    },
    Sized {
        name: "burstable",
        resources: "{ requests: { cpu: 300m, memory: 16Mi }, limits: { cpu: 505m, memory: 48Mi } }",
        class: "burstable",
        requested: 300,
        limited: Some(510), // systemd counts hundredths of a CPU, and rounds up
        memory: Some(48 * MIB),
    },
    Sized {
        name: "best-effort",
        resources: "{}",
        class: "besteffort",
        requested: 0,
        limited: None,
        memory: None,
    },
];

#[test]
#[ignore = "needs a machine of its own: tests/run --vm"]
fn resources_are_held_by_slices_of_systemd() -> Result<()> {
    play(|stage| {
        let home = stage.namespace("resources")?;
        for each in &SIZED {
            let spec = "containers: [{ name: app, command: [sleep, '36000'], resources: ";
            home.run(each.name, &format!("{spec}{} }}]", each.resources))?;
        }
        for each in &SIZED {
            each.holds(stage, &home.ready(each.name)?)?;
        }
        all_pods_leave_what_is_reserved(stage)?;
        // systemd writes down again what it knows, and only that.
        stage.node.vm().shell("systemctl daemon-reload")?;
        for each in &SIZED {
            each.holds(stage, &home.pod(each.name)?).context("after systemctl daemon-reload")?;
        }
        all_pods_leave_what_is_reserved(stage).context("after systemctl daemon-reload")
    })
}

/// `kubepods.slice` has the machine without the 200m and the 100 MiB that the configuration reserves.
fn all_pods_leave_what_is_reserved(stage: &Stage) -> Result<()> {
    let total = stage.node.vm().shell("awk '$1 == \"MemTotal:\" { print $2 }' /proc/meminfo")?;
    let memory = total.trim().parse::<u64>()? * 1024 - 100 * MIB;
    let group = "/kubepods.slice";
    expect(stage, group, "memory.max", &memory.to_string())?;
    expect(stage, group, "cpu.weight", &weight(1800).to_string())?;
    expect(stage, &format!("{group}/kubepods-besteffort.slice"), "cpu.weight", "1")?;
    expect(stage, &format!("{group}/kubepods-burstable.slice"), "cpu.weight", &weight(300).to_string())
}

impl Sized {
    fn holds(&self, stage: &Stage, pod: &Value) -> Result<()> {
        let slice = self.slice(pod)?;
        expect(stage, &slice, "cpu.weight", &weight(self.requested).to_string())?;
        expect(stage, &slice, "pids.max", "500")?;
        let quota = self.limited.map_or("max".to_owned(), |milli| (milli * 100).to_string());
        expect(stage, &slice, "cpu.max", &format!("{quota} 100000"))?;
        expect(stage, &slice, "memory.max", &self.memory())?;
        let id = container(pod, "app")["containerID"].as_str().unwrap_or_default().to_owned();
        let scope = format!("{slice}/cri-containerd-{}.scope", id.trim_start_matches("containerd://"));
        expect(stage, &scope, "memory.max", &self.memory())?;
        let unit = slice.rsplit('/').next().unwrap_or_default();
        ensure!(stage.node.property(unit, "ActiveState")? == "active", "systemd does not know {unit}");
        Ok(())
    }

    fn memory(&self) -> String {
        self.memory.map_or("max".to_owned(), |bytes| bytes.to_string())
    }

    fn slice(&self, pod: &Value) -> Result<String> {
        let uid = pod["metadata"]["uid"].as_str().context("a pod without UID")?.replace('-', "_");
        Ok(match self.class {
            "" => format!("/kubepods.slice/kubepods-pod{uid}.slice"),
            class => format!("/kubepods.slice/kubepods-{class}.slice/kubepods-{class}-pod{uid}.slice"),
        })
    }
}

fn expect(stage: &Stage, group: &str, file: &str, wanted: &str) -> Result<()> {
    let what = format!("{file} of {group} being {wanted}");
    wait::until(&what, Duration::from_secs(60), || {
        let is = stage.node.cgroup(group, file)?;
        ensure!(is == wanted, "it is {is}");
        Ok(())
    })
}

/// `cpu.weight` for thousandths of a CPU, as the kubelet lays shares onto weights (KEP-2254).
fn weight(milli: u64) -> u64 {
    1 + ((milli * 1024 / 1000).max(2) - 2) * 9999 / 262_142
}

#[test]
#[ignore = "needs a machine of its own: tests/run --vm"]
fn a_pod_that_is_gone_leaves_no_slice() -> Result<()> {
    play(|stage| {
        let home = stage.sleeper("gone")?;
        let uid = home.pod("sleeper")?["metadata"]["uid"].as_str().context("no UID")?.replace('-', "_");
        let unit = format!("kubepods-besteffort-pod{uid}.slice");
        ensure!(stage.node.property(&unit, "ActiveState")? == "active", "systemd does not know {unit}");
        home.kubectl(&["delete", "pod", "sleeper", "--wait=false"])?;
        home.gone("sleeper")?;
        wait::until("systemd having forgotten the slice", PATIENCE, || {
            let left = stage.node.vm().shell(&format!(
                "systemctl list-units --all --plain --no-legend '{unit}'; find /sys/fs/cgroup -name '{unit}'"
            ))?;
            ensure!(left.is_empty(), "there is {left}");
            Ok(())
        })
    })
}

#[test]
#[ignore = "needs a machine of its own: tests/run --vm"]
fn pods_come_and_go_after_the_bus_of_the_system_began_again() -> Result<()> {
    play(|stage| {
        stage.node.vm().shell("systemctl restart dbus")?;
        let home = stage.sleeper("dbus")?;
        home.kubectl(&["delete", "pod", "sleeper", "--wait=false"])?;
        home.gone("sleeper")
    })
}

#[test]
#[ignore = "needs a machine of its own: tests/run --vm"]
fn containers_outlive_a_restart_of_the_unit() -> Result<()> {
    play(|stage| {
        stage.outlived_by_containers("restart", |_| {
            stage.node.vm().shell("systemctl restart kubelet").map(drop)
        })
    })
}

#[test]
#[ignore = "needs a machine of its own: tests/run --vm"]
fn containers_outlive_a_kill_of_the_units_main_process() -> Result<()> {
    play(|stage| {
        stage.outlived_by_containers("kill", |main| {
            stage.node.vm().shell(&format!("kill -KILL {main}")).map(drop)
        })
    })
}

#[test]
#[ignore = "needs a machine of its own: tests/run --vm"]
fn a_kubelet_that_hangs_is_started_anew_by_the_watchdog() -> Result<()> {
    play(|stage| {
        let restarts = || stage.node.property("kubelet", "NRestarts");
        let before = restarts()?;
        stage.outlived_by_containers("hang", |main| {
            stage.node.vm().shell(&format!("kill -STOP {main}")).map(drop)
        })?;
        ensure!(restarts()? != before, "systemd did not restart it");
        let journal = stage.node.vm().shell("journalctl --unit kubelet --output cat")?;
        ensure!(journal.contains("Watchdog timeout"), "the journal does not tell of it");
        Ok(())
    })
}

#[test]
#[ignore = "needs a machine of its own: tests/run --vm"]
fn a_stopped_unit_has_ended_well_and_its_pods_stay() -> Result<()> {
    play(|stage| {
        let _home = stage.sleeper("stop")?;
        let (containers, main) = (stage.node.running()?, stage.node.property("kubelet", "MainPID")?);
        stage.node.vm().shell("systemctl stop kubelet")?;
        let end =
            ["ActiveState", "Result", "ExecMainStatus"].map(|each| stage.node.property("kubelet", each));
        let end = end.into_iter().collect::<Result<Vec<_>>>()?;
        let left = stage
            .node
            .vm()
            .shell("cat /sys/fs/cgroup/system.slice/kubelet.service/cgroup.procs 2>/dev/null || true")?;
        let still = stage.node.running()?;
        stage.node.vm().shell("systemctl start kubelet")?;
        ensure!(end == ["inactive", "success", "0"], "the unit ended as {end:?}");
        ensure!(left.is_empty(), "it left the processes {left}");
        ensure!(still == containers, "the containers were {containers:?} and are {still:?}");
        stage.is_back(&main)
    })
}

#[test]
#[ignore = "needs a machine of its own: tests/run --vm"]
fn a_bad_configuration_ends_the_unit_before_it_touches_anything() -> Result<()> {
    play(|stage| {
        let _home = stage.sleeper("bad-configuration")?;
        let containers = stage.node.running()?;
        let good = VmNode::configuration()?;
        stage.node.configure(&format!("{good}\nnoSuchField: true\n"))?;
        stage.node.vm().shell("systemctl restart kubelet || true")?;
        let status = stage.node.property("kubelet", "ExecMainStatus");
        let ports = stage.node.vm().shell("ss --listening --tcp --numeric --no-header 'sport = :10250'");
        let still = stage.node.running();
        stage.node.configure(&good)?;
        stage.node.vm().shell("systemctl restart kubelet")?;
        ensure!(status? == "1", "the unit ended otherwise");
        ensure!(ports?.is_empty(), "a port was open");
        let still = still?;
        ensure!(still == containers, "the containers were {containers:?} and are {still:?}");
        let journal = stage.node.vm().shell("journalctl --unit kubelet --output cat")?;
        ensure!(journal.contains("noSuchField"), "the journal does not name the field");
        stage.is_back("")
    })
}

#[test]
#[ignore = "needs a machine of its own: tests/run --vm"]
fn pods_run_again_after_a_reboot() -> Result<()> {
    play(|stage| {
        let home = stage.sleeper("reboot")?;
        let before = container(&home.pod("sleeper")?, "app")["containerID"].clone();
        stage.node.machine().reboot()?;
        stage.is_back("")?;
        let pod = home.until("sleeper", "a container of this boot", |pod| {
            let status = container(pod, "app");
            ensure!(status["ready"] == true && status["containerID"] != before, "the container is {status}");
            Ok(pod.clone())
        })?;
        let restarts = &container(&pod, "app")["restartCount"];
        ensure!(*restarts == 1, "the container was restarted {restarts} times");
        Ok(())
    })
}
