//! What a pod's actor is told and asked.

use super::PodActor;
use crate::{
    actors::{commands::Bind, watches::Changed},
    core::{
        keep,
        path::VolumeName,
        progress::{Fact, Stage},
    },
    error::Unmade,
    ports::Deed,
};
use actix::{Context, Handler, Message, ResponseFuture};
use chassis::{error, telemetry};
use futures::FutureExt;
use messages::{
    BootTime, Fault, Outcome, Refusal,
    pod_lifecycle::Pod,
    volume_mounter::{BindSubpath, BindSubpathReply},
};
use opentelemetry::{Context as TraceContext, context::FutureExt as _};
use std::{future::ready, sync::Arc};
use tokio::sync::oneshot;

/// The pod is told to be like this.
#[derive(Message)]
#[rtype(result = "()")]
pub(in crate::actors) struct Desire {
    pub(in crate::actors) pod: Arc<Pod>,
    pub(in crate::actors) first_seen: BootTime,
}

/// Make all volumes; the answer comes when that is done, or has failed for the first time.
#[derive(Message)]
#[rtype(result = "Outcome")]
pub(in crate::actors) struct Prepare {
    pub(in crate::actors) context: TraceContext,
}

/// Take everything down; the answer comes as for [`Prepare`].
#[derive(Message)]
#[rtype(result = "Outcome")]
pub(in crate::actors) struct Release;

/// Nobody knows the pod any more.
#[derive(Message)]
#[rtype(result = "()")]
pub(in crate::actors) struct Abandoned;

/// Say how far the pod is, whether it was said before or not.
#[derive(Message)]
#[rtype(result = "()")]
pub(in crate::actors) struct SayAgain;

impl Handler<Desire> for PodActor {
    type Result = ();

    fn handle(&mut self, desire: Desire, ctx: &mut Self::Context) {
        self.first_seen = desire.first_seen;
        self.desire(desire.pod, ctx);
    }
}

impl Handler<Changed> for PodActor {
    type Result = ();

    fn handle(&mut self, changed: Changed, ctx: &mut Self::Context) {
        self.on_changed(changed, ctx);
    }
}

impl Handler<Prepare> for PodActor {
    type Result = ResponseFuture<Outcome>;

    fn handle(&mut self, asked: Prepare, ctx: &mut Self::Context) -> Self::Result {
        let refused = |refusal| ready(Outcome::Refused { refusal }).boxed_local();
        let Some(pod) = self.desired.clone() else { return refused(Refusal::Unavailable) };
        if matches!(self.progress.stage(), Stage::Releasing | Stage::Gone) {
            return refused(Refusal::Unavailable);
        }
        self.context = asked.context;
        let answer = self.answer();
        match self.want(&pod, ctx) {
            Ok(()) => answer,
            Err(bad) => {
                let fault = Fault::new("FailedMount", error::chain(&bad));
                self.tell(fault.message.clone());
                ready(Outcome::Failed { fault }).boxed_local()
            }
        }
    }
}

impl Handler<Release> for PodActor {
    type Result = ResponseFuture<Outcome>;

    fn handle(&mut self, _: Release, ctx: &mut Self::Context) -> Self::Result {
        let answer = self.answer();
        self.release(ctx);
        answer
    }
}

impl Handler<Abandoned> for PodActor {
    type Result = ();

    fn handle(&mut self, _: Abandoned, ctx: &mut Self::Context) {
        self.release(ctx);
    }
}

impl Handler<SayAgain> for PodActor {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, _: SayAgain, _: &mut Self::Context) -> Self::Result {
        let (bus, state) = (self.kit.bus.clone(), self.next_state());
        async move { bus.say(&state).await }.boxed_local()
    }
}

impl Handler<Bind> for PodActor {
    type Result = ResponseFuture<BindSubpathReply>;

    fn handle(&mut self, Bind { asked, context }: Bind, _: &mut Self::Context) -> Self::Result {
        let deed = match self.binding(&asked) {
            Ok(deed) => deed,
            Err(reply) => return ready(reply).boxed_local(),
        };
        let tools = self.kit.tools.clone();
        let binding = async move {
            let performing = async { tools.mounter.perform(&deed).await.map_err(Unmade::Mount) };
            match telemetry::call(deed.span(), performing).await {
                Ok(()) => {
                    BindSubpathReply::Bound { host_path: deed.subject().to_string_lossy().into_owned() }
                }
                Err(why) => failed(&asked, &error::chain(&why)),
            }
        };
        binding.with_context(context).boxed_local()
    }
}

impl PodActor {
    /// The end of what is under way, for one more caller.
    fn answer(&mut self) -> ResponseFuture<Outcome> {
        let (answer, answered) = oneshot::channel();
        self.waiting.push(answer);
        // Unanswered means that the actor has ended, and so does the process.
        let unanswered = |_| Outcome::Refused { refusal: Refusal::Unavailable };
        async move { answered.await.unwrap_or_else(unanswered) }.boxed_local()
    }

    fn release(&mut self, ctx: &mut Context<Self>) {
        if !self.record.releasing {
            self.record.releasing = true;
            self.save();
        }
        self.step(Fact::ReleaseAsked, ctx);
    }

    fn binding(&self, asked: &BindSubpath) -> Result<Deed, BindSubpathReply> {
        let refused = |refusal| BindSubpathReply::Refused { refusal };
        let unknown = |what: &str| refused(Refusal::Unknown { what: what.to_owned() });
        let pod = self.desired.as_ref().ok_or_else(|| refused(Refusal::Unavailable))?;
        if matches!(self.progress.stage(), Stage::Releasing | Stage::Gone) {
            return Err(refused(Refusal::Superseded));
        }
        let name = keep::mounted_volume(&pod.object, asked.container.as_str(), asked.mount);
        let name = name.and_then(|name| VolumeName::parse(name).ok()).ok_or_else(|| unknown("the mount"))?;
        let ready = self.record.ready_volume(name.as_str()).ok_or_else(|| unknown("the volume"))?;
        let root = ready.host_path.ok_or_else(|| failed(asked, "the volume is the runtime's to mount"))?;
        let at = self.kit.layout.subpath(&asked.pod, &name, (&asked.container, asked.mount));
        Ok(Deed::BindSubpath { root: root.into(), below: asked.path.clone(), at })
    }
}

fn failed(asked: &BindSubpath, why: &str) -> BindSubpathReply {
    let BindSubpath { container, mount, .. } = asked;
    let message =
        format!("failed to prepare subPath for volumeMount {mount} of container \"{container}\": {why}");
    BindSubpathReply::Failed { fault: Fault::new("CreateContainerConfigError", message) }
}
