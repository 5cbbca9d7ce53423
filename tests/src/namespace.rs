//! A Kubernetes namespace of one scenario, and what a user does in it: run pods, wait for what becomes of them, read
//! logs, run commands. Deleted with all that is in it when dropped.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::containerd::BUSYBOX;
use crate::kubectl::Kubectl;
use crate::wait;

/// How long anything that is not told to take long may take, on a busy machine.
pub const SOON: Duration = Duration::from_secs(60);

/// A namespace.
pub struct Namespace {
    kubectl: Kubectl,
    name: String,
    patience: Duration,
}

impl Namespace {
    /// The namespace called `name`, which is there.
    pub fn new(kubectl: Kubectl, name: &str) -> Self {
        Self { kubectl, name: name.to_owned(), patience: SOON }
    }

    /// The same, waiting for as long as a slower node may take.
    pub fn with_patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What kubectl is told so that it acts in this namespace.
    pub fn arguments<'a>(&'a self, rest: &[&'a str]) -> Vec<&'a str> {
        [&["--namespace", self.name()], rest].concat()
    }

    /// Runs kubectl in this namespace and returns what it printed.
    pub fn kubectl(&self, arguments: &[&str]) -> Result<String> {
        self.kubectl.run(&self.arguments(arguments))
    }

    /// The bare command, for what must run beside the test or be given input.
    pub fn command(&self, arguments: &[&str]) -> Result<Command> {
        self.kubectl.command(&self.arguments(arguments))
    }

    /// Makes an object of a manifest in YAML.
    pub fn create(&self, manifest: &str) -> Result<()> {
        self.kubectl.run_with(manifest, &self.arguments(&["create", "--filename", "-"])).map(drop)
    }

    /// Makes a pod of a `spec` in YAML. What it leaves out of a test's point is filled in: containers run [`BUSYBOX`],
    /// and end a second after they were asked to.
    pub fn run(&self, pod: &str, spec: &str) -> Result<()> {
        self.run_as(json!({ "name": pod }), spec)
    }

    /// As [`Namespace::run`], with `metadata` of the test's choice.
    pub fn run_as(&self, metadata: Value, spec: &str) -> Result<()> {
        let spec = filled_in(spec)?;
        let pod = json!({ "apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec });
        self.create(&pod.to_string())
    }

    /// The pod as the API server holds it.
    pub fn pod(&self, pod: &str) -> Result<Value> {
        self.kubectl.get(&self.arguments(&["pod", pod]))
    }

    /// Looks at the pod until `look` finds something.
    pub fn until<T>(&self, pod: &str, what: &str, look: impl Fn(&Value) -> Result<T>) -> Result<T> {
        wait::until(&format!("{what} of pod {pod}"), self.patience, || {
            let found = self.pod(pod)?;
            look(&found).with_context(|| format!("the status {}", found["status"]))
        })
    }

    /// Waits until the pod is Ready.
    pub fn ready(&self, pod: &str) -> Result<Value> {
        self.kubectl.wait_condition(&self.arguments(&["pod", pod]), "Ready", self.patience)
    }

    /// Waits until the field at `pointer` (RFC 6901) of the pod is `wanted`.
    pub fn wait_for(&self, pod: &str, pointer: &str, wanted: impl Into<Value>) -> Result<Value> {
        self.kubectl.wait_for(&self.arguments(&["pod", pod]), pointer, &wanted.into(), self.patience)
    }

    /// Waits until the pod is in `phase`.
    pub fn phase(&self, pod: &str, phase: &str) -> Result<Value> {
        self.wait_for(pod, "/status/phase", phase)
    }

    /// Waits until the pod's only container waits for `reason`, and returns its `state.waiting`.
    pub fn waiting(&self, pod: &str, reason: &str) -> Result<Value> {
        let pointer = "/status/containerStatuses/0/state/waiting";
        let found = self.wait_for(pod, &format!("{pointer}/reason"), reason)?;
        Ok(found.pointer(pointer).cloned().unwrap_or_default())
    }

    /// Waits until the pod is gone from the API.
    pub fn gone(&self, pod: &str) -> Result<()> {
        wait::until(&format!("pod {pod} being gone"), self.patience, || {
            let found = self.kubectl(&["get", "pod", pod, "--ignore-not-found", "--output", "json"])?;
            ensure!(found.is_empty(), "there is still {found}");
            Ok(())
        })
    }

    /// What a container has written, by `kubectl logs` with these arguments.
    pub fn logs(&self, arguments: &[&str]) -> Result<String> {
        self.kubectl(&[&["logs"], arguments].concat())
    }

    /// Runs a command in a container of the pod and returns what it printed.
    pub fn exec(&self, pod: &str, container: &str, command: &[&str]) -> Result<String> {
        self.kubectl(&[&["exec", pod, "--container", container, "--"], command].concat())
    }

    /// Runs a line of shell in a container of the pod and returns what it printed.
    pub fn shell(&self, pod: &str, container: &str, line: &str) -> Result<String> {
        self.exec(pod, container, &["sh", "-c", line])
    }

    /// The events about the pod, oldest first.
    pub fn events(&self, pod: &str) -> Result<Vec<Value>> {
        let about = format!("involvedObject.name={pod}");
        let arguments = ["events", "--field-selector", &about, "--sort-by=.metadata.creationTimestamp"];
        let mut list = self.kubectl.get(&self.arguments(&arguments))?;
        serde_json::from_value(list["items"].take()).context("events are no list")
    }

    /// Waits for an event about the pod with this reason, and returns the newest.
    pub fn event(&self, pod: &str, reason: &str) -> Result<Value> {
        wait::until(&format!("the event {reason} about pod {pod}"), self.patience, || {
            let events = self.events(pod)?;
            let found = events.iter().rev().find(|event| event["reason"] == reason).cloned();
            found.with_context(|| {
                let told: Vec<_> = events.iter().map(|event| &event["reason"]).collect();
                format!("the events are {told:?}")
            })
        })
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // What is left goes with the ground; a failure here would hide the scenario's own.
        let _ = self.kubectl.run(&["delete", "namespace", &self.name, "--wait=false"]);
    }
}

fn filled_in(spec: &str) -> Result<Value> {
    let mut spec: Value = serde_yaml_ng::from_str(spec).context("the scenario's spec is no YAML")?;
    if spec["terminationGracePeriodSeconds"].is_null() {
        spec["terminationGracePeriodSeconds"] = json!(1);
    }
    for kind in ["initContainers", "containers"] {
        for container in spec[kind].as_array_mut().into_iter().flatten() {
            if container["image"].is_null() {
                container["image"] = json!(BUSYBOX);
            }
        }
    }
    Ok(spec)
}
