//! Watches on the objects that volumes are filled from: one per object, however many pods refer to
//! it, and only while some pod does. An object that says it will never change is not watched further.

use crate::{
    core::{reference::Reference, version::is_news},
    gather::{Known, Versions},
    ports::Objects,
};
use actix::{
    Actor, AsyncContext, Context, Handler, Message, Recipient, SpawnHandle, WrapStream, fut::ActorStreamExt,
};
use messages::PodUid;
use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

/// The actor.
pub(super) struct Watches {
    objects: Rc<dyn Objects>,
    watches: BTreeMap<Reference, Watch>,
}

/// One object.
struct Watch {
    /// `None` once it is known never to change.
    running: Option<SpawnHandle>,
    /// Version that each pod has seen; `None` when it saw none.
    seen: BTreeMap<PodUid, Seen>,
    /// Version that the watch told of last, once it has told.
    latest: Option<Option<String>>,
}

struct Seen {
    version: Option<String>,
    pod: Recipient<Changed>,
}

/// A pod's volume was filled from these.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Follow {
    pub(super) uid: PodUid,
    pub(super) pod: Recipient<Changed>,
    pub(super) objects: Versions,
}

/// A pod has gone.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Unfollow {
    pub(super) uid: PodUid,
}

/// An object is not what the pod saw.
#[derive(Message, Clone)]
#[rtype(result = "()")]
pub(super) struct Changed {
    pub(super) object: Reference,
    /// What it is now; absent where only the fact is known, and it must be fetched.
    pub(super) now: Option<Known>,
}

impl Watches {
    pub(super) fn new(objects: Rc<dyn Objects>) -> Self {
        Self { objects, watches: BTreeMap::new() }
    }

    fn watch(&self, object: &Reference, ctx: &mut Context<Self>) -> Watch {
        let told = self.objects.watch(object);
        let name = object.clone();
        let tell = move |now, watches: &mut Self, ctx: &mut Context<Self>| watches.on_told(&name, &now, ctx);
        let running = ctx.spawn(told.into_actor(self).map(tell).finish());
        Watch { running: Some(running), seen: BTreeMap::new(), latest: None }
    }

    fn on_told(&mut self, object: &Reference, now: &Known, ctx: &mut Context<Self>) {
        let Some(watch) = self.watches.get_mut(object) else { return };
        let version = now.as_ref().map(|now| now.version.clone());
        watch.latest = Some(version.clone());
        let is_behind = |seen: &&mut Seen| is_news(version.as_deref(), seen.version.as_deref());
        for seen in watch.seen.values_mut().filter(is_behind) {
            seen.version.clone_from(&version);
            seen.pod.do_send(Changed { object: object.clone(), now: Some(now.clone()) });
        }
        let is_final = now.as_ref().is_some_and(|now| now.object.immutable);
        if let Some(running) = watch.running.take_if(|_| is_final) {
            ctx.cancel_future(running);
        }
    }
}

impl Actor for Watches {
    type Context = Context<Self>;
}

impl Handler<Follow> for Watches {
    type Result = ();

    fn handle(&mut self, follow: Follow, ctx: &mut Self::Context) {
        for (object, version) in follow.objects {
            if !self.watches.contains_key(&object) {
                let watch = self.watch(&object, ctx);
                self.watches.insert(object.clone(), watch);
            }
            let Some(watch) = self.watches.get_mut(&object) else { continue };
            let latest = watch.latest.as_ref();
            let is_behind = latest.is_some_and(|latest| is_news(latest.as_deref(), version.as_deref()));
            watch.seen.insert(follow.uid.clone(), Seen { version, pod: follow.pod.clone() });
            if is_behind {
                follow.pod.do_send(Changed { object, now: None });
            }
        }
    }
}

impl Handler<Unfollow> for Watches {
    type Result = ();

    fn handle(&mut self, Unfollow { uid }: Unfollow, ctx: &mut Self::Context) {
        let mut idle = BTreeSet::new();
        for (object, watch) in &mut self.watches {
            watch.seen.remove(&uid);
            if watch.seen.is_empty() {
                idle.insert(object.clone());
            }
        }
        for object in idle {
            let watch = self.watches.remove(&object);
            if let Some(running) = watch.and_then(|watch| watch.running) {
                ctx.cancel_future(running);
            }
        }
    }
}
