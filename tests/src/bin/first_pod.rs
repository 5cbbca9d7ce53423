//! A first look at Bulkhead: a node without a cluster, in a network namespace of its own, with one pod of several
//! containers. Prints the pod's waterfall when it is Running, and takes everything back. `deploy/try/run` calls it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use tests::containerd::Version;
use tests::ground::Ground;
use tests::kubelet::Flavour;
use tests::netns::Lan;
use tests::node::Node;
use tests::parts;
use tests::process::output;
use tests::wait;

/// How long the pod may take, on a busy machine.
const RUNNING: Duration = Duration::from_secs(60);

/// Starts a node with one pod and draws where the pod's start time went.
#[derive(Parser)]
struct Arguments {
    /// The pod's manifest
    #[arg(long, default_value = "deploy/try/greeter.yaml")]
    pod: PathBuf,
    /// Write the waterfall as a page for browsers too
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Keep the node until Ctrl-C, and say how to look around
    #[arg(long)]
    keep: bool,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let ground = Ground::new()?;
    let mut node = Node::standalone(&ground, &Lan::new(&ground)?, 1, Version::V1_6)?;
    let name = arguments.pod.file_name().context("--pod names no file")?;
    fs::copy(&arguments.pod, node.manifests().join(name))
        .with_context(|| format!("reading {}", arguments.pod.display()))?;
    node.start_kubelet_alone(Flavour::Ours)?;
    let pod = wait::until("a Running pod", RUNNING, || running(&node))?;
    ask(&node, &["pods"])?;
    println!();
    print!("{}", wait::until("the whole trace", RUNNING, || trace(&node, &pod))?);
    if let Some(page) = &arguments.html {
        ask(&node, &["trace", &pod, "--html", &page.display().to_string()])?;
    }
    if arguments.keep {
        stay(&node)?;
    }
    node.stop_kubelet()
}

/// The name of the node's pod once it is Running and Ready.
fn running(node: &Node) -> Result<String> {
    let list = output(&mut command(node, &["pods"])?)?;
    let row: Vec<&str> = list.lines().nth(1).context("there is no pod yet")?.split_whitespace().collect();
    let [_, name, ready, state, ..] = row[..] else { anyhow::bail!("a row of {} words", row.len()) };
    let (are, all) = ready.split_once('/').context("no count of ready containers")?;
    ensure!(state == "Running" && are == all, "{name} is {state}, {ready} ready");
    Ok(name.to_owned())
}

/// The pod's waterfall, once its root span has come.
fn trace(node: &Node, pod: &str) -> Result<String> {
    let drawn = output(&mut command(node, &["trace", pod])?)?;
    ensure!(drawn.contains("pod start"), "the root span has not come yet");
    Ok(drawn)
}

fn ask(node: &Node, words: &[&str]) -> Result<()> {
    let done = command(node, words)?.stdin(Stdio::null()).status()?;
    ensure!(done.success(), "bulkhead {} ended with {done}", words.join(" "));
    Ok(())
}

fn command(node: &Node, words: &[&str]) -> Result<Command> {
    let mut command = node.netns().command(parts::bulkhead()?);
    command.args(words).arg("--root-dir").arg(node.root());
    Ok(command)
}

/// Until a signal ends this process, after which the ground takes itself back.
fn stay(node: &Node) -> Result<()> {
    let enter = |path: &Path| format!("nsenter --net={} {}", node.netns().file().display(), path.display());
    println!("\nlook around   {} status --root-dir {}", enter(&parts::bulkhead()?), node.root().display());
    println!("manifests     {}", node.manifests().display());
    println!("Ctrl-C takes everything back.");
    loop {
        thread::park();
    }
}
