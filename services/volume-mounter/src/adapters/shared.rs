//! Objects that many pods need: fetched once for all who ask at the same moment, and a config map not at
//! all while a watch keeps it. Every pod wants its namespace's `kube-root-ca.crt`, and a node may ask the
//! API server only so often.
//!
//! As fresh as the stock kubelet's, which reads from its watches too. Secrets are fetched each time, so
//! that none stays in memory for longer than it takes to write it.

use crate::{
    core::{
        reference::{Kind, Reference},
        volume::Token,
    },
    ports::{Bearer, Denied, Issued, Objects, Versioned},
};
use futures::{
    FutureExt, StreamExt,
    future::{self, LocalBoxFuture, WeakShared},
    stream::LocalBoxStream,
};
use k8s_openapi::api::core::v1 as core;
use std::{cell::RefCell, collections::BTreeMap, rc::Rc};

type Fetching = LocalBoxFuture<'static, Result<Versioned, Denied>>;

/// Objects from somewhere else, shared.
pub struct Shared {
    objects: Rc<dyn Objects>,
    under_way: RefCell<BTreeMap<Reference, WeakShared<Fetching>>>,
    watched: Watched,
}

/// What watches have told last.
type Watched = Rc<RefCell<BTreeMap<Reference, Versioned>>>;

/// The memory of one watch, which ends with it.
struct Memory {
    watched: Watched,
    object: Reference,
}

impl Memory {
    fn take(&self, told: Option<&Versioned>) {
        let mut watched = self.watched.borrow_mut();
        match told {
            Some(now) if self.object.kind == Kind::ConfigMap => {
                watched.insert(self.object.clone(), now.clone());
            }
            _ => drop(watched.remove(&self.object)),
        }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        self.take(None);
    }
}

impl Shared {
    /// Nothing is known yet.
    pub fn new(objects: Rc<dyn Objects>) -> Self {
        Self { objects, under_way: RefCell::default(), watched: Watched::default() }
    }

    /// What is being fetched already, or begins to be.
    fn fetch(&self, reference: &Reference) -> future::Shared<Fetching> {
        let mut under_way = self.under_way.borrow_mut();
        under_way.retain(|_, fetching| fetching.upgrade().is_some_and(|fetching| fetching.peek().is_none()));
        if let Some(fetching) = under_way.get(reference).and_then(WeakShared::upgrade) {
            return fetching;
        }
        let (objects, object) = (self.objects.clone(), reference.clone());
        let fetching = async move { objects.object(&object).await }.boxed_local().shared();
        under_way.extend(fetching.downgrade().map(|fetching| (reference.clone(), fetching)));
        fetching
    }
}

impl Objects for Shared {
    fn pod<'a>(&'a self, namespace: &'a str, name: &'a str) -> LocalBoxFuture<'a, Result<core::Pod, Denied>> {
        self.objects.pod(namespace, name)
    }

    fn object<'a>(&'a self, reference: &'a Reference) -> LocalBoxFuture<'a, Result<Versioned, Denied>> {
        if let Some(known) = self.watched.borrow().get(reference) {
            return future::ready(Ok(known.clone())).boxed_local();
        }
        self.fetch(reference).boxed_local()
    }

    fn token<'a>(
        &'a self,
        bearer: Bearer<'a>,
        token: &'a Token,
    ) -> LocalBoxFuture<'a, Result<Issued, Denied>> {
        self.objects.token(bearer, token)
    }

    fn watch(&self, reference: &Reference) -> LocalBoxStream<'static, Option<Versioned>> {
        let memory = Memory { watched: self.watched.clone(), object: reference.clone() };
        self.objects.watch(reference).inspect(move |told| memory.take(told.as_ref())).boxed_local()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::{channel::mpsc, future::join};
    use std::cell::Cell;

    /// Answers after a moment with the number of the call; watches tell what they are given.
    #[derive(Default)]
    struct Numbered {
        calls: Cell<u32>,
        told: RefCell<Option<mpsc::UnboundedReceiver<Option<Versioned>>>>,
    }

    impl Objects for Numbered {
        fn pod<'a>(&'a self, _: &'a str, _: &'a str) -> LocalBoxFuture<'a, Result<core::Pod, Denied>> {
            future::ready(Err(Denied::Standalone)).boxed_local()
        }

        fn object<'a>(&'a self, _: &'a Reference) -> LocalBoxFuture<'a, Result<Versioned, Denied>> {
            async {
                tokio::task::yield_now().await;
                self.calls.set(self.calls.get() + 1);
                Ok(version(self.calls.get()))
            }
            .boxed_local()
        }

        fn token<'a>(&'a self, _: Bearer<'a>, _: &'a Token) -> LocalBoxFuture<'a, Result<Issued, Denied>> {
            future::ready(Err(Denied::Standalone)).boxed_local()
        }

        fn watch(&self, _: &Reference) -> LocalBoxStream<'static, Option<Versioned>> {
            self.told.take().expect("one watch").boxed_local()
        }
    }

    fn version(number: u32) -> Versioned {
        Versioned { version: number.to_string(), ..Versioned::default() }
    }

    fn reference(kind: Kind) -> Reference {
        Reference { kind, namespace: "ns".into(), name: "one".into() }
    }

    #[actix::test]
    async fn who_asks_at_the_same_moment_shares_one_answer_and_who_asks_later_does_not() {
        for kind in [Kind::ConfigMap, Kind::Secret] {
            let (shared, one) = (Shared::new(Rc::new(Numbered::default())), reference(kind));
            let (first, second) = join(shared.object(&one), shared.object(&one)).await;
            assert_eq!((first.unwrap(), second.unwrap()), (version(1), version(1)));
            assert_eq!(shared.object(&one).await.unwrap(), version(2), "a fresh one");
        }
    }

    #[actix::test]
    async fn an_answer_that_everybody_gave_up_is_asked_for_anew() {
        let (shared, one) = (Shared::new(Rc::new(Numbered::default())), reference(Kind::Secret));
        let mut given_up = shared.object(&one);
        assert!(futures::poll!(&mut given_up).is_pending());
        drop(given_up);
        assert_eq!(shared.object(&one).await.unwrap(), version(1));
    }

    #[actix::test]
    async fn a_watched_config_map_is_not_fetched_and_a_watched_secret_is() {
        for (kind, want) in [(Kind::ConfigMap, version(9)), (Kind::Secret, version(1))] {
            let (tell, told) = mpsc::unbounded();
            let objects = Numbered { told: RefCell::new(Some(told)), ..Numbered::default() };
            let (shared, one) = (Shared::new(Rc::new(objects)), reference(kind));
            let mut watch = shared.watch(&one);
            tell.unbounded_send(Some(version(9))).unwrap();
            watch.next().await.unwrap();
            assert_eq!(shared.object(&one).await.unwrap(), want, "{kind}");
        }
    }

    #[actix::test]
    async fn what_was_deleted_or_is_not_watched_any_more_is_fetched() {
        let (tell, told) = mpsc::unbounded();
        let objects = Numbered { told: RefCell::new(Some(told)), ..Numbered::default() };
        let (shared, one) = (Shared::new(Rc::new(objects)), reference(Kind::ConfigMap));
        let mut watch = shared.watch(&one);
        for now in [Some(version(9)), None, Some(version(10))] {
            tell.unbounded_send(now).unwrap();
        }
        watch.next().await.unwrap();
        watch.next().await.unwrap();
        assert_eq!(shared.object(&one).await.unwrap(), version(1), "deleted");
        watch.next().await.unwrap();
        assert_eq!(shared.object(&one).await.unwrap(), version(10), "made again");
        drop(watch);
        assert_eq!(shared.object(&one).await.unwrap(), version(2), "not watched");
    }
}
