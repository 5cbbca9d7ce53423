//! All pods: hears their statuses and watches their objects, hands both to the one actor that each pod
//! has, and gives turns to write.

use super::{
    ApiIsBack, NodeUid,
    pod::{self, Pod, Telling, Told, Turn},
};
use crate::{
    core::{
        pod::{Fact, plan, plan::Class},
        pods::{Directory, Effect, Name, Sight},
        turns::Turns,
    },
    ports::{Api, PodSight},
};
use actix::{Actor, Addr, AsyncContext, Context, Handler, Message, StreamHandler};
use chassis::{Heard, Service, error};
use messages::{Key, PodUid, pod_lifecycle::Status};
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    rc::Rc,
    time::Duration,
};
use tracing::warn;

/// The journal entry of starts that were told of: life by UID.
pub(crate) const STARTS: &str = "starts";
/// How long what a pod's start says waits for more: most pods run by then, and that is said at once.
const START: Duration = Duration::from_millis(300);
/// How long it waits for more before it is written.
const GATHER: Duration = Duration::from_millis(500);

/// Life by UID.
pub(crate) type Starts = BTreeMap<PodUid, u32>;

/// All pods.
pub(crate) struct Pods {
    service: Service,
    api: Option<Rc<dyn Api>>,
    directory: Directory,
    turns: Turns,
    /// Who has a word on its start that waits for more.
    starting: HashSet<PodUid>,
    pods: HashMap<PodUid, Addr<Pod>>,
    node_uid: Option<String>,
    starts: Starts,
    saving: bool,
}

/// What was heard of pods' statuses.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct HeardStatus(pub(crate) Heard<Status>);

/// A pod wants to write.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Queue(pub(crate) PodUid, pub(crate) Class);

/// A turn was used, or was not.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct TurnOver;

/// A pod has nothing left to do.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Left(pub(crate) PodUid);

/// The start of a pod's life was told of.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct StartToldOf(pub(crate) PodUid, pub(crate) u32);

impl Pods {
    pub(crate) fn new(service: Service, api: Option<Rc<dyn Api>>, starts: Starts) -> Self {
        Self {
            service,
            api,
            directory: Directory::default(),
            turns: Turns::default(),
            starting: HashSet::new(),
            pods: HashMap::new(),
            node_uid: None,
            starts,
            saving: false,
        }
    }

    /// The pod's actor, made when it is spoken of first.
    fn pod(&mut self, uid: &PodUid, name: Name, ctx: &Context<Self>) -> Addr<Pod> {
        if let Some(pod) = self.pods.get(uid) {
            return pod.clone();
        }
        let pod = Pod::new(pod::Parts {
            uid: uid.clone(),
            name,
            node: self.service.config.node_name.clone(),
            api: self.api.clone(),
            pods: ctx.address(),
            told_of: self.starts.get(uid).copied(),
        })
        .start();
        pod.do_send(Told(Fact::Node(self.node_uid.clone()), None));
        self.pods.insert(uid.clone(), pod.clone());
        pod
    }

    fn said(&mut self, status: Status, telling: Telling, ctx: &Context<Self>) {
        let name = (status.namespace.clone(), status.name.clone());
        let pod = self.pod(&status.pod, name, ctx);
        let mirror = status.mirror.as_deref().and_then(plan::hash).map(str::to_owned);
        let effects = self.directory.claim(&status, mirror.as_deref());
        pod.do_send(Told(Fact::Said(Box::new(status)), Some(telling)));
        self.perform(effects, ctx);
    }

    fn unsaid(&mut self, key: &Key, ctx: &mut Context<Self>) {
        let Some(uid) = key.tokens().first().and_then(|token| token.as_str().parse::<PodUid>().ok()) else {
            return;
        };
        let effects = self.directory.unclaim(&uid);
        self.tell(&uid, Fact::Unsaid);
        self.perform(effects, ctx);
        if self.starts.remove(&uid).is_some() {
            self.save_soon(ctx);
        }
    }

    fn perform(&mut self, effects: Vec<Effect>, ctx: &Context<Self>) {
        for effect in effects {
            match effect {
                Effect::Tell(pod, sight) => self.tell(&pod, sight.into()),
                Effect::Orphan(name, view) => {
                    // A mirror's UID is one like any other: it gets an actor that deletes it.
                    let Ok(uid) = view.uid.parse() else { continue };
                    self.pod(&uid, name, ctx);
                    self.tell(&uid, Fact::Seen(view));
                }
            }
        }
    }

    fn tell(&self, uid: &PodUid, fact: Fact) {
        if let Some(pod) = self.pods.get(uid) {
            pod.do_send(Told(fact, None));
        }
    }

    fn tell_all(&self, fact: &Fact) {
        self.pods.values().for_each(|pod| pod.do_send(Told(fact.clone(), None)));
    }

    fn grant(&mut self, turns: Vec<PodUid>) {
        for uid in turns {
            match self.pods.get(&uid) {
                Some(pod) => pod.do_send(Turn),
                None => {
                    let next = self.turns.over();
                    self.grant(next);
                }
            }
        }
    }

    fn save_soon(&mut self, ctx: &mut Context<Self>) {
        if std::mem::replace(&mut self.saving, true) {
            return;
        }
        ctx.run_later(GATHER, |pods, _| {
            pods.saving = false;
            if let Err(failure) = pods.service.journal.jot(STARTS, &pods.starts) {
                warn!(error = error::chain(&failure), "starts that were told of cannot be remembered");
            }
        });
    }
}

impl From<Sight> for Fact {
    fn from(sight: Sight) -> Self {
        match sight {
            Sight::Seen(view) => Self::Seen(view),
            Sight::Absent => Self::Absent,
            Sight::Gone(uid) => Self::Gone(uid),
            Sight::Displaced => Self::Displaced,
        }
    }
}

impl Actor for Pods {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        if let Some(api) = &self.api {
            ctx.add_stream(api.watch_pods());
        }
    }
}

impl Handler<HeardStatus> for Pods {
    type Result = ();

    fn handle(&mut self, HeardStatus(heard): HeardStatus, ctx: &mut Context<Self>) {
        match heard {
            Heard::Value { state, context, said, .. } => self.said(state, Telling { context, said }, ctx),
            Heard::Gone { key } => self.unsaid(&key, ctx),
            Heard::Complete => {
                let effects = self.directory.complete_claims();
                self.perform(effects, ctx);
            }
        }
    }
}

impl StreamHandler<PodSight> for Pods {
    fn handle(&mut self, sight: PodSight, ctx: &mut Context<Self>) {
        let effects = match sight {
            PodSight::Seen(name, view) => self.directory.see(name, view),
            PodSight::Gone(name, uid) => self.directory.lose(&name, &uid),
            PodSight::All(names) => self.directory.complete_objects(&names),
        };
        self.perform(effects, ctx);
    }
}

impl Handler<Queue> for Pods {
    type Result = ();

    fn handle(&mut self, Queue(pod, class): Queue, ctx: &mut Context<Self>) {
        if class != Class::Starting {
            let turns = self.turns.queue(pod, class);
            self.grant(turns);
        } else if self.starting.insert(pod.clone()) {
            ctx.run_later(START, move |pods, _| {
                pods.starting.remove(&pod);
                let turns = pods.turns.queue(pod, class);
                pods.grant(turns);
            });
        }
    }
}

impl Handler<TurnOver> for Pods {
    type Result = ();

    fn handle(&mut self, _: TurnOver, _: &mut Context<Self>) {
        let turns = self.turns.over();
        self.grant(turns);
    }
}

impl Handler<Left> for Pods {
    type Result = ();

    fn handle(&mut self, Left(uid): Left, _: &mut Context<Self>) {
        // Unless it was spoken of again meanwhile.
        if !self.directory.knows(&uid) {
            self.pods.remove(&uid);
            self.turns.withdraw(&uid);
        }
    }
}

impl Handler<StartToldOf> for Pods {
    type Result = ();

    fn handle(&mut self, StartToldOf(uid, life): StartToldOf, ctx: &mut Context<Self>) {
        self.starts.insert(uid, life);
        self.save_soon(ctx);
    }
}

impl Handler<NodeUid> for Pods {
    type Result = ();

    fn handle(&mut self, NodeUid(uid): NodeUid, _: &mut Context<Self>) {
        self.node_uid.clone_from(&uid);
        self.tell_all(&Fact::Node(uid));
    }
}

impl Handler<ApiIsBack> for Pods {
    type Result = ();

    fn handle(&mut self, _: ApiIsBack, _: &mut Context<Self>) {
        self.tell_all(&Fact::Woke);
    }
}
