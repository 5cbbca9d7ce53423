//! `bulkhead run <service>`: one service as this process.

use crate::{cli::Run, settings, supervisor::FORBIDDEN};
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
        Err(Failure::Forbidden { .. }) => ExitCode::from(FORBIDDEN),
        Err(_) => ExitCode::FAILURE,
    }
}

fn service(owner: Owner, options: Options) -> Result<(), Failure> {
    match owner {
        Owner::ApiGate => chassis::run(owner, options, api_gate::run),
        Owner::NodeApi => chassis::run(owner, options, node_api::run),
        Owner::Prober => chassis::run(owner, options, prober::run),
        Owner::ProxyProgrammer => chassis::run(owner, options, proxy_programmer::run),
        Owner::StatusReporter => chassis::run(owner, options, status_reporter::run),
        Owner::TraceRecorder => chassis::run(owner, options, trace_recorder::run),
        Owner::VolumeMounter => chassis::run(owner, options, volume_mounter::run),
        Owner::CriBridge | Owner::PodLifecycle => {
            chassis::run(owner, options, move |_| std::future::ready(Err(NotPart(owner))))
        }
        // Never asked for: the command line names services only.
        Owner::Bulkhead => Ok(()),
    }
}

/// The service is not part of this build yet.
#[derive(Debug, thiserror::Error)]
#[error("{0} is not part of this build")]
struct NotPart(Owner);
