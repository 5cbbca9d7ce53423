//! The node's pods, step by step.

use super::*;
use crate::core::{
    spec::{CONFIG_SEEN, CONFIG_SOURCE},
    testing::{PodBuilder, SECOND, cpu, node},
};
use k8s_openapi::api::core::v1::{ContainerStatus, PodStatus};
use std::time::Duration;

struct Scene {
    roster: Roster,
    now: Moment,
    /// Effects in a few words.
    done: Vec<String>,
    begun: Vec<Record>,
    wake: Option<Moment>,
}

fn settings(sources: &[PodSource]) -> Settings {
    let sources = sources.iter().copied().collect();
    Settings { sources, unsafe_sysctls: Vec::new(), has_apparmor: false }
}

fn uid(text: &str) -> PodUid {
    text.parse().unwrap()
}

fn pod(id: &str, name: &str) -> Pod {
    PodBuilder::new()
        .container_with("app", cpu("1"))
        .meta(|pod| {
            pod.metadata.uid = Some(id.into());
            pod.metadata.name = Some(name.into());
        })
        .build()
}

impl Scene {
    /// A node with API server and files that nobody has spoken to yet.
    fn silent() -> Self {
        Self::with(&[PodSource::Api, PodSource::File], &[])
    }

    fn with(sources: &[PodSource], records: &[(PodUid, Record)]) -> Self {
        let roster = Roster::new(settings(sources), Lives::new(), records);
        let (done, begun) = (Vec::new(), Vec::new());
        Self { roster, now: Moment(100 * SECOND), done, begun, wake: None }
    }

    /// A node where everybody has spoken.
    fn ready() -> Self {
        let mut scene = Self::silent();
        scene.take(Fact::RuntimeListed);
        scene.take(Fact::Node(Box::new(node(&[("cpu", "2"), ("pods", "10")]))));
        scene.deliver(PodSource::Api, &[]);
        scene.deliver(PodSource::File, &[]);
        scene
    }

    fn take(&mut self, fact: Fact) {
        let (effects, wake) = self.roster.step(fact, self.now);
        self.wake = wake;
        for effect in effects {
            let words = match effect {
                Effect::Begin(uid, record) => {
                    let origin = format!("{:?}", record.origin).to_lowercase();
                    self.begun.push(*record);
                    format!("begin {uid} {origin}")
                }
                Effect::Desire(uid, _) => format!("desire {uid}"),
                Effect::Remove(uid) => format!("remove {uid}"),
                Effect::End(uid, ended) => format!("end {uid} {}", ended.reason),
                Effect::Tell(event) => format!("tell {}", event.reason),
                Effect::SaveLives => continue,
            };
            self.done.push(words);
        }
    }

    fn deliver(&mut self, source: PodSource, pods: &[Pod]) {
        let pods = pods.iter().map(|pod| (uid(pod.metadata.uid.as_deref().unwrap()), pod.clone())).collect();
        self.take(Fact::Delivered { source, pods });
    }

    fn change(&mut self, pod: Pod) {
        let uid = uid(pod.metadata.uid.as_deref().unwrap());
        self.take(Fact::Changed { source: PodSource::Api, uid, pod: Box::new(pod) });
    }

    fn sees(&mut self, id: &str, runs: bool) {
        let (namespace, name) = ("default".into(), id.into());
        self.take(Fact::Seen(Sighting { uid: uid(id), namespace, name, runs }));
    }

    fn done(&mut self) -> Vec<String> {
        std::mem::take(&mut self.done)
    }
}

#[test]
fn nobody_is_judged_before_the_node_and_the_runtime_are_known() {
    let mut scene = Scene::silent();
    scene.deliver(PodSource::Api, &[pod("a", "a")]);
    scene.take(Fact::Node(Box::new(node(&[("cpu", "2"), ("pods", "10")]))));
    assert_eq!(scene.done(), [""; 0]);
    assert!(scene.roster.waits_for().contains(&"a list of the runtime".to_owned()));
    scene.take(Fact::RuntimeListed);
    assert_eq!(scene.done(), ["begin a accepted"]);
}

#[test]
fn a_pod_is_marked_with_its_source_and_when_it_was_first_seen() {
    let mut scene = Scene::ready();
    scene.change(pod("a", "a"));
    let annotations = scene.begun[0].pod.metadata.annotations.clone().unwrap();
    assert_eq!(annotations[CONFIG_SOURCE], "api");
    assert_eq!(annotations[CONFIG_SEEN], "1970-01-01T00:01:40Z");
    scene.now.0 += SECOND;
    scene.change(pod("a", "a"));
    let kept = scene.roster.pods[&uid("a")].pod.metadata.annotations.clone().unwrap();
    assert_eq!(kept[CONFIG_SEEN], "1970-01-01T00:01:40Z", "an update keeps it");
}

#[test]
fn what_does_not_fit_is_turned_down_and_room_that_is_freed_is_given_again() {
    let mut scene = Scene::ready();
    for id in ["a", "b", "c"] {
        scene.change(pod(id, id));
    }
    assert_eq!(scene.done(), ["begin a accepted", "begin b accepted", "tell OutOfcpu", "begin c rejected"]);
    let ended = scene.begun[2].memory.ended.clone().unwrap();
    assert!(
        ended.message.starts_with("Pod was rejected: Node didn't have enough resource: cpu"),
        "{ended:?}"
    );
    scene.take(Fact::Stopped(uid("a")));
    scene.change(pod("d", "d"));
    assert_eq!(scene.done(), ["begin d accepted"]);
}

#[test]
fn older_pods_come_in_first() {
    let mut scene = Scene::silent();
    let aged = |id: &str, second: i64| {
        let mut pod = pod(id, id);
        pod.metadata.creation_timestamp = Some(Moment(second * SECOND).to_time());
        pod
    };
    scene.deliver(PodSource::Api, &[aged("a", 30), aged("b", 10), aged("c", 20)]);
    scene.take(Fact::RuntimeListed);
    scene.take(Fact::Node(Box::new(node(&[("cpu", "2"), ("pods", "10")]))));
    assert_eq!(scene.done(), ["begin b accepted", "begin c accepted", "tell OutOfcpu", "begin a rejected"]);
}

#[test]
fn what_runs_what_has_ended_and_what_is_deleted_is_not_judged() {
    let mut scene = Scene::silent();
    let big = |id: &str| {
        PodBuilder::new()
            .container_with("app", cpu("64"))
            .meta(|pod| (pod.metadata.uid, pod.metadata.name) = (Some(id.into()), Some(id.into())))
    };
    let deleted = big("deleted").meta(|pod| pod.metadata.deletion_timestamp = Some(Moment(0).to_time()));
    let done = big("done").meta(|pod| pod.status.get_or_insert_default().phase = Some("Failed".into()));
    scene.sees("running", true);
    scene.deliver(PodSource::Api, &[big("running").build(), deleted.build(), done.build()]);
    scene.take(Fact::RuntimeListed);
    scene.take(Fact::Node(Box::new(node(&[("cpu", "2"), ("pods", "10")]))));
    let begun = scene.done();
    assert!(begun.iter().all(|it| it.ends_with("accepted")) && begun.len() == 3, "{begun:?}");
}

#[test]
fn what_the_api_server_tells_of_a_pod_is_where_its_telling_goes_on() {
    let mut scene = Scene::silent();
    let mut told = pod("a", "a");
    let container =
        ContainerStatus { name: "app".into(), restart_count: 3, ready: true, ..Default::default() };
    told.status = Some(PodStatus {
        phase: Some("Running".into()),
        start_time: Some(Moment(7 * SECOND).to_time()),
        container_statuses: Some(vec![container]),
        ..Default::default()
    });
    scene.sees("a", true);
    scene.deliver(PodSource::Api, &[told]);
    scene.take(Fact::RuntimeListed);
    scene.take(Fact::Node(Box::new(node(&[("cpu", "2"), ("pods", "10")]))));
    let record = &scene.begun[0];
    assert_eq!(record.memory.container_status("app").unwrap().restart_count, 3);
    assert_eq!(record.memory.accepted_at, Moment(7 * SECOND));
    assert!(record.pod.status.as_ref().unwrap().container_statuses.is_none(), "it is kept once");
}

#[test]
fn a_label_that_the_scheduler_saw_first_is_waited_for() {
    let mut scene = Scene::ready();
    let picky = |id: &str| {
        let pod = PodBuilder::new().container("app").spec(|spec| {
            spec.node_selector = Some([("disk".to_owned(), "ssd".to_owned())].into());
        });
        pod.meta(|pod| (pod.metadata.uid, pod.metadata.name) = (Some(id.into()), Some(id.into()))).build()
    };
    scene.change(picky("a"));
    assert_eq!((scene.done(), scene.wake), (vec![], Some(scene.now.after(Duration::from_secs(5)))));
    let mut labelled = node(&[("cpu", "2"), ("pods", "10")]);
    labelled.metadata.labels = Some([("disk".to_owned(), "ssd".to_owned())].into());
    scene.take(Fact::Node(Box::new(labelled)));
    assert_eq!(scene.done(), ["begin a accepted"]);
    scene.take(Fact::Node(Box::new(node(&[("cpu", "2"), ("pods", "10")]))));
    scene.change(picky("b"));
    scene.now.0 += 5 * SECOND;
    scene.take(Fact::Woken);
    assert_eq!(scene.done(), ["tell NodeAffinity", "begin b rejected"]);
}

#[test]
fn a_critical_pod_waits_until_its_victims_have_stopped() {
    let mut scene = Scene::ready();
    scene.change(pod("a", "a"));
    scene.change(pod("b", "b"));
    scene.done();
    let mut critical = pod("c", "c");
    critical.spec.as_mut().unwrap().priority = Some(2_000_000_000);
    scene.change(critical);
    assert_eq!(scene.done(), ["tell Preempting", "end a Preempting"]);
    scene.take(Fact::Woken);
    assert_eq!(scene.done(), [""; 0], "asked once");
    scene.take(Fact::Stopped(uid("a")));
    assert_eq!(scene.done(), ["begin c accepted"]);
}

#[test]
fn journaled_lives_go_on_and_end_only_when_their_source_has_spoken() {
    let record = |id: &str, source| Record {
        pod: pod(id, id),
        source,
        origin: Origin::Accepted,
        life: 0,
        seen_at: Moment(SECOND),
        is_removed: false,
        memory: Memory::new(Moment(SECOND)),
    };
    let records = [(uid("a"), record("a", PodSource::Api)), (uid("s"), record("s", PodSource::File))];
    let mut scene = Scene::with(&[PodSource::Api, PodSource::File], &records);
    scene.take(Fact::RuntimeListed);
    scene.sees("a", true);
    scene.deliver(PodSource::File, &[]);
    assert_eq!(scene.done(), ["remove s"], "its source has spoken");
    scene.deliver(PodSource::Api, &[pod("a", "a")]);
    assert_eq!(scene.done(), ["desire a"]);
    scene.deliver(PodSource::Api, &[]);
    assert_eq!(scene.done(), ["remove a"]);
}

#[test]
fn an_orphan_is_cleared_away_once_every_source_has_spoken() {
    let mut scene = Scene::silent();
    scene.take(Fact::RuntimeListed);
    scene.sees("x", true);
    scene.deliver(PodSource::File, &[]);
    assert_eq!(scene.done(), [""; 0], "the API server may want it");
    scene.deliver(PodSource::Api, &[]);
    assert_eq!(scene.done(), ["begin x orphan"]);
    scene.take(Fact::Finished(uid("x")));
    assert_eq!(scene.done(), [""; 0]);
}

#[test]
fn without_an_api_server_no_orphan_is_touched() {
    let mut scene = Scene::with(&[PodSource::File], &[]);
    scene.take(Fact::RuntimeListed);
    scene.sees("x", true);
    scene.deliver(PodSource::File, &[]);
    assert_eq!(scene.done(), [""; 0]);
}

#[test]
fn an_edited_manifest_waits_for_the_end_of_the_pod_that_it_replaces() {
    let mut scene = Scene::ready();
    scene.deliver(PodSource::File, &[pod("v1", "web-node-1")]);
    assert_eq!(scene.done(), ["begin v1 accepted"]);
    scene.deliver(PodSource::File, &[pod("v2", "web-node-1")]);
    assert_eq!(scene.done(), ["remove v1"]);
    scene.take(Fact::Stopped(uid("v1")));
    assert_eq!(scene.done(), [""; 0], "stopped is not gone");
    scene.take(Fact::Finished(uid("v1")));
    assert_eq!(scene.done(), ["begin v2 accepted"]);
}

#[test]
fn the_same_uid_again_is_another_life_after_the_first() {
    let mut scene = Scene::ready();
    let manifest = [pod("v1", "web-node-1")];
    scene.deliver(PodSource::File, &manifest);
    scene.deliver(PodSource::File, &[]);
    scene.deliver(PodSource::File, &manifest);
    assert_eq!(scene.done(), ["begin v1 accepted", "remove v1"]);
    scene.take(Fact::Finished(uid("v1")));
    assert_eq!(scene.done(), ["begin v1 accepted"]);
    let lives: Vec<u32> = scene.begun.iter().map(|record| record.life).collect();
    assert_eq!(lives, [0, 1]);
}

#[test]
fn the_same_uid_again_is_another_life_also_when_the_end_of_the_first_was_journaled() {
    let record = Record {
        pod: pod("v1", "web-node-1"),
        source: PodSource::File,
        origin: Origin::Accepted,
        life: 0,
        seen_at: Moment(SECOND),
        is_removed: true,
        memory: Memory { stage: Stage::Terminated, ..Memory::new(Moment(SECOND)) },
    };
    let mut scene = Scene::with(&[PodSource::File], &[(uid("v1"), record)]);
    scene.take(Fact::RuntimeListed);
    scene.take(Fact::Node(Box::new(node(&[("cpu", "2"), ("pods", "10")]))));
    scene.deliver(PodSource::File, &[pod("v1", "web-node-1")]);
    assert_eq!(scene.done(), [""; 0]);
    scene.take(Fact::Finished(uid("v1")));
    assert_eq!(scene.done(), ["begin v1 accepted"]);
    assert_eq!(scene.begun[0].life, 1);
}

#[test]
fn two_sources_cannot_have_the_same_uid() {
    let mut scene = Scene::ready();
    scene.change(pod("a", "a"));
    scene.done();
    scene.deliver(PodSource::File, &[pod("a", "other")]);
    assert_eq!(scene.done(), ["tell FailedValidation"]);
    scene.deliver(PodSource::File, &[]);
    assert_eq!(scene.done(), [""; 0], "the first one is not its to remove");
}

#[test]
fn a_pod_that_goes_before_it_came_in_leaves_no_trace() {
    let mut scene = Scene::silent();
    scene.deliver(PodSource::Api, &[pod("a", "a")]);
    scene.deliver(PodSource::Api, &[]);
    scene.take(Fact::RuntimeListed);
    scene.take(Fact::Node(Box::new(node(&[("cpu", "2"), ("pods", "10")]))));
    assert_eq!(scene.done(), [""; 0]);
}

#[test]
fn an_update_reaches_the_life_of_its_pod() {
    let mut scene = Scene::ready();
    scene.change(pod("a", "a"));
    scene.change(pod("a", "a"));
    assert_eq!(scene.done(), ["begin a accepted", "desire a"]);
}

#[test]
fn an_emptied_node_lets_everything_go_and_nobody_in() {
    let mut scene = Scene::ready();
    scene.change(pod("a", "a"));
    scene.done();
    scene.take(Fact::Emptied);
    scene.change(pod("b", "b"));
    scene.change(pod("a", "a"));
    assert_eq!(scene.done(), ["remove a"]);
    scene.take(Fact::Finished(uid("a")));
    scene.change(pod("a", "a"));
    assert_eq!(scene.done(), [""; 0]);
}
