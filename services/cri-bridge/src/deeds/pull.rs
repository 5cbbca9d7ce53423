//! Having a container's image in the runtime, by its pull policy.

use super::{End, Saw, Subject, deed_span};
use crate::{
    actors::gate::{Enter, TurnedAway},
    adapters::containerd::RuntimeError,
    core::{
        credentials::{Credential, Keyring},
        image::{ImageName, PullPolicy},
        pull::{self, PullFault},
        sandbox,
        spec::{self, Found},
    },
    ports::Told,
};
use chassis::{
    clock,
    telemetry::{self, Peer},
};
use futures::future::join_all;
use messages::{ContainerName, pod_lifecycle::ContainerKind};
use proto::runtime::v1 as cri;
use std::time::Duration;
use tracing::warn;

/// Whose image is wanted.
struct Wanted<'s> {
    subject: &'s Subject,
    kind: ContainerKind,
    container: ContainerName,
    /// As the spec writes it.
    image: String,
    name: ImageName,
}

/// How having an image ends: with what the runtime calls it, or as a deed ends.
pub type Pulled = Result<String, End>;

/// The image of a container as its spec writes it.
pub fn image_of(found: &Found) -> String {
    found.container.image.clone().unwrap_or_default()
}

/// Has the image of one of the pod's containers.
pub async fn pull(subject: Subject, container: ContainerName) -> Pulled {
    let found = spec::container(subject.object(), container.as_str());
    let Some(found) = found else { return Err(End::Halted) };
    let (kind, image) = (found.kind, image_of(&found));
    let policy = found.container.image_pull_policy.clone();
    let ended = match image.parse::<ImageName>() {
        Err(why) => Err(Fault::Told(PullFault::InvalidName { image, why: why.to_string() })),
        Ok(name) => {
            let policy = PullPolicy::of(policy.as_deref(), &name);
            let wanted = Wanted { subject: &subject, kind, container: container.clone(), image, name };
            wanted.have(policy).await
        }
    };
    ended.map_err(|fault| match fault {
        Fault::Halted => End::Halted,
        Fault::Away => End::Away,
        Fault::Told(fault) => {
            let (reason, message) = fault.event();
            subject.tell_of(kind, &container, Told::warning(reason, message));
            let fault = fault.fault();
            let error = format!("Error: {}", fault.reason);
            subject.tell_of(kind, &container, Told::warning("Failed", error));
            End::Failed(fault)
        }
    })
}

enum Fault {
    Told(PullFault),
    Halted,
    Away,
}

impl Fault {
    fn of_call(error: &RuntimeError, fault: impl FnOnce() -> PullFault) -> Self {
        match End::of_call(error, || End::Done) {
            End::Away => Self::Away,
            _ => Self::Told(fault()),
        }
    }
}

impl Wanted<'_> {
    async fn have(&self, policy: PullPolicy) -> Result<String, Fault> {
        if policy != PullPolicy::Always {
            let present = self.inspect(self.spec()).await;
            let inspect =
                |error: &RuntimeError| PullFault::Inspect { image: self.image.clone(), why: error.shown() };
            if let Some(present) = present.map_err(|error| Fault::of_call(&error, || inspect(&error)))? {
                self.tell(Told::normal("Pulled", pull::present(&self.image)));
                return Ok(present.id);
            }
            if policy == PullPolicy::Never {
                return Err(Fault::Told(PullFault::Never { image: self.image.clone() }));
            }
        }
        // Cancel-safe: the runtime drops a pull that nobody waits for.
        tokio::select! {
            pulled = self.fetch() => pulled,
            () = self.subject.halted() => Err(Fault::Halted),
        }
    }

    async fn fetch(&self) -> Result<String, Fault> {
        let begun = clock::now_boot();
        let keyring = self.keyring().await;
        let credentials: Vec<Option<&Credential>> = match &keyring {
            Some(keyring) => keyring.for_repository(&self.name.repository).into_iter().map(Some).collect(),
            None => Vec::new(),
        };
        let credentials = if credentials.is_empty() { vec![None] } else { credentials };
        self.tell(Told::normal("Pulling", pull::pulling(&self.image)));
        self.subject.saw(Saw::Pulling(self.image.clone()));
        let in_line = clock::now_boot();
        let pass = self.subject.world.pulls.send(Enter { place: self.subject.place }).await;
        self.subject.waited_for_runtime(in_line);
        let pass = match pass {
            Ok(Ok(pass)) => pass,
            Ok(Err(TurnedAway::TooOften)) => return Err(self.failed("pull QPS exceeded".to_owned())),
            Ok(Err(TurnedAway::Closed)) | Err(_) => return Err(Fault::Halted),
        };
        let turned = clock::now_boot();
        let pulled = self.try_all(&credentials).await;
        drop(pass);
        let image_ref = pulled?;
        let now = clock::now_boot();
        self.tell_pulled(&image_ref, now.since(turned), now.since(begun)).await;
        Ok(image_ref)
    }

    /// Tries credentials in order until one works.
    async fn try_all(&self, credentials: &[Option<&Credential>]) -> Result<String, Fault> {
        let mut failures = Vec::new();
        for credential in credentials {
            let span = deed_span!(
                self.subject,
                Runtime,
                "pull image",
                container.image.name = self.image,
                k8s.container.name = %self.container,
            );
            let pulling = self.subject.world.runtime.pull_image(self.request(*credential));
            match telemetry::call(span, pulling).await {
                Ok(image_ref) => return Ok(image_ref),
                Err(error) => failures.push(error),
            }
        }
        let shown: Vec<String> = failures.iter().map(named).collect();
        let why = || if shown.len() == 1 { shown.concat() } else { format!("[{}]", shown.join(", ")) };
        let failed = || PullFault::Pull { image: self.image.clone(), why: why() };
        Err(failures.last().map_or_else(|| Fault::Told(failed()), |last| Fault::of_call(last, failed)))
    }

    fn request(&self, credential: Option<&Credential>) -> cri::PullImageRequest {
        let auth = credential.map(|credential| cri::AuthConfig {
            username: credential.username.clone(),
            password: credential.password.clone(),
            ..Default::default()
        });
        // Runtimes look at it for handlers and annotations. What makes it impossible shows when the
        // sandbox is made.
        let subject = self.subject;
        let sandbox = sandbox::config(subject.object(), &subject.uid, 0, &[], &subject.node).ok();
        cri::PullImageRequest { image: Some(self.spec()), auth, sandbox_config: sandbox.map(|it| it.config) }
    }

    /// The keys of the pod's pull secrets; none where there are none or they are no good.
    async fn keyring(&self) -> Option<Keyring> {
        let spec = spec::of(self.subject.object());
        let names: Vec<&str> = spec
            .image_pull_secrets
            .iter()
            .flatten()
            .map(|secret| secret.name.as_str())
            .filter(|name| !name.is_empty())
            .collect();
        let Subject { world, namespace, settling, .. } = self.subject;
        let asked = names.iter().map(|name| {
            let span = deed_span!(self.subject, ApiServer, "read secret");
            telemetry::call(span, world.api.secret(namespace, name, *settling))
        });
        let asked = names.iter().zip(join_all(asked).await);
        let (mut secrets, mut missing) = (Vec::new(), Vec::new());
        for (name, secret) in asked {
            match secret {
                Ok(secret) => secrets.push(secret),
                Err(_) => missing.push(*name),
            }
        }
        if !missing.is_empty() {
            self.subject.tell(Told::warning("FailedToRetrieveImagePullSecret", without(&missing)));
        }
        let keyring = Keyring::of(&secrets);
        keyring
            .inspect_err(|bad| warn!(error = %bad, pod = %self.subject.uid, "a pull secret is not used"))
            .ok()
    }

    async fn tell_pulled(&self, image_ref: &str, pulling: Duration, waiting: Duration) {
        let spec = cri::ImageSpec { image: image_ref.to_owned(), ..Default::default() };
        let size = self.inspect(spec).await.ok().flatten().map(|image| image.size);
        let message = pull::pulled(&self.image, pulling, waiting, size.unwrap_or_default());
        self.tell(Told::normal("Pulled", message));
    }

    async fn inspect(&self, image: cri::ImageSpec) -> Result<Option<cri::Image>, RuntimeError> {
        let attributes = self.subject.attributes_of(&self.container);
        let asked = self.subject.world.runtime.image_status(image);
        telemetry::noting((Peer::Runtime, "inspect image"), attributes, asked).await
    }

    fn spec(&self) -> cri::ImageSpec {
        let annotations = self.subject.object().metadata.annotations.clone().unwrap_or_default();
        cri::ImageSpec {
            image: self.name.tagged.clone(),
            annotations: annotations.into_iter().collect(),
            ..Default::default()
        }
    }

    fn failed(&self, why: String) -> Fault {
        Fault::Told(PullFault::Pull { image: self.image.clone(), why })
    }

    fn tell(&self, what: Told) {
        self.subject.tell_of(self.kind, &self.container, what);
    }
}

/// The error's own words where they begin with a reason that is known by name.
fn named(error: &RuntimeError) -> String {
    let message = error.message();
    if pull::is_named(&message) { message } else { error.shown() }
}

fn without(secrets: &[&str]) -> String {
    format!(
        "Unable to retrieve some image pull secrets ({}); attempting to pull the image may not succeed.",
        secrets.join(", ")
    )
}
