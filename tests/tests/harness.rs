//! The harness itself: parts come up, come back after a kill, and go when the test goes.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use tests::containerd::{self, Containerd};
use tests::control_plane::ControlPlane;
use tests::ground::Ground;
use tests::nats::{self, Nats};
use tests::netns::{self, Lan};
use tests::parts;
use tests::registry::{self, Registry};
use tests::wait;

const SOON: Duration = Duration::from_secs(60);

/// Says so when the scenario can't be played here.
fn skipped() -> bool {
    let reason = parts::lacking(&["kube-apiserver", "containerd", "nats-server"]);
    if let Some(reason) = &reason {
        eprintln!("skipped: {reason}");
    }
    reason.is_some()
}

fn on_a_lan(version: containerd::Version) -> Result<(Arc<Ground>, Lan, Containerd)> {
    let ground = Ground::new()?;
    let lan = Lan::new(&ground)?;
    let netns = lan.join(1)?;
    let containerd = Containerd::start(&ground, "node-1", &netns, version, &netns::pod_network(1))?;
    Ok((ground, lan, containerd))
}

#[test]
fn a_test_that_is_killed_leaves_nothing_behind() -> Result<()> {
    if skipped() {
        return Ok(());
    }
    let mut playground = Command::new(env!("CARGO_BIN_EXE_playground")).stdout(Stdio::piped()).spawn()?;
    let name = format!("{}-1", playground.id());
    let told = BufReader::new(playground.stdout.take().context("no output")?);
    let socket = told.lines().find(|line| line.as_ref().is_ok_and(|line| line.starts_with("CRI socket")));
    ensure!(socket.is_some(), "the playground ended early");
    ensure!(!Ground::remains(&name)?.is_empty(), "there is nothing to leave behind");
    playground.kill()?;
    playground.wait()?;
    wait::until("nothing left of the playground", SOON, || {
        let remains = Ground::remains(&name)?;
        ensure!(remains.is_empty(), "{remains}");
        Ok(())
    })
}

#[test]
fn containerd_comes_back_after_a_kill_with_its_images() -> Result<()> {
    if skipped() {
        return Ok(());
    }
    for version in [containerd::Version::V1_6, containerd::Version::V2_4] {
        let (_ground, _lan, mut containerd) = on_a_lan(version)?;
        containerd.restart()?;
        let images = containerd.ctr(&["images", "list", "--quiet"])?;
        ensure!(images.contains(containerd::PAUSE), "{version:?} has the images {images}");
    }
    Ok(())
}

#[test]
fn an_image_of_the_registry_has_to_be_pulled() -> Result<()> {
    if skipped() {
        return Ok(());
    }
    for version in [containerd::Version::V1_6, containerd::Version::V2_4] {
        let (ground, lan, containerd) = on_a_lan(version)?;
        let _registry = Registry::start(&ground, &lan)?;
        Registry::mirror(&containerd)?;
        Registry::push(&containerd, containerd::BUSYBOX, "hello:1")?;
        let image = format!("{}/hello:1", registry::HOST);
        let known = || containerd.ctr(&["images", "list", "--quiet"]);
        ensure!(!known()?.contains(&image), "{version:?} has the image without a pull");
        let hosts = containerd.registries();
        let hosts = hosts.to_str().context("not UTF-8")?;
        containerd.ctr(&["images", "pull", "--hosts-dir", hosts, &image])?;
        ensure!(known()?.contains(&image), "{version:?} has no image after the pull");
    }
    Ok(())
}

#[test]
fn the_bus_comes_back_after_a_kill() -> Result<()> {
    if skipped() {
        return Ok(());
    }
    for version in [nats::Version::V2_9, nats::Version::V2_15] {
        let ground = Ground::new()?;
        let lan = Lan::new(&ground)?;
        let mut nats = Nats::start(&ground, "bus", lan.hub(), version)?;
        nats.restart()?;
    }
    Ok(())
}

#[test]
fn the_api_server_comes_back_after_a_kill_with_its_objects() -> Result<()> {
    if skipped() {
        return Ok(());
    }
    let ground = Ground::new()?;
    let mut plane = ControlPlane::start(&ground)?;
    plane.namespace("kept")?;
    plane.restart_api_server()?;
    let found = plane.kubectl().get(&["namespace", "kept"])?;
    ensure!(found["status"]["phase"] == "Active", "the namespace is {}", found["status"]);
    Ok(())
}

#[test]
fn a_program_that_ends_early_is_told_with_its_log() -> Result<()> {
    if skipped() {
        return Ok(());
    }
    let ground = Ground::new()?;
    let mut command = ground.command("sh");
    command.args(["-c", "echo the disk is full; exit 3"]);
    let mut process = tests::process::Process::spawn("etcd", &ground.folder("logs")?, command)?;
    let Err(error) = process.wait_ready(SOON, || bail!("not yet")) else { bail!("it was said to be ready") };
    let told = error.to_string();
    ensure!(told.contains("etcd ended with exit status: 3"), "{told}");
    ensure!(told.contains("the disk is full"), "{told}");
    Ok(())
}
