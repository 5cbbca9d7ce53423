//! A container's environment, from the API server where values come from there.
//!
//! While the API server is out of reach, a container that is started again has the environment of its last
//! instance: the runtime still holds it, and so does nothing else that outlives a restart of this process.

use super::Instance;
use crate::{
    adapters::pod_files,
    core::{
        downward::Facts,
        env::{self, EnvError, Fetched, FileRead, Needs, Object, ObjectKind, Sources, Variables, VolumeFile},
        readback, service_env, spec,
    },
    deeds::{Subject, deed_span},
};
use chassis::{
    error,
    telemetry::{self, Peer},
};
use futures::future::join_all;
use k8s_openapi::api::core::v1 as core;
use messages::{container_hash, pod_lifecycle::PodSource, volume_mounter::Volumes};
use std::{net::IpAddr, path::Path, time::Duration};
use tokio::time::timeout;
use tracing::{Instrument, debug, info};

/// How long an API pod's container waits for the services to be read for the first time.
const SERVICES_PATIENCE: Duration = Duration::from_secs(3);

/// Why there is no environment.
#[derive(Debug, thiserror::Error)]
pub(super) enum EnvironmentError {
    /// By the rules.
    #[error(transparent)]
    Rules(#[from] EnvError),
    /// The services were never read.
    #[error("services have not yet been read at least once, cannot construct envvars")]
    NoServices,
    /// The volumes went away meanwhile.
    #[error("the pod's volumes are not mounted")]
    NoVolumes,
}

impl EnvironmentError {
    /// Whether the API server may say otherwise in a moment.
    pub(super) fn is_passing(&self) -> bool {
        matches!(self, Self::NoServices | Self::Rules(EnvError::Unreadable { passing: true, .. }))
    }
}

/// The environment of an instance that is to be made.
pub(super) async fn of(
    subject: &Subject,
    instance: &Instance,
    container: &core::Container,
    ips: &[IpAddr],
) -> Result<Variables, EnvironmentError> {
    let passing = match resolved(subject, container, ips).await {
        Err(bad) if bad.is_passing() => bad,
        ended => return ended,
    };
    let last = of_last_instance(subject, instance, container).await.ok_or(passing)?;
    info!(pod = %subject.uid, container = container.name, "the environment is that of the last instance");
    Ok(last)
}

async fn resolved(
    subject: &Subject,
    container: &core::Container,
    ips: &[IpAddr],
) -> Result<Variables, EnvironmentError> {
    let volumes = subject.volumes.as_ref().ok_or(EnvironmentError::NoVolumes)?;
    let Needs { objects, files } = env::needs(container);
    let required = env::required(container);
    let fetched = objects.into_iter().map(|object| async {
        let may_be_missing = !required.contains(&object);
        let fetched = fetch(subject, &object, may_be_missing).await;
        (object, fetched)
    });
    let (fetched, services) = futures::join!(join_all(fetched), services(subject));
    let sources = Sources {
        objects: fetched.into_iter().collect(),
        files: files.into_iter().map(|file| (file.clone(), read_file(volumes, &file))).collect(),
        services: services?,
        facts: Facts { pod_ips: ips, node_ips: &subject.node.ips, allocatable: &subject.node.allocatable },
    };
    Ok(env::resolve(subject.object(), container, &sources)?)
}

async fn fetch(subject: &Subject, object: &Object, may_be_missing: bool) -> Fetched {
    let Subject { world, namespace, settling, .. } = subject;
    let span = match object.kind {
        ObjectKind::ConfigMap => deed_span!(subject, ApiServer, "read configMap"),
        ObjectKind::Secret => deed_span!(subject, ApiServer, "read secret"),
    };
    let fetching = world.api.fetch(namespace, object, may_be_missing, *settling);
    let fetched = fetching.instrument(span.clone()).await;
    if let Fetched::Unreadable { why, .. } = &fetched {
        telemetry::fail(&span, why);
    }
    fetched
}

async fn services(subject: &Subject) -> Result<Variables, EnvironmentError> {
    let api = &subject.world.api;
    let is_of_api = subject.pod.as_ref().is_some_and(|pod| pod.source == PodSource::Api);
    if api.services().is_none() && is_of_api {
        let read = timeout(SERVICES_PATIENCE, api.services_read());
        // Whether it comes in time is looked at below.
        let _ = telemetry::noting((Peer::ApiServer, "wait for services"), subject.attributes(), read).await;
    }
    match api.services() {
        None if is_of_api => Err(EnvironmentError::NoServices),
        services => {
            let links = spec::of(subject.object()).enable_service_links.unwrap_or_default();
            let services = services.unwrap_or_default();
            Ok(service_env::variables(services.iter().map(|it| &**it), &subject.namespace, links))
        }
    }
}

fn read_file(volumes: &Volumes, file: &VolumeFile) -> FileRead {
    let volume = volumes.volumes.iter().find(|volume| volume.name == file.volume);
    let Some(path) = volume.and_then(|volume| volume.host_path.as_ref()) else { return FileRead::NoVolume };
    pod_files::read_env_file(Path::new(path), &file.path).map_or(FileRead::Unreadable, FileRead::Text)
}

/// What the last instance had; `None` unless it was of the same image and in the same sandbox, whose address
/// and host name the environment may hold.
async fn of_last_instance(
    subject: &Subject,
    instance: &Instance,
    container: &core::Container,
) -> Option<Variables> {
    let hash = container_hash(&container.name, container.image.as_deref().unwrap_or_default());
    let of_container = subject.containers.iter().filter(|it| it.name == instance.container);
    let last = of_container.max_by_key(|it| it.attempt)?;
    let is_like_it = last.hash == hash && subject.active_sandbox().is_some_and(|it| it.id == last.sandbox);
    if !is_like_it {
        return None;
    }
    match subject.world.runtime.container_info(&last.id).await {
        Ok(info) => readback::environment(&info),
        Err(error) => {
            debug!(error = error::chain(&error), "the last instance cannot be read");
            None
        }
    }
}
