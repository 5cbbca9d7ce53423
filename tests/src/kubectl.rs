//! kubectl, run in a network namespace with one kubeconfig file: how scenarios speak to the API server, as a user does.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::netns::Netns;
use crate::parts;
use crate::process::{finished, output};
use crate::wait;

/// A user's access to the API server.
#[derive(Clone)]
pub struct Kubectl {
    netns: Netns,
    kubeconfig: PathBuf,
}

impl Kubectl {
    /// kubectl as the user of `kubeconfig`.
    pub fn new(netns: &Netns, kubeconfig: &Path) -> Self {
        Self { netns: netns.clone(), kubeconfig: kubeconfig.to_owned() }
    }

    /// The bare command, for what must run beside the test (`logs --follow`) or be given input.
    pub fn command(&self, arguments: &[&str]) -> Result<Command> {
        let mut command = self.netns.command(parts::built("kubectl")?);
        command.arg("--kubeconfig").arg(&self.kubeconfig);
        command.arg("--cache-dir").arg(self.kubeconfig.with_extension("cache"));
        command.args(arguments);
        Ok(command)
    }

    /// Runs kubectl and returns what it printed.
    pub fn run(&self, arguments: &[&str]) -> Result<String> {
        output(&mut self.command(arguments)?)
    }

    /// Runs kubectl with `input` on its standard input.
    pub fn run_with(&self, input: &str, arguments: &[&str]) -> Result<String> {
        let mut command = self.command(arguments)?;
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().context("starting kubectl")?;
        child.stdin.take().context("kubectl has no standard input")?.write_all(input.as_bytes())?;
        let done = child.wait_with_output()?;
        finished(&command, done)
    }

    /// Makes the objects of a manifest in YAML or JSON.
    pub fn create(&self, manifest: &str) -> Result<()> {
        self.run_with(manifest, &["create", "--filename", "-"]).map(drop)
    }

    /// What the API server holds: `get` with these arguments, as JSON.
    pub fn get(&self, arguments: &[&str]) -> Result<Value> {
        let text = self.run(&[&["get", "--output", "json"], arguments].concat())?;
        serde_json::from_str(&text).context("kubectl printed no JSON")
    }

    /// Waits until the field at `pointer` (RFC 6901) of the object is `wanted`; returns the whole object.
    pub fn wait_for(
        &self,
        object: &[&str],
        pointer: &str,
        wanted: &Value,
        patience: Duration,
    ) -> Result<Value> {
        wait::until(&format!("{pointer} = {wanted} of {}", object.join(" ")), patience, || {
            let found = self.get(object)?;
            let status = || found.pointer("/status").unwrap_or(&Value::Null);
            ensure!(found.pointer(pointer) == Some(wanted), "the status {}", status());
            Ok(found)
        })
    }

    /// Waits until the object's condition `kind` has the status "True"; returns the whole object.
    pub fn wait_condition(&self, object: &[&str], kind: &str, patience: Duration) -> Result<Value> {
        wait::until(&format!("{kind} of {}", object.join(" ")), patience, || {
            let found = self.get(object)?;
            let conditions = found.pointer("/status/conditions").and_then(Value::as_array);
            let holds = |each: &Value| each["type"] == kind && each["status"] == "True";
            ensure!(conditions.is_some_and(|all| all.iter().any(holds)), "the status {}", found["status"]);
            Ok(found)
        })
    }
}
