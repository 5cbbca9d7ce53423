//! The outside world as the tests of the whole service play it: a mounter that makes folders instead
//! of mounts, and an API server that is a few maps.

use chassis::{AskError, Bus, Heard, Hearing, Service, testing::BusServer};
use futures::{
    FutureExt, StreamExt,
    future::{LocalBoxFuture, ready},
    stream::LocalBoxStream,
};
use k8s_openapi::api::core::v1 as core;
use messages::{
    Command, Decision, Incarnation, Owner, PodUid,
    pod_lifecycle::{Pod, PodSource, Stage},
    status_reporter::{Node, RecordEvent, RecordEventReply},
    volume_mounter::Volumes,
};
use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    rc::Rc,
    sync::Arc,
    time::Duration,
};
use tokio::{sync::watch, time::timeout};
use tokio_stream::wrappers::WatchStream;
use volume_mounter::{
    adapters::{folders, subpath},
    core::{
        path::RelativePath,
        payload::Object,
        reference::{Kind, Reference},
        volume::Token,
    },
    ports::{Bearer, Deed, Denied, Issued, Mounter, Objects, Versioned},
};

/// Long enough for a machine that does much else.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Makes folders where mounts would be, and remembers which.
#[derive(Default)]
pub(crate) struct FolderMounter {
    pub(crate) mounted: RefCell<Vec<PathBuf>>,
    pub(crate) deeds: RefCell<Vec<Deed>>,
    /// Unmounting fails so many times.
    pub(crate) busy: Cell<u32>,
}

impl FolderMounter {
    /// The machine restarts: what was mounted is gone with its content.
    pub(crate) fn reboot(&self) {
        for at in self.mounted.borrow_mut().drain(..) {
            clear(&at);
        }
    }

    fn unmount(&self, folder: &Path) -> Result<(), String> {
        if self.busy.get() > 0 {
            self.busy.set(self.busy.get() - 1);
            return Err("could not unmount: busy".into());
        }
        self.mounted.borrow_mut().retain(|at| {
            let stays = !at.starts_with(folder);
            if !stays {
                clear(at);
            }
            stays
        });
        Ok(())
    }
}

fn clear(at: &Path) {
    fs::remove_dir_all(at).unwrap();
    fs::create_dir(at).unwrap();
}

impl Mounter for FolderMounter {
    fn perform<'a>(&'a self, deed: &'a Deed) -> LocalBoxFuture<'a, Result<(), String>> {
        self.deeds.borrow_mut().push(deed.clone());
        let done = match deed {
            Deed::Mount { at, .. } => {
                folders::make_open(at).unwrap();
                self.mounted.borrow_mut().push(at.clone());
                Ok(())
            }
            Deed::CheckHostPath { path, .. } => path.metadata().map(drop).map_err(|error| error.to_string()),
            Deed::BindSubpath { root, below, .. } => {
                let path = RelativePath::below(below).map_err(|bad| bad.to_string());
                path.and_then(|path| {
                    subpath::open_or_make(root, &path).map(drop).map_err(|fault| fault.to_string())
                })
            }
            Deed::UnmountBelow { folder } => self.unmount(folder),
        };
        async { done }.boxed_local()
    }

    fn table(&self) -> std::io::Result<String> {
        let line = |at: &PathBuf| format!("1 1 0:1 / {} rw - tmpfs tmpfs rw\n", at.display());
        Ok(self.mounted.borrow().iter().map(line).collect())
    }
}

type Known = Option<Versioned>;

/// The API server.
#[derive(Default)]
pub(crate) struct Maps {
    pods: RefCell<BTreeMap<String, core::Pod>>,
    objects: RefCell<BTreeMap<Reference, watch::Sender<Known>>>,
    version: Cell<u32>,
    /// So many requests are forbidden before the authorizer has caught up.
    pub(crate) forbidden: Cell<u32>,
    /// Nothing answers.
    pub(crate) away: Cell<bool>,
    pub(crate) tokens: Cell<u32>,
    pub(crate) requests: Cell<u32>,
    /// How many lives of the service have begun.
    lives: Cell<u32>,
}

/// The API server as one life of the service sees it. A life's actors outlive its end here, where a process would take
/// them along; they see no change any more, lest two lives write the same files.
struct Life {
    maps: Rc<Maps>,
    number: u32,
}

impl Life {
    fn next(maps: &Rc<Maps>) -> Self {
        maps.lives.set(maps.lives.get() + 1);
        Self { maps: maps.clone(), number: maps.lives.get() }
    }
}

impl Objects for Life {
    fn pod<'a>(&'a self, namespace: &'a str, name: &'a str) -> LocalBoxFuture<'a, Result<core::Pod, Denied>> {
        self.maps.pod(namespace, name)
    }

    fn object<'a>(&'a self, reference: &'a Reference) -> LocalBoxFuture<'a, Result<Versioned, Denied>> {
        self.maps.object(reference)
    }

    fn token<'a>(
        &'a self,
        bearer: Bearer<'a>,
        token: &'a Token,
    ) -> LocalBoxFuture<'a, Result<Issued, Denied>> {
        self.maps.token(bearer, token)
    }

    fn watch(&self, reference: &Reference) -> LocalBoxStream<'static, Known> {
        let (maps, number) = (self.maps.clone(), self.number);
        self.maps.watch(reference).take_while(move |_| ready(maps.lives.get() == number)).boxed_local()
    }
}

impl Maps {
    pub(crate) fn put_pod(&self, pod: &core::Pod) {
        self.pods.borrow_mut().insert(pod.metadata.name.clone().unwrap(), pod.clone());
    }

    pub(crate) fn put(&self, kind: Kind, name: &str, data: &[(&str, &str)]) {
        self.version.set(self.version.get() + 1);
        let data = data.iter().map(|(key, value)| ((*key).to_owned(), value.as_bytes().to_vec())).collect();
        let object = Arc::new(Object { data, immutable: false });
        let versioned = Versioned { version: self.version.get().to_string(), object };
        self.sender(&reference(kind, name)).send_replace(Some(versioned));
    }

    pub(crate) fn remove(&self, kind: Kind, name: &str) {
        self.sender(&reference(kind, name)).send_replace(None);
    }

    fn sender(&self, reference: &Reference) -> watch::Sender<Known> {
        let mut objects = self.objects.borrow_mut();
        objects.entry(reference.clone()).or_insert_with(|| watch::Sender::new(None)).clone()
    }

    fn admit(&self) -> Result<(), Denied> {
        self.requests.set(self.requests.get() + 1);
        if self.away.get() {
            return Err(Denied::Away("connection refused".into()));
        }
        match self.forbidden.get() {
            0 => Ok(()),
            left => {
                self.forbidden.set(left - 1);
                Err(Denied::Forbidden("no relationship found between node and this object".into()))
            }
        }
    }
}

pub(crate) fn reference(kind: Kind, name: &str) -> Reference {
    Reference { kind, namespace: "shop".into(), name: name.into() }
}

impl Objects for Maps {
    fn pod<'a>(&'a self, _: &'a str, name: &'a str) -> LocalBoxFuture<'a, Result<core::Pod, Denied>> {
        let found = self.pods.borrow().get(name).cloned().ok_or(Denied::NotFound);
        let answer = self.admit().and(found);
        async { answer }.boxed_local()
    }

    fn object<'a>(&'a self, reference: &'a Reference) -> LocalBoxFuture<'a, Result<Versioned, Denied>> {
        let found = self.sender(reference).borrow().clone().ok_or(Denied::NotFound);
        let answer = self.admit().and(found);
        async { answer }.boxed_local()
    }

    fn token<'a>(&'a self, bearer: Bearer<'a>, _: &'a Token) -> LocalBoxFuture<'a, Result<Issued, Denied>> {
        let answer = self.admit().map(|()| {
            self.tokens.set(self.tokens.get() + 1);
            Issued {
                token: format!("token {} of {}", self.tokens.get(), bearer.pod).into_bytes(),
                expires_at: chassis::clock::now_unix() + 3_600_000_000_000,
                lifetime: Duration::from_secs(3600),
            }
        });
        async { answer }.boxed_local()
    }

    fn watch(&self, reference: &Reference) -> LocalBoxStream<'static, Known> {
        WatchStream::new(self.sender(reference).subscribe()).boxed_local()
    }
}

/// The service's neighbours on a real bus.
pub(crate) struct Neighbours {
    pub(crate) server: BusServer,
    pub(crate) lifecycle: Bus,
    pub(crate) volumes: Hearing<Volumes>,
    pub(crate) events: Rc<RefCell<Vec<RecordEvent>>>,
    pub(crate) mounter: Rc<FolderMounter>,
    pub(crate) objects: Rc<Maps>,
    revision: u64,
    _keeps: Vec<Box<dyn std::any::Any>>,
}

impl Neighbours {
    /// `None` where there is no bus server.
    pub(crate) async fn new() -> Option<Self> {
        let server = BusServer::start()?;
        let lifecycle = server.bus(Owner::PodLifecycle).await;
        let reporter = server.bus(Owner::StatusReporter).await;
        let events = Rc::new(RefCell::new(Vec::new()));
        let kept = events.clone();
        let taking = reporter
            .serve::<RecordEvent, _, _>(move |asked| {
                kept.borrow_mut().push(asked.command);
                std::future::ready(RecordEventReply::Taken)
            })
            .await
            .unwrap();
        reporter.say(&node()).await;
        let volumes = lifecycle.hear().await.unwrap();
        let (mounter, objects) = (Rc::default(), Rc::default());
        let keeps: Vec<Box<dyn std::any::Any>> = vec![Box::new(reporter), Box::new(taking)];
        Some(Self { server, lifecycle, volumes, events, mounter, objects, revision: 0, _keeps: keeps })
    }

    /// Runs the service.
    pub(crate) async fn run(&self) -> Service {
        let service = self.server.service(Owner::VolumeMounter).await;
        let objects = Rc::new(Life::next(&self.objects));
        let running = volume_mounter::run_with(service.clone(), self.mounter.clone(), objects);
        actix::spawn(running.map(|ended| ended.unwrap()));
        service
    }

    /// Says a pod as it is desired now, and returns the decision.
    pub(crate) async fn desire(&mut self, object: &core::Pod, stage: Stage) -> Decision {
        self.revision += 1;
        let decision = Decision { incarnation: Incarnation(1), revision: self.revision };
        let pod = object.metadata.uid.as_deref().unwrap().parse().unwrap();
        let source = PodSource::Api;
        let state = Pod { pod, decision, source, stage, object: Box::new(object.clone()) };
        self.lifecycle.say(&state).await;
        self.lifecycle.complete::<Pod>().await;
        decision
    }

    /// The next thing heard of the volumes that `wanted` makes something of.
    pub(crate) async fn expect<T>(&mut self, what: &str, wanted: impl Fn(&Heard<Volumes>) -> Option<T>) -> T {
        let mut last = String::from("nothing");
        let found = timeout(PATIENCE, async {
            loop {
                let heard = self.volumes.next().await;
                if let Some(found) = wanted(&heard) {
                    return found;
                }
                last = format!("{heard:?}");
            }
        });
        found.await.unwrap_or_else(|_| panic!("{what} was not heard; last: {last}"))
    }

    /// The reasons and messages of all events so far.
    pub(crate) fn told(&self) -> Vec<(String, String)> {
        let told = self.events.borrow();
        told.iter().map(|event| (event.reason.clone(), event.message.clone())).collect()
    }
}

/// Asks, again while nobody serves yet.
pub(crate) async fn ask<C: Command>(bus: &Bus, command: &C) -> C::Reply {
    let asking = timeout(PATIENCE, async {
        loop {
            match bus.ask(command, PATIENCE).await {
                Err(AskError::NoResponder { .. }) => tokio::time::sleep(Duration::from_millis(5)).await,
                answer => return answer.unwrap(),
            }
        }
    });
    asking.await.unwrap()
}

/// Waits until something holds.
pub(crate) async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let waiting = timeout(PATIENCE, async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    assert!(waiting.await.is_ok(), "{what}");
}

pub(crate) fn uid() -> PodUid {
    "0b2c6f1e-7a3d-4d52-9a2b-2f6f0f5b1a11".parse().unwrap()
}

fn node() -> Node {
    let object = serde_json::from_value(serde_json::json!({
        "metadata": { "name": "node-1" }, "status": { "allocatable": { "cpu": "4", "memory": "8Gi" } },
    }));
    Node { registered: true, standalone: false, object: Box::new(object.unwrap()) }
}
