//! What becomes of a pod's volumes.

use crate::scripted::{Neighbours, ask, uid, until};
use chassis::{Heard, Service};
use k8s_openapi::api::core::v1 as core;
use messages::{
    Decision, Message, Outcome, Owner, Refusal,
    pod_lifecycle::{Pod, Stage},
    volume_mounter::{BindSubpath, BindSubpathReply, PrepareVolumes, ReleaseVolumes, Volumes, VolumesPhase},
};
use std::{fs, path::PathBuf};
use volume_mounter::{
    core::reference::Kind,
    ports::{Deed, FileSystem},
};

fn pod() -> core::Pod {
    let volumes = serde_json::json!([
        { "name": "scratch", "emptyDir": {} },
        { "name": "fast", "emptyDir": { "medium": "Memory", "sizeLimit": "1Mi" } },
        { "name": "settings", "configMap": { "name": "settings", "defaultMode": 420 } },
        { "name": "password", "secret": { "secretName": "password", "defaultMode": 256 } },
        { "name": "access", "projected": { "sources": [
            { "serviceAccountToken": { "path": "token", "expirationSeconds": 3600 } },
            { "downwardAPI": { "items": [
                { "path": "labels", "fieldRef": { "fieldPath": "metadata.labels" } },
                { "path": "cpus", "resourceFieldRef": { "containerName": "app", "resource": "limits.cpu" } },
            ] } },
        ] } },
    ]);
    let names = ["scratch", "fast", "settings", "password", "access"];
    let mounts: Vec<_> = names
        .iter()
        .map(|name| serde_json::json!({ "name": name, "mountPath": format!("/{name}") }))
        .collect();
    serde_json::from_value(serde_json::json!({
        "metadata": { "name": "web", "namespace": "shop", "uid": uid(), "labels": { "tier": "front" } },
        "spec": {
            "nodeName": "node-1", "serviceAccountName": "default", "volumes": volumes,
            "containers": [{ "name": "app", "volumeMounts": mounts }],
        },
    }))
    .unwrap()
}

/// A node whose API server has the pod and what it refers to.
async fn neighbours() -> Option<Neighbours> {
    let neighbours = Neighbours::new().await?;
    neighbours.objects.put_pod(&pod());
    neighbours.objects.put(Kind::ConfigMap, "settings", &[("colour", "red")]);
    neighbours.objects.put(Kind::Secret, "password", &[("word", "hunter2")]);
    Some(neighbours)
}

async fn prepare(neighbours: &Neighbours, decision: Decision) -> Outcome {
    ask(&neighbours.lifecycle, &PrepareVolumes { pod: uid(), decision }).await
}

async fn release(neighbours: &Neighbours, decision: Decision) -> Outcome {
    ask(&neighbours.lifecycle, &ReleaseVolumes { pod: uid(), decision }).await
}

fn is_ready(heard: &Heard<Volumes>) -> Option<Volumes> {
    match heard {
        Heard::Value { state, .. } if state.phase == VolumesPhase::Ready => Some(state.clone()),
        _ => None,
    }
}

fn is_gone(heard: &Heard<Volumes>) -> Option<()> {
    matches!(heard, Heard::Gone { .. }).then_some(())
}

fn folder(service: &Service) -> PathBuf {
    service.config.root_dir.join("pods").join(uid().as_str())
}

fn file(service: &Service, path: &str) -> PathBuf {
    folder(service).join("volumes").join(path)
}

fn read(service: &Service, path: &str) -> String {
    fs::read_to_string(file(service, path)).unwrap_or_default()
}

/// A pod whose volumes are ready.
async fn prepared(neighbours: &mut Neighbours) -> Service {
    let service = neighbours.run().await;
    let decision = neighbours.desire(&pod(), Stage::Running).await;
    let outcome = prepare(neighbours, decision).await;
    assert!(matches!(outcome, Outcome::Done { .. }), "{outcome:?} {:?}", neighbours.told());
    service
}

#[actix::test]
async fn every_volume_of_a_pod_is_made_and_filled() {
    let Some(mut neighbours) = neighbours().await else { return };
    let service = prepared(&mut neighbours).await;

    let state = neighbours.expect("ready volumes", is_ready).await;
    let names: Vec<_> = state.volumes.iter().map(|volume| (volume.name.as_str(), volume.read_only)).collect();
    let want =
        [("access", true), ("fast", false), ("password", true), ("scratch", false), ("settings", true)];
    assert_eq!(names, want);
    let files = [
        ("kubernetes.io~configmap/settings/colour", "red"),
        ("kubernetes.io~secret/password/word", "hunter2"),
        ("kubernetes.io~projected/access/token", "token 1 of web"),
        ("kubernetes.io~projected/access/labels", "tier=\"front\""),
        ("kubernetes.io~projected/access/cpus", "4"),
    ];
    for (path, want) in files {
        assert_eq!(read(&service, path), want, "{path}");
    }
    assert!(file(&service, "kubernetes.io~empty-dir/scratch").is_dir());
    let sizes: Vec<_> = neighbours.mounter.deeds.borrow().iter().filter_map(size).collect();
    assert!(sizes.contains(&(1 << 20)) && sizes.contains(&(8 << 30)), "{sizes:?}");
    assert_eq!(neighbours.told(), []);
}

fn size(deed: &Deed) -> Option<u64> {
    match deed {
        Deed::Mount { what: FileSystem::Tmpfs { size }, .. } => *size,
        _ => None,
    }
}

#[actix::test]
async fn an_authorizer_that_lags_behind_is_waited_for_quietly() {
    let Some(mut neighbours) = neighbours().await else { return };
    neighbours.objects.forbidden.set(20);
    prepared(&mut neighbours).await;
    assert_eq!(neighbours.told(), []);
}

#[actix::test]
async fn what_is_missing_is_told_and_what_appears_is_taken_at_once() {
    let Some(mut neighbours) = neighbours().await else { return };
    neighbours.objects.remove(Kind::ConfigMap, "settings");
    let service = neighbours.run().await;
    let decision = neighbours.desire(&pod(), Stage::Running).await;

    assert_eq!(prepare(&neighbours, decision).await, Outcome::Accepted);
    let message = "MountVolume.SetUp failed for volume \"settings\" : configmap \"settings\" not found";
    let is_told = |heard: &Heard<Volumes>| match heard {
        Heard::Value { state, .. } => match &state.phase {
            VolumesPhase::Preparing { fault: Some(fault) } => Some(fault.clone()),
            _ => None,
        },
        _ => None,
    };
    let fault = neighbours.expect("the fault", is_told).await;
    assert_eq!((fault.reason.as_str(), fault.message.as_str()), ("FailedMount", message));
    until("the event is told", || neighbours.told() == [("FailedMount".into(), message.into())]).await;

    neighbours.objects.put(Kind::ConfigMap, "settings", &[("colour", "red")]);
    neighbours.expect("ready volumes", is_ready).await;
    assert_eq!(read(&service, "kubernetes.io~configmap/settings/colour"), "red");
}

#[actix::test]
async fn a_volume_that_stays_incomplete_is_tried_with_back_off_alone() {
    let Some(mut neighbours) = neighbours().await else { return };
    let mut pod = pod();
    let sources = serde_json::json!([
        { "configMap": { "name": "settings" } },
        { "configMap": { "name": "settings", "items": [{ "key": "missing", "path": "x" }] } },
        { "secret": { "name": "missing" } },
    ]);
    let volume = serde_json::json!({ "name": "access", "projected": { "sources": sources } });
    let volumes = pod.spec.as_mut().unwrap().volumes.as_mut().unwrap();
    *volumes.last_mut().unwrap() = serde_json::from_value(volume).unwrap();
    neighbours.objects.put_pod(&pod);
    neighbours.run().await;
    let decision = neighbours.desire(&pod, Stage::Running).await;
    assert_eq!(prepare(&neighbours, decision).await, Outcome::Accepted);

    let before = neighbours.objects.requests.get();
    until("a second and a third try", || neighbours.told().len() >= 3).await;
    let tries = neighbours.told().len() as u32;
    let requests = neighbours.objects.requests.get() - before;
    assert!(requests <= 3 * tries, "{requests} requests in {tries} tries");
}

#[actix::test]
async fn a_release_does_not_wait_for_an_api_server_that_is_away() {
    let Some(mut neighbours) = neighbours().await else { return };
    neighbours.objects.away.set(true);
    let service = neighbours.run().await;
    let decision = neighbours.desire(&pod(), Stage::Running).await;
    assert_eq!(prepare(&neighbours, decision).await, Outcome::Accepted);
    let decision = neighbours.desire(&pod(), Stage::Terminated).await;
    let outcome = release(&neighbours, decision).await;
    assert!(matches!(outcome, Outcome::Done { .. }), "{outcome:?}");
    assert!(!folder(&service).exists());
}

#[actix::test]
async fn changes_reach_the_files() {
    let Some(mut neighbours) = neighbours().await else { return };
    let service = prepared(&mut neighbours).await;

    neighbours.objects.put(Kind::ConfigMap, "settings", &[("colour", "blue"), ("size", "xl")]);
    until("the change of the config map", || {
        read(&service, "kubernetes.io~configmap/settings/colour") == "blue"
            && read(&service, "kubernetes.io~configmap/settings/size") == "xl"
    })
    .await;
    neighbours.objects.put(Kind::Secret, "password", &[("word", "correct horse")]);
    until("the change of the secret", || {
        read(&service, "kubernetes.io~secret/password/word") == "correct horse"
    })
    .await;

    let mut labelled = pod();
    labelled.metadata.labels.as_mut().unwrap().insert("tier".into(), "back".into());
    neighbours.desire(&labelled, Stage::Running).await;
    until("the change of the labels", || {
        read(&service, "kubernetes.io~projected/access/labels") == "tier=\"back\""
    })
    .await;
    assert_eq!(
        read(&service, "kubernetes.io~projected/access/token"),
        "token 1 of web",
        "not renewed for it"
    );
}

#[actix::test]
async fn a_later_life_says_again_what_stands_and_asks_nobody() {
    let Some(mut neighbours) = neighbours().await else { return };
    let service = prepared(&mut neighbours).await;
    until("everything is in the journal", || is_whole(&service)).await;
    service.stop.tell("the test ends this life");
    neighbours.objects.away.set(true);

    let next = neighbours.run().await;

    let again = |heard: &Heard<Volumes>| match heard {
        Heard::Value { state, incarnation, .. } if *incarnation == next.incarnation => Some(state.clone()),
        _ => None,
    };
    let state = neighbours.expect("the volumes again", again).await;
    assert_eq!((state.phase, state.volumes.len()), (VolumesPhase::Ready, 5));
    let complete = |heard: &Heard<Volumes>| matches!(heard, Heard::Complete).then_some(());
    neighbours.expect("that it is everything", complete).await;

    neighbours.objects.away.set(false);
    neighbours.objects.put(Kind::ConfigMap, "settings", &[("colour", "green")]);
    until("changes are followed again", || read(&next, "kubernetes.io~configmap/settings/colour") == "green")
        .await;
    assert_eq!(neighbours.objects.tokens.get(), 1, "the token in the volume is still good");
}

/// The journal tells of every volume that it is whole.
fn is_whole(service: &Service) -> bool {
    let name = format!("pods/{}", uid());
    let record: Option<volume_mounter::core::record::Record> = service.journal.load(&name).unwrap();
    record.is_some_and(|record| record.ready().len() == 5)
}

#[actix::test]
async fn after_a_reboot_what_was_in_memory_is_made_again() {
    let Some(mut neighbours) = neighbours().await else { return };
    let service = prepared(&mut neighbours).await;
    until("everything is in the journal", || is_whole(&service)).await;
    let scratch = file(&service, "kubernetes.io~empty-dir/scratch/kept");
    fs::write(&scratch, "k").unwrap();
    service.stop.tell("the test ends this life");
    neighbours.mounter.reboot();
    assert_eq!(read(&service, "kubernetes.io~secret/password/word"), "");

    let next = neighbours.run().await;

    until("the secret is there again", || read(&next, "kubernetes.io~secret/password/word") == "hunter2")
        .await;
    assert_eq!(fs::read_to_string(&scratch).unwrap(), "k", "an emptyDir on disk lives as long as its pod");
    assert_eq!(neighbours.objects.tokens.get(), 2, "the token went with the memory");
}

#[actix::test]
async fn volumes_are_released_only_once_nothing_runs() {
    let Some(mut neighbours) = neighbours().await else { return };
    let service = prepared(&mut neighbours).await;
    fs::write(file(&service, "kubernetes.io~empty-dir/scratch/file"), "f").unwrap();

    let decision = neighbours.desire(&pod(), Stage::Terminating { grace_seconds: 30 }).await;
    let refused = Outcome::Refused {
        refusal: Refusal::NotAllowed { why: "the pod's containers may still run".into() },
    };
    assert_eq!(release(&neighbours, decision).await, refused);
    let superseded = Outcome::Refused { refusal: Refusal::Superseded };
    assert_eq!(prepare(&neighbours, decision).await, superseded, "nothing is made for a pod that stops");

    let decision = neighbours.desire(&pod(), Stage::Terminated).await;
    let outcome = release(&neighbours, decision).await;
    assert!(matches!(outcome, Outcome::Done { .. }), "{outcome:?}");
    neighbours.expect("a tombstone", is_gone).await;
    assert!(!folder(&service).exists());
    assert_eq!(*neighbours.mounter.mounted.borrow(), Vec::<PathBuf>::new());
    assert_eq!(service.journal.names("pods").unwrap(), Vec::<String>::new());
    let again = release(&neighbours, decision).await;
    assert!(matches!(again, Outcome::Done { .. }), "done twice, it is done once: {again:?}");
}

#[actix::test]
async fn a_release_that_was_interrupted_is_taken_up() {
    let Some(mut neighbours) = neighbours().await else { return };
    let service = prepared(&mut neighbours).await;
    let decision = neighbours.desire(&pod(), Stage::Terminated).await;
    neighbours.mounter.busy.set(u32::MAX);
    assert_eq!(release(&neighbours, decision).await, Outcome::Accepted);
    service.stop.tell("the test ends this life");
    neighbours.mounter.busy.set(0);

    let next = neighbours.run().await;

    neighbours.expect("a tombstone", is_gone).await;
    assert!(!folder(&next).exists());
}

#[actix::test]
async fn a_pod_that_is_gone_needs_no_command_to_lose_its_volumes() {
    let Some(mut neighbours) = neighbours().await else { return };
    let service = prepared(&mut neighbours).await;
    let key = Pod::key(&Pod {
        pod: uid(),
        decision: Decision::default(),
        source: messages::pod_lifecycle::PodSource::Api,
        stage: Stage::Terminated,
        object: Box::default(),
    });
    neighbours.lifecycle.retract::<Pod>(&key).await;
    neighbours.expect("a tombstone", is_gone).await;
    assert!(!folder(&service).exists());
}

#[actix::test]
async fn a_pod_that_the_api_server_does_not_confirm_is_given_nothing() {
    let Some(mut neighbours) = neighbours().await else { return };
    let mut other = pod();
    other.spec.as_mut().unwrap().service_account_name = Some("other".into());
    neighbours.objects.put_pod(&other);
    let service = neighbours.run().await;
    let decision = neighbours.desire(&pod(), Stage::Running).await;

    assert_eq!(prepare(&neighbours, decision).await, Outcome::Accepted);
    until("an event tells of it", || {
        let told = neighbours.told();
        told.iter().any(|(_, message)| message.contains("another service account"))
    })
    .await;
    for path in ["kubernetes.io~secret/password/word", "kubernetes.io~projected/access/token"] {
        assert!(!file(&service, path).exists(), "{path}");
    }
}

#[actix::test]
async fn a_sub_path_is_bound_below_its_volume_and_nowhere_else() {
    let Some(mut neighbours) = neighbours().await else { return };
    let service = prepared(&mut neighbours).await;
    let bind = |mount: u32, path: &str| BindSubpath {
        pod: uid(),
        container: "app".parse().unwrap(),
        mount,
        path: path.into(),
    };
    let at = folder(&service).join("volume-subpaths/scratch/app/0").to_string_lossy().into_owned();
    let cri_bridge = neighbours.server.bus(Owner::CriBridge).await;
    let reply = ask(&cri_bridge, &bind(0, "a/b")).await;
    assert_eq!(reply, BindSubpathReply::Bound { host_path: at });
    assert!(file(&service, "kubernetes.io~empty-dir/scratch/a/b").is_dir());

    let cases = [("upwards", 0, "../x"), ("absolute", 0, "/etc"), ("no such mount", 9, "a")];
    for (name, mount, path) in cases {
        let reply = ask(&cri_bridge, &bind(mount, path)).await;
        assert!(!matches!(reply, BindSubpathReply::Bound { .. }), "{name}: {reply:?}");
    }
}
