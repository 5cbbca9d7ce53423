//! What the node stands on is away, silent or says no: the API server, the runtime, the bus. Pods do not notice, nothing
//! is lost, and the node is itself again soon after.
//!
//! Outages are as short as they can be to mean something; `OUTAGES=long` makes them as long as the promise is.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use http::StatusCode;
use nix::sys::signal::Signal;
use tests::control_plane::ControlPlane;
use tests::fault::api::ApiServer;
use tests::fault::wire::Wire;
use tests::kubelet::Flavour;
use tests::namespace::Namespace;
use tests::node::Node;
use tests::scene;
use tests::wait;
use tests::ward::Ward;

const SOON: Duration = Duration::from_secs(60);
/// How long the node may take after an outage of the API server, beyond what work usually takes: it backs off.
const AFTER_API_SERVER: Duration = Duration::from_secs(10);
/// The same after an outage of the bus or the runtime.
const AFTER_OTHERS: Duration = Duration::from_secs(2);

/// How long an outage lasts.
fn outage(seconds: u64, long: u64) -> Duration {
    let is_long = std::env::var("OUTAGES").is_ok_and(|how| how == "long");
    Duration::from_secs(if is_long { long } else { seconds })
}

fn stand_in(plane: &ControlPlane, node: &mut Node) -> Result<ApiServer> {
    let stand_in = ApiServer::before(plane, node.netns(), node.name())?;
    node.reach_api_server_by(stand_in.kubeconfig());
    Ok(stand_in)
}

fn wire(_: &ControlPlane, node: &mut Node) -> Result<Wire> {
    let socket = node.containerd().socket();
    let near = socket.with_file_name("wire.sock");
    node.reach_runtime_by(&near)?;
    Ok(Wire::unix(near, socket))
}

/// What a scenario wants of the API server that is not to be had for a while.
fn without_the_api_server(time: Duration, fault: impl Fn(&ApiServer)) -> Result<()> {
    Ward::play_behind(&scene::selected()?, stand_in, |ward| {
        fault(&ward.between);
        ward.vigil.ask()?;
        ward.vigil.hold(time)?;
        ward.between.pass();
        ward.caught_up(AFTER_API_SERVER)?;
        ward.undisturbed()
    })
}

#[test]
fn nobody_notices_that_the_api_server_is_killed_and_comes_back_after_minutes() -> Result<()> {
    Ward::play(&scene::selected()?, |ward| {
        ward.plane.go_away()?;
        ward.vigil.hold(outage(60, 300))?;
        ward.plane.come_back()?;
        ward.vigil.ask()?;
        ward.caught_up(AFTER_API_SERVER)?;
        ward.undisturbed()
    })
}

// A node that the API server does not hear of for longer than 40 s is given up by the control plane, whatever the node
// does. So the outages between the two end before that.

#[test]
fn nobody_notices_that_the_api_server_refuses_connections() -> Result<()> {
    without_the_api_server(outage(20, 35), ApiServer::cut)
}

#[test]
fn nobody_notices_that_the_api_server_answers_nothing() -> Result<()> {
    without_the_api_server(outage(20, 35), ApiServer::stall)
}

#[test]
fn nobody_notices_that_the_api_server_has_too_many_requests() -> Result<()> {
    without_the_api_server(outage(20, 35), |server| server.answer(|_| true, StatusCode::TOO_MANY_REQUESTS))
}

#[test]
fn nobody_notices_that_the_api_server_has_an_internal_error() -> Result<()> {
    without_the_api_server(outage(20, 35), |server| {
        server.answer(|_| true, StatusCode::INTERNAL_SERVER_ERROR)
    })
}

#[test]
fn nobody_notices_that_watches_break_in_the_middle_of_an_event() -> Result<()> {
    without_the_api_server(outage(10, 35), ApiServer::break_watches)
}

/// A fresh binding reaches the authorizer's graph late, and until then the node may not read what its pod needs.
#[test]
fn a_pod_does_not_show_that_the_authorizer_is_slow() -> Result<()> {
    Ward::play_behind(&scene::selected()?, stand_in, |ward| {
        let home = Namespace::new(ward.plane.kubectl(), "ward");
        home.kubectl(&["create", "configmap", "settings", "--from-literal=colour=blue"])?;
        ward.between.answer(|asked| asked.path.contains("/configmaps/settings"), StatusCode::FORBIDDEN);
        ward.between
            .answer(|asked| asked.path.ends_with("/configmaps") && asked.watch, StatusCode::FORBIDDEN);
        home.run(
            "reader",
            r#"
            nodeName: node-1
            containers:
            - name: app
              command: [sleep, "3600"]
              volumeMounts: [{ name: settings, mountPath: /settings }]
            volumes: [{ name: settings, configMap: { name: settings } }]
            "#,
        )?;
        ward.vigil.hold(Duration::from_secs(1))?;
        ward.between.pass();
        home.ready("reader")?;
        let events = home.events("reader")?;
        match events.iter().find(|event| event["type"] == "Warning") {
            Some(event) => bail!("a user is told {}: {}", event["reason"], event["message"]),
            None => Ok(()),
        }
    })
}

/// What was done to the runtime meanwhile.
fn without_the_runtime(fault: impl Fn(&Wire)) -> Result<()> {
    Ward::play_behind(&scene::selected()?, wire, |ward| {
        fault(&ward.between);
        ward.vigil.ask()?;
        ward.vigil.hold(outage(10, 15))?;
        ward.between.pass();
        ward.caught_up(AFTER_OTHERS)?;
        ward.undisturbed()
    })
}

#[test]
fn nobody_notices_that_the_runtime_refuses_connections() -> Result<()> {
    without_the_runtime(Wire::cut)
}

#[test]
fn nobody_notices_that_the_runtime_answers_nothing() -> Result<()> {
    without_the_runtime(Wire::stall)
}

/// The runtime tells of a death once; who does not hear it then has to find out.
#[test]
fn a_death_that_nobody_heard_of_is_found_out() -> Result<()> {
    Ward::play_behind(&scene::selected()?, wire, |ward| {
        let home = Namespace::new(ward.plane.kubectl(), "ward");
        home.run("mortal", r#"{ nodeName: node-1, containers: [{ name: app, command: [sleep, "3600"] }] }"#)?;
        home.ready("mortal")?;
        ward.between.cut();
        let id = ward.node.runtime().running_of("mortal", "app")?.concat();
        ward.node.runtime().ctr(&["tasks", "kill", "--signal", "SIGKILL", &id])?;
        wait::until("the end of the container", SOON, || {
            ensure!(!ward.node.runtime().running()?.contains(&id), "it is still running");
            Ok(())
        })?;
        ward.between.pass();
        home.wait_for("mortal", "/status/containerStatuses/0/restartCount", 1)?;
        home.ready("mortal")?;
        ward.undisturbed()
    })
}

#[test]
fn nobody_notices_that_the_bus_stands_still() -> Result<()> {
    Ward::play(&[Flavour::Ours], |ward| {
        let bus = ward.node.process("nats-server")?;
        bus.signal(Signal::SIGSTOP)?;
        ward.vigil.ask()?;
        ward.vigil.hold(outage(15, 20))?;
        ensure!(bus.is_alive(), "the bus was replaced meanwhile");
        bus.signal(Signal::SIGCONT)?;
        ward.caught_up(AFTER_OTHERS)?;
        ward.undisturbed()
    })
}

/// Which of the node's processes, when they are not heard from for longer than 20 s, make the node NotReady; the pods
/// stay ready all the same.
#[test]
fn a_node_that_is_not_itself_for_long_says_so_and_its_pods_stay_ready() -> Result<()> {
    Ward::play(&[Flavour::Ours], |ward| {
        let bridge = ward.node.process("cri-bridge")?;
        bridge.signal(Signal::SIGSTOP)?;
        let kubectl = ward.plane.kubectl();
        let told = wait::until("a node that is not ready", SOON, || {
            let node = kubectl.get(&["node", "node-1"])?;
            let conditions = node["status"]["conditions"].as_array().cloned().unwrap_or_default();
            let ready = conditions.into_iter().find(|each| each["type"] == "Ready").context("no Ready")?;
            ensure!(ready["status"] == "False", "the node is {ready}");
            Ok(ready["message"].to_string())
        })?;
        ensure!(told.contains("cri-bridge"), "the node says {told}");
        bridge.signal(Signal::SIGCONT)?;
        kubectl.wait_condition(&["node", "node-1"], "Ready", SOON)?;
        let home = Namespace::new(kubectl, "ward");
        home.ready("served")?;
        home.ready("slow-to-start").map(drop)
    })
}
