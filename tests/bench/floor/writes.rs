//! What a node writes to the API server while its pods come and go, written by a client of its own beside the calls to
//! the runtime: a token, three events and a status for a start, a last status and the deletion for an end.

use std::cell::RefCell;

use anyhow::{Context, Result};
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{Event, Node, Pod, ServiceAccount};
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::json;
use tests::containerd::PAUSE;
use tests::netns;
use tokio::task::JoinHandle;

use crate::floor::furniture::Room;
use crate::stage::NAMESPACE;

/// The writer.
pub(crate) struct Writes {
    client: Client,
    under_way: RefCell<Vec<JoinHandle<Result<()>>>>,
}

impl Writes {
    /// Registers the node, without which the pods would be collected as orphans.
    pub(crate) async fn new(client: Client, node: &str) -> Result<Self> {
        let object: Node = serde_json::from_value(json!({ "metadata": { "name": node } }))?;
        Api::all(client.clone())
            .create(&PostParams::default(), &object)
            .await
            .context("registering the node")?;
        Ok(Self { client, under_way: RefCell::default() })
    }

    /// Before the sandbox: the token of the pod's volume.
    pub(crate) fn before(&self) {
        let accounts: Api<ServiceAccount> = Api::namespaced(self.client.clone(), NAMESPACE);
        self.begin(async move {
            let request = TokenRequest { spec: Some(TokenRequestSpec::default()), ..TokenRequest::default() };
            accounts.create_token_request("default", &PostParams::default(), &request).await?;
            Ok(())
        });
    }

    /// After the start: what was done, and that it runs.
    pub(crate) fn started(&self, room: &Room) {
        let (events, pods) = (self.events(), self.pods());
        let (name, node_ip) = (room.name.clone(), netns::node_address(1));
        self.begin(async move {
            for reason in ["Pulled", "Created", "Started"] {
                events.create(&PostParams::default(), &event(&name, reason)?).await?;
            }
            let status = running(&node_ip);
            pods.patch_status(&name, &PatchParams::default(), &Patch::Strategic(status)).await?;
            Ok(())
        });
    }

    /// After the end: a last status, and the object's deletion.
    pub(crate) fn stopped(&self, room: &Room) {
        let (events, pods, name) = (self.events(), self.pods(), room.name.clone());
        self.begin(async move {
            events.create(&PostParams::default(), &event(&name, "Killing")?).await?;
            let status = json!({ "status": { "phase": "Succeeded" } });
            pods.patch_status(&name, &PatchParams::default(), &Patch::Strategic(status)).await?;
            pods.delete(&name, &DeleteParams::default().grace_period(0)).await?;
            Ok(())
        });
    }

    /// Waits until all that was begun is written; fails when any of it did.
    pub(crate) async fn settled(&self) -> Result<()> {
        let under_way = self.under_way.take();
        for write in under_way {
            write.await.context("a write was lost")?.context("writing as a node does")?;
        }
        Ok(())
    }

    fn begin(&self, write: impl Future<Output = Result<()>> + Send + 'static) {
        self.under_way.borrow_mut().push(tokio::spawn(write));
    }

    fn pods(&self) -> Api<Pod> {
        Api::namespaced(self.client.clone(), NAMESPACE)
    }

    fn events(&self) -> Api<Event> {
        Api::namespaced(self.client.clone(), NAMESPACE)
    }
}

fn event(pod: &str, reason: &str) -> Result<Event> {
    Ok(serde_json::from_value(json!({
        "metadata": { "generateName": format!("{pod}."), "namespace": NAMESPACE },
        "involvedObject": {
            "apiVersion": "v1", "kind": "Pod", "name": pod, "namespace": NAMESPACE,
            "fieldPath": "spec.containers{pause}",
        },
        "reason": reason,
        "message": format!("{reason}: container pause"),
        "type": "Normal",
        "source": { "component": "kubelet", "host": "node-1" },
        "count": 1,
    }))?)
}

/// The status of a running pod, as large as a real one.
fn running(node_ip: &str) -> serde_json::Value {
    let kinds = ["PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled"];
    let now = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let conditions: Vec<_> = kinds
        .iter()
        .map(|kind| json!({ "type": kind, "status": "True", "lastTransitionTime": now }))
        .collect();
    json!({ "status": {
        "phase": "Running", "hostIP": node_ip, "startTime": now, "qosClass": "BestEffort",
        "conditions": conditions,
        "containerStatuses": [{
            "name": "pause", "image": PAUSE, "imageID": PAUSE, "containerID": "containerd://0123456789abcdef",
            "ready": true, "started": true, "restartCount": 0, "state": { "running": { "startedAt": now } },
        }],
    } })
}
