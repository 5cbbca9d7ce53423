//! Whose an object is.

use super::*;

const WEB: (&str, &str) = ("default", "web");

fn name() -> Name {
    (WEB.0.to_owned(), WEB.1.to_owned())
}

fn uid(text: &str) -> PodUid {
    text.parse().unwrap()
}

fn status(pod: &str, source: PodSource, seen_at: i64) -> Status {
    Status {
        pod: uid(pod),
        namespace: WEB.0.to_owned(),
        name: WEB.1.to_owned(),
        source,
        status: Box::default(),
        mirror: None,
        release: false,
        seen_at,
        life: 0,
    }
}

fn view(uid: &str, version: u64, mirror: Option<&str>) -> Box<View> {
    Box::new(View { uid: uid.to_owned(), version, mirror: mirror.map(str::to_owned), ..View::default() })
}

/// Effects as `pod: what it is told`.
fn told(effects: &[Effect]) -> Vec<String> {
    let one = |effect: &Effect| match effect {
        Effect::Tell(pod, Sight::Seen(view)) => format!("{pod}: {}", view.uid),
        Effect::Tell(pod, Sight::Absent) => format!("{pod}: none"),
        Effect::Tell(pod, Sight::Gone(uid)) => format!("{pod}: {uid} is gone"),
        Effect::Tell(pod, Sight::Displaced) => format!("{pod}: another's"),
        Effect::Orphan(_, view) => format!("orphan {}", view.uid),
    };
    effects.iter().map(one).collect()
}

#[test]
fn an_api_pods_object_is_itself() {
    let mut directory = Directory::default();
    assert_eq!(told(&directory.see(name(), view("a", 1, None))), [""; 0]);
    assert_eq!(told(&directory.claim(&status("a", PodSource::Api, 1), None)), ["a: a"]);
    assert_eq!(told(&directory.claim(&status("a", PodSource::Api, 1), None)), [""; 0], "it knows");
    assert_eq!(told(&directory.see(name(), view("a", 2, None))), ["a: a"], "a newer version");
    assert_eq!(
        told(&directory.see(name(), view("b", 3, None))),
        ["a: another's"],
        "recreated under the same name"
    );
    assert_eq!(told(&directory.claim(&status("b", PodSource::Api, 2), None)), ["b: b"]);
}

#[test]
fn nothing_is_known_to_be_missing_before_all_were_seen() {
    let mut directory = Directory::default();
    assert_eq!(told(&directory.claim(&status("s", PodSource::File, 1), Some("h"))), [""; 0]);
    assert_eq!(told(&directory.complete_objects(&[])), ["s: none"]);
    assert_eq!(told(&directory.see(name(), view("m", 1, Some("h")))), ["s: m"]);
    assert_eq!(told(&directory.lose(&name(), "m")), ["s: m is gone"]);
    directory.see(name(), view("m", 2, Some("h")));
    assert_eq!(told(&directory.complete_objects(&[])), ["s: m is gone"], "not listed again");
}

#[test]
fn a_mirror_belongs_to_the_pod_whose_hash_it_bears_or_else_to_the_newest_that_wants_one() {
    let mut directory = Directory::default();
    directory.complete_objects(&[]);
    directory.claim(&status("old", PodSource::File, 1), Some("old"));
    assert_eq!(told(&directory.see(name(), view("m", 1, Some("old")))), ["old: m"]);
    let waiting = directory.claim(&status("new", PodSource::File, 2), None);
    assert_eq!(told(&waiting), ["new: another's"], "it does not want a mirror yet");
    let starts = directory.claim(&status("new", PodSource::File, 2), Some("new"));
    assert_eq!(told(&starts), [""; 0], "the old one still has its own");
    let ends = directory.claim(&status("old", PodSource::File, 1), None);
    assert_eq!(told(&ends), ["new: m", "old: another's"], "to be replaced");
}

#[test]
fn a_static_pod_leaves_alone_what_is_no_mirror() {
    let mut directory = Directory::default();
    directory.see(name(), view("somebody", 1, None));
    assert_eq!(told(&directory.claim(&status("s", PodSource::File, 1), Some("h"))), ["s: another's"]);
}

#[test]
fn a_mirror_of_nobody_is_an_orphan_once_all_pods_were_spoken_of() {
    let mut directory = Directory::default();
    assert_eq!(told(&directory.see(name(), view("m", 1, Some("h")))), [""; 0]);
    assert_eq!(told(&directory.complete_claims()), ["orphan m"]);

    let mut directory = Directory::default();
    directory.see(name(), view("a", 1, None));
    assert_eq!(told(&directory.complete_claims()), [""; 0], "an API pod is never deleted for that");
}

#[test]
fn a_pod_that_is_spoken_of_no_more_gives_its_name_back() {
    let mut directory = Directory::default();
    directory.see(name(), view("m", 1, Some("old")));
    directory.complete_claims();
    directory.claim(&status("old", PodSource::File, 1), Some("old"));
    directory.claim(&status("new", PodSource::File, 2), Some("new"));
    assert_eq!(told(&directory.unclaim(&uid("old"))), ["new: m"]);
    assert_eq!(told(&directory.unclaim(&uid("new"))), [""; 0], "the last deletes its mirror itself");
}
