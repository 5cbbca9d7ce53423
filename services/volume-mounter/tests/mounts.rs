//! Real mounts, each test in a mount namespace of its own that goes away with its thread. Without
//! root they are skipped.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use nix::sched::{CloneFlags, unshare};
use rustix::mount::{MountPropagationFlags, mount_change};
use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt, symlink},
    path::{Path, PathBuf},
    thread,
};
use tempfile::TempDir;
use volume_mounter::{
    adapters::{folders, kernel},
    core::{mount_table, volume::HostPathType},
    ports::{Deed, FileSystem},
};

/// Runs a test where no mount reaches the machine.
fn apart(test: impl FnOnce(&Path) + Send) {
    let apart = || {
        let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
        if let Err(errno) = unshare(CloneFlags::CLONE_NEWNS) {
            eprintln!("skipped: there is no mount namespace to be had: {errno}");
            return;
        }
        mount_change("/", private).unwrap();
        let folder = TempDir::new().unwrap();
        test(folder.path());
        kernel::perform(&Deed::UnmountBelow { folder: folder.path().to_owned() }).unwrap();
    };
    thread::scope(|scope| scope.spawn(apart).join()).unwrap();
}

fn mounts(below: &Path) -> Vec<PathBuf> {
    mount_table::below(&kernel::read_table().unwrap(), below)
}

fn tmpfs(at: &Path) -> Deed {
    Deed::Mount { at: at.to_owned(), what: FileSystem::Tmpfs { size: Some(1 << 20) } }
}

fn bind(root: &Path, below: &str, at: &Path) -> Deed {
    Deed::BindSubpath { root: root.to_owned(), below: below.to_owned(), at: at.to_owned() }
}

#[test]
fn a_tmpfs_is_mounted_once_and_of_its_size() {
    apart(|folder| {
        let at = folder.join("pods/u-1/volumes/kubernetes.io~secret/s");
        kernel::perform(&tmpfs(&at)).unwrap();
        kernel::perform(&tmpfs(&at)).unwrap();
        assert_eq!(mounts(folder), std::slice::from_ref(&at));
        assert_eq!(rustix::fs::statvfs(&at).unwrap().f_blocks * 4096, 1 << 20);
        assert_eq!(fs::metadata(folder.join("pods")).unwrap().permissions().mode() & 0o777, 0o750);
    });
}

#[test]
fn everything_in_a_folder_is_unmounted_from_the_deepest_up() {
    apart(|folder| {
        let (outer, inner, other) = (folder.join("a"), folder.join("a/b"), folder.join("ab"));
        for at in [&outer, &inner, &other] {
            kernel::perform(&tmpfs(at)).unwrap();
        }
        let deed = Deed::UnmountBelow { folder: outer };
        kernel::perform(&deed).unwrap();
        kernel::perform(&deed).unwrap();
        assert_eq!(mounts(folder), [other]);
    });
}

#[test]
fn a_folder_with_a_mount_in_it_is_never_emptied_through_it() {
    apart(|folder| {
        let (source, pod) = (folder.join("precious"), folder.join("pod"));
        fs::create_dir_all(source.join("inner")).unwrap();
        fs::write(source.join("inner/file"), "f").unwrap();
        fs::create_dir_all(pod.join("volumes")).unwrap();
        // On the same file system, so that no device number tells.
        kernel::perform(&bind(&source, "inner", &pod.join("volumes/v"))).unwrap();

        assert!(folders::remove(&pod).is_err());
        assert_eq!(fs::read_to_string(source.join("inner/file")).unwrap(), "f");

        kernel::perform(&Deed::UnmountBelow { folder: pod.clone() }).unwrap();
        folders::remove(&pod).unwrap();
        assert_eq!(fs::read_to_string(source.join("inner/file")).unwrap(), "f");
    });
}

#[test]
fn a_sub_path_is_bound_whatever_it_is() {
    apart(|folder| {
        let volume = folder.join("volume");
        fs::create_dir_all(volume.join("folder")).unwrap();
        fs::write(volume.join("..file"), "f").unwrap();
        symlink("..file", volume.join("file")).unwrap();
        let place = |index: u32| folder.join("volume-subpaths/v/app").join(index.to_string());

        kernel::perform(&bind(&volume, "folder", &place(0))).unwrap();
        kernel::perform(&bind(&volume, "file", &place(1))).unwrap();

        fs::write(place(0).join("seen"), "s").unwrap();
        assert_eq!(fs::read_to_string(volume.join("folder/seen")).unwrap(), "s");
        assert_eq!(fs::read_to_string(place(1)).unwrap(), "f");
        assert_eq!(mounts(folder).len(), 2);
    });
}

#[test]
fn a_sub_path_bound_again_is_the_present_one() {
    apart(|folder| {
        let (volume, at) = (folder.join("volume"), folder.join("volume-subpaths/v/app/0"));
        fs::create_dir_all(volume.join("a")).unwrap();
        kernel::perform(&bind(&volume, "a", &at)).unwrap();
        kernel::perform(&bind(&volume, "a", &at)).unwrap();
        assert_eq!(mounts(folder).len(), 1, "the same is not bound twice");

        fs::remove_dir(volume.join("a")).unwrap();
        fs::write(volume.join("a"), "a file now").unwrap();
        kernel::perform(&bind(&volume, "a", &at)).unwrap();
        assert_eq!(fs::read_to_string(&at).unwrap(), "a file now");
        assert_eq!(mounts(folder).len(), 1);
    });
}

#[test]
fn a_hostile_sub_path_is_not_bound() {
    apart(|folder| {
        let (volume, at) = (folder.join("volume"), folder.join("volume-subpaths/v/app/0"));
        fs::create_dir_all(&volume).unwrap();
        symlink("/etc", volume.join("out")).unwrap();
        for below in ["out", "out/passwd", "../", "/etc"] {
            assert!(kernel::perform(&bind(&volume, below, &at)).is_err(), "{below}");
        }
        assert_eq!(mounts(folder), Vec::<PathBuf>::new());
    });
}

#[test]
fn host_paths_are_what_their_type_says() {
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::create_dir(path("folder")).unwrap();
    fs::write(path("file"), "f").unwrap();
    symlink("folder", path("link")).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(path("socket")).unwrap();
    use HostPathType::{Any, CharDevice, Directory, DirectoryOrCreate, File, FileOrCreate, Socket};
    let is_not = |path: &Path, what: &str| {
        Some(format!("hostPath type check failed: {} is not a {what}", path.display()))
    };
    let cases = [
        ("whatever", path("nothing"), Any, None),
        ("a folder", path("folder"), Directory, None),
        ("a link to a folder", path("link"), Directory, None),
        ("a file is no folder", path("file"), Directory, is_not(&path("file"), "directory")),
        ("nothing is no folder", path("nothing"), Directory, is_not(&path("nothing"), "directory")),
        ("a folder that is made", path("new/folder"), DirectoryOrCreate, None),
        ("a file", path("file"), File, None),
        ("a folder is no file", path("folder"), File, is_not(&path("folder"), "file")),
        ("a file that is made", path("new-file"), FileOrCreate, None),
        ("a socket", path("socket"), Socket, None),
        ("a file is no socket", path("file"), Socket, is_not(&path("file"), "socket file")),
        ("a device", "/dev/null".into(), CharDevice, None),
    ];
    for (name, path, kind, want) in cases {
        let got = kernel::perform(&Deed::CheckHostPath { path, kind });
        assert_eq!(got.err().map(|fault| fault.to_string()), want, "{name}");
    }
    assert_eq!(fs::metadata(path("new/folder")).unwrap().mode() & 0o777, 0o755);
    assert_eq!(fs::metadata(path("new-file")).unwrap().mode() & 0o777, 0o644);
}
