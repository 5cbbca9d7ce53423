//! Fetches what a volume is filled with: objects, tokens, and the word of the API server that the pod
//! is the one it says.
//!
//! Everything is fetched side by side; nothing is written before all of it is there. For a moment
//! after a pod was first seen the authorizer may not know it yet: what is denied then is asked for
//! again, quickly and quietly.

use crate::{
    adapters::atomic,
    core::{
        backoff, check,
        path::{RelativePath, is_object_name},
        payload::Object,
        reference::{Kind, Reference},
        token::{self, Lease},
        volume::{Content, Keys, Part, Token},
    },
    error::Unmade,
    ports::{Bearer, Denied, Tools, Versioned},
};
use chassis::{call_span, clock, error, telemetry};
use futures::future::{try_join, try_join_all};
use messages::{
    BootTime,
    pod_lifecycle::{Pod, PodSource},
};
use std::{collections::BTreeMap, path::Path, sync::Arc, time::Duration};
use tokio::{sync::OnceCell, time::timeout};
use tracing::warn;

/// So long after a pod was first seen a denial means little.
const FRESH: Duration = Duration::from_secs(2);
/// So long one answer may take: a pod that is to be released must not wait for ever.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is known of an object: at which version, or that it does not exist.
pub(crate) type Known = Option<Versioned>;

/// Objects, and the version of each that was seen; `None` for one that does not exist.
pub(crate) type Versions = Vec<(Reference, Option<String>)>;

/// Whose volume is filled.
pub(crate) struct Need<'a> {
    pub(crate) tools: &'a Tools,
    pub(crate) pod: &'a Pod,
    /// Set once the API server has confirmed the pod.
    pub(crate) checked: &'a OnceCell<()>,
    /// When the pod was first seen here.
    pub(crate) first_seen: BootTime,
    /// Objects that a watch has just told of.
    pub(crate) told: &'a BTreeMap<Reference, Known>,
}

/// What was fetched.
#[derive(Default)]
pub(crate) struct Gathered {
    pub(crate) objects: BTreeMap<Reference, Known>,
    pub(crate) tokens: BTreeMap<RelativePath, (Vec<u8>, Lease)>,
}

impl Need<'_> {
    /// Fetches everything that a volume is made from. `root` and `leases` are where its tokens of
    /// before stand, and until when they are good.
    pub(crate) async fn gather(
        &self,
        content: &Content,
        root: &Path,
        leases: &BTreeMap<String, Lease>,
    ) -> Result<Gathered, Unmade> {
        let wanted = Wanted::of(self.namespace(), content);
        if wanted.is_empty() {
            return Ok(Gathered::default());
        }
        if self.pod.source != PodSource::Api {
            return Err(Unmade::Static);
        }
        if ![self.namespace(), self.name(), self.bearer().account].into_iter().all(is_object_name) {
            return Err(Unmade::Names);
        }
        let objects = try_join_all(wanted.objects.iter().map(|(object, keys)| self.object(object, keys)));
        let tokens = try_join_all(wanted.tokens.iter().map(|token| self.token(token, root, leases)));
        let ((), (objects, tokens)) = try_join(self.check(), try_join(objects, tokens)).await?;
        Ok(Gathered { objects: objects.into_iter().collect(), tokens: tokens.into_iter().collect() })
    }

    /// Once per pod, however many of its volumes ask.
    async fn check(&self) -> Result<(), Unmade> {
        let checking = self.checked.get_or_try_init(|| async {
            let name = self.name();
            let asking = self.patiently(|| self.tools.objects.pod(self.namespace(), name));
            let theirs = telemetry::call(call_span!(ApiServer, "read pod"), asking).await;
            check::compare(&self.pod.object, &theirs.map_err(Unmade::Unchecked)?)?;
            Ok::<(), Unmade>(())
        });
        checking.await.copied()
    }

    async fn object(&self, object: &Reference, keys: &Keys) -> Result<(Reference, Known), Unmade> {
        if let Some(told) = self.told.get(object) {
            return Ok((object.clone(), told.clone()));
        }
        let fetched = self.patiently(|| async {
            match self.tools.objects.object(object).await {
                // It is allowed to be absent: then nobody waits for it.
                Err(Denied::NotFound) if keys.optional => Ok(None),
                answer => answer.map(Some),
            }
        });
        let span = match object.kind {
            Kind::ConfigMap => call_span!(ApiServer, "read configMap"),
            Kind::Secret => call_span!(ApiServer, "read secret"),
        };
        let fetched = match telemetry::call(span, fetched).await {
            Err(Denied::NotFound) => Ok(None),
            other => other,
        };
        let known = fetched.map_err(|denied| Unmade::Object(object.clone(), denied))?;
        Ok((object.clone(), known))
    }

    /// The token in the volume while it is young enough; else a new one; else the old one while it
    /// lasts. No token is kept anywhere but in its volume.
    async fn token(
        &self,
        token: &Token,
        root: &Path,
        leases: &BTreeMap<String, Lease>,
    ) -> Result<(RelativePath, (Vec<u8>, Lease)), Unmade> {
        let now = clock::now_unix();
        let lease = leases.get(token.path.as_str()).copied().filter(|lease| lease.is_valid(now));
        let old = lease.and_then(|lease| Some((atomic::read(root, &token.path).ok()?, lease)));
        let old = old.filter(|(data, _)| !data.is_empty());
        if let Some(young) = old.clone().filter(|(_, lease)| !lease.is_due(now)) {
            return Ok((token.path.clone(), young));
        }
        let asking = self.patiently(|| self.tools.objects.token(self.bearer(), token));
        match (telemetry::call(call_span!(ApiServer, "create token"), asking).await, old) {
            (Ok(issued), _) => {
                let lease = issued.lease(token::JITTER.mul_f64(rand::random()));
                Ok((token.path.clone(), (issued.token, lease)))
            }
            (Err(denied), Some(old)) => {
                warn!(error = error::chain(&denied), pod = %self.pod.pod, "a token is not renewed yet");
                Ok((token.path.clone(), old))
            }
            (Err(denied), None) => Err(Unmade::Token(denied)),
        }
    }

    /// Asks until the answer is no denial, or the pod is not fresh any more.
    async fn patiently<T, F>(&self, ask: impl Fn() -> F) -> Result<T, Denied>
    where
        F: Future<Output = Result<T, Denied>>,
    {
        let until = self.first_seen.after(FRESH);
        let mut tries = 0;
        loop {
            let answer = timeout(PATIENCE, ask()).await;
            match answer.unwrap_or_else(|_| Err(Denied::Away(format!("no answer within {PATIENCE:?}")))) {
                Err(Denied::NotFound | Denied::Forbidden(_)) if clock::now_boot() < until => {
                    tokio::time::sleep(backoff::while_fresh(tries)).await;
                    tries += 1;
                }
                answer => return answer,
            }
        }
    }

    fn bearer(&self) -> Bearer<'_> {
        let account = self.pod.object.spec.as_ref().and_then(|spec| spec.service_account_name.as_deref());
        Bearer {
            namespace: self.namespace(),
            account: account.filter(|account| !account.is_empty()).unwrap_or("default"),
            pod: self.name(),
            uid: self.pod.pod.as_str(),
        }
    }

    fn namespace(&self) -> &str {
        self.pod.object.metadata.namespace.as_deref().unwrap_or_default()
    }

    fn name(&self) -> &str {
        self.pod.object.metadata.name.as_deref().unwrap_or_default()
    }
}

/// What of a volume comes from the API server.
#[derive(Default)]
struct Wanted<'a> {
    objects: Vec<(Reference, &'a Keys)>,
    tokens: Vec<&'a Token>,
}

impl<'a> Wanted<'a> {
    fn of(namespace: &str, content: &'a Content) -> Self {
        let mut wanted = Self::default();
        for part in &content.parts {
            match part {
                Part::ConfigMap(keys) => wanted.add(Reference::of(Kind::ConfigMap, namespace, keys), keys),
                Part::Secret(keys) => wanted.add(Reference::of(Kind::Secret, namespace, keys), keys),
                Part::Token(token) => wanted.tokens.push(token),
                Part::DownwardApi(_) | Part::Unsupported { .. } => {}
            }
        }
        wanted
    }

    /// A name that is none is told when the files are put together.
    fn add(&mut self, object: Option<Reference>, keys: &'a Keys) {
        self.objects.extend(object.map(|object| (object, keys)));
    }

    fn is_empty(&self) -> bool {
        self.objects.is_empty() && self.tokens.is_empty()
    }
}

impl Gathered {
    /// The objects as the files are put together from them.
    pub(crate) fn contents(&self) -> BTreeMap<Reference, Option<Arc<Object>>> {
        let content = |known: &Known| known.as_ref().map(|known| known.object.clone());
        self.objects.iter().map(|(object, known)| (object.clone(), content(known))).collect()
    }

    /// The versions that were seen, so that only later ones count as changes.
    pub(crate) fn versions(&self) -> Versions {
        let version = |known: &Known| known.as_ref().map(|known| known.version.clone());
        self.objects.iter().map(|(object, known)| (object.clone(), version(known))).collect()
    }
}
