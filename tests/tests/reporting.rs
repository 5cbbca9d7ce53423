//! api-gate and status-reporter before a real API server, with the authorizer and the admission that a node meets
//! there. The other processes are played: what they would say is said.

use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use chassis::{Service, testing::BusServer};
use messages::{
    Key, Owner, PodUid,
    cri_bridge::{Condition, Filesystem, Machine, Runtime},
    pod_lifecycle::{PodSource, Status},
};
use serde_json::{Value, json};
use tests::control_plane::ControlPlane;
use tests::ground::Ground;
use tests::kubectl::Kubectl;
use tests::parts;

/// The node, as the bus of a test calls it.
const NODE: &str = "node-1";
/// How long anything may take on a busy machine.
const SOON: Duration = Duration::from_secs(60);

/// The control plane that all scenarios here share.
fn plane() -> Result<&'static ControlPlane> {
    static PLANE: OnceLock<Result<ControlPlane, String>> = OnceLock::new();
    let raise = || ControlPlane::start(&Ground::new()?);
    let plane = PLANE.get_or_init(|| raise().map_err(|error| format!("{error:#}")));
    plane.as_ref().map_err(|error| anyhow!("the control plane could not be raised: {error}"))
}

/// Plays a scenario in the control plane's network namespace.
fn play(scenario: impl AsyncFnOnce(&Node) -> Result<()> + Send) -> Result<()> {
    let lacking = parts::lacking(&["kube-apiserver"]).or_else(|| {
        BusServer::programs().is_empty().then(|| "there is no nats-server (tests/tools/install)".to_owned())
    });
    if let Some(reason) = lacking {
        eprintln!("skipped: {reason}");
        return Ok(());
    }
    let plane = plane()?;
    plane.lan().hub().run(|| {
        actix::System::new().block_on(async {
            let node = Node::begin(plane).await?;
            scenario(&node).await
        })
    })?
}

/// A node of which only the gate and the reporter are real.
struct Node {
    kubectl: Kubectl,
    lifecycle: Service,
    _bridge: Service,
    gate: Service,
    reporter: Service,
    _mounter: Service,
    _bus: BusServer,
}

impl Node {
    async fn begin(plane: &ControlPlane) -> Result<Self> {
        let bus = BusServer::start().context("there is no nats-server")?;
        let kubeconfig = plane.node_kubeconfig(NODE)?;
        let lifecycle = bus.service(Owner::PodLifecycle).await;
        let bridge = bus.service(Owner::CriBridge).await;
        let mounter = bus.service(Owner::VolumeMounter).await;
        let in_cluster = |config: &mut chassis::config::NodeConfig| {
            config.kubeconfig = Some(kubeconfig.clone());
            config.node_ips = vec!["10.77.0.11".parse().expect("an address")];
        };
        let gate = bus.service_with(Owner::ApiGate, in_cluster).await;
        let reporter = bus.service_with(Owner::StatusReporter, in_cluster).await;
        let (gating, reporting) = (gate.clone(), reporter.clone());
        actix::spawn(async { api_gate::run(gating).await.expect("the gate begins") });
        actix::spawn(async { status_reporter::run(reporting).await.expect("the reporter begins") });
        bridge.bus.say(&machine()).await;
        bridge.bus.say(&runtime()).await;
        let kubectl = plane.kubectl();
        Ok(Self { kubectl, lifecycle, _bridge: bridge, gate, reporter, _mounter: mounter, _bus: bus })
    }

    /// Waits until a field of an object satisfies; what runs in this thread goes on meanwhile.
    async fn until(&self, object: &[&str], pointer: &str, holds: impl Fn(&Value) -> bool) -> Result<Value> {
        let deadline = tokio::time::Instant::now() + SOON;
        loop {
            let (kubectl, object_owned) =
                (self.kubectl.clone(), object.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>());
            let looking = tokio::task::spawn_blocking(move || {
                kubectl.get(&object_owned.iter().map(String::as_str).collect::<Vec<_>>())
            });
            let seen = looking.await?;
            let value =
                seen.as_ref().ok().and_then(|found| found.pointer(pointer).cloned()).unwrap_or_default();
            if holds(&value) {
                return Ok(seen.unwrap_or_default());
            }
            ensure!(tokio::time::Instant::now() < deadline, "{pointer} of {object:?} is {value}");
        }
    }

    async fn is(&self, object: &[&str], pointer: &str, wanted: Value) -> Result<Value> {
        self.until(object, pointer, |value| *value == wanted).await
    }

    async fn is_ready(&self) -> Result<Value> {
        let ready = |conditions: &Value| {
            let mut conditions = conditions.as_array().into_iter().flatten();
            conditions.any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
        };
        self.until(&["node", NODE], "/status/conditions", ready).await
    }

    async fn lifecycle_says(&self, status: &Status) {
        self.lifecycle.bus.say(status).await;
    }
}

fn machine() -> Machine {
    Machine {
        cpus: 2,
        memory: 8 << 30,
        swap: 0,
        hugepages: [("2Mi".to_owned(), 0)].into(),
        nodefs: Filesystem { capacity: 100 << 30, available: 60 << 30, inodes: 1000, inodes_free: 900 },
        machine_id: "machine".to_owned(),
        system_uuid: "system".to_owned(),
        boot_id: "boot".to_owned(),
        kernel_version: "6.18.0".to_owned(),
        os_image: "Debian GNU/Linux 12 (bookworm)".to_owned(),
        cgroup_version: 2,
        images: Vec::new(),
    }
}

fn runtime() -> Runtime {
    let holds = |kind: &str| Condition {
        kind: kind.to_owned(),
        holds: true,
        reason: String::new(),
        message: String::new(),
    };
    Runtime {
        reachable: true,
        error: String::new(),
        name: "containerd".to_owned(),
        version: "2.4.2".to_owned(),
        conditions: vec![holds("RuntimeReady"), holds("NetworkReady")],
        handlers: Vec::new(),
        supplemental_groups_policy: true,
        events: true,
        cgroup_driver: "cgroupfs".to_owned(),
    }
}

fn status(uid: &str, name: &str, source: PodSource, status: Value) -> Result<Status> {
    Ok(Status {
        pod: uid.parse()?,
        namespace: "reporting".to_owned(),
        name: name.to_owned(),
        source,
        status: serde_json::from_value(status)?,
        mirror: None,
        release: false,
        seen_at: 1,
        life: 0,
    })
}

fn running(ip: &str) -> Value {
    json!({
        "phase": "Running", "hostIP": "10.77.0.11", "hostIPs": [{"ip": "10.77.0.11"}],
        "podIP": ip, "podIPs": [{"ip": ip}], "startTime": "2026-01-01T00:00:00Z",
        "conditions": [
            {"type": "PodScheduled", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"},
            {"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"},
        ],
        "containerStatuses": [{
            "name": "app", "image": "app:1", "imageID": "app@1", "containerID": "containerd://1", "ready": true,
            "started": true, "restartCount": 0, "state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}},
        }],
    })
}

#[test]
fn a_node_registers_is_ready_and_keeps_its_lease() -> Result<()> {
    play(async |node| {
        let object = node.is_ready().await?;
        ensure!(object["status"]["addresses"][0]["address"] == "10.77.0.11", "{object}");
        ensure!(object["metadata"]["labels"]["kubernetes.io/hostname"] == NODE, "{object}");
        let lease = ["--namespace", "kube-node-lease", "lease", NODE];
        node.is(&lease, "/spec/holderIdentity", json!(NODE)).await?;
        node.is(&lease, "/metadata/ownerReferences/0/uid", object["metadata"]["uid"].clone()).await?;
        let ready = |events: &Value| {
            events.as_array().into_iter().flatten().any(|event| event["reason"] == "NodeReady")
        };
        node.until(&["events", "--namespace", "default"], "/items", ready).await?;
        ensure!(node.gate.health.is_ready() && node.reporter.health.is_ready());
        let managers =
            node.kubectl.get(&["node", NODE, "--show-managed-fields"])?["metadata"]["managedFields"].clone();
        ensure!(
            managers.as_array().is_some_and(|all| all.iter().any(|each| each["manager"] == "kubelet")),
            "{managers}"
        );
        Ok(())
    })
}

/// A pod of the namespace `reporting`, bound to the node.
fn bind(node: &Node, name: &str) -> Result<String> {
    if node.kubectl.get(&["namespace", "reporting"]).is_err() {
        plane()?.namespace("reporting")?;
    }
    node.kubectl.create(
        &json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "reporting"},
            "spec": {"nodeName": NODE, "containers": [{"name": "app", "image": "app:1"}]},
        })
        .to_string(),
    )?;
    let pod = node.kubectl.get(&["--namespace", "reporting", "pod", name])?;
    pod["metadata"]["uid"].as_str().map(str::to_owned).context("a pod has a UID")
}

#[test]
fn a_pods_status_is_written_beside_others_and_the_pod_goes_when_it_has_ended() -> Result<()> {
    play(async |node| {
        node.is_ready().await?;
        let uid = bind(node, "web")?;
        let web = ["--namespace", "reporting", "pod", "web"];
        let gate = r#"{"status":{"conditions":[{"type":"example.com/gate","status":"True"}]}}"#;
        node.kubectl.run(&[
            "--namespace",
            "reporting",
            "patch",
            "pod",
            "web",
            "--subresource",
            "status",
            "--patch",
            gate,
        ])?;
        node.lifecycle_says(&status(&uid, "web", PodSource::Api, running("10.88.1.7"))?).await;
        node.is(&web, "/status/phase", json!("Running")).await?;

        node.lifecycle_says(&status(&uid, "web", PodSource::Api, running("10.88.1.8"))?).await;
        let pod = node.is(&web, "/status/podIPs", json!([{"ip": "10.88.1.8"}])).await?;
        let kinds: Vec<_> =
            pod["status"]["conditions"].as_array().into_iter().flatten().map(|c| &c["type"]).collect();
        ensure!(
            kinds.iter().any(|kind| *kind == "example.com/gate"),
            "somebody's condition stays: {kinds:?}"
        );

        node.kubectl.run(&["--namespace", "reporting", "delete", "pod", "web", "--wait=false"])?;
        let ended = json!({"phase": "Succeeded", "conditions": [{"type": "Ready", "status": "False"}]});
        node.lifecycle_says(&Status { release: true, ..status(&uid, "web", PodSource::Api, ended)? }).await;
        node.until(&web, "/metadata", Value::is_null).await?;
        Ok(())
    })
}

#[test]
fn a_static_pod_has_a_mirror_that_comes_back() -> Result<()> {
    play(async |node| {
        bind(node, "keeps-the-namespace")?;
        let mirror = json!({
            "metadata": {
                "name": "web-node-1", "namespace": "reporting",
                "annotations": {
                    "kubernetes.io/config.mirror": "h1", "kubernetes.io/config.hash": "h1",
                    "kubernetes.io/config.source": "file",
                },
            },
            "spec": {"nodeName": NODE, "containers": [{"name": "app", "image": "app:1"}]},
        });
        let of_file = status("static-web", "web-node-1", PodSource::File, running("10.88.1.9"))?;
        node.lifecycle_says(&Status { mirror: serde_json::from_value(mirror)?, ..of_file }).await;
        let web = ["--namespace", "reporting", "pod", "web-node-1"];
        let first = node.is(&web, "/status/podIP", json!("10.88.1.9")).await?;
        ensure!(first["metadata"]["ownerReferences"][0]["kind"] == "Node", "{first}");

        node.kubectl.run(&["--namespace", "reporting", "delete", "pod", "web-node-1", "--wait=false"])?;
        let second = |uid: &Value| uid.is_string() && *uid != first["metadata"]["uid"];
        node.until(&web, "/metadata/uid", second).await?;
        node.is(&web, "/status/phase", json!("Running")).await?;

        let key = Key::from(&"static-web".parse::<PodUid>()?);
        node.lifecycle.bus.retract::<Status>(&key).await;
        node.until(&web, "/metadata", Value::is_null).await?;
        Ok(())
    })
}

/// What the reporter writes when it knows of the earlier pod.
fn refused_patch(node: &Node, uid: &str) -> Result<String> {
    let patch = json!({"metadata": {"uid": uid}, "status": {"phase": "Failed"}}).to_string();
    node.kubectl.run(&[
        "--namespace",
        "reporting",
        "patch",
        "pod",
        "anew",
        "--subresource",
        "status",
        "--patch",
        &patch,
    ])
}

fn refused_deletion(node: &Node, uid: &str) -> Result<String> {
    let options = json!({
        "apiVersion": "v1", "kind": "DeleteOptions", "gracePeriodSeconds": 0, "preconditions": {"uid": uid},
    });
    let pod = "/api/v1/namespaces/reporting/pods/anew";
    node.kubectl.run_with(&options.to_string(), &["delete", "--raw", pod, "--filename", "-"])
}

#[test]
fn a_pod_made_anew_under_the_same_name_is_another() -> Result<()> {
    play(async |node| {
        node.is_ready().await?;
        let old = bind(node, "anew")?;
        node.kubectl.run(&[
            "--namespace",
            "reporting",
            "delete",
            "pod",
            "anew",
            "--force",
            "--grace-period=0",
        ])?;
        let new = bind(node, "anew")?;
        let gone = json!({"phase": "Failed", "reason": "Evicted"});
        node.lifecycle_says(&Status { release: true, ..status(&old, "anew", PodSource::Api, gone)? }).await;
        node.lifecycle_says(&status(&new, "anew", PodSource::Api, running("10.88.1.10"))?).await;
        let anew = ["--namespace", "reporting", "pod", "anew"];
        let told =
            |refused: Result<String>| refused.err().map(|refused| format!("{refused:#}")).unwrap_or_default();
        let (patched, deleted) = (told(refused_patch(node, &old)), told(refused_deletion(node, &old)));
        ensure!(patched.contains("metadata.uid: Invalid value"), "the reporter knows it by that: {patched}");
        ensure!(deleted.contains("(Conflict)"), "{deleted}");
        let pod = node.is(&anew, "/status/phase", json!("Running")).await?;
        ensure!(pod["metadata"]["uid"] == new.as_str() && pod["status"]["reason"].is_null(), "{pod}");
        Ok(())
    })
}
