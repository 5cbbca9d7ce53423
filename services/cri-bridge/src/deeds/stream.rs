//! Commands in containers and streams to them: exec probes, exec, port forwarding.

use super::Subject;
use crate::{
    adapters::containerd::RuntimeError,
    core::{container::static_command, spec},
};
use k8s_openapi::api::core::v1 as core;
use messages::{
    ContainerName, Refusal,
    cri_bridge::{ContainerState, ExecProbe, ExecProbeReply, OpenStreamReply, StreamKind},
    prober::ProbeKind,
};
use proto::runtime::v1 as cri;
use std::time::Duration;

/// The most output of a probe that is looked at, in bytes.
const OUTPUT: usize = 10 * 1024;

/// Runs an exec probe once, with the command of our own copy of the spec.
pub async fn probe(subject: Subject, ask: ExecProbe) -> ExecProbeReply {
    let refuse = |what: &str| ExecProbeReply::Refused { refusal: Refusal::Unknown { what: what.to_owned() } };
    let Some(found) = spec::container(subject.object(), ask.container.as_str()) else {
        return refuse("the container");
    };
    if !subject.containers.iter().any(|it| it.id == ask.container_id && it.name == ask.container) {
        return refuse("the instance");
    }
    let probe = probe_of(&found.container, ask.probe);
    let Some((probe, exec)) = probe.and_then(|probe| Some((probe, probe.exec.as_ref()?))) else {
        return refuse("an exec probe");
    };
    let command = static_command(&found.container, exec.command.as_deref().unwrap_or_default());
    let seconds = probe.timeout_seconds.and_then(|seconds| u64::try_from(seconds).ok()).unwrap_or(1).max(1);
    let limit = Some(Duration::from_secs(seconds));
    match subject.world.runtime.exec_sync(&ask.container_id, command, limit).await {
        Ok(answer) => {
            let output: Vec<u8> = answer.stdout.into_iter().chain(answer.stderr).take(OUTPUT).collect();
            ExecProbeReply::Exited {
                code: answer.exit_code,
                output: String::from_utf8_lossy(&output).into_owned(),
            }
        }
        Err(error) if error.is_exec_timeout() => ExecProbeReply::TimedOut { output: error.message() },
        Err(error) => ExecProbeReply::Errored { why: error.shown() },
    }
}

fn probe_of(container: &core::Container, kind: ProbeKind) -> Option<&core::Probe> {
    match kind {
        ProbeKind::Startup => container.startup_probe.as_ref(),
        ProbeKind::Liveness => container.liveness_probe.as_ref(),
        ProbeKind::Readiness => container.readiness_probe.as_ref(),
    }
}

/// Has the runtime prepare a stream.
pub async fn open(subject: Subject, stream: StreamKind) -> OpenStreamReply {
    let opened = match stream {
        StreamKind::Exec { container, command, tty, stdin, stdout, stderr } => {
            let Some(container_id) = running(&subject, &container) else {
                return OpenStreamReply::Failed { why: format!("container not found (\"{container}\")") };
            };
            // With a terminal there is one output stream.
            let stderr = stderr && !tty;
            let request = cri::ExecRequest { container_id, cmd: command, tty, stdin, stdout, stderr };
            subject.world.runtime.exec(request).await.map(|answer| answer.url)
        }
        StreamKind::Attach { container, tty, stdin, stdout, stderr } => {
            let Some(container_id) = running(&subject, &container) else {
                return OpenStreamReply::Failed { why: format!("container not found (\"{container}\")") };
            };
            let stderr = stderr && !tty;
            let request = cri::AttachRequest { container_id, stdin, tty, stdout, stderr };
            subject.world.runtime.attach(request).await.map(|answer| answer.url)
        }
        StreamKind::PortForward { ports } => {
            let Some(sandbox) = subject.active_sandbox() else {
                return OpenStreamReply::Failed { why: "failed to find sandboxID for pod".to_owned() };
            };
            let port = ports.into_iter().map(i32::from).collect();
            let request = cri::PortForwardRequest { pod_sandbox_id: sandbox.id.clone(), port };
            subject.world.runtime.port_forward(request).await.map(|answer| answer.url)
        }
    };
    match opened {
        Ok(url) => OpenStreamReply::Opened { url },
        Err(error) => OpenStreamReply::Failed { why: shown(&error) },
    }
}

fn shown(error: &RuntimeError) -> String {
    error.shown()
}

/// The running instance of a container.
fn running(subject: &Subject, container: &ContainerName) -> Option<String> {
    let is_it = |state| state == ContainerState::Running;
    subject.containers.iter().find(|it| it.name == *container && is_it(it.state)).map(|it| it.id.clone())
}
