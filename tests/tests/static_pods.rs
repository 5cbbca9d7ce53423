//! A static pod in a cluster: its mirror in the API, which follows the manifest and nothing else.

use std::fs;

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use tests::namespace::{Namespace, SOON};
use tests::scene::{Scene, Scenes};
use tests::status::container;
use tests::wait;

static SCENES: Scenes = Scenes::new(|_| {});

fn manifest(namespace: &str, line: &str) -> String {
    let app =
        json!({ "name": "app", "image": "docker.io/library/busybox:1.36", "command": ["sh", "-c", line] });
    let spec = json!({ "terminationGracePeriodSeconds": 1, "containers": [app] });
    let metadata = json!({ "name": "web", "namespace": namespace, "labels": { "tier": "front" } });
    json!({ "apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec }).to_string()
}

/// Plays a scenario with a static pod called `web-node-1`, and takes the manifest away after it.
fn play(name: &str, scenario: impl Fn(&Scene, &Namespace) -> Result<()>) -> Result<()> {
    SCENES.play(|scene| {
        let home = scene.namespace(name)?;
        let file = scene.node().manifests().join(format!("{name}.json"));
        fs::write(&file, manifest(name, "echo hello; exec sleep 3600"))?;
        let played = scenario(scene, &home);
        if file.exists() {
            fs::remove_file(&file)?;
        }
        played
    })
}

#[test]
fn a_static_pod_has_a_mirror_with_its_status() -> Result<()> {
    play("mirror", |scene, home| {
        let mirror = home.ready("web-node-1")?;
        let (metadata, annotations) = (&mirror["metadata"], &mirror["metadata"]["annotations"]);
        ensure!(mirror["status"]["phase"] == "Running", "it is {}", mirror["status"]["phase"]);
        ensure!(annotations["kubernetes.io/config.source"] == "file", "the annotations {annotations}");
        let hash = &annotations["kubernetes.io/config.mirror"];
        ensure!(
            hash.is_string() && *hash == annotations["kubernetes.io/config.hash"],
            "the annotations {annotations}"
        );
        ensure!(metadata["labels"]["tier"] == "front", "the labels {}", metadata["labels"]);
        let owner = &metadata["ownerReferences"][0];
        ensure!(
            owner["kind"] == "Node" && owner["name"] == "node-1" && owner["controller"] == true,
            "owner {owner}"
        );
        ensure!(home.logs(&["web-node-1"])? == "hello\n", "its log can't be read through the mirror");
        ensure!(home.exec("web-node-1", "app", &["hostname"])? == "web-node-1\n", "exec goes elsewhere");
        let pods: Value = serde_json::from_str(&scene.node().ask_kubelet("/pods")?)?;
        let mut pods = pods["items"].as_array().into_iter().flatten();
        let own = pods.find(|pod| pod["metadata"]["namespace"] == "mirror");
        ensure!(own.is_some_and(|pod| pod["metadata"]["uid"] == *hash), "the static pod's UID is not {hash}");
        Ok(())
    })
}

#[test]
fn a_deleted_mirror_comes_back_and_its_container_does_not_notice() -> Result<()> {
    play("mirror-deleted", |_, home| {
        let before = home.ready("web-node-1")?;
        home.kubectl(&["delete", "pod", "web-node-1", "--wait=false"])?;
        home.until("web-node-1", "another mirror", |mirror| {
            ensure!(mirror["metadata"]["uid"] != before["metadata"]["uid"], "it is the old one");
            Ok(())
        })?;
        let after = home.ready("web-node-1")?;
        let (before, after) = (container(&before, "app"), container(&after, "app"));
        ensure!(before["containerID"] == after["containerID"], "{before} became {after}");
        Ok(())
    })
}

#[test]
fn a_changed_manifest_is_another_pod() -> Result<()> {
    play("mirror-changed", |scene, home| {
        let before = home.ready("web-node-1")?;
        let file = scene.node().manifests().join("mirror-changed.json");
        fs::write(file, manifest("mirror-changed", "echo changed; exec sleep 3600"))?;
        home.until("web-node-1", "another mirror", |mirror| {
            ensure!(mirror["metadata"]["uid"] != before["metadata"]["uid"], "it is the old one");
            Ok(())
        })?;
        home.ready("web-node-1")?;
        ensure!(home.logs(&["web-node-1"])? == "changed\n", "the old container runs");
        Ok(())
    })
}

#[test]
fn a_static_pod_goes_with_its_manifest() -> Result<()> {
    play("mirror-removed", |scene, home| {
        let mirror = home.ready("web-node-1")?;
        let uid = mirror["metadata"]["annotations"]["kubernetes.io/config.hash"].as_str().unwrap_or_default();
        fs::remove_file(scene.node().manifests().join("mirror-removed.json"))?;
        home.gone("web-node-1")?;
        wait::until("the pod's folder being gone", SOON, || {
            let folder = scene.node().root().join("pods").join(uid);
            ensure!(!folder.exists(), "there is still {}", folder.display());
            Ok(())
        })
    })
}

#[test]
fn a_broken_manifest_hinders_no_other() -> Result<()> {
    play("mirror-beside-broken", |scene, home| {
        let broken = scene.node().manifests().join("broken.yaml");
        fs::write(&broken, "apiVersion: v1\nkind: Pod\nmetadata: { name: ../up }\nspec: {}\n")?;
        let ready = home.ready("web-node-1");
        fs::remove_file(broken)?;
        ready.map(drop)
    })
}
