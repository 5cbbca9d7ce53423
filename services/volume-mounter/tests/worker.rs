//! The worker process for real: this program is its own worker, as `bulkhead` is. Without a harness,
//! because it has to be one thread to enter a mount namespace, and its worker has to be this program.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use nix::sched::{CloneFlags, unshare};
use rustix::mount::{MountPropagationFlags, mount_change};
use std::{env, fs, os::unix::fs::PermissionsExt, process::ExitCode, time::Duration};
use tempfile::TempDir;
use volume_mounter::{
    adapters::workers::Workers,
    core::{mount_table, volume::HostPathType},
    ports::{Deed, FileSystem, Mounter},
    worker,
};

fn main() -> ExitCode {
    if env::args().nth(1).as_deref() == Some(worker::COMMAND) {
        return worker::main();
    }
    if let Err(errno) = unshare(CloneFlags::CLONE_NEWNS) {
        eprintln!("skipped: there is no mount namespace to be had: {errno}");
        return ExitCode::SUCCESS;
    }
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC).unwrap();
    actix::System::new().block_on(async {
        a_worker_binds_and_unmounts().await;
        memory_needs_no_worker().await;
        a_worker_tells_why_it_failed().await;
        a_worker_that_hangs_is_given_up().await;
    });
    ExitCode::SUCCESS
}

async fn a_worker_binds_and_unmounts() {
    let folder = TempDir::new().unwrap();
    let (root, at) = (folder.path().join("root"), folder.path().join("bound/0"));
    fs::create_dir(&root).unwrap();
    let workers = Workers::new();
    let bind = Deed::BindSubpath { root: root.clone(), below: "deep/er".into(), at: at.clone() };
    workers.perform(&bind).await.unwrap();
    assert_eq!(mount_table::below(&workers.table().unwrap(), folder.path()), [at]);
    assert!(root.join("deep/er").is_dir());
    workers.perform(&Deed::UnmountBelow { folder: folder.path().to_owned() }).await.unwrap();
    assert!(mount_table::below(&workers.table().unwrap(), folder.path()).is_empty());
}

async fn memory_needs_no_worker() {
    let folder = TempDir::new().unwrap();
    let (at, workers) = (folder.path().join("v"), Workers::of("/no/such/program".into(), None));
    let mount = Deed::Mount { at: at.clone(), what: FileSystem::Tmpfs { size: None } };
    workers.perform(&mount).await.unwrap();
    assert_eq!(mount_table::below(&workers.table().unwrap(), folder.path()), [at]);
    workers.perform(&Deed::UnmountBelow { folder: folder.path().to_owned() }).await.unwrap();
    assert!(mount_table::below(&workers.table().unwrap(), folder.path()).is_empty());
}

async fn a_worker_tells_why_it_failed() {
    let deed = host_path("/no/such");
    let why = Workers::new().perform(&deed).await.unwrap_err();
    assert!(why.contains("/no/such is not a directory"), "{why}");
}

async fn a_worker_that_hangs_is_given_up() {
    let folder = TempDir::new().unwrap();
    let program = folder.path().join("hangs");
    fs::write(&program, "#!/bin/sh\nexec sleep 600\n").unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let workers = Workers::of(program, Some(Duration::from_millis(100)));
    assert_eq!(workers.perform(&host_path("/no/such")).await.unwrap_err(), "not done within 100ms");
}

fn host_path(path: &str) -> Deed {
    Deed::CheckHostPath { path: path.into(), kind: HostPathType::Directory }
}
