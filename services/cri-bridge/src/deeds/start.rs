//! Making and starting one instance of a container, with its postStart hook.

mod config;
mod environment;

use super::{End, Subject, deed_span, follow_up, hook, read, stop};
use crate::{
    adapters::{containerd::RuntimeError, pod_files},
    core::{
        names,
        spec::{self, Found},
    },
    ports::Told,
};
use chassis::{error, telemetry};
use config::ConfigError;
use messages::{ContainerName, Fault, cri_bridge::ContainerState, pod_lifecycle::ContainerKind};
use proto::runtime::v1 as cri;
use tracing::{Instrument, debug, warn};

/// Which instance is started.
#[derive(Debug, Clone)]
pub struct Instance {
    /// The container.
    pub container: ContainerName,
    /// Which list it stands in.
    pub kind: ContainerKind,
    /// The attempt.
    pub attempt: u32,
    /// What the runtime calls its image, if that is known.
    pub image_ref: Option<String>,
}

/// Starts it.
pub async fn start(subject: Subject, instance: Instance) -> End {
    let starting = Starting { subject: &subject, instance: &instance };
    match starting.run().await {
        Ok(()) => End::Done,
        Err(end) => end,
    }
}

struct Starting<'s> {
    subject: &'s Subject,
    instance: &'s Instance,
}

impl Starting<'_> {
    async fn run(&self) -> Result<(), End> {
        let subject = self.subject;
        let found = spec::container(subject.object(), self.instance.container.as_str()).ok_or(End::Halted)?;
        let sandbox = subject.active_sandbox().map(|sandbox| sandbox.id.clone()).ok_or(End::Halted)?;
        let (id, pass) = match self.made_before(&sandbox) {
            Some(id) => (id, subject.turn().await?),
            None => self.make(&found, &sandbox).await?,
        };
        self.begin(&id, &sandbox).await?;
        drop(pass);
        self.link(&id);
        self.post_start(&found, &id).await
    }

    /// An instance that an earlier life of ours made and did not start.
    fn made_before(&self, sandbox: &str) -> Option<String> {
        let made = self.subject.containers.iter().find(|it| {
            it.name == self.instance.container
                && it.attempt == self.instance.attempt
                && it.state == ContainerState::Created
                && it.sandbox == sandbox
        });
        made.map(|made| made.id.clone())
    }

    async fn make(&self, found: &Found<'_>, sandbox: &str) -> Result<(String, super::Pass), End> {
        let subject = self.subject;
        let made = config::make(subject, self.instance, found).await;
        let config = made.map_err(|bad| self.not_configured(bad))?;
        let sandbox_config = config::sandbox(subject).map_err(|bad| self.not_configured(bad.into()))?;
        let pass = subject.turn().await?;
        let span = deed_span!(
            subject,
            Runtime,
            "create container",
            k8s.container.name = %self.instance.container,
            k8s.container.restart_count = self.instance.attempt,
        );
        let create = subject.world.runtime.create_container(sandbox, config, sandbox_config);
        let id = match telemetry::call(span, create).await {
            Ok(id) => id,
            Err(error) if error.is_of_unknown_outcome() => {
                let span = deed_span!(subject, Runtime, "look for container");
                self.look_for(sandbox, &error).instrument(span).await?
            }
            Err(error) => return Err(self.not_created(&error)),
        };
        self.tell(Told::normal("Created", "Container created"));
        if subject.is_halted() {
            return Err(End::Halted);
        }
        Ok((id, pass))
    }

    /// The instance, whose making was not answered.
    async fn look_for(&self, sandbox: &str, unanswered: &RuntimeError) -> Result<String, End> {
        let is_it = |it: &cri::Container| {
            let wanted = (self.instance.container.as_str(), self.instance.attempt);
            let metadata = it.metadata.as_ref();
            it.pod_sandbox_id == sandbox
                && metadata.is_some_and(|it| (it.name.as_str(), it.attempt) == wanted)
        };
        let found = follow_up::look_for(self.subject, unanswered, || async {
            let listed = self.subject.world.runtime.list_containers(Some(&self.subject.uid)).await?;
            Ok(listed.into_iter().find(is_it).map(|container| container.id))
        });
        found.await?.ok_or_else(|| self.not_created(unanswered))
    }

    async fn begin(&self, id: &str, sandbox: &str) -> Result<(), End> {
        let subject = self.subject;
        let span = deed_span!(
            subject,
            Runtime,
            "start container",
            k8s.container.name = %self.instance.container,
            k8s.container.restart_count = self.instance.attempt,
            container.id = id,
        );
        let started = telemetry::call(span, subject.world.runtime.start_container(id)).await;
        let read = read::container(subject, id, sandbox).await;
        match (started, read) {
            (Ok(()), Ok(_)) => {}
            // It has started; the next list will show it.
            (Ok(()), Err(error)) => debug!(error = error::chain(&error), "a container could not be read"),
            // No answer, but it runs, or has run.
            (Err(error), Ok(Some(now)))
                if error.is_of_unknown_outcome() && now.state != ContainerState::Created => {}
            (Err(error), _) => {
                return Err(End::of_call(&error, || self.failed("RunContainerError", error.message())));
            }
        }
        self.tell(Told::normal("Started", "Container started"));
        Ok(())
    }

    /// The link that log shippers follow. Logs are read without it too.
    fn link(&self, id: &str) {
        let Subject { world, namespace, name, uid, node, .. } = self.subject;
        let container = &self.instance.container;
        let folder = names::pod_log_directory(&node.pod_logs, namespace, name, uid);
        let log = folder.join(names::log_path(container.as_str(), self.instance.attempt));
        let link = names::link(name, namespace, container.as_str(), id);
        if log.exists()
            && let Err(bad) = pod_files::link_log(&world.links, &link, &log)
        {
            warn!(error = error::chain(&bad), "a log has no link");
        }
    }

    async fn post_start(&self, found: &Found<'_>, id: &str) -> Result<(), End> {
        let hook = found.container.lifecycle.as_ref().and_then(|lifecycle| lifecycle.post_start.as_ref());
        let Some(handler) = hook else { return Ok(()) };
        let target = hook::Target {
            id,
            container: found.container.name.as_str(),
            ports: found.container.ports.as_deref(),
        };
        let container = &self.instance.container;
        let span = deed_span!(self.subject, Container, "run postStart hook", k8s.container.name = %container);
        let Err(why) = hook::run(self.subject, target, handler, &span).await else { return Ok(()) };
        self.tell(Told::warning("FailedPostStartHook", "PostStartHook failed"));
        let one = stop::One {
            container: self.instance.container.clone(),
            container_id: id.to_owned(),
            grace_seconds: stop::own_grace(self.subject),
            why: "FailedPostStartHook".to_owned(),
        };
        stop::one(self.subject, one).await;
        Err(End::Failed(Fault::new("PostStartHookError", why)))
    }

    fn not_configured(&self, bad: ConfigError) -> End {
        let fault = || self.fault("CreateContainerConfigError", bad.to_string()).passing(bad.is_passing());
        match &bad {
            ConfigError::Runtime(error) => End::of_call(error, || End::Failed(fault())),
            _ => End::Failed(fault()),
        }
    }

    fn not_created(&self, error: &RuntimeError) -> End {
        End::of_call(error, || self.failed("CreateContainerError", error.message()))
    }

    /// A fault and the kubelet's event of it.
    fn fault(&self, reason: &str, message: String) -> Fault {
        self.tell(Told::warning("Failed", format!("Error: {message}")));
        Fault::new(reason, message)
    }

    fn failed(&self, reason: &str, message: String) -> End {
        End::Failed(self.fault(reason, message))
    }

    fn tell(&self, what: Told) {
        self.subject.tell_of(self.instance.kind, &self.instance.container, what);
    }
}
