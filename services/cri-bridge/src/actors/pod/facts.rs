//! Facts that come to a pod's actor: the spec, the volumes, what deeds see, what happens in the runtime.

use super::PodActor;
use crate::{
    adapters::containerd::RuntimeError,
    core::readback,
    deeds::{Halt, Saw, read},
    loops::saying::Saying,
};
use actix::{AsyncContext, Context, Handler, Message, ResponseFuture, WrapFuture};
use chassis::error;
use futures::{FutureExt, future::ready};
use messages::{BootTime, cri_bridge::ContainerState, pod_lifecycle::Pod, volume_mounter::Volumes};
use proto::runtime::v1 as cri;
use tokio::sync::oneshot;
use tracing::{Span, debug};

/// pod-lifecycle has said the pod, or that it knows it no more.
pub struct Wanted(pub Option<Pod>);

impl Message for Wanted {
    type Result = ();
}

impl Handler<Wanted> for PodActor {
    type Result = ();
    fn handle(&mut self, Wanted(pod): Wanted, context: &mut Context<Self>) {
        self.taken += 1;
        match pod {
            Some(pod) => self.ledger.wanted(pod),
            None => {
                self.ledger.unwanted();
                self.say(Vec::new(), None, Span::none());
            }
        }
        let may_run_again = !self.ledger.is_stopping() && !self.flights.is_stopping();
        if may_run_again && self.halt.borrow().order.is_some() {
            self.halt.send_replace(Halt::default());
        }
        self.judge_again(context);
    }
}

/// volume-mounter has said the pod's volumes, or that there are none any more.
pub struct Mounted(pub Option<Volumes>);

impl Message for Mounted {
    type Result = ();
}

impl Handler<Mounted> for PodActor {
    type Result = ();
    fn handle(&mut self, Mounted(volumes): Mounted, context: &mut Context<Self>) {
        self.taken += 1;
        self.ledger.mounted(volumes);
        self.judge_again(context);
    }
}

impl Handler<Saw> for PodActor {
    type Result = ();
    fn handle(&mut self, saw: Saw, _: &mut Context<Self>) {
        match saw {
            Saw::Sandbox(identity, sandbox, at) => self.ledger.saw_sandbox(identity, sandbox, at),
            Saw::Container(container, at) => self.ledger.saw_container(container, at),
            Saw::Gone(id) => self.ledger.gone(&id),
            Saw::Listed(ids, at) => self.ledger.listed(&ids, at),
            Saw::Cgroup(exists) => self.ledger.cgroup(exists),
            Saw::Pulling(image) => self.ledger.pulling(&image),
            Saw::PreStop(id) => drop(self.hooked.insert(id)),
        }
    }
}

/// Something happened to a sandbox or container of the pod.
pub struct Happened {
    /// Its id.
    pub id: String,
    /// What.
    pub what: cri::ContainerEventType,
}

impl Message for Happened {
    type Result = ();
}

impl Handler<Happened> for PodActor {
    type Result = ();
    fn handle(&mut self, happened: Happened, context: &mut Context<Self>) {
        use cri::ContainerEventType::{ContainerCreatedEvent, ContainerStartedEvent, ContainerStoppedEvent};
        self.taken += 1;
        let state = match happened.what {
            ContainerCreatedEvent => Some(ContainerState::Created),
            ContainerStartedEvent => Some(ContainerState::Running),
            ContainerStoppedEvent => Some(ContainerState::Exited),
            cri::ContainerEventType::ContainerDeletedEvent => None,
        };
        // Whatever makes something reads it back itself.
        let is_own = matches!(happened.what, ContainerCreatedEvent | ContainerStartedEvent);
        if is_own && self.flights.makes_something() || state.is_some_and(|it| self.is_known(&happened.id, it))
        {
            return;
        }
        self.look_at(happened.id, context);
    }
}

impl PodActor {
    fn is_known(&self, id: &str, state: ContainerState) -> bool {
        let sandbox_is_up = state != ContainerState::Exited && self.ledger.stands(id, None);
        sandbox_is_up || self.ledger.stands(id, Some(state))
    }

    /// Reads one sandbox or container; everything, for an id that is not known.
    pub(super) fn look_at(&mut self, id: String, context: &mut Context<Self>) {
        let subject = self.subject(context);
        let sandbox = self.ledger.sandbox_of(&id).map(str::to_owned);
        let is_sandbox = self.ledger.sandboxes().iter().any(|it| it.id == id);
        if sandbox.is_none() && !is_sandbox {
            return self.read_all(context);
        }
        self.read(context, Extent::Part, None, async move {
            match sandbox {
                Some(sandbox) => read::container(&subject, &id, &sandbox).await.map(drop),
                None => read::sandbox(&subject, &id).await.map(drop),
            }
        });
    }

    /// Reads everything, once more afterwards if that was asked for meanwhile.
    fn read_all(&mut self, context: &mut Context<Self>) {
        if let Some(again) = &mut self.reading {
            *again = true;
            return;
        }
        self.reading = Some(false);
        let subject = self.subject(context);
        let reading = async move { read::all(&subject).await.map(drop) };
        self.read(context, Extent::All, None, reading);
    }

    /// Sets off a reading. Whoever waits for it is told once its news are said.
    pub(super) fn read(
        &mut self,
        context: &mut Context<Self>,
        extent: Extent,
        told: Option<oneshot::Sender<()>>,
        reading: impl Future<Output = Result<(), RuntimeError>> + 'static,
    ) {
        let actor = context.address();
        let reading = reading.map(move |read| {
            if let Err(error) = read {
                debug!(error = error::chain(&error), "not read; the next list will show it");
            }
            // By the mailbox, behind what was seen.
            actor.do_send(Looked { extent, told });
        });
        context.spawn(reading.into_actor(self));
    }
}

/// How much is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Extent {
    /// A sandbox or container, or what a list shows.
    Part,
    /// Everything; one such reading at a time.
    All,
}

/// A reading has ended.
struct Looked {
    extent: Extent,
    told: Option<oneshot::Sender<()>>,
}

impl Message for Looked {
    type Result = ();
}

impl Handler<Looked> for PodActor {
    type Result = ();
    fn handle(&mut self, Looked { extent, told }: Looked, context: &mut Context<Self>) {
        let again = extent == Extent::All && self.reading.take().unwrap_or_default();
        if self.ledger.has_news() || !self.is_told {
            self.say(Vec::new(), None, Span::none());
            self.collect(context);
            self.judge_again(context);
        }
        if let Some(told) = told {
            // Whoever waited has gone, or is told.
            let then = Box::new(move || told.send(()).unwrap_or_default());
            self.world.say(Saying { what: None, span: Span::none(), then });
        }
        if again {
            self.read_all(context);
        }
        self.launch(context);
    }
}

/// All of the pod as a list of everything shows it.
pub struct Listed {
    /// Its sandboxes.
    pub sandboxes: Vec<cri::PodSandbox>,
    /// Its containers.
    pub containers: Vec<cri::Container>,
    /// When the list was asked for.
    pub at: BootTime,
}

/// Answered once what it shows was said.
impl Message for Listed {
    type Result = ();
}

impl Handler<Listed> for PodActor {
    type Result = ResponseFuture<()>;
    fn handle(&mut self, listed: Listed, context: &mut Context<Self>) -> Self::Result {
        self.taken += 1;
        if self.shows(&listed) {
            return Box::pin(ready(()));
        }
        let (told, heard) = oneshot::channel();
        let subject = self.subject(context);
        self.read(context, Extent::Part, Some(told), async move {
            let Listed { sandboxes, containers, at } = listed;
            read::listed(&subject, &sandboxes, &containers, at).await.map(drop)
        });
        Box::pin(heard.map(drop))
    }
}

impl PodActor {
    /// Whether the ledger shows just what a list does.
    fn shows(&self, listed: &Listed) -> bool {
        let known = self.ledger.sandboxes().len() + self.ledger.containers().len();
        let sandboxes = listed.sandboxes.iter().all(|it| {
            let is_ready = it.state() == cri::PodSandboxState::SandboxReady;
            self.ledger.sandboxes().iter().any(|known| known.id == it.id && known.ready == is_ready)
        });
        let stands = |it: &cri::Container| self.ledger.stands(&it.id, Some(readback::state(it.state())));
        let counted = listed.sandboxes.len() + listed.containers.len();
        self.is_told && counted == known && sandboxes && listed.containers.iter().all(stands)
    }
}
