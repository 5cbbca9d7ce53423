//! Making a pod's cgroup and sandbox.

use super::{End, Saw, Subject, deed_span, follow_up, read};
use crate::{
    adapters::{containerd::RuntimeError, pod_files},
    core::{
        cgroup::Sizes,
        dns::Notice,
        qos::QosClass,
        resources::PodDemand,
        sandbox::{self, Sandbox},
        spec,
    },
    ports::Told,
};
use chassis::{
    error,
    telemetry::{self, Peer},
};
use futures::future::join_all;
use messages::Fault;
use proto::runtime::v1 as cri;
use std::path::Path;
use tracing::{Instrument, warn};

/// Reason of faults and events.
const FAILED: &str = "FailedCreatePodSandBox";
/// Reason of events about the cgroup.
const FAILED_CGROUP: &str = "FailedCreatePodContainer";

/// Makes the sandbox of an attempt, after stopping those of earlier ones.
pub async fn ensure(subject: Subject, attempt: u32) -> End {
    match make(&subject, attempt).await {
        Ok(()) => End::Done,
        Err(end) => {
            if let End::Failed(fault) = &end {
                let reason = if fault.reason == FAILED_CGROUP { FAILED_CGROUP } else { FAILED };
                subject.tell(Told::warning(reason, fault.message.clone()));
            }
            end
        }
    }
}

async fn make(subject: &Subject, attempt: u32) -> Result<(), End> {
    let groups =
        subject.volumes.as_ref().map(|volumes| volumes.supplemental_groups.clone()).unwrap_or_default();
    let made = sandbox::config(subject.object(), &subject.uid, attempt, &groups, &subject.node);
    let Sandbox { config, notices } = made.map_err(|bad| {
        failed(format!(
            "Failed to generate sandbox config for pod \"{}\": {bad}",
            spec::shown(subject.object())
        ))
    })?;
    tell_notices(subject, notices);
    claim(subject, &config)?;
    let handler = handler(subject).await?;
    let (cgroup, ()) = futures::join!(ensure_cgroup(subject), stop_others(subject, attempt));
    cgroup?;
    let pass = subject.turn().await?;
    let span = deed_span!(subject, Runtime, "create sandbox", bulkhead.sandbox.attempt = attempt);
    let run = telemetry::call(span, subject.world.runtime.run_sandbox(config, handler)).await;
    let id = match run {
        Ok(id) => {
            pass.keep();
            id
        }
        Err(error) if error.is_of_unknown_outcome() => {
            drop(pass);
            let span = deed_span!(subject, Runtime, "look for sandbox");
            look_for(subject, attempt, &error).instrument(span).await?
        }
        Err(error) => return Err(not_created(&error)),
    };
    read::sandbox(subject, &id).await.map(drop).map_err(|error| not_created(&error))
}

/// Our mark on the pod comes before anything that another life of ours could find of it.
fn claim(subject: &Subject, config: &cri::PodSandboxConfig) -> Result<(), End> {
    let marked = subject.world.claims.claim(&subject.uid);
    let logs = marked.and_then(|()| pod_files::make_log_folder(Path::new(&config.log_directory)));
    logs.map_err(|bad| failed(format!("Failed to create log directory for pod: {}", error::chain(&bad))))
}

async fn handler(subject: &Subject) -> Result<String, End> {
    let class = spec::of(subject.object()).runtime_class_name.clone().filter(|class| !class.is_empty());
    let Some(class) = class else { return Ok(String::new()) };
    let span = deed_span!(subject, ApiServer, "read RuntimeClass");
    let found = telemetry::call(span, subject.world.api.runtime_handler(&class)).await;
    found.map_err(|error| failed(format!("Failed to create pod sandbox: {error}")))
}

async fn ensure_cgroup(subject: &Subject) -> Result<(), End> {
    let demand = PodDemand::of(subject.object()).map_err(|bad| failed(bad.to_string()))?;
    let class = QosClass::of(&demand);
    let settings = &subject.world.settings;
    let pages = &subject.node.machine.page_sizes;
    let sizes = Sizes::of_pod(&demand, settings.cpu(), settings.pod_pids, pages);
    let cgroups = &subject.world.cgroups;
    let layout = cgroups.layout();
    let made = async {
        if layout.per_qos { cgroups.ensure(layout.pod(class, &subject.uid), sizes).await } else { Ok(()) }
    };
    match telemetry::noting((Peer::Kernel, "make cgroup"), subject.attributes(), made).await {
        Ok(()) => {
            subject.saw(Saw::Cgroup(subject.node.layout.per_qos));
            Ok(())
        }
        Err(bad) => {
            let message = format!("unable to ensure pod container exists: {}", error::chain(&bad));
            Err(End::Failed(Fault::new(FAILED_CGROUP, message)))
        }
    }
}

/// Earlier sandboxes give back their addresses and ports. One that cannot be stopped is the
/// runtime's trouble: it is tried again when the pod stops.
async fn stop_others(subject: &Subject, attempt: u32) {
    let others = subject.sandboxes.iter().filter(|sandbox| sandbox.attempt != attempt && sandbox.ready);
    let stopped = others.map(|sandbox| async {
        let span = deed_span!(subject, Runtime, "stop sandbox", bulkhead.sandbox.attempt = sandbox.attempt);
        if let Err(error) = telemetry::call(span, subject.world.runtime.stop_sandbox(&sandbox.id)).await {
            warn!(pod = %subject.uid, sandbox = sandbox.id, error = error::chain(&error), "an old sandbox stays");
        }
        if let Err(error) = read::sandbox(subject, &sandbox.id).await {
            warn!(error = error::chain(&error), "a sandbox could not be read");
        }
    });
    join_all(stopped).await;
}

/// The sandbox of an attempt whose making was not answered.
async fn look_for(subject: &Subject, attempt: u32, unanswered: &RuntimeError) -> Result<String, End> {
    let found = follow_up::look_for(subject, unanswered, || async {
        let listed = subject.world.runtime.list_sandboxes(Some(&subject.uid)).await?;
        let of_attempt = |sandbox: &cri::PodSandbox| {
            sandbox.metadata.as_ref().is_some_and(|metadata| metadata.attempt == attempt)
        };
        Ok(listed.into_iter().find(of_attempt).map(|sandbox| sandbox.id))
    });
    found.await?.ok_or_else(|| not_created(unanswered))
}

fn tell_notices(subject: &Subject, notices: Vec<Notice>) {
    for notice in notices {
        subject.tell(match notice {
            Notice::Trimmed(message) => Told::warning("DNSConfigForming", message),
            Notice::NoClusterDns(message) => Told::warning("MissingClusterDNS", message),
        });
    }
}

fn not_created(error: &RuntimeError) -> End {
    End::of_call(error, || failed(format!("Failed to create pod sandbox: {}", error.shown())))
}

fn failed(message: String) -> End {
    End::Failed(Fault::new(FAILED, message))
}
