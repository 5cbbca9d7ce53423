use super::*;
use messages::Token;

const POD: (&str, u16) = ("pod", 1);
const NOW: BootTime = BootTime(1_000_000_000);

fn key(text: &str) -> Key {
    Key::from(text.parse::<Token>().unwrap())
}

fn repertoire() -> Repertoire {
    Repertoire::new(Incarnation(7))
}

fn say(repertoire: &mut Repertoire, name: &str, body: &'static str) -> Saying {
    let body = (!body.is_empty()).then(|| Bytes::from_static(body.as_bytes()));
    repertoire.say(POD, key(name), (body, None), NOW)
}

/// Says that the state is complete, with every value of it stored.
fn complete(repertoire: &mut Repertoire, stored: &[(&Saying, u64)]) -> Saying {
    for (saying, sequence) in stored {
        assert_eq!(repertoire.stored(saying, *sequence), None);
    }
    repertoire.complete(POD);
    repertoire.markers().pop().expect("nothing is open")
}

/// `a=1` a value, `a=` a tombstone, `!` the marker.
fn written(sayings: &[Saying]) -> String {
    let one = |saying: &Saying| match &saying.key {
        None => "!".to_owned(),
        Some(key) => {
            let body = saying.body.as_deref().unwrap_or_default();
            format!("{key}={}", String::from_utf8_lossy(body))
        }
    };
    sayings.iter().map(one).collect::<Vec<_>>().join(" ")
}

#[test]
fn the_last_word_on_each_key_is_said_again_and_then_the_marker() {
    let mut repertoire = repertoire();
    let (first, second) = (say(&mut repertoire, "a", "1"), say(&mut repertoire, "b", "1"));
    let marker = complete(&mut repertoire, &[(&first, 1), (&second, 2)]);
    say(&mut repertoire, "c", "1");
    say(&mut repertoire, "a", "2");
    say(&mut repertoire, "b", "");
    let again = repertoire.all_again();
    assert_eq!(written(&again), "c=1 a=2 b=");
    assert_eq!(again, repertoire.all_again(), "with the same stamps, so that readers know them");
    for (saying, sequence) in again.iter().zip(4..) {
        assert_eq!(repertoire.markers(), []);
        repertoire.stored(saying, sequence);
    }
    assert_eq!(repertoire.markers(), [marker]);
}

#[test]
fn the_marker_waits_for_the_servers_word_on_every_value() {
    let cases = [
        ("stored", "a=1 b=1", "!"),
        ("one is late, or there was no stream for it", "a=1", ""),
        ("a value of before it was overtaken", "a=1 b=1 b=2", ""),
        ("one was refused for good", "a=1 b!", "!"),
    ];
    for (name, answers, wanted) in cases {
        let mut repertoire = repertoire();
        let mut sayings = vec![say(&mut repertoire, "a", "1"), say(&mut repertoire, "b", "1")];
        repertoire.complete(POD);
        if answers.contains("b=2") {
            say(&mut repertoire, "b", "2");
        }
        for saying in sayings.drain(..) {
            let (stored, refused) =
                (written(std::slice::from_ref(&saying)), format!("{}!", saying.key.clone().unwrap()));
            if answers.contains(&stored) {
                repertoire.stored(&saying, 1);
            } else if answers.contains(&refused) {
                repertoire.refused(&saying, NOW);
            }
        }
        assert_eq!(written(&repertoire.markers()), wanted, "{name}");
        assert_eq!(repertoire.markers(), [], "{name}: once");
    }
}

#[test]
fn a_marker_of_nothing_waits_for_nothing() {
    let mut repertoire = repertoire();
    assert_eq!(repertoire.markers(), []);
    repertoire.complete(POD);
    assert_eq!(written(&repertoire.markers()), "!");
}

#[test]
fn what_is_said_is_stamped_with_a_growing_revision() {
    let mut repertoire = repertoire();
    let (first, second) = (say(&mut repertoire, "a", "1"), say(&mut repertoire, "b", "1"));
    let marker = complete(&mut repertoire, &[(&first, 1), (&second, 2)]);
    assert_eq!(first.stamp.incarnation, Incarnation(7));
    assert!(first.stamp < second.stamp && second.stamp < marker.stamp);
}

#[test]
fn a_failure_has_the_state_said_once_more_later_and_later() {
    let mut repertoire = repertoire();
    say(&mut repertoire, "a", "1");
    assert_eq!(repertoire.next_due(), None);
    let mut now = NOW;
    for pause in [20, 40, 80, 160, 320, 640, 1280, 2560, 5000, 5000].map(Duration::from_millis) {
        repertoire.failed("pod", now);
        repertoire.failed("pod", now);
        assert_eq!(repertoire.next_due(), Some(now.after(pause)), "two failures of one time are one");
        assert_eq!(repertoire.due(now), []);
        now = now.after(pause);
        assert_eq!(written(&repertoire.due(now)), "a=1");
        assert_eq!(repertoire.next_due(), None);
    }
}

#[test]
fn one_success_ends_the_row_of_failures() {
    let mut repertoire = repertoire();
    let saying = say(&mut repertoire, "a", "1");
    repertoire.failed("pod", NOW);
    repertoire.due(NOW.after(Duration::from_secs(1)));
    repertoire.stored(&saying, 1);
    repertoire.failed("pod", NOW);
    assert_eq!(repertoire.next_due(), Some(NOW.after(Duration::from_millis(20))));
}

#[test]
fn the_marker_has_the_stream_forget_what_earlier_lives_said() {
    let mut repertoire = repertoire();
    let value = say(&mut repertoire, "a", "1");
    let marker = complete(&mut repertoire, &[(&value, 41)]);
    let forget = Forget { name: "pod", key: None, before: 41 };
    assert_eq!(repertoire.stored(&marker, 42), Some(forget));
}

#[test]
fn a_stream_that_began_with_this_life_forgets_nothing() {
    let mut repertoire = repertoire();
    let value = say(&mut repertoire, "a", "1");
    let marker = complete(&mut repertoire, &[(&value, 1)]);
    assert_eq!(repertoire.stored(&marker, 2), None);
}

#[test]
fn a_tombstone_is_forgotten_after_a_while_unless_the_key_came_back() {
    let mut repertoire = repertoire();
    let gone = say(&mut repertoire, "gone", "");
    let back = say(&mut repertoire, "back", "");
    say(&mut repertoire, "unsaid", "");
    repertoire.stored(&gone, 5);
    repertoire.stored(&back, 6);
    say(&mut repertoire, "back", "2");
    let soon = NOW.after(TOMBSTONES.saturating_sub(Duration::from_nanos(1)));
    assert_eq!(repertoire.forget_tombstones(soon), []);
    let forget = Forget { name: "pod", key: Some(key("gone")), before: 6 };
    assert_eq!(repertoire.forget_tombstones(NOW.after(TOMBSTONES)), [forget]);
    assert_eq!(written(&repertoire.all_again()), "back=2");
}
