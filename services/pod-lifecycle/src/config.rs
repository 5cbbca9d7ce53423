//! What of the node's configuration this service works by.

use crate::core::{backoff::CrashLoop, life::Rules, roster};
use chassis::{Service, config::NodeConfig};
use messages::pod_lifecycle::PodSource;
use std::collections::BTreeSet;

/// Which sources of pods there are.
pub(crate) fn sources(config: &NodeConfig) -> BTreeSet<PodSource> {
    let api = (!config.is_standalone()).then_some(PodSource::Api);
    let file = config.kubelet.static_pod_path.as_ref().map(|_| PodSource::File);
    let http = (!config.kubelet.static_pod_url.is_empty()).then_some(PodSource::Http);
    [api, file, http].into_iter().flatten().collect()
}

/// The roster's settings.
pub(crate) fn roster(config: &NodeConfig, has_apparmor: bool) -> roster::Settings {
    roster::Settings {
        sources: sources(config),
        unsafe_sysctls: config.kubelet.allowed_unsafe_sysctls.clone(),
        has_apparmor,
    }
}

/// The rules of each life.
pub(crate) fn rules(service: &Service) -> Rules {
    let most = service.config.kubelet.crash_loop_back_off.max_container_restart_period.get();
    Rules { incarnation: service.incarnation, crash_loop: CrashLoop { most }, revision: 0 }
}
