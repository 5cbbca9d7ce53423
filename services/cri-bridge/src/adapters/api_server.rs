//! Objects that containers' environments and pulls need, from the API server through api-gate.
//!
//! ConfigMaps and secrets are read when a container needs them: always the newest, and no secret is
//! kept. Services are watched, since every container needs all of its namespace's.

use crate::core::env::{Fetched, Object, ObjectKind};
use chassis::{api::WatchPauses, clock};
use futures::StreamExt;
use k8s_openapi::{
    api::{
        core::v1::{ConfigMap, Secret, Service},
        node::v1::RuntimeClass,
    },
    serde::de::DeserializeOwned,
};
use kube::{
    Api, Client, Error, Resource, ResourceExt,
    runtime::{
        WatchStreamExt,
        reflector::{self, Store},
        watcher,
    },
};
use messages::BootTime;
use std::{collections::BTreeMap, fmt::Debug, sync::Arc, time::Duration};
use tokio::{sync::watch, time::sleep};
use tracing::debug;

/// How long after a pod was first seen its objects may still be forbidden or missing: the authorizer
/// learns of a new binding a little later than we do.
const SETTLING: Duration = Duration::from_secs(2);
/// The first pause between tries meanwhile; each is twice the one before.
const FIRST_PAUSE: Duration = Duration::from_millis(5);

/// The API server, or its absence.
#[derive(Clone)]
pub struct ApiServer {
    client: Option<Client>,
    services: Services,
}

#[derive(Clone)]
struct Services {
    store: Store<Service>,
    has_synced: watch::Receiver<bool>,
}

/// Why an object could not be had.
#[derive(Debug, thiserror::Error)]
pub enum ObjectError {
    /// The node runs standalone.
    #[error("couldn't get {what}, no kubeClient defined")]
    Standalone {
        /// Which object.
        what: String,
    },
    /// There is none.
    #[error("{what} not found")]
    Missing {
        /// Which object.
        what: String,
    },
    /// The API server could not be asked, or said no.
    #[error("{what} could not be read: {why}")]
    Unreadable {
        /// Which object.
        what: String,
        /// What it said.
        why: String,
        /// It is away or has no time: it may say otherwise in a moment.
        passing: bool,
    },
}

/// For how long 403, and 404 where the object must be there, may be the authorizer's delay.
#[derive(Debug, Clone, Copy)]
pub struct Settling {
    until: BootTime,
}

impl Settling {
    /// Of a pod that was first seen at this moment.
    pub fn of_pod_seen_at(seen: BootTime) -> Self {
        Self { until: seen.after(SETTLING) }
    }
}

impl ApiServer {
    /// Through this client; none when standalone. Begins to watch services. Must be called inside an
    /// actix system.
    pub fn new(client: Option<Client>) -> Self {
        let writer = reflector::store::Writer::<Service>::default();
        let store = writer.as_reader();
        let (synced, has_synced) = watch::channel(client.is_none());
        if let Some(client) = client.clone() {
            actix::spawn(watch_services(Api::all(client), writer, synced));
        }
        Self { client, services: Services { store, has_synced } }
    }

    /// All services; `None` until they have been read once.
    pub fn services(&self) -> Option<Vec<Arc<Service>>> {
        let has_synced = *self.services.has_synced.borrow();
        has_synced.then(|| self.services.store.state())
    }

    /// Returns once the services have been read.
    pub async fn services_read(&self) {
        let mut has_synced = self.services.has_synced.clone();
        // Fails only when the watching task has ended, with the process.
        let _ = has_synced.wait_for(|synced| *synced).await;
    }

    /// An object for a container's environment. A missing one that `may_be_missing` is not waited for.
    pub async fn fetch(
        &self,
        namespace: &str,
        object: &Object,
        may_be_missing: bool,
        settling: Settling,
    ) -> Fetched {
        let (kind, name) = (object.kind, object.name.as_str());
        let data = match kind {
            ObjectKind::ConfigMap => self
                .get::<ConfigMap>(namespace, name, may_be_missing, settling)
                .await
                .map(|map| map.data.unwrap_or_default()),
            ObjectKind::Secret => {
                self.get::<Secret>(namespace, name, may_be_missing, settling).await.map(texts)
            }
        };
        match data {
            Ok(data) => Fetched::Data(data),
            Err(ObjectError::Missing { .. }) => Fetched::Missing,
            Err(ObjectError::Unreadable { why, passing, .. }) => Fetched::Unreadable { why, passing },
            Err(standalone @ ObjectError::Standalone { .. }) => {
                Fetched::Unreadable { why: standalone.to_string(), passing: false }
            }
        }
    }

    /// A pull secret.
    ///
    /// # Errors
    /// When it could not be had.
    pub async fn secret(
        &self,
        namespace: &str,
        name: &str,
        settling: Settling,
    ) -> Result<Secret, ObjectError> {
        self.get(namespace, name, false, settling).await
    }

    /// The runtime handler of a RuntimeClass.
    ///
    /// # Errors
    /// When there is no such class.
    pub async fn runtime_handler(&self, class: &str) -> Result<String, ObjectError> {
        let what = format!("runtimeclass.node.k8s.io {class:?}");
        let client = self.client.clone().ok_or(ObjectError::Standalone { what: what.clone() })?;
        match Api::<RuntimeClass>::all(client).get(class).await {
            Ok(found) => Ok(found.handler),
            Err(error) => Err(object_error(what, &error)),
        }
    }

    async fn get<K>(
        &self,
        namespace: &str,
        name: &str,
        may_be_missing: bool,
        settling: Settling,
    ) -> Result<K, ObjectError>
    where
        K: Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>
            + Clone
            + DeserializeOwned
            + Debug,
    {
        let what = format!("{} {namespace}/{name}", K::kind(&()));
        let client = self.client.clone().ok_or(ObjectError::Standalone { what: what.clone() })?;
        let api = Api::<K>::namespaced(client, namespace);
        let mut pause = FIRST_PAUSE;
        loop {
            let error = match api.get(name).await {
                Ok(object) => return Ok(object),
                Err(error) => error,
            };
            let may_settle = match code(&error) {
                Some(403) => true,
                Some(404) => !may_be_missing,
                _ => false,
            };
            if !may_settle || clock::now_boot() >= settling.until {
                return Err(object_error(what, &error));
            }
            sleep(pause).await;
            pause *= 2;
        }
    }
}

fn texts(secret: Secret) -> BTreeMap<String, String> {
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    secret.data.into_iter().flatten().map(|(key, value)| (key, text(value.0))).collect()
}

fn code(error: &Error) -> Option<u16> {
    match error {
        Error::Api(status) => Some(status.code),
        _ => None,
    }
}

fn object_error(what: String, error: &Error) -> ObjectError {
    match (code(error), error) {
        (Some(404), _) => ObjectError::Missing { what },
        (_, Error::Api(status)) => {
            let passing = status.code == 429 || status.code >= 500;
            ObjectError::Unreadable { what, why: status.message.clone(), passing }
        }
        (_, error) => ObjectError::Unreadable { what, why: chassis::error::chain(error), passing: true },
    }
}

/// Keeps the store up to date, for ever. Only what variables are made of is kept.
async fn watch_services(
    api: Api<Service>,
    writer: reflector::store::Writer<Service>,
    synced: watch::Sender<bool>,
) {
    let slim = |service: &mut Service| {
        service.managed_fields_mut().clear();
        service.annotations_mut().clear();
        service.labels_mut().clear();
        service.status = None;
    };
    let events =
        watcher(api, watcher::Config::default()).backoff(WatchPauses::default()).modify(slim).reflect(writer);
    let mut events = std::pin::pin!(events);
    while let Some(event) = events.next().await {
        match event {
            Ok(watcher::Event::InitDone) => drop(synced.send_replace(true)),
            Ok(_) => {}
            Err(error) => debug!(error = chassis::error::chain(&error), "services are not watched now"),
        }
    }
}
