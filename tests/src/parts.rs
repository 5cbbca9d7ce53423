//! Where the real programs are. Debian's come from `tests/tools/install`, the others from `tests/tools/build`.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// Debian's folder of CNI plugins (`containernetworking-plugins`).
pub const CNI_PLUGINS: &str = "/usr/lib/cni";

/// The folder of the scripts that install, build and clean up.
pub fn tools() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tools")
}

/// A program that `tests/tools/build` builds.
pub fn built(program: &str) -> Result<PathBuf> {
    let path = tools().join("bin").join(program);
    if !path.exists() {
        bail!("{} is missing; make it with: tests/tools/build {program}", path.display());
    }
    Ok(path)
}

/// A program of a Debian package.
pub fn installed(program: &str) -> Result<PathBuf> {
    for folder in ["/usr/bin", "/usr/sbin", "/usr/local/bin"] {
        let path = Path::new(folder).join(program);
        if path.exists() {
            return Ok(path);
        }
    }
    bail!("{program} is not installed; install what the tests need with: tests/tools/install");
}

/// The archive of a container image that `tests/tools/images` makes.
pub fn image(name: &str) -> Result<PathBuf> {
    let path = tools().join("bin/images").join(format!("{name}.tar"));
    if !path.exists() {
        bail!("{} is missing; make the images with: tests/tools/images", path.display());
    }
    Ok(path)
}

/// Our own executable: of the debug and the release build the one that was built last.
pub fn bulkhead() -> Result<PathBuf> {
    let this = std::env::current_exe()?;
    let target = this.ancestors().find(|folder| folder.join("CACHEDIR.TAG").exists());
    let target = target.context("this test does not run from cargo's target folder")?;
    let built = ["debug", "release"].map(|profile| target.join(profile).join("bulkhead"));
    let age = |path: &PathBuf| path.metadata().and_then(|data| data.modified()).ok();
    let newest = built.into_iter().filter(|path| path.exists()).max_by_key(age);
    newest.context("the executable bulkhead is not built; build it with: cargo build -p bulkhead")
}

/// What keeps this machine from running scenarios with real parts, if anything: they need root, and programs.
pub fn lacking(programs: &[&str]) -> Option<String> {
    if !nix::unistd::geteuid().is_root() {
        return Some("the scenario needs root".to_owned());
    }
    programs.iter().find_map(|program| built(program).err()).map(|error| error.to_string())
}
