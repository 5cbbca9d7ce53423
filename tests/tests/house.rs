//! What is a fact about the architecture, and not a matter of taste, is held here.

use messages::{
    Owner,
    catalog::{ROWS, Row},
};
use std::{
    fs,
    path::{Path, PathBuf},
};

fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the workspace").to_owned()
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every file below a folder whose name ends so; none when there is no such folder.
fn files_below(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut found = Vec::new();
    for path in entries.map(|entry| entry.expect("a readable folder").path()) {
        if path.is_dir() {
            found.extend(files_below(&path, ending));
        } else if path.to_string_lossy().ends_with(ending) {
            found.push(path);
        }
    }
    found
}

fn services() -> Vec<String> {
    Owner::ALL.iter().map(|owner| owner.name().to_owned()).chain(["chassis".to_owned()]).collect()
}

/// Names of the workspace's own crates that a manifest's `[dependencies]` lists.
fn own_dependencies(manifest: &Path) -> Vec<String> {
    let text = read(manifest);
    let section = text.split("[dependencies]").nth(1).unwrap_or_default();
    let section = section.split("\n[").next().unwrap_or_default();
    let names = section.lines().filter_map(|line| line.split(['.', ' ', '=']).next());
    let own = services().into_iter().chain(["messages".into(), "proto".into()]).collect::<Vec<_>>();
    names.filter(|name| own.iter().any(|known| known == name)).map(str::to_owned).collect()
}

#[test]
fn no_service_depends_on_another() {
    for service in services().iter().filter(|name| *name != "bulkhead" && *name != "chassis") {
        for dependency in own_dependencies(&top().join("services").join(service).join("Cargo.toml")) {
            let allowed = ["chassis", "messages", "proto"].contains(&dependency.as_str());
            assert!(allowed, "{service} depends on {dependency}");
        }
    }
}

#[test]
fn the_chassis_stands_on_the_contract_and_the_contract_on_nothing() {
    let chassis = own_dependencies(&top().join("services/chassis/Cargo.toml"));
    assert_eq!(chassis, ["messages"], "chassis");
    assert!(own_dependencies(&top().join("messages/Cargo.toml")).is_empty(), "messages");
    assert!(own_dependencies(&top().join("proto/Cargo.toml")).is_empty(), "proto");
}

#[test]
fn no_core_touches_the_world() {
    const WORLD: &[&str] = &[
        "tokio::",
        "actix::",
        "async_nats",
        "std::fs",
        "std::net::Tcp",
        "std::process",
        "kube::",
        "hyper::",
        "chassis::clock",
        "chassis::Bus",
        "SystemTime::now",
        "Instant::now",
        ".await",
        "std::env::",
    ];
    let mut cores = 0;
    for service in services() {
        let src = top().join("services").join(&service).join("src");
        let mut files = files_below(&src.join("core"), ".rs");
        files.extend(Some(src.join("core.rs")).filter(|path| path.exists()));
        cores += files.len();
        for file in files {
            let text = read(&file);
            let rules = text.split("#[cfg(test)]").next().unwrap_or_default();
            for word in WORLD {
                assert!(!rules.contains(word), "{} names {word}", file.display());
            }
        }
    }
    assert!(cores > 5, "only {cores} files of cores were found: has the layout changed?");
}

fn subject(row: &Row) -> String {
    format!("{}.{}.{}", row.owner, row.kind.token(), row.name)
}

#[test]
fn every_subject_stands_in_its_owners_readme() {
    for row in ROWS.iter().filter(|row| !row.is_said_by_each()) {
        let readme = read(&top().join("services").join(row.owner.name()).join("README.md"));
        assert!(readme.contains(&subject(row)), "services/{}/README.md lacks {}", row.owner, subject(row));
    }
}

/// Texts in back quotes that look like paths from the top of the repository.
fn paths_in(text: &str) -> Vec<String> {
    const ROOMS: &[&str] = &["services/", "messages/", "proto/", "deploy/", "tests/", ".ci/"];
    let quoted = text.split('`').skip(1).step_by(2);
    let paths = quoted.filter(|word| ROOMS.iter().any(|room| word.starts_with(room)));
    paths.filter(|word| !word.contains(['*', '{', '<', ' ', '…'])).map(str::to_owned).collect()
}

#[test]
fn paths_that_readmes_name_exist() {
    let mut readmes = vec![top().join("README.md")];
    for room in ["services", "messages", "proto", "deploy", "tests"] {
        readmes.extend(files_below(&top().join(room), "README.md"));
    }
    for readme in readmes.iter().filter(|path| path.exists()) {
        for path in paths_in(&read(readme)) {
            assert!(top().join(&path).exists(), "{} names {path}, which is not there", readme.display());
        }
    }
}
