//! `bulkhead run <service>`: one service as this process.

use crate::{
    cli::Run,
    settings,
    supervisor::{FORBIDDEN, MUST_NOT_RUN},
};
use chassis::{Failure, Options};
use messages::Owner;
use std::process::ExitCode;

/// Runs a service until it is told to leave. What went wrong is in the log already.
pub(crate) fn run(asked: &Run) -> ExitCode {
    let root_dir = settings::root_dir(Some(&asked.node.root_dir));
    match service(asked.service, Options { root_dir, supervised: asked.supervised }) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure @ Failure::Config(_)) => {
            // The log begins with the settings, so that nobody has said it yet.
            eprintln!("{}: {}", asked.service, chassis::error::chain(&failure));
            ExitCode::FAILURE
        }
        Err(Failure::Forbidden { .. }) => FORBIDDEN.into(),
        Err(Failure::Service { source, .. }) if is_final(&*source) => MUST_NOT_RUN.into(),
        Err(_) => ExitCode::FAILURE,
    }
}

fn service(owner: Owner, options: Options) -> Result<(), Failure> {
    match owner {
        Owner::ApiGate => chassis::run(owner, options, api_gate::run),
        Owner::CriBridge => chassis::run(owner, options, cri_bridge::run),
        Owner::NodeApi => chassis::run(owner, options, node_api::run),
        Owner::PodLifecycle => chassis::run(owner, options, pod_lifecycle::run),
        Owner::Prober => chassis::run(owner, options, prober::run),
        Owner::ProxyProgrammer => chassis::run(owner, options, proxy_programmer::run),
        Owner::StatusReporter => chassis::run(owner, options, status_reporter::run),
        Owner::TraceRecorder => chassis::run(owner, options, trace_recorder::run),
        Owner::VolumeMounter => chassis::run(owner, options, volume_mounter::run),
        // Never asked for: the command line names services only.
        Owner::Bulkhead => Ok(()),
    }
}

/// Whether a failure concerns the whole node, and another life would meet it again.
fn is_final(failure: &(dyn std::error::Error + 'static)) -> bool {
    matches!(failure.downcast_ref(), Some(cri_bridge::Error::OthersPods { .. }))
}
