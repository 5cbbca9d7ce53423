//! Objects from the API server, through api-gate.

use crate::{
    core::{
        payload::Object,
        reference::{Kind, Reference},
        volume::Token,
    },
    ports::{Bearer, Denied, Issued, Objects, Versioned},
};
use chassis::api::WatchPauses;
use futures::{
    FutureExt, StreamExt,
    future::LocalBoxFuture,
    stream::{self, LocalBoxStream},
};
use k8s_openapi::{
    NamespaceResourceScope, Resource,
    api::{
        authentication::v1::{BoundObjectReference, TokenRequest, TokenRequestSpec},
        core::v1 as core,
    },
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use kube::{
    Api as Kube, Client,
    api::PostParams,
    runtime::{WatchStreamExt, watcher::watch_object},
};
use serde::de::DeserializeOwned;
use std::{fmt::Debug, future::ready, sync::Arc, time::Duration};
use tracing::debug;

/// The API server; none for a node that runs standalone.
pub struct Api {
    client: Option<Client>,
}

impl Api {
    /// Nothing is asked yet.
    pub fn new(client: Option<Client>) -> Self {
        Self { client }
    }

    fn client(&self) -> Result<Client, Denied> {
        self.client.clone().ok_or(Denied::Standalone)
    }

    async fn get<K>(&self, namespace: &str, name: &str) -> Result<K, Denied>
    where
        K: kube::Resource<Scope = NamespaceResourceScope, DynamicType = ()>
            + Clone
            + DeserializeOwned
            + Debug,
    {
        Kube::<K>::namespaced(self.client()?, namespace).get(name).await.map_err(denied)
    }

    async fn get_object(&self, reference: &Reference) -> Result<Versioned, Denied> {
        let Reference { kind, namespace, name } = reference;
        match kind {
            Kind::ConfigMap => self.get::<core::ConfigMap>(namespace, name).await.map(versioned),
            Kind::Secret => self.get::<core::Secret>(namespace, name).await.map(versioned),
        }
    }

    async fn request_token(&self, bearer: Bearer<'_>, token: &Token) -> Result<Issued, Denied> {
        let accounts = Kube::<core::ServiceAccount>::namespaced(self.client()?, bearer.namespace);
        let request = request(bearer, token);
        let answer = accounts.create_token_request(bearer.account, &PostParams::default(), &request).await;
        issued(answer.map_err(denied)?)
    }
}

fn request(bearer: Bearer<'_>, token: &Token) -> TokenRequest {
    let audiences = if token.audience.is_empty() { None } else { Some(vec![token.audience.clone()]) };
    let bound = BoundObjectReference {
        api_version: Some("v1".to_owned()),
        kind: Some("Pod".to_owned()),
        name: Some(bearer.pod.to_owned()),
        uid: Some(bearer.uid.to_owned()),
    };
    let spec = TokenRequestSpec {
        audiences,
        bound_object_ref: Some(bound),
        expiration_seconds: Some(token.lifetime),
    };
    TokenRequest { metadata: ObjectMeta::default(), spec: Some(spec), status: None }
}

fn issued(answer: TokenRequest) -> Result<Issued, Denied> {
    let lifetime = answer.spec.and_then(|spec| spec.expiration_seconds);
    let given = answer.status.and_then(|status| Some((status.token?, status.expiration_timestamp?)));
    let (token, expires) = given.ok_or_else(|| Denied::Failed("the answer holds no token".to_owned()))?;
    Ok(Issued {
        token: token.into_bytes(),
        expires_at: i64::try_from(expires.0.as_nanosecond()).unwrap_or(i64::MAX),
        lifetime: Duration::from_secs(
            lifetime.and_then(|lifetime| u64::try_from(lifetime).ok()).unwrap_or_default(),
        ),
    })
}

fn versioned<K>(object: K) -> Versioned
where
    K: kube::Resource + Into<Object>,
{
    let version = object.meta().resource_version.clone().unwrap_or_default();
    Versioned { version, object: Arc::new(object.into()) }
}

/// The server's own words, which name the object and never hold a value of it.
fn denied(error: kube::Error) -> Denied {
    match error {
        kube::Error::Api(status) if status.code == 404 => Denied::NotFound,
        kube::Error::Api(status) if status.code == 403 => Denied::Forbidden(status.message.clone()),
        kube::Error::Api(status) if status.code == 429 || status.code >= 500 => {
            Denied::Away(status.message.clone())
        }
        kube::Error::Api(status) => Denied::Failed(status.message.clone()),
        other => Denied::Away(chassis::error::chain(&other)),
    }
}

/// Watches one object, again and again with growing pauses while the server is away.
fn watch<K>(client: Client, reference: &Reference) -> LocalBoxStream<'static, Option<Versioned>>
where
    K: kube::Resource<Scope = NamespaceResourceScope, DynamicType = ()>
        + Resource
        + Clone
        + DeserializeOwned
        + Debug
        + Send
        + Into<Object>
        + 'static,
{
    let objects = Kube::<K>::namespaced(client, &reference.namespace);
    let told = watch_object(objects, &reference.name).backoff(WatchPauses::default());
    let told = told.filter_map(|told| {
        ready(match told {
            Ok(object) => Some(object.map(versioned)),
            Err(error) => {
                debug!(error = chassis::error::chain(&error), "a watch is interrupted");
                None
            }
        })
    });
    told.boxed_local()
}

impl Objects for Api {
    fn pod<'a>(&'a self, namespace: &'a str, name: &'a str) -> LocalBoxFuture<'a, Result<core::Pod, Denied>> {
        self.get(namespace, name).boxed_local()
    }

    fn object<'a>(&'a self, reference: &'a Reference) -> LocalBoxFuture<'a, Result<Versioned, Denied>> {
        self.get_object(reference).boxed_local()
    }

    fn token<'a>(
        &'a self,
        bearer: Bearer<'a>,
        token: &'a Token,
    ) -> LocalBoxFuture<'a, Result<Issued, Denied>> {
        self.request_token(bearer, token).boxed_local()
    }

    fn watch(&self, reference: &Reference) -> LocalBoxStream<'static, Option<Versioned>> {
        match (self.client.clone(), reference.kind) {
            (None, _) => stream::pending().boxed_local(),
            (Some(client), Kind::ConfigMap) => watch::<core::ConfigMap>(client, reference),
            (Some(client), Kind::Secret) => watch::<core::Secret>(client, reference),
        }
    }
}
