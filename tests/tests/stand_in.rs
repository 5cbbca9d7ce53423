//! The stand-in for the API server that fault scenarios put before a node: it passes on, refuses, breaks and goes away
//! as it is told.

use std::time::Duration;

use anyhow::{Result, ensure};
use http::StatusCode;
use serde_json::json;
use tests::control_plane::ControlPlane;
use tests::fault::api::ApiServer;
use tests::ground::Ground;
use tests::kubectl::Kubectl;
use tests::netns::Netns;
use tests::parts;
use tests::process::Process;
use tests::wait;

const SOON: Duration = Duration::from_secs(60);
const NODE: &str = "node-1";

/// A control plane that knows a node, and the stand-in in that node's namespace.
struct Stage {
    stand_in: ApiServer,
    netns: Netns,
    plane: ControlPlane,
    ground: std::sync::Arc<Ground>,
}

impl Stage {
    /// Nothing where the scenario can't be played, after saying why.
    fn raise() -> Result<Option<Self>> {
        if let Some(reason) = parts::lacking(&["kube-apiserver"]) {
            eprintln!("skipped: {reason}");
            return Ok(None);
        }
        let ground = Ground::new()?;
        let plane = ControlPlane::start(&ground)?;
        let netns = plane.lan().join(1)?;
        let node = json!({ "apiVersion": "v1", "kind": "Node", "metadata": { "name": NODE } });
        plane.kubectl().create(&node.to_string())?;
        let stand_in = ApiServer::before(&plane, &netns, NODE)?;
        Ok(Some(Self { stand_in, netns, plane, ground }))
    }

    /// kubectl as the node, by way of the stand-in.
    fn kubectl(&self) -> Kubectl {
        Kubectl::new(&self.netns, self.stand_in.kubeconfig())
    }

    /// Waits until the node is told an error that holds `wanted`.
    fn refused(&self, arguments: &[&str], wanted: &str) -> Result<()> {
        wait::until(wanted, SOON, || match self.kubectl().run(arguments) {
            Ok(answer) => Err(anyhow::anyhow!("the answer {answer}")),
            Err(error) if error.to_string().contains(wanted) => Ok(()),
            Err(error) => Err(error),
        })
    }
}

#[test]
fn it_answers_as_the_real_one_with_the_nodes_own_rights() -> Result<()> {
    let Some(stage) = Stage::raise()? else { return Ok(()) };
    let found = stage.kubectl().get(&["node", NODE])?;
    ensure!(found["metadata"]["name"] == NODE, "the node is {found}");
    stage.refused(&["get", "secrets"], "cannot list resource")
}

#[test]
fn it_refuses_what_it_is_told_to_refuse_until_it_is_told_to_pass() -> Result<()> {
    let Some(stage) = Stage::raise()? else { return Ok(()) };
    stage.stand_in.answer(|asked| asked.path.contains("/nodes/"), StatusCode::INTERNAL_SERVER_ERROR);
    stage.refused(&["get", "--raw", "/api/v1/nodes/node-1"], "refused by a scenario")?;
    stage.kubectl().run(&["get", "--raw", "/version"])?;
    stage.stand_in.pass();
    stage.kubectl().get(&["node", NODE]).map(drop)
}

#[test]
fn it_goes_away_and_comes_back() -> Result<()> {
    let Some(stage) = Stage::raise()? else { return Ok(()) };
    stage.kubectl().get(&["node", NODE])?;
    stage.stand_in.cut();
    stage.refused(&["get", "--raw", "/version"], "refused")?;
    stage.stand_in.pass();
    wait::until("an answer", SOON, || stage.kubectl().get(&["node", NODE])).map(drop)
}

#[test]
fn it_breaks_a_watch_in_the_middle_of_an_event() -> Result<()> {
    let Some(stage) = Stage::raise()? else { return Ok(()) };
    let folder = stage.ground.folder("watch")?;
    let path = "/api/v1/nodes?watch=true&fieldSelector=metadata.name%3Dnode-1";
    let command = stage.kubectl().command(&["get", "--raw", path])?;
    let mut watch = Process::spawn("watch", &folder, command)?;
    let seen = || std::fs::read_to_string(folder.join("watch.log"));
    wait::until("the first event", SOON, || {
        let seen = seen()?;
        ensure!(seen.ends_with("}\n"), "the watch has told {seen:?}");
        Ok(())
    })?;
    stage.stand_in.break_watches();
    stage.plane.kubectl().run(&["label", "node", NODE, "changed=yes"])?;
    watch.finish(SOON)?;
    let seen = seen()?;
    ensure!(!seen.ends_with("}\n"), "the watch ended with a whole event: {seen:?}");
    Ok(())
}
