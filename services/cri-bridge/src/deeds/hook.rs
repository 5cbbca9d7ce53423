//! Running a lifecycle hook.

use super::Subject;
use crate::{
    adapters::hook_server::{self, Carried},
    core::{
        hook::{Hook, Request},
        node, spec,
    },
    ports::Told,
};
use chassis::{error, telemetry};
use k8s_openapi::api::core::v1 as core;
use tokio::time::sleep;
use tracing::{Instrument, Span, debug};

/// Whose hook it is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Target<'t> {
    /// CRI id of the instance.
    pub(super) id: &'t str,
    /// The container.
    pub(super) container: &'t str,
    /// Its ports.
    pub(super) ports: Option<&'t [core::ContainerPort]>,
}

/// Runs a hook to its end, within its span. What it said may hold a secret, and stays out of the trace.
///
/// # Errors
/// With the kubelet's sentence about what went wrong.
pub(super) async fn run(
    subject: &Subject,
    target: Target<'_>,
    handler: &core::LifecycleHandler,
    span: &Span,
) -> Result<(), String> {
    let ran = carry_out(subject, target, handler).instrument(span.clone()).await;
    if ran.is_err() {
        telemetry::fail(span, "the hook failed");
    }
    ran
}

async fn carry_out(
    subject: &Subject,
    target: Target<'_>,
    handler: &core::LifecycleHandler,
) -> Result<(), String> {
    let of_sandbox = subject.active_sandbox().map(|sandbox| sandbox.ips.as_slice()).unwrap_or_default();
    let host_network = spec::has_host_network(subject.object());
    let ip = node::pod_ips(of_sandbox, host_network, &subject.node.ips).first().copied();
    match Hook::of(handler, target.ports.unwrap_or_default(), ip) {
        Ok(Hook::Exec(command)) => exec(subject, target, command).await,
        Ok(Hook::Sleep(length)) => {
            sleep(length).await;
            Ok(())
        }
        Ok(Hook::Http(request)) => http(subject, target, &request).await,
        Err(bad) => Err(format!("Cannot run handler: {bad}")),
    }
}

async fn exec(subject: &Subject, target: Target<'_>, command: Vec<String>) -> Result<(), String> {
    let shown = format!("[{}]", command.join(" "));
    let pod = shown_pod(subject);
    let ran = subject.world.runtime.exec_sync(target.id, command, None).await;
    let (error, output) = match ran {
        Ok(answer) if answer.exit_code == 0 => return Ok(()),
        Ok(answer) => {
            let (out, err) =
                (String::from_utf8_lossy(&answer.stdout), String::from_utf8_lossy(&answer.stderr));
            let command = shown.trim_matches(['[', ']']);
            (format!("command '{command}' exited with {}: {err}", answer.exit_code), format!("{out}{err}"))
        }
        Err(error) => (error.shown(), String::new()),
    };
    let container = target.container;
    Err(format!(
        "Exec lifecycle hook ({shown}) for Container {container:?} in Pod {pod:?} failed - error: {error}, message: {output:?}"
    ))
}

async fn http(subject: &Subject, target: Target<'_>, request: &Request) -> Result<(), String> {
    match hook_server::send(request).await {
        Ok(Carried::AsAsked) => Ok(()),
        Ok(Carried::InPlain) => {
            let host = format!("{}:{}", request.host, request.port);
            let message = format!(
                "request to HTTPS lifecycle hook {host} got HTTP response, retry with HTTP succeeded"
            );
            subject.tell(Told::warning("LifecycleHTTPFallback", message));
            Ok(())
        }
        Err(bad) => {
            debug!(error = error::chain(&bad), "a hook's request failed");
            Err(format!(
                "HTTP lifecycle hook ({}) for Container {:?} in Pod {:?} failed - error: {}",
                request.target,
                target.container,
                shown_pod(subject),
                error::chain(&bad)
            ))
        }
    }
}

fn shown_pod(subject: &Subject) -> String {
    format!("{}_{}({})", subject.name, subject.namespace, subject.uid)
}
