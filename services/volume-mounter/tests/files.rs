//! Files and folders of volumes, in folders of the tests' own. What takes root says so and is skipped
//! without.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use rustix::fd::AsFd;
use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt, symlink},
    path::Path,
};
use tempfile::TempDir;
use volume_mounter::{
    adapters::{
        atomic::{self, Written},
        folders, subpath,
    },
    core::{
        ownership::Access,
        path::RelativePath,
        payload::{File, Payload},
    },
};

/// Paths and contents.
type Pairs<'a> = &'a [(&'a str, &'a str)];

fn payload(files: Pairs<'_>) -> Payload {
    let file = |(path, data): &(&str, &str)| {
        let file = File { data: data.as_bytes().to_vec(), mode: 0o644, owner: None };
        (RelativePath::of_file(path).unwrap(), file)
    };
    files.iter().map(file).collect()
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().permissions().mode() & 0o7777
}

fn is_root() -> bool {
    let is_root = rustix::process::geteuid().is_root();
    if !is_root {
        eprintln!("skipped: only root can change groups");
    }
    is_root
}

#[test]
fn files_are_links_into_one_version() {
    let root = TempDir::new().unwrap();
    let files = payload(&[("token", "t"), ("deep/er/file", "f"), ("deep/other", "o")]);
    assert_eq!(atomic::write(root.path(), &files, "1", None).unwrap(), Written::Changed);

    assert_eq!(names(root.path()), ["..1", "..data", "deep", "token"]);
    assert_eq!(fs::read_link(root.path().join("..data")).unwrap(), Path::new("..1"));
    assert_eq!(fs::read_link(root.path().join("deep")).unwrap(), Path::new("..data/deep"));
    assert_eq!(fs::read_to_string(root.path().join("deep/er/file")).unwrap(), "f");
    assert_eq!(mode(&root.path().join("..1")), 0o755);
    assert_eq!(mode(&root.path().join("..1/deep/er")), 0o755);
    assert_eq!(mode(&root.path().join("..1/token")), 0o644);
}

#[test]
fn what_is_equal_is_not_written_again() {
    let root = TempDir::new().unwrap();
    atomic::write(root.path(), &payload(&[("a", "1")]), "1", None).unwrap();
    let again = atomic::write(root.path(), &payload(&[("a", "1")]), "2", None).unwrap();
    assert_eq!(
        (again, names(root.path())),
        (Written::Unchanged, vec!["..1".into(), "..data".into(), "a".into()])
    );
}

#[test]
fn a_new_version_replaces_changes_adds_and_removes_at_once() {
    let cases: [(&str, Pairs, &[&str]); 5] = [
        ("a change", &[("a", "2"), ("b", "1")], &["..2", "..data", "a", "b"]),
        ("one more", &[("a", "1"), ("b", "1"), ("c", "1")], &["..2", "..data", "a", "b", "c"]),
        ("one less", &[("a", "1")], &["..2", "..data", "a"]),
        ("a file becomes a folder", &[("a/x", "1")], &["..2", "..data", "a"]),
        ("nothing left", &[], &["..2", "..data"]),
    ];
    for (name, files, want) in cases {
        let root = TempDir::new().unwrap();
        atomic::write(root.path(), &payload(&[("a", "1"), ("b", "1")]), "1", None).unwrap();
        assert_eq!(
            atomic::write(root.path(), &payload(files), "2", None).unwrap(),
            Written::Changed,
            "{name}"
        );
        assert_eq!(names(root.path()), want, "{name}");
        for (path, data) in files {
            assert_eq!(fs::read_to_string(root.path().join(path)).unwrap(), *data, "{name}");
        }
    }
}

#[test]
fn what_an_interrupted_write_left_is_cleared_away() {
    let root = TempDir::new().unwrap();
    atomic::write(root.path(), &payload(&[("a", "1")]), "1", None).unwrap();
    fs::create_dir(root.path().join("..half")).unwrap();
    fs::write(root.path().join("..half/a"), "x").unwrap();
    symlink("..half", root.path().join("..data_tmp")).unwrap();

    atomic::write(root.path(), &payload(&[("a", "2")]), "2", None).unwrap();

    assert_eq!(names(root.path()), ["..2", "..data", "a"]);
}

#[test]
fn links_that_an_interrupted_write_did_not_make_are_made_by_the_next() {
    let root = TempDir::new().unwrap();
    atomic::write(root.path(), &payload(&[("a", "1"), ("b", "1")]), "1", None).unwrap();
    fs::remove_file(root.path().join("b")).unwrap();
    symlink("..data/gone", root.path().join("gone")).unwrap();

    let again = atomic::write(root.path(), &payload(&[("a", "1"), ("b", "1")]), "2", None).unwrap();

    assert_eq!(
        (again, names(root.path())),
        (Written::Unchanged, ["..1", "..data", "a", "b"].map(str::to_owned).to_vec())
    );
}

#[test]
fn a_write_that_fails_leaves_the_version_before() {
    let root = TempDir::new().unwrap();
    atomic::write(root.path(), &payload(&[("a", "1")]), "1", None).unwrap();
    // A folder where the next link goes cannot be replaced by a link.
    fs::create_dir_all(root.path().join("..data_tmp/x")).unwrap();

    assert!(atomic::write(root.path(), &payload(&[("a", "2")]), "2", None).is_err());

    assert_eq!(fs::read_to_string(root.path().join("a")).unwrap(), "1");
    assert!(!root.path().join("..2").exists());
}

#[test]
fn files_get_their_owner_and_group_before_they_are_seen() {
    if !is_root() {
        return;
    }
    let root = TempDir::new().unwrap();
    let mut files = payload(&[("token", "t"), ("deep/file", "f")]);
    let token = files.get_mut(&RelativePath::of_file("token").unwrap()).unwrap();
    (token.mode, token.owner) = (0o600, Some(1234));

    atomic::write(root.path(), &files, "1", Some(4321)).unwrap();

    let found = |path: &str| {
        let found = fs::metadata(root.path().join(path)).unwrap();
        (found.uid(), found.gid(), found.mode() & 0o7777)
    };
    assert_eq!(found("token"), (1234, 4321, 0o640));
    assert_eq!(found("deep/file"), (0, 4321, 0o644));
    assert_eq!(found("deep"), (0, 4321, 0o2755));
}

#[test]
fn links_are_given_to_the_group_and_not_followed() {
    if !is_root() {
        return;
    }
    let (root, outside) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let secret = outside.path().join("secret");
    fs::write(&secret, "s").unwrap();
    symlink(&secret, root.path().join("link")).unwrap();
    symlink(outside.path(), root.path().join("folder")).unwrap();
    let before = fs::metadata(&secret).unwrap();

    folders::give_to_group(root.path(), 4321, Access::ReadWrite).unwrap();

    let after = fs::metadata(&secret).unwrap();
    assert_eq!((after.gid(), after.mode()), (before.gid(), before.mode()));
    assert_eq!(fs::symlink_metadata(root.path().join("link")).unwrap().gid(), 4321);
    assert_eq!(fs::metadata(outside.path()).unwrap().gid(), before.gid());
}

#[test]
fn a_folder_is_removed_without_following_links() {
    let (parent, outside) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    fs::write(outside.path().join("kept"), "k").unwrap();
    let root = parent.path().join("pod");
    fs::create_dir_all(root.join("a/b/c")).unwrap();
    fs::write(root.join("a/b/file"), "f").unwrap();
    fs::set_permissions(root.join("a/b/file"), fs::Permissions::from_mode(0o000)).unwrap();
    symlink(outside.path(), root.join("a/link")).unwrap();

    folders::remove(&root).unwrap();
    folders::remove(&root).unwrap();

    assert!(!root.exists());
    assert!(outside.path().join("kept").exists());
}

#[test]
fn a_link_in_the_place_of_a_pods_folder_is_not_followed() {
    let (parent, outside) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    fs::write(outside.path().join("kept"), "k").unwrap();
    let root = parent.path().join("pod");
    symlink(outside.path(), &root).unwrap();
    assert!(folders::remove(&root).is_err());
    assert!(outside.path().join("kept").exists());
}

/// What a sub-path leads to in a volume that its pod has prepared.
fn opened(below: &str) -> Result<(u64, u64), String> {
    let volume = TempDir::new().unwrap();
    prepare(volume.path());
    let path = RelativePath::below(below).map_err(|bad| bad.to_string())?;
    let found = subpath::open_or_make(volume.path(), &path).map_err(|fault| fault.to_string())?;
    let found = rustix::fs::fstat(found.as_fd()).unwrap();
    let inside = fs::metadata(volume.path().join(below));
    let want = inside.map(|want| (want.dev(), want.ino())).unwrap();
    assert_eq!((found.st_dev, found.st_ino), want, "{below}");
    assert_eq!(found.st_dev, fs::metadata(volume.path()).unwrap().dev(), "{below}");
    Ok(want)
}

fn prepare(volume: &Path) {
    fs::set_permissions(volume, fs::Permissions::from_mode(0o777)).unwrap();
    fs::create_dir_all(volume.join("folder/deep")).unwrap();
    fs::write(volume.join("file"), "f").unwrap();
    symlink("folder", volume.join("inside")).unwrap();
    symlink("../file", volume.join("folder/up-but-inside")).unwrap();
    symlink("/etc", volume.join("absolute")).unwrap();
    symlink("../..", volume.join("upwards")).unwrap();
    symlink("nowhere", volume.join("dangling")).unwrap();
    symlink("/proc/self/root", volume.join("magic")).unwrap();
    symlink("loop", volume.join("loop")).unwrap();
}

#[test]
fn a_sub_path_never_leads_out_of_its_volume() {
    let cases = [
        ("a folder", "folder", true),
        ("a file", "file", true),
        ("a folder that is missing is made", "new/and/deeper", true),
        ("a link inside", "inside", true),
        ("a folder made behind a link inside", "inside/new", true),
        ("a link upwards that stays inside", "folder/up-but-inside", true),
        ("a link to an absolute path", "absolute", false),
        ("through a link to an absolute path", "absolute/passwd", false),
        ("made behind a link to an absolute path", "absolute/bulkhead-test-new", false),
        ("a link upwards", "upwards", false),
        ("through a link upwards", "upwards/etc", false),
        ("a link to nowhere is not made", "dangling", false),
        ("a magic link of proc", "magic/etc", false),
        ("a link to itself", "loop", false),
        ("dots", "folder/../../x", false),
        ("an absolute path", "/etc", false),
        ("below a file", "file/x", false),
    ];
    for (name, below, want) in cases {
        let got = opened(below);
        assert_eq!(got.is_ok(), want, "{name}: {got:?}");
    }
    assert!(!Path::new("/etc/bulkhead-test-new").exists());
}

#[test]
fn made_folders_have_the_mode_of_the_volume() {
    let volume = TempDir::new().unwrap();
    fs::set_permissions(volume.path(), fs::Permissions::from_mode(0o2770)).unwrap();
    subpath::open_or_make(volume.path(), &RelativePath::below("a/b").unwrap()).unwrap();
    for made in ["a", "a/b"] {
        assert_eq!(mode(&volume.path().join(made)), 0o2770, "{made}");
    }
}
