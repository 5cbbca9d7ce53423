//! What a pod's actor does when the core says so.

use super::PodActor;
use crate::{
    actors::{
        pods::{FOLDER, Gone},
        watches::{Follow, Unfollow},
    },
    adapters::folders,
    core::{
        mount_table,
        path::VolumeName,
        progress::{Effect, Fact, Setback, Stage, Wake},
    },
    gather::Versions,
    make::{Failed, Job, Made},
    ports::{Deed, Tools},
};
use actix::{ActorContext, ActorFutureExt, AsyncContext, Context, WrapFuture};
use chassis::{
    clock, error,
    telemetry::{self, keys},
};
use messages::{
    Fault, Key, Outcome,
    status_reporter::{About, RecordEvent, Severity},
    volume_mounter::{Volumes, VolumesPhase},
};
use std::{path::PathBuf, rc::Rc, time::Duration};
use tokio::{sync::oneshot, task::spawn_blocking};
use tracing::{Instrument, Span, error, info_span};

impl PodActor {
    pub(super) fn perform(&mut self, effect: Effect, ctx: &mut Context<Self>) {
        match effect {
            Effect::Make(name) => self.make(name, ctx),
            Effect::TakeDown => self.take_down(ctx),
            Effect::WakeAfter(wake, wait) => self.wake_after(wake, wait, ctx),
            Effect::Tell(message) => self.tell(message),
            Effect::Say => self.say(ctx),
            Effect::Forget => self.forget(ctx),
        }
    }

    fn make(&mut self, name: VolumeName, ctx: &mut Context<Self>) {
        let Some(job) = self.job(&name) else {
            let why = "the pod does not want it any more".to_owned();
            let result = Err(Setback { why, passing: false });
            return self.step(Fact::Made { volume: name, result }, ctx);
        };
        let span = self.span(&name);
        let making = async move {
            let made = job.make().instrument(span.clone()).await;
            if let Err(failed) = &made {
                telemetry::fail(&span, &error::chain(&failed.why));
            }
            made
        };
        ctx.spawn(making.into_actor(self).map(move |made, pod, ctx| pod.on_made(name, made, ctx)));
    }

    fn job(&self, name: &VolumeName) -> Option<Job> {
        let volume = self.volumes.get(name)?.clone();
        Some(Job {
            tools: self.kit.tools.clone(),
            pod: self.desired.clone()?,
            folder: self.kit.layout.volume(&self.record.pod, &volume),
            owned: self.record.volumes.get(name.as_str()).cloned().unwrap_or_default(),
            volume,
            checked: self.checked.clone(),
            first_seen: self.first_seen,
            told: self.told.clone(),
        })
    }

    /// A volume's first making is part of whatever asked for it; anything later is part of nothing.
    fn span(&self, name: &VolumeName) -> Span {
        let is_traced = telemetry::traceparent(&self.context).is_some();
        if !is_traced || self.record.ready_volume(name.as_str()).is_some() {
            return Span::none();
        }
        let span = info_span!(
            parent: None,
            "mount volume",
            { keys::POD_UID } = %self.record.pod,
            { keys::POD_NAME } = self.record.name,
            { keys::NAMESPACE } = self.record.namespace,
            { keys::VOLUME_NAME } = %name,
        );
        telemetry::child_of(&self.context, span)
    }

    fn on_made(&mut self, name: VolumeName, made: Result<Made, Failed>, ctx: &mut Context<Self>) {
        let is_checked = self.checked.initialized();
        let before = (self.record.checked, self.record.volumes.get(name.as_str()).cloned());
        self.record.checked = is_checked;
        let result = match made {
            Ok(made) => {
                self.record.volumes.insert(name.to_string(), made.owned);
                self.follow(made.versions, ctx);
                Ok(made.next)
            }
            Err(failed) => {
                self.follow(failed.versions, ctx);
                Err(Setback { why: error::chain(&failed.why), passing: failed.why.is_passing() })
            }
        };
        let now = (self.record.checked, self.record.volumes.get(name.as_str()).cloned());
        self.step(Fact::Made { volume: name, result }, ctx);
        if now != before && self.progress.is_idle() {
            self.save_later(ctx);
        }
    }

    pub(super) fn follow(&mut self, objects: Versions, ctx: &mut Context<Self>) {
        if !objects.is_empty() && !self.record.releasing {
            let (uid, pod) = (self.record.pod.clone(), ctx.address().recipient());
            self.kit.watches.do_send(Follow { uid, pod, objects });
        }
    }

    pub(super) fn wake_after(&mut self, wake: Wake, wait: Duration, ctx: &mut Context<Self>) {
        let woken = wake.clone();
        let handle = ctx.run_later(wait, move |pod, ctx| pod.step(Fact::Woken(woken), ctx));
        if let Some(earlier) = self.wakes.insert(wake, handle) {
            ctx.cancel_future(earlier);
        }
    }

    fn take_down(&mut self, ctx: &mut Context<Self>) {
        self.kit.watches.do_send(Unfollow { uid: self.record.pod.clone() });
        let folder = self.kit.layout.pod(&self.record.pod);
        let taking = take_down(self.kit.tools.clone(), folder).into_actor(self);
        ctx.spawn(taking.map(|result, pod, ctx| pod.step(Fact::TakenDown(result), ctx)));
    }

    pub(super) fn tell(&self, message: String) {
        self.kit.events.record(RecordEvent {
            about: About::Pod {
                pod: self.record.pod.clone(),
                namespace: self.record.namespace.clone(),
                name: self.record.name.clone(),
                field_path: String::new(),
            },
            severity: Severity::Warning,
            reason: "FailedMount".to_owned(),
            message,
            at: clock::now_unix(),
        });
    }

    /// Says how far the pod is, then answers those whose answer that is.
    fn say(&mut self, ctx: &mut Context<Self>) {
        let (bus, state) = (self.kit.bus.clone(), self.next_state());
        let due = self.due_answers();
        let saying = async move {
            bus.say(&state).await;
            for (waiting, outcome) in due {
                // Whoever has stopped waiting needs no answer.
                let _ = waiting.send(outcome);
            }
        };
        ctx.wait(saying.into_actor(self));
    }

    pub(super) fn next_state(&mut self) -> Volumes {
        self.revision += 1;
        let fault = |reason: &str| self.progress.fault().map(|message| Fault::new(reason, message));
        let phase = match self.progress.stage() {
            Stage::Preparing => VolumesPhase::Preparing { fault: fault("FailedMount") },
            Stage::Ready => VolumesPhase::Ready,
            Stage::Releasing | Stage::Gone => VolumesPhase::Releasing { fault: fault("FailedUnmount") },
        };
        Volumes {
            pod: self.record.pod.clone(),
            phase,
            revision: self.revision,
            volumes: self.record.ready(),
            pod_dir: self.kit.layout.pod(&self.record.pod).to_string_lossy().into_owned(),
            supplemental_groups: vec![],
        }
    }

    /// A caller learns of the end, or that the first try failed and the state tells how it goes on.
    fn due_answers(&mut self) -> Vec<(oneshot::Sender<Outcome>, Outcome)> {
        let outcome = match (self.progress.stage(), self.progress.fault()) {
            (Stage::Ready, _) => Outcome::Done { revision: self.revision },
            (_, Some(_)) => Outcome::Accepted,
            (_, None) => return vec![],
        };
        self.waiting.drain(..).map(|waiting| (waiting, outcome.clone())).collect()
    }

    fn forget(&mut self, ctx: &mut Context<Self>) {
        let name = format!("{FOLDER}/{}", self.record.pod);
        if let Err(failure) = self.kit.journal.remove(&name) {
            error!(error = error::chain(&failure), "a journal entry can't be removed");
        }
        self.kit.pods.do_send(Gone(self.record.pod.clone()));
        let (bus, key) = (self.kit.bus.clone(), Key::from(&self.record.pod));
        let done = Outcome::Done { revision: self.revision + 1 };
        let waiting = std::mem::take(&mut self.waiting);
        let leaving = async move {
            bus.retract::<Volumes>(&key).await;
            for waiting in waiting {
                // Whoever has stopped waiting needs no answer.
                let _ = waiting.send(done.clone());
            }
        };
        ctx.wait(leaving.into_actor(self).map(|(), _, ctx| ctx.stop()));
    }

    pub(super) fn save(&self) {
        let name = format!("{FOLDER}/{}", self.record.pod);
        if let Err(failure) = self.kit.journal.jot(&name, &self.record) {
            error!(error = error::chain(&failure), pod = %self.record.pod, "volumes are not in the journal");
        }
    }

    /// After what was said is on its way: nobody waits for the disk.
    fn save_later(&self, ctx: &mut Context<Self>) {
        ctx.wait(std::future::ready(()).into_actor(self).map(|(), pod: &mut Self, _| pod.save()));
    }
}

/// Unmounts what is mounted in a pod's folder, then removes it.
async fn take_down(tools: Rc<Tools>, folder: PathBuf) -> Result<(), String> {
    let table = tools.mounter.table().map_err(|failure| error::chain(&failure))?;
    if !mount_table::below(&table, &folder).is_empty() {
        tools.mounter.perform(&Deed::UnmountBelow { folder: folder.clone() }).await?;
    }
    let removing = spawn_blocking(move || folders::remove(&folder)).await;
    let removed = removing.map_err(|_| "interrupted".to_owned())?;
    removed.map_err(|failure| error::chain(&failure))
}
