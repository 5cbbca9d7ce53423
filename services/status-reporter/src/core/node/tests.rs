//! The life of a node object, fact by fact.

use super::{
    fixtures::{config, machine, runtime},
    *,
};
use crate::core::time;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

/// A reporter, and an API server that accepts what it is sent.
struct Play {
    reporter: Reporter,
    second: u64,
}

impl Play {
    fn of(config: NodeConfig, remembered: Option<Node>) -> Self {
        let now = Now::default();
        Self { reporter: Reporter::new(Arc::new(config), remembered, now), second: 0 }
    }

    fn now(&self) -> Now {
        let nanoseconds = self.second * 1_000_000_000;
        Now { boot: BootTime(nanoseconds), unix: i64::try_from(nanoseconds).unwrap(), dice: 1.0 }
    }

    fn fact(&mut self, fact: Fact) -> Vec<Effect> {
        self.reporter.step(self.now(), fact)
    }

    fn hear(&mut self, owner: Owner) -> Vec<Effect> {
        self.fact(Fact::Heard(owner, self.now().boot))
    }

    /// Everything that a node needs to begin.
    fn begin(&mut self) -> Vec<Effect> {
        for owner in [Owner::CriBridge, Owner::PodLifecycle, Owner::VolumeMounter] {
            self.hear(owner);
        }
        self.fact(Fact::Runtime(Box::new(runtime())));
        self.fact(Fact::Addresses(vec!["10.0.0.5".parse().unwrap()]));
        self.fact(Fact::Machine(Box::new(machine())))
    }

    /// The same, registered and ready.
    fn registered() -> Self {
        let mut play = Self::of(config(), None);
        let created = created(&play.begin()).expect("a node that registers");
        play.fact(Fact::Answered(Ok(accepted(created, 1))));
        play
    }

    fn later(&mut self, seconds: u64) {
        self.second += seconds;
    }

    fn all_speak(&mut self) {
        for owner in [Owner::CriBridge, Owner::PodLifecycle, Owner::VolumeMounter] {
            self.hear(owner);
        }
    }
}

fn created(effects: &[Effect]) -> Option<Node> {
    effects.iter().find_map(|effect| match effect {
        Effect::Ask(Ask::Create(node)) => Some((**node).clone()),
        _ => None,
    })
}

fn patched(effects: &[Effect]) -> Option<&Value> {
    effects.iter().find_map(|effect| match effect {
        Effect::Ask(Ask::PatchStatus(patch)) => Some(patch),
        _ => None,
    })
}

fn recorded(effects: &[Effect]) -> Vec<&str> {
    let mut reasons = Vec::new();
    for effect in effects {
        if let Effect::Record(event) = effect {
            reasons.push(event.reason.as_str());
        }
    }
    reasons
}

fn said(effects: &[Effect]) -> Option<&status_reporter::Node> {
    effects.iter().find_map(|effect| match effect {
        Effect::Say(node) => Some(&**node),
        _ => None,
    })
}

/// A node as the API server keeps it.
fn accepted(mut node: Node, version: u64) -> Box<Node> {
    node.metadata.uid = Some("uid".to_owned());
    node.metadata.resource_version = Some(version.to_string());
    Box::new(node)
}

/// What the API server makes of a status patch: ours is whole, so it is what was sent.
fn merged(play: &Play, patch: &Value, version: u64) -> Box<Node> {
    let mut node = play.reporter.accepted.clone().unwrap();
    let mut status = patch["status"].clone();
    status["addresses"].as_array_mut().unwrap().pop();
    node.status = serde_json::from_value(status).unwrap();
    accepted(node, version)
}

/// What the API server makes of the patch that tells of it.
fn cri_bridge_falls_silent(play: &mut Play) -> Box<Node> {
    play.later(15);
    play.hear(Owner::PodLifecycle);
    play.hear(Owner::VolumeMounter);
    play.later(6);
    let effects = play.fact(Fact::Tick);
    merged(play, patched(&effects).unwrap(), 2)
}

fn ready(node: &Node) -> (&str, &str) {
    let condition = conditions_of(node).iter().find(|condition| condition.type_ == "Ready").unwrap();
    (&condition.status, condition.message.as_deref().unwrap())
}

#[test]
fn a_node_is_said_as_it_will_be_registered_before_the_api_server_knows_it() {
    let mut play = Play::of(config(), None);
    let effects = play.begin();
    let node = said(&effects).unwrap();
    assert!(!node.registered && !node.standalone);
    assert_eq!(ready(&node.object).0, "True");
    assert_eq!(recorded(&effects), ["Starting"]);
    assert!(created(&effects).is_some());
}

#[test]
fn a_node_without_an_api_server_is_said_and_nothing_else() {
    let mut play = Play::of(NodeConfig { kubeconfig: None, ..config() }, None);
    let effects = play.begin();
    assert!(said(&effects).unwrap().standalone);
    assert_eq!(created(&effects), None);
    play.later(3600);
    play.all_speak();
    assert!(patched(&play.fact(Fact::Tick)).is_none());
}

#[test]
fn a_registered_node_tells_what_it_is() {
    let mut play = Play::of(config(), None);
    let node = created(&play.begin()).unwrap();
    let effects = play.fact(Fact::Answered(Ok(accepted(node, 1))));
    assert!(effects.contains(&Effect::Registered));
    assert!(said(&effects).unwrap().registered);
    assert_eq!(play.reporter.uid(), Some("uid"));
    let all = ["NodeHasSufficientMemory", "NodeHasNoDiskPressure", "NodeHasSufficientPID", "NodeReady"];
    assert_eq!(recorded(&effects), all);
}

#[test]
fn an_existing_node_is_adopted_and_its_status_brought_up_to_date() {
    let mut play = Play::of(config(), None);
    let node = created(&play.begin()).unwrap();
    assert!(play.fact(Fact::Answered(Err(Failure::AlreadyExists))).contains(&Effect::Ask(Ask::Read)));
    let mut existing = Node { status: None, ..node };
    existing.metadata.annotations = None;
    let effects = play.fact(Fact::Answered(Ok(accepted(existing, 1))));
    let Some(Effect::Ask(Ask::Patch(patch))) = effects.iter().find(|effect| matches!(effect, Effect::Ask(_)))
    else {
        panic!("{effects:?}")
    };
    assert_eq!(patch["metadata"]["annotations"][compose::MANAGED_ATTACH], "true");
    let mut mended = play.reporter.accepted.clone().unwrap();
    mended.metadata.annotations = Some(compose::annotations(&config()));
    let effects = play.fact(Fact::Answered(Ok(accepted(mended, 2))));
    assert!(effects.contains(&Effect::Registered));
    assert!(patched(&effects).is_some(), "its status is none of ours yet");
}

#[test]
fn registration_is_tried_again_with_pauses() {
    let mut play = Play::of(config(), None);
    play.begin();
    let effects = play.fact(Fact::Answered(Err(Failure::Later(None))));
    assert!(effects.contains(&Effect::WakeAfter(Duration::from_millis(100))));
    assert!(created(&play.hear(Owner::Prober)).is_none(), "not before the pause is over");
    assert!(created(&play.fact(Fact::Woke)).is_some());
}

#[test]
fn a_status_is_written_when_it_changes_and_not_each_time_it_is_looked_at() {
    let mut play = Play::registered();
    for _ in 0..20 {
        play.later(10);
        play.all_speak();
        if let Some(patch) = patched(&play.fact(Fact::Tick)).cloned() {
            assert_eq!(play.second, 150, "only because that is long enough");
            let node = merged(&play, &patch, play.second);
            play.fact(Fact::Answered(Ok(node)));
        }
    }
    let mut bigger = machine();
    bigger.images.clear();
    assert!(patched(&play.fact(Fact::Machine(Box::new(bigger)))).is_none(), "images can wait");
    assert!(patched(&play.fact(Fact::Tick)).is_some(), "until the next look");
}

#[test]
fn a_status_is_written_every_few_minutes_in_any_case() {
    let mut play = Play::registered();
    let mut written = Vec::new();
    for _ in 0..60 {
        play.later(10);
        play.all_speak();
        if let Some(patch) = patched(&play.fact(Fact::Tick)).cloned() {
            written.push(play.second);
            let node = merged(&play, &patch, play.second);
            play.fact(Fact::Answered(Ok(node)));
        }
    }
    assert_eq!(written, [150, 300, 450, 600], "five minutes, less up to half of them by chance");
}

#[test]
fn a_silent_compartment_makes_the_node_unready_at_once_and_its_return_ready_again() {
    let mut play = Play::registered();
    let node = cri_bridge_falls_silent(&mut play);
    assert_eq!(ready(&node), ("False", "cri-bridge has not been heard from for more than 20s"));
    assert_eq!(recorded(&play.fact(Fact::Answered(Ok(node)))), ["NodeNotReady"]);

    let effects = play.hear(Owner::CriBridge);
    let node = merged(&play, patched(&effects).unwrap(), 3);
    assert_eq!(ready(&node).0, "True");
    assert_eq!(recorded(&play.fact(Fact::Answered(Ok(node)))), ["NodeReady"]);
}

#[test]
fn a_change_is_told_even_if_a_watch_shows_it_before_the_answer() {
    let mut play = Play::registered();
    let node = cri_bridge_falls_silent(&mut play);
    play.fact(Fact::Seen(node.clone()));
    assert_eq!(recorded(&play.fact(Fact::Answered(Ok(node)))), ["NodeNotReady"]);
}

#[test]
fn who_slept_himself_blames_nobody() {
    let mut play = Play::registered();
    play.later(3600);
    assert!(recorded(&play.fact(Fact::Tick)).is_empty());
    assert_eq!(ready(&play.reporter.said.as_ref().unwrap().object).0, "True");
    play.later(15);
    play.hear(Owner::CriBridge);
    play.later(6);
    assert!(
        play.reporter
            .draft(play.now())
            .unwrap()
            .wanted
            .iter()
            .any(|wanted| wanted.event().1 == "NodeNotReady"),
        "but later"
    );
}

#[test]
fn one_write_is_under_way_at_a_time_and_a_failed_one_is_repeated() {
    let mut play = Play::registered();
    play.later(15);
    play.hear(Owner::Prober);
    play.later(6);
    assert!(patched(&play.fact(Fact::Tick)).is_some());
    assert!(patched(&play.fact(Fact::Tick)).is_none(), "the first has no answer yet");
    let effects = play.fact(Fact::Answered(Err(Failure::Unknown(String::new()))));
    assert!(effects.contains(&Effect::WakeAfter(Duration::from_millis(200))));
    assert!(patched(&effects).is_none());
    assert!(patched(&play.fact(Fact::Woke)).is_some());
}

#[test]
fn a_life_that_begins_remembers_the_node_and_flips_nothing() {
    let before = Play::registered().reporter.accepted;
    let mut play = Play::of(config(), before.clone());
    play.fact(Fact::Addresses(vec!["10.0.0.5".parse().unwrap()]));
    let effects = play.fact(Fact::Machine(Box::new(machine())));
    let node = said(&effects).unwrap();
    assert!(node.registered, "although the API server has not been asked yet");
    assert_eq!(ready(&node.object).0, "True", "although nobody was heard of yet");

    play.fact(Fact::Answered(Err(Failure::AlreadyExists)));
    let effects = play.fact(Fact::Answered(Ok(Box::new(before.unwrap()))));
    let patches: Vec<_> = patched(&effects).into_iter().map(|patch| merged(&play, patch, 9)).collect();
    assert!(patches.iter().all(|node| ready(node).0 == "True"), "{patches:?}");
    assert!(recorded(&effects).is_empty());
}

#[test]
fn a_node_that_somebody_deleted_is_not_made_again() {
    let mut play = Play::registered();
    play.fact(Fact::SeenGone);
    assert_eq!(play.reporter.uid(), None);
    play.later(600);
    play.all_speak();
    let effects = play.fact(Fact::Tick);
    assert!(created(&effects).is_none() && patched(&effects).is_none());
}

#[test]
fn what_others_change_is_said_and_an_older_sight_is_not() {
    let mut play = Play::registered();
    let known = play.reporter.accepted.clone().unwrap();
    let seen = |version: u64, cordoned: bool| {
        let mut node = known.clone();
        node.spec.get_or_insert_default().unschedulable = Some(cordoned);
        Fact::Seen(accepted(node, version))
    };
    let effects = play.fact(seen(5, true));
    assert_eq!(recorded(&effects), ["NodeNotSchedulable"]);
    assert_eq!(said(&effects).unwrap().object.spec.as_ref().unwrap().unschedulable, Some(true));
    assert!(play.fact(seen(4, false)).is_empty(), "it was before");
}

#[test]
fn a_heartbeat_is_nothing_to_say() {
    let mut play = Play::registered();
    let mut node = play.reporter.accepted.clone().unwrap();
    for condition in node.status.as_mut().unwrap().conditions.as_mut().unwrap() {
        condition.last_heartbeat_time = Some(time::seconds(99_000_000_000));
    }
    assert!(said(&play.fact(Fact::Seen(accepted(node, 9)))).is_none());
}

#[test]
fn a_reboot_is_told() {
    let mut play = Play::registered();
    play.later(10);
    let mut rebooted = machine();
    rebooted.boot_id = "another".to_owned();
    play.fact(Fact::Machine(Box::new(rebooted)));
    let patch = patched(&play.fact(Fact::Tick)).cloned().unwrap();
    let node = merged(&play, &patch, 2);
    assert_eq!(recorded(&play.fact(Fact::Answered(Ok(node)))), ["Rebooted"]);
}

#[test]
fn an_external_clouds_addresses_are_left_alone() {
    let mut play = Play::of(NodeConfig { external_cloud_provider: true, ..config() }, None);
    let mut node = created(&play.begin()).unwrap();
    let cloud =
        k8s_openapi::api::core::v1::NodeAddress { type_: "ExternalIP".into(), address: "192.0.2.1".into() };
    node.metadata = ObjectMeta { name: node.metadata.name, ..ObjectMeta::default() };
    node.status.as_mut().unwrap().addresses = Some(vec![cloud.clone()]);
    play.fact(Fact::Answered(Ok(accepted(node, 1))));
    play.later(10);
    let mut other = machine();
    other.images.clear();
    play.fact(Fact::Machine(Box::new(other)));
    let effects = play.fact(Fact::Tick);
    let node = merged(&play, patched(&effects).unwrap(), 2);
    assert_eq!(node.status.unwrap().addresses, Some(vec![cloud]));
}
