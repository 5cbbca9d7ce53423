//! The whole service before a real containerd, with a real bus. The test plays the other processes.
//!
//! Offer a CRI socket in `BULKHEAD_CONTAINERD`; it must hold `docker.io/library/busybox:1.36`. Run as root.

#[cfg(test)]
mod stage;

use messages::{
    Outcome, Refusal,
    cri_bridge::{ContainerState, ExecProbeReply, ImageState},
    prober::ProbeKind,
};
use serde_json::json;
use stage::Stage;

#[actix::test]
async fn a_pod_is_started_seen_stopped_and_forgotten() {
    let Some(stage) = Stage::set().await else { return };
    let pod = stage.pod(json!({"containers": [{
        "name": "app", "image": "docker.io/library/busybox:1.36",
        "command": ["sh", "-c", "echo $(GREETING) from $HOSTNAME; exec sleep 1000"],
        "env": [{"name": "GREETING", "value": "hello"}],
        "resources": {"requests": {"cpu": "100m", "memory": "16Mi"}, "limits": {"cpu": "200m", "memory": "32Mi"}},
        "livenessProbe": {"exec": {"command": ["cat", "/etc/hosts"]}},
        "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File",
    }]}));

    stage.pull(&pod, "app").await;
    stage.ensure_sandbox(&pod, 0).await;
    stage.start(&pod, "app", 0).await;

    let seen = stage.seen(&pod, "app runs", |it| stage::running(it, "app")).await;
    let ip = seen.sandboxes[0].ips[0].clone();
    assert!(matches!(seen.images["docker.io/library/busybox:1.36"], ImageState::Present { .. }));
    assert!(!seen.containers[0].hash.is_empty() && seen.cgroup);
    stage.expect_log(&pod, "app", "hello from web\n").await;
    assert_eq!(stage.cgroup_value(&pod, "cpu", "cpu.shares"), "102");
    assert_eq!(stage.cgroup_value(&pod, "memory", "memory.limit_in_bytes"), (32 << 20).to_string());
    let ExecProbeReply::Exited { code: 0, output } =
        stage.probe(&pod, &seen.containers[0], ProbeKind::Liveness).await
    else {
        panic!("the probe did not end well")
    };
    assert!(output.contains(&format!("{ip}\tweb\n")), "{output}");
    stage.expect_events(&["Pulled", "Created", "Started"]).await;

    assert!(matches!(stage.stop_pod(&pod, 1).await, Outcome::Done { .. }));
    let ended =
        stage.seen(&pod, "app has ended", |it| it.containers[0].state == ContainerState::Exited).await;
    assert!(ended.sandboxes.iter().all(|sandbox| !sandbox.ready));
    let refused = stage.ask_start(&pod, "app", 1).await;
    assert_eq!(refused, Outcome::Refused { refusal: Refusal::Superseded }, "nothing is started any more");
    stage.forget(&pod).await;
    stage.expect_gone(&pod).await;
}

#[actix::test]
async fn a_container_that_dies_behind_our_back_is_seen_with_its_last_words() {
    let Some(stage) = Stage::set().await else { return };
    let pod = stage.pod(json!({"containers": [{
        "name": "app", "image": "docker.io/library/busybox:1.36",
        "command": ["sh", "-c", "trap 'echo last words > /dev/termination-log; exit 3' TERM; while :; do sleep 0.1; done"],
        "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File",
    }]}));
    stage.run(&pod, "app").await;

    stage.stop_behind_our_back(&pod, "app").await;

    let seen = stage.seen(&pod, "app has ended", |it| it.containers[0].state == ContainerState::Exited).await;
    let app = &seen.containers[0];
    assert_eq!((app.exit_code, app.message.as_str()), (3, "last words\n"));
    stage.start(&pod, "app", 1).await;
    let again = stage.seen(&pod, "a second instance runs", |it| stage::running(it, "app")).await;
    assert_eq!((again.containers[0].attempt, again.containers.len()), (1, 2));
    stage.clear(&pod).await;
}

#[actix::test]
async fn a_later_life_finds_the_pods_of_an_earlier_one() {
    let Some(mut stage) = Stage::set().await else { return };
    let pod = stage.pod(json!({"containers": [{
        "name": "app", "image": "docker.io/library/busybox:1.36", "command": ["sleep", "1000"],
    }]}));
    let before = stage.run(&pod, "app").await;

    stage.restart().await;

    let after = stage.seen(&pod, "app still runs", |it| stage::running(it, "app")).await;
    assert_eq!(after.containers[0].id, before.containers[0].id);
    stage.start(&pod, "app", 0).await;
    stage.clear(&pod).await;
}

#[actix::test]
async fn what_fails_is_told_in_the_kubelets_words() {
    let Some(stage) = Stage::set().await else { return };
    let pod = stage.pod(json!({"containers": [
        {"name": "never", "image": "nowhere.example/none:1", "imagePullPolicy": "Never"},
        {"name": "bad-name", "image": "Bad Name"},
        {"name": "no-command", "image": "docker.io/library/busybox:1.36", "command": ["/none"]},
        {"name": "no-config", "image": "docker.io/library/busybox:1.36",
         "env": [{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "none", "key": "k"}}}]},
    ]}));
    let fault = |outcome: Outcome| match outcome {
        Outcome::Failed { fault } => (fault.reason, fault.message),
        other => panic!("{other:?}"),
    };
    let never = fault(stage.ask_pull(&pod, "never").await);
    assert_eq!(never.0, "ErrImageNeverPull");
    assert_eq!(
        never.1,
        "Container image \"nowhere.example/none:1\" is not present with pull policy of Never"
    );
    assert_eq!(fault(stage.ask_pull(&pod, "bad-name").await).0, "InvalidImageName");
    stage.ensure_sandbox(&pod, 0).await;
    let no_config = fault(stage.ask_start(&pod, "no-config", 0).await);
    assert_eq!(no_config.0, "CreateContainerConfigError");
    let no_command = fault(stage.ask_start(&pod, "no-command", 0).await);
    assert_eq!(no_command.0, "RunContainerError");
    assert!(no_command.1.contains("/none"), "{}", no_command.1);
    stage.clear(&pod).await;
}

#[actix::test]
async fn hooks_run_and_a_failed_one_ends_its_container() {
    let Some(stage) = Stage::set().await else { return };
    let shell = |script: &str| json!({"exec": {"command": ["sh", "-c", script]}});
    let pod = stage.pod(json!({"containers": [
        {"name": "good", "image": "docker.io/library/busybox:1.36",
         "command": ["sh", "-c", "trap 'cat /tmp/*; exit 0' TERM; while :; do sleep 0.1; done"],
         "lifecycle": {"postStart": shell("echo post > /tmp/1"), "preStop": shell("echo pre > /tmp/2")}},
        {"name": "bad", "image": "docker.io/library/busybox:1.36", "command": ["sleep", "1000"],
         "lifecycle": {"postStart": shell("echo why >&2; exit 7")}},
    ], "terminationGracePeriodSeconds": 1}));
    stage.ensure_sandbox(&pod, 0).await;
    stage.start(&pod, "good", 0).await;
    let bad = stage.ask_start(&pod, "bad", 0).await;
    let Outcome::Failed { fault } = bad else { panic!("{bad:?}") };
    assert_eq!(fault.reason, "PostStartHookError");
    assert!(fault.message.contains("exited with 7: why"), "{}", fault.message);
    stage.seen(&pod, "bad has ended", |it| stage::ended(it, "bad")).await;

    stage.stop_pod(&pod, 10).await;

    stage.expect_log(&pod, "good", "post\npre\n").await;
    stage.expect_events(&["FailedPostStartHook", "Killing"]).await;
    stage.clear(&pod).await;
}

#[actix::test]
async fn logs_are_followed_through_a_rotation_to_their_end() {
    let Some(stage) = Stage::set_with(|kubelet| {
        kubelet.container_log_max_size = "1Ki".into();
        kubelet.container_log_monitor_interval = chassis::config::GoDuration::seconds(1);
    })
    .await
    else {
        return;
    };
    let pod = stage.pod(json!({"containers": [{
        "name": "app", "image": "docker.io/library/busybox:1.36",
        "command": ["sh", "-c", "i=0; while [ $i -lt 100 ]; do i=$((i+1)); echo line number $i; sleep 0.05; done"],
    }]}));
    stage.run(&pod, "app").await;
    let notices = stage.follow_log(&pod, "app").await;
    assert!(notices.iter().any(|notice| notice == "grown"), "{notices:?}");
    assert!(notices.iter().any(|notice| notice == "rotated"), "{notices:?}");
    assert_eq!(notices.last().map(String::as_str), Some("ended"), "{notices:?}");
    stage.clear(&pod).await;
}
