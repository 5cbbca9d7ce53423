//! `bulkhead pods`: the node's pods, as their statuses tell.

use crate::{cli::Where, columns, node, settings};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ContainerStatus, PodStatus};
use messages::pod_lifecycle::{PodSource, Status};
use std::process::ExitCode;

/// Prints a table of pods.
///
/// # Errors
/// When the node does not answer.
pub(crate) fn pods(asked: &Where) -> anyhow::Result<ExitCode> {
    let config = node::config(&settings::root_dir(Some(&asked.root_dir)))?;
    let mut statuses = node::visit(&config, async |bus| node::all::<Status>(bus).await)?;
    statuses.sort_by(|one, other| (&one.namespace, &one.name).cmp(&(&other.namespace, &other.name)));
    let now = Timestamp::now();
    let mut rows =
        vec![["NAMESPACE", "NAME", "READY", "STATUS", "RESTARTS", "AGE", "IP", "SOURCE"].map(str::to_owned)];
    rows.extend(statuses.iter().map(|status| row(status, now)));
    print!("{}", columns::align(&rows));
    Ok(ExitCode::SUCCESS)
}

fn row(status: &Status, now: Timestamp) -> [String; 8] {
    let containers = status.status.container_statuses.as_deref().unwrap_or_default();
    let ready = containers.iter().filter(|container| container.ready).count();
    let restarts: i32 = containers.iter().map(|container| container.restart_count).sum();
    let seen = Timestamp::from_nanosecond(status.seen_at.into()).unwrap_or(now);
    [
        status.namespace.clone(),
        status.name.clone(),
        format!("{ready}/{}", containers.len()),
        state(&status.status, containers),
        restarts.to_string(),
        age(now.duration_since(seen).as_secs()),
        status.status.pod_ip.clone().unwrap_or_else(|| "-".into()),
        source(status.source).to_owned(),
    ]
}

/// What kubectl shows: why the first container does not run, or the phase.
fn state(status: &PodStatus, containers: &[ContainerStatus]) -> String {
    let reasons = containers.iter().filter_map(|container| {
        let state = container.state.as_ref()?;
        let waiting = state.waiting.as_ref().and_then(|waiting| waiting.reason.clone());
        waiting.or_else(|| state.terminated.as_ref().and_then(|terminated| terminated.reason.clone()))
    });
    let reason = reasons.into_iter().find(|reason| !reason.is_empty());
    status.reason.clone().or(reason).or_else(|| status.phase.clone()).unwrap_or_else(|| "Unknown".into())
}

/// The two greatest units that kubectl would show, shortened to one.
fn age(seconds: i64) -> String {
    match seconds {
        ..0 => "0s".to_owned(),
        0..120 => format!("{seconds}s"),
        120..7200 => format!("{}m", seconds / 60),
        7200..172_800 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}

fn source(source: PodSource) -> &'static str {
    match source {
        PodSource::Api => "api",
        PodSource::File => "file",
        PodSource::Http => "http",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::core::v1::{ContainerState, ContainerStateWaiting};

    #[test]
    fn a_pod_shows_why_it_does_not_run() {
        let waiting = ContainerStateWaiting { reason: Some("CrashLoopBackOff".into()), message: None };
        let container = ContainerStatus {
            state: Some(ContainerState { waiting: Some(waiting), ..ContainerState::default() }),
            ..ContainerStatus::default()
        };
        let running = PodStatus { phase: Some("Running".into()), ..PodStatus::default() };
        assert_eq!(state(&running, &[container]), "CrashLoopBackOff");
        assert_eq!(state(&running, &[]), "Running");
        let evicted = PodStatus { reason: Some("Evicted".into()), ..running };
        assert_eq!(state(&evicted, &[]), "Evicted");
    }

    #[test]
    fn ages_have_one_unit() {
        let cases = [(-5, "0s"), (119, "119s"), (120, "2m"), (7200, "2h"), (172_800, "2d")];
        for (seconds, text) in cases {
            assert_eq!(age(seconds), text);
        }
    }
}
