//! How pods end: what their containers are told, how long they are given, and when the API forgets them.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use tests::namespace::{Namespace, SOON};
use tests::scene::{Scene, Scenes};
use tests::status::{condition, container};
use tests::wait;

static SCENES: Scenes = Scenes::new(|_| {});

/// A pod `web` that keeps a diary on the host, where it can be read after the pod's end.
struct Diarist {
    file: PathBuf,
}

impl Diarist {
    /// Runs a pod whose container runs `script`, which finds the diary at `$D`, with further `fields` of the container.
    fn run(scene: &Scene, home: &Namespace, grace: u32, script: &str, fields: &str) -> Result<Self> {
        let folder = scene.ground().folder(&format!("diaries/{}", home.name()))?;
        home.run(
            "web",
            &format!(
                r#"
                terminationGracePeriodSeconds: {grace}
                volumes: [{{ name: diary, hostPath: {{ path: {} }} }}]
                containers:
                - name: app
                  command: [sh, -c, "{script}"]
                  env: [{{ name: D, value: /diary/lines }}]
                  volumeMounts: [{{ name: diary, mountPath: /diary }}]
                  {fields}
                "#,
                folder.display()
            ),
        )?;
        home.ready("web")?;
        Ok(Self { file: folder.join("lines") })
    }

    fn lines(&self) -> Result<String> {
        Ok(fs::read_to_string(&self.file)?)
    }
}

const OBEDIENT: &str =
    "trap 'echo told >>$D; sleep 2; echo done >>$D; exit 0' TERM; while sleep 0.1; do :; done";
const DEAF: &str = "trap 'echo told >>$D' TERM; while sleep 0.1; do :; done";

#[test]
fn a_deleted_pod_is_forgotten_only_after_its_containers_have_ended() -> Result<()> {
    SCENES.play(|scene| {
        let home = scene.namespace("graceful")?;
        let diarist = Diarist::run(scene, &home, 30, OBEDIENT, "")?;
        home.kubectl(&["delete", "pod", "web", "--wait=false"])?;
        let pod = home.pod("web")?;
        ensure!(pod["metadata"]["deletionGracePeriodSeconds"] == 30, "{}", pod["metadata"]);
        home.gone("web")?;
        ensure!(diarist.lines()? == "told\ndone\n", "the diary says {:?}", diarist.lines()?);
        Ok(())
    })
}

#[test]
fn a_pre_stop_hook_runs_before_the_container_is_told() -> Result<()> {
    SCENES.play(|scene| {
        let home = scene.namespace("pre-stop")?;
        let hook = "lifecycle: { preStop: { exec: { command: [sh, -c, 'sleep 1; echo hook >>$D'] } } }";
        let diarist = Diarist::run(scene, &home, 30, OBEDIENT, hook)?;
        home.kubectl(&["delete", "pod", "web"])?;
        ensure!(diarist.lines()? == "hook\ntold\ndone\n", "the diary says {:?}", diarist.lines()?);
        Ok(())
    })
}

#[test]
fn a_post_start_hook_runs_before_the_container_counts_as_running() -> Result<()> {
    SCENES.play(|scene| {
        let home = scene.namespace("post-start")?;
        let hook = "lifecycle: { postStart: { exec: { command: [sh, -c, 'sleep 1; echo hook >>$D'] } } }";
        let diarist = Diarist::run(scene, &home, 1, "exec sleep 3600", hook)?;
        ensure!(diarist.lines()? == "hook\n", "the diary says {:?}", diarist.lines()?);
        Ok(())
    })
}

#[test]
fn a_failing_post_start_hook_kills_its_container() -> Result<()> {
    SCENES.play(|scene| {
        let home = scene.namespace("post-start-fails")?;
        home.run(
            "web",
            r#"
            containers:
            - name: app
              command: [sleep, "3600"]
              lifecycle: { postStart: { exec: { command: [sh, -c, "exit 7"] } } }
            "#,
        )?;
        let failed = home.event("web", "FailedPostStartHook")?;
        ensure!(failed["involvedObject"]["fieldPath"] == "spec.containers{app}", "{failed}");
        home.until("web", "a restart", |pod| {
            ensure!(container(pod, "app")["restartCount"].as_i64() >= Some(1), "not yet");
            Ok(())
        })
    })
}

#[test]
fn a_deaf_container_is_killed_when_its_time_is_over() -> Result<()> {
    SCENES.play(|scene| {
        let home = scene.namespace("deaf")?;
        let diarist = Diarist::run(scene, &home, 3, DEAF, "")?;
        let began = Instant::now();
        home.kubectl(&["delete", "pod", "web"])?;
        ensure!(began.elapsed() >= Duration::from_secs(3), "it was given {:?}", began.elapsed());
        ensure!(diarist.lines()? == "told\n", "the diary says {:?}", diarist.lines()?);
        Ok(())
    })
}

#[test]
fn a_shorter_time_on_deletion_counts() -> Result<()> {
    SCENES.play(|scene| {
        let home = scene.namespace("shorter")?;
        Diarist::run(scene, &home, 3600, DEAF, "")?;
        home.kubectl(&["delete", "pod", "web", "--wait=false"])?;
        home.kubectl(&["delete", "pod", "web", "--wait=false", "--grace-period=1"])?;
        home.gone("web")
    })
}

#[test]
fn a_pod_deleted_by_force_leaves_the_node_as_well() -> Result<()> {
    SCENES.play(|scene| {
        let home = scene.namespace("force")?;
        Diarist::run(scene, &home, 3600, DEAF, "")?;
        let pod = home.pod("web")?;
        let uid = pod["metadata"]["uid"].as_str().unwrap_or_default();
        home.kubectl(&["delete", "pod", "web", "--grace-period=0", "--force"])?;
        home.gone("web")?;
        wait::until("the pod's folder being gone", SOON, || {
            let folder = scene.node().root().join("pods").join(uid);
            ensure!(!folder.exists(), "there is still {}", folder.display());
            Ok(())
        })
    })
}

#[test]
fn a_pod_of_the_same_name_can_follow_at_once() -> Result<()> {
    SCENES.play(|scene| {
        let home = scene.namespace("again")?;
        let spec =
            r#"{ terminationGracePeriodSeconds: 0, containers: [{ name: app, command: [sleep, "3600"] }] }"#;
        let mut before = None;
        for _ in 0..3 {
            home.run("web", spec)?;
            let pod = home.ready("web")?;
            ensure!(before != Some(pod["metadata"]["uid"].clone()), "it is the pod of before");
            before = Some(pod["metadata"]["uid"].clone());
            home.kubectl(&["delete", "pod", "web"])?;
        }
        Ok(())
    })
}

#[test]
fn a_pod_that_is_over_its_active_deadline_is_ended_with_grace() -> Result<()> {
    SCENES.play(|scene| {
        let home = scene.namespace("deadline-grace")?;
        let diarist = Diarist::run(scene, &home, 30, OBEDIENT, "")?;
        let patch = r#"{"spec":{"activeDeadlineSeconds":1}}"#;
        home.kubectl(&["patch", "pod", "web", "--patch", patch])?;
        let pod = home.phase("web", "Failed")?;
        ensure!(pod["status"]["reason"] == "DeadlineExceeded", "the reason is {}", pod["status"]["reason"]);
        ensure!(condition(&pod, "Ready")["status"] == "False", "it is Ready");
        wait::until("the container's last line", SOON, || {
            let lines = diarist.lines()?;
            ensure!(lines == "told\ndone\n", "the diary says {lines:?}");
            Ok(())
        })
    })
}

#[test]
fn a_finished_pod_stays_in_the_api_until_it_is_deleted() -> Result<()> {
    SCENES.play(|scene| {
        let home = scene.namespace("finished")?;
        home.run("job", r#"{ restartPolicy: Never, containers: [{ name: app, command: [echo, bye] }] }"#)?;
        home.phase("job", "Succeeded")?;
        ensure!(home.logs(&["job"])? == "bye\n", "the log is gone");
        home.kubectl(&["delete", "pod", "job"])?;
        home.gone("job")
    })
}
