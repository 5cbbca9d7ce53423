//! The node as the API shows it, and what the events of a pod's life tell.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tests::namespace::SOON;
use tests::scene::{Scene, Scenes};
use tests::status::condition;
use tests::wait;

static SCENES: Scenes = Scenes::new(|config| {
    config["registerWithTaints"] = json!([{ "key": "tried", "value": "yes", "effect": "PreferNoSchedule" }]);
    config["maxPods"] = json!(77);
    config["systemReserved"] = json!({ "cpu": "200m", "memory": "128Mi" });
});

fn play(scenario: impl Fn(&Scene, &Value) -> Result<()>) -> Result<()> {
    SCENES.play(|scene| scenario(scene, &scene.kubectl().get(&["node", "node-1"])?))
}

#[test]
fn a_node_tells_what_it_is() -> Result<()> {
    play(|scene, node| {
        let labels = &node["metadata"]["labels"];
        for (label, value) in [
            ("kubernetes.io/hostname", "node-1"),
            ("kubernetes.io/os", "linux"),
            ("kubernetes.io/arch", "amd64"),
            ("beta.kubernetes.io/os", "linux"),
            ("beta.kubernetes.io/arch", "amd64"),
        ] {
            ensure!(labels[label] == value, "the labels are {labels}");
        }
        let annotations = &node["metadata"]["annotations"];
        ensure!(
            annotations["volumes.kubernetes.io/controller-managed-attach-detach"] == "true",
            "{annotations}"
        );
        let addresses = json!([
            { "type": "InternalIP", "address": "10.77.0.11" },
            { "type": "Hostname", "address": "node-1" },
        ]);
        ensure!(
            node["status"]["addresses"] == addresses,
            "the addresses are {}",
            node["status"]["addresses"]
        );
        ensure!(node["status"]["daemonEndpoints"]["kubeletEndpoint"]["Port"] == 10250, "another port");
        let info = &node["status"]["nodeInfo"];
        ensure!(info["kubeletVersion"].as_str().unwrap_or_default().starts_with("v1.36.3"), "{info}");
        let runtime = format!("containerd://{}.", scene.runtime().version());
        ensure!(info["containerRuntimeVersion"].as_str().unwrap_or_default().starts_with(&runtime), "{info}");
        for field in ["machineID", "systemUUID", "bootID", "kernelVersion", "osImage"] {
            ensure!(
                info[field].as_str().is_some_and(|text| !text.is_empty()),
                "there is no {field} in {info}"
            );
        }
        Ok(())
    })
}

#[test]
fn a_node_tells_what_it_has_and_what_it_gives_to_pods() -> Result<()> {
    play(|_, node| {
        let (capacity, allocatable) = (&node["status"]["capacity"], &node["status"]["allocatable"]);
        let cpus = std::thread::available_parallelism()?.get();
        ensure!(capacity["cpu"].as_str() == Some(cpus.to_string().as_str()), "the capacity is {capacity}");
        ensure!(capacity["pods"] == "77" && allocatable["pods"] == "77", "{capacity} and {allocatable}");
        ensure!(allocatable["cpu"] == format!("{}m", cpus * 1000 - 200), "for pods there is {allocatable}");
        let memory = kibibytes(&capacity["memory"])?;
        ensure!(
            kibibytes(&allocatable["memory"])? == memory - 128 * 1024,
            "of {memory} KiB there is {allocatable}"
        );
        for resource in ["ephemeral-storage", "hugepages-2Mi"] {
            ensure!(
                capacity[resource].is_string() && allocatable[resource].is_string(),
                "there is no {resource}"
            );
        }
        Ok(())
    })
}

#[test]
fn a_node_is_ready_and_under_no_pressure() -> Result<()> {
    play(|_, node| {
        for (kind, status, reason) in [
            ("MemoryPressure", "False", "KubeletHasSufficientMemory"),
            ("DiskPressure", "False", "KubeletHasNoDiskPressure"),
            ("PIDPressure", "False", "KubeletHasSufficientPID"),
            ("Ready", "True", "KubeletReady"),
        ] {
            let condition = condition(node, kind);
            ensure!(condition["status"] == status && condition["reason"] == reason, "{condition}");
        }
        ensure!(condition(node, "Ready")["message"] == "kubelet is posting ready status", "another message");
        Ok(())
    })
}

#[test]
fn a_node_is_registered_with_its_taints() -> Result<()> {
    SCENES.play(|scene| {
        let wanted = json!([{ "key": "tried", "value": "yes", "effect": "PreferNoSchedule" }]);
        wait::until("the taints of a ready node", SOON, || {
            let node = scene.kubectl().get(&["node", "node-1"])?; // not-ready is taken from it by a controller
            ensure!(node["spec"]["taints"] == wanted, "they are {}", node["spec"]["taints"]);
            Ok(())
        })
    })
}

#[test]
fn a_node_renews_its_lease() -> Result<()> {
    play(|scene, node| {
        let lease = || scene.kubectl().get(&["--namespace", "kube-node-lease", "lease", "node-1"]);
        let first = wait::until("the lease", SOON, lease)?;
        ensure!(first["spec"]["holderIdentity"] == "node-1", "the lease is {}", first["spec"]);
        ensure!(first["spec"]["leaseDurationSeconds"] == 40, "the lease is {}", first["spec"]);
        let owner = &first["metadata"]["ownerReferences"][0];
        ensure!(owner["uid"] == node["metadata"]["uid"], "it belongs to {owner}");
        wait::until("a renewal", Duration::from_secs(30), || {
            let renewed = &lease()?["spec"]["renewTime"];
            ensure!(*renewed != first["spec"]["renewTime"], "it was renewed at {renewed}");
            Ok(())
        })
    })
}

#[test]
fn a_node_lists_its_images() -> Result<()> {
    play(|_, node| {
        let images = node["status"]["images"].as_array().context("no images")?;
        let named = |image: &&Value| image["names"].to_string().contains("docker.io/library/busybox:1.36");
        let busybox = images.iter().find(named).context("busybox is not listed")?;
        ensure!(busybox["sizeBytes"].as_u64() > Some(1_000_000), "it is {busybox}");
        Ok(())
    })
}

#[test]
fn events_tell_of_a_nodes_start() -> Result<()> {
    play(|scene, _| {
        for reason in ["Starting", "NodeHasSufficientMemory", "NodeHasNoDiskPressure", "NodeReady"] {
            wait::until(&format!("the event {reason}"), SOON, || {
                let about = format!("reason={reason},involvedObject.kind=Node,involvedObject.name=node-1");
                let found =
                    scene.kubectl().get(&["events", "--namespace", "default", "--field-selector", &about])?;
                ensure!(found["items"] != json!([]), "there is none");
                Ok(())
            })?;
        }
        Ok(())
    })
}

#[test]
fn events_tell_of_a_pods_life() -> Result<()> {
    const TOLD: &[(&str, &str, &str)] = &[
        (
            "Pulled",
            "spec.initContainers{first}",
            "Container image \"docker.io/library/busybox:1.36\" already present on machine",
        ),
        ("Created", "spec.initContainers{first}", "Container created"),
        ("Started", "spec.initContainers{first}", "Container started"),
        (
            "Pulled",
            "spec.containers{app}",
            "Container image \"docker.io/library/busybox:1.36\" already present on machine",
        ),
        ("Created", "spec.containers{app}", "Container created"),
        ("Started", "spec.containers{app}", "Container started"),
        ("Killing", "spec.containers{app}", "Stopping container app"),
    ];
    SCENES.play(|scene| {
        let home = scene.namespace("events")?;
        home.run(
            "web",
            r#"{ initContainers: [{ name: first, command: ["true"] }], containers: [{ name: app, command: [sleep, "3600"] }] }"#,
        )?;
        let pod = home.ready("web")?;
        home.kubectl(&["delete", "pod", "web"])?;
        home.event("web", "Killing")?;
        let told: Vec<_> = home.events("web")?.into_iter().filter(|event| event["source"]["component"] == "kubelet").collect();
        for (reason, field, message) in TOLD {
            let about = |event: &&Value| event["reason"] == *reason && event["involvedObject"]["fieldPath"] == *field;
            let event = told.iter().find(about).with_context(|| format!("no {reason} of {field} in {told:?}"))?;
            ensure!(event["message"].as_str().unwrap_or_default().starts_with(message), "{event}");
            ensure!(event["type"] == "Normal" && event["source"]["host"] == "node-1", "{event}");
            ensure!(event["involvedObject"]["uid"] == pod["metadata"]["uid"], "{event}");
        }
        ensure!(told.len() == TOLD.len(), "there are more events: {told:?}");
        Ok(())
    })
}

/// A quantity that the kubelet writes in KiB.
fn kibibytes(quantity: &Value) -> Result<u64> {
    let text = quantity.as_str().unwrap_or_default();
    text.trim_end_matches("Ki").parse().with_context(|| format!("no KiB: {quantity}"))
}
