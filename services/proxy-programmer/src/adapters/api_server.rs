//! The API server, through api-gate: what the proxy watches, as kube-proxy does (`cmd/kube-proxy/app/server.go`). Objects
//! are handed on one by one and kept nowhere here; lists come in pages.

use crate::core::{
    address::Cidr,
    facts::{self, Seen},
    fault::{Kind, Object},
    model::Change,
};
use chassis::{api::WatchPauses, error};
use futures::{Stream, StreamExt};
use k8s_openapi::api::{
    core::v1::{Node, Service},
    discovery::v1::EndpointSlice,
    networking::v1::ServiceCIDR,
};
use kube::{
    Api, Client, Resource, ResourceExt,
    runtime::{
        WatchStreamExt,
        watcher::{self, Event, watcher},
    },
};
use messages::NodeName;
use serde::de::DeserializeOwned;
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

/// What the proxy watches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Watched {
    /// Services that are this proxy's.
    Services,
    /// EndpointSlices, but for those of headless services.
    EndpointSlices,
    /// The Node that this is.
    Node,
    /// ServiceCIDRs.
    ServiceCidrs,
}

impl fmt::Display for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Services => "services",
            Self::EndpointSlices => "endpointslices.discovery.k8s.io",
            Self::Node => "its node",
            Self::ServiceCidrs => "servicecidrs.networking.k8s.io",
        })
    }
}

/// What a watch tells.
#[derive(Debug)]
pub(crate) enum Sight {
    /// A service or slice is so, or gone.
    Change(Change),
    /// These are all there are of a kind.
    All(Kind, BTreeSet<Object>),
    /// The node is so; or there is none.
    Node(Option<Seen>),
    /// The ranges of cluster IPs are these.
    Ranges(BTreeSet<Cidr>),
    /// A watch does not work.
    Broken(Watched, String),
}

/// Services, for ever.
pub(crate) fn services(client: Client) -> impl Stream<Item = Sight> {
    let ours = watcher::Config::default()
        .labels("!service.kubernetes.io/service-proxy-name")
        .fields("spec.clusterIP!=None");
    let sights = Listing::of(Kind::Service, Watched::Services, |it| Change::Service(Box::new(it)));
    follow(Api::<Service>::all(client), ours, sights)
}

/// Slices, for ever.
pub(crate) fn slices(client: Client) -> impl Stream<Item = Sight> {
    let ours = watcher::Config::default().labels("!service.kubernetes.io/headless");
    let sights = Listing::of(Kind::EndpointSlice, Watched::EndpointSlices, |it| Change::Slice(Box::new(it)));
    follow(Api::<EndpointSlice>::all(client), ours, sights)
}

/// The node, for ever.
pub(crate) fn node(client: Client, name: &NodeName) -> impl Stream<Item = Sight> + use<> {
    let own = watcher::Config::default().fields(&format!("metadata.name={name}"));
    let mut listed = None;
    let told = move |event: watcher::Result<Event<Node>>| match event {
        Ok(Event::Init) => {
            listed = None;
            None
        }
        Ok(Event::InitApply(node)) => {
            listed = Some(Seen::of(&node));
            None
        }
        Ok(Event::InitDone) => Some(Sight::Node(listed.take())),
        Ok(Event::Apply(node)) => Some(Sight::Node(Some(Seen::of(&node)))),
        Ok(Event::Delete(_)) => Some(Sight::Node(None)),
        Err(failure) => Some(broken(Watched::Node, &failure)),
    };
    events(Api::<Node>::all(client), own).filter_map(ready(told))
}

/// The ranges of cluster IPs, for ever.
pub(crate) fn ranges(client: Client) -> impl Stream<Item = Sight> {
    let mut known: BTreeMap<String, ServiceCIDR> = BTreeMap::new();
    let told = move |event: watcher::Result<Event<ServiceCIDR>>| {
        match event {
            Ok(Event::Init) => {
                known.clear();
                return None;
            }
            Ok(Event::InitApply(range)) => {
                known.insert(range.name_any(), range);
                return None;
            }
            Ok(Event::InitDone) => (),
            Ok(Event::Apply(range)) => drop(known.insert(range.name_any(), range)),
            Ok(Event::Delete(range)) => drop(known.remove(&range.name_any())),
            Err(failure) => return Some(broken(Watched::ServiceCidrs, &failure)),
        }
        Some(Sight::Ranges(facts::service_ranges(known.values())))
    };
    events(Api::<ServiceCIDR>::all(client), watcher::Config::default()).filter_map(ready(told))
}

/// Events of a watch that is begun again after a pause whenever it breaks.
fn events<K>(api: Api<K>, config: watcher::Config) -> impl Stream<Item = watcher::Result<Event<K>>>
where
    K: Resource + Clone + DeserializeOwned + fmt::Debug + Send + 'static,
{
    watcher(api, config).backoff(WatchPauses::default())
}

fn follow<K>(api: Api<K>, config: watcher::Config, mut listing: Listing<K>) -> impl Stream<Item = Sight>
where
    K: Resource + Clone + DeserializeOwned + fmt::Debug + Send + 'static,
{
    events(api, config).filter_map(ready(move |event| listing.read(event)))
}

/// A function as `filter_map` wants it.
fn ready<A, B>(mut function: impl FnMut(A) -> Option<B>) -> impl FnMut(A) -> std::future::Ready<Option<B>> {
    move |given| std::future::ready(function(given))
}

fn broken(what: Watched, failure: &watcher::Error) -> Sight {
    Sight::Broken(what, error::chain(failure))
}

/// Reads the events of one kind, and keeps the names of a list that is coming in.
struct Listing<K> {
    kind: Kind,
    what: Watched,
    change: fn(K) -> Change,
    listed: BTreeSet<Object>,
}

impl<K: Resource> Listing<K> {
    fn of(kind: Kind, what: Watched, change: fn(K) -> Change) -> Self {
        Self { kind, what, change, listed: BTreeSet::new() }
    }

    fn name(&self, object: &K) -> Object {
        Object::new(self.kind, object.meta().namespace.as_deref(), object.meta().name.as_deref())
    }

    fn read(&mut self, event: watcher::Result<Event<K>>) -> Option<Sight> {
        Some(match event {
            Ok(Event::Init) => {
                self.listed.clear();
                return None;
            }
            Ok(Event::InitApply(object)) => {
                self.listed.insert(self.name(&object));
                Sight::Change((self.change)(object))
            }
            Ok(Event::InitDone) => Sight::All(self.kind, std::mem::take(&mut self.listed)),
            Ok(Event::Apply(object)) => Sight::Change((self.change)(object)),
            Ok(Event::Delete(object)) => {
                let name = Box::new(self.name(&object));
                Sight::Change(match self.kind {
                    Kind::Service => Change::ServiceGone(name),
                    Kind::EndpointSlice => Change::SliceGone(name),
                })
            }
            Err(failure) => broken(self.what, &failure),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::testing::svc;

    fn words(sights: impl IntoIterator<Item = Option<Sight>>) -> Vec<String> {
        let word = |sight| match sight {
            Sight::Change(Change::Service(it)) => format!("service {}", it.name_any()),
            Sight::Change(Change::ServiceGone(it)) => format!("no {it}"),
            Sight::All(_, all) => format!("all {}", all.len()),
            other => format!("{other:?}"),
        };
        sights.into_iter().flatten().map(word).collect()
    }

    #[test]
    fn a_list_is_told_one_by_one_and_then_what_all_there_is() {
        let mut listing = Listing::of(Kind::Service, Watched::Services, |it| Change::Service(Box::new(it)));
        let mut read = |events: Vec<Event<Service>>| words(events.into_iter().map(|it| listing.read(Ok(it))));
        let (a, b) = (|| svc("a", "172.30.0.1").0, || svc("b", "172.30.0.2").0);
        let list = || vec![Event::Init, Event::InitApply(a()), Event::InitApply(b()), Event::InitDone];
        assert_eq!(read(list()), ["service a", "service b", "all 2"]);
        assert_eq!(read(vec![Event::Apply(a()), Event::Delete(b())]), ["service a", "no Service default/b"]);
        let broken_off = vec![Event::Init, Event::InitApply(a()), Event::Init, Event::InitDone];
        assert_eq!(read(broken_off), ["service a", "all 0"], "a list begins anew");
    }
}
