use super::*;
use serde::Deserialize;
use std::os::unix::fs::PermissionsExt;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Entry {
    restarts: u32,
}

fn journal() -> (tempfile::TempDir, Journal) {
    let dir = tempfile::tempdir().unwrap();
    let journal = Journal::open(&dir.path().join("journal")).unwrap();
    (dir, journal)
}

#[test]
fn what_was_saved_is_loaded_until_it_is_removed() {
    let (_dir, journal) = journal();
    for name in ["restarts", "pods/u-1"] {
        assert_eq!(journal.load::<Entry>(name).unwrap(), None);
        journal.save(name, &Entry { restarts: 1 }).unwrap();
        journal.jot(name, &Entry { restarts: 2 }).unwrap();
        assert_eq!(journal.load(name).unwrap(), Some(Entry { restarts: 2 }));
        journal.remove(name).unwrap();
        journal.remove(name).unwrap();
        assert_eq!(journal.load::<Entry>(name).unwrap(), None);
    }
}

#[test]
fn names_are_listed_folder_by_folder() {
    let (_dir, journal) = journal();
    for name in ["b", "a", "pods/u-2", "pods/u-1"] {
        journal.save(name, &1).unwrap();
    }
    assert_eq!(journal.names("").unwrap(), ["a", "b"]);
    assert_eq!(journal.names("pods").unwrap(), ["pods/u-1", "pods/u-2"]);
    assert_eq!(journal.names("none").unwrap(), [""; 0]);
}

#[test]
fn no_name_leaves_the_folder() {
    let (_dir, journal) = journal();
    for name in ["", "..", "../a", "a/../b", "/etc/passwd", "a/b/c", ".a", "a b", "a\0", "pods/"] {
        let error = journal.save(name, &1).unwrap_err();
        assert!(matches!(error, JournalError::BadName { .. }), "{name:?}: {error}");
    }
    assert!(matches!(journal.names("..").unwrap_err(), JournalError::BadName { .. }));
}

#[test]
fn a_file_that_is_not_understood_is_set_aside_and_forgotten() {
    let cases = [
        ("no JSON", "{"),
        ("another shape", r#"{"version":1,"value":{"restarts":"many"}}"#),
        ("no version", r#"{"value":{"restarts":1}}"#),
        ("from the future", r#"{"version":2,"value":{"restarts":1}}"#),
        ("empty, as after a full disk", ""),
    ];
    for (name, text) in cases {
        let (dir, journal) = journal();
        let path = dir.path().join("journal/restarts.json");
        fs::write(&path, text).unwrap();
        assert_eq!(journal.load::<Entry>("restarts").unwrap(), None, "{name}");
        assert!(!path.exists(), "{name}");
        assert_eq!(fs::read_to_string(path.with_extension("bad")).unwrap(), text, "{name}");
        journal.save("restarts", &Entry { restarts: 1 }).unwrap();
        assert_eq!(journal.names("").unwrap(), ["restarts"], "{name}");
    }
}

#[test]
fn nobody_else_can_read_it() {
    let (dir, journal) = journal();
    journal.save("pods/u-1", &1).unwrap();
    for (path, mode) in [("journal", 0o700), ("journal/pods", 0o700), ("journal/pods/u-1.json", 0o600)] {
        let found = fs::metadata(dir.path().join(path)).unwrap().permissions().mode();
        assert_eq!(found & 0o777, mode, "{path}");
    }
}

#[test]
fn each_life_is_greater_than_the_last_even_when_the_clock_or_the_journal_is_not() {
    let (dir, journal) = journal();
    let year_2026 = 1_767_225_600_000_000_000;
    let first = journal.raise_incarnation(year_2026).unwrap();
    assert_eq!(first, Incarnation(1_767_225_600_000));
    assert_eq!(journal.raise_incarnation(0).unwrap(), Incarnation(first.0 + 1));
    fs::remove_file(dir.path().join("journal/incarnation.json")).unwrap();
    assert!(journal.raise_incarnation(year_2026 + 3_600_000_000_000).unwrap() > first);
}
