//! The manifests below `staticPodPath`: a file, or a flat folder of files.
//!
//! What has not changed since the last look is not read again. What is being written just now is
//! left for the next look, so that half a file is neither refused nor taken for an edit. Everything
//! here blocks, and runs outside of the one thread that everything else shares.

use crate::core::{
    gather::{Found, MOST_FILES, MOST_MANIFESTS},
    manifest::{self, MOST_BYTES, Manifest, Place, Refusal},
};
use chassis::clock;
use messages::NodeName;
use rustix::fs::{Mode, OFlags, fstat, open};
use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
};

/// A file that changed less long ago than this, in nanoseconds, may still be written to.
const SETTLING: i64 = 1_000_000_000;

/// By what a file is known to be the same: device, inode, size, changed.
type Stamp = (u64, u64, i64, i64);

/// The folder, with what was read of it.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    node: NodeName,
    read: BTreeMap<PathBuf, (Stamp, Result<Manifest, Refusal>)>,
}

/// What one look has found.
#[derive(Debug)]
pub struct Look {
    /// The manifests, by name.
    pub found: Vec<Found>,
    /// Something was being written: look again soon.
    pub is_unsettled: bool,
}

impl Look {
    fn refuse(&mut self, from: &Path, why: String) {
        self.found.push(Found { from: from.display().to_string(), result: Err(Refusal::whole(why)) });
    }
}

/// The folder could not be listed.
#[derive(Debug, thiserror::Error)]
#[error("could not list {path}", path = path.display())]
pub struct Unlisted {
    path: PathBuf,
    #[source]
    source: io::Error,
}

impl Folder {
    /// Nothing is read before the first look.
    pub fn new(path: PathBuf, node: NodeName) -> Self {
        Self { path, node, read: BTreeMap::new() }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Looks at all manifests. A folder that is not there has none.
    ///
    /// # Errors
    /// When it is there and cannot be listed: then nothing is known, and nothing is gone.
    pub fn look(&mut self) -> Result<Look, Unlisted> {
        let unlisted = |source| Unlisted { path: self.path.clone(), source };
        let paths = self.paths().map_err(unlisted)?;
        let mut look = Look { found: Vec::new(), is_unsettled: false };
        if paths.len() > MOST_FILES {
            look.refuse(&self.path, format!("there are {} files; {MOST_FILES} are read", paths.len()));
        }
        let (mut read, mut good) = (BTreeMap::new(), 0);
        for path in self.first(paths) {
            let Some(entry) = self.file(&path, &mut look) else { continue };
            good += usize::from(entry.1.is_ok());
            if entry.1.is_ok() && good > MOST_MANIFESTS {
                look.refuse(&path, format!("{MOST_MANIFESTS} other manifests are there"));
                continue;
            }
            look.found.push(Found { from: path.display().to_string(), result: entry.1.clone() });
            read.insert(path, entry);
        }
        self.read = read;
        look.found.sort_by(|one, other| one.from.cmp(&other.from));
        Ok(look)
    }

    /// As many files as are read: those that make pods already, so that a crowd of others costs none of them its place,
    /// and then the first by name.
    fn first(&self, paths: Vec<PathBuf>) -> impl Iterator<Item = PathBuf> + use<> {
        let makes_pods = |path: &PathBuf| self.read.get(path).is_some_and(|(_, result)| result.is_ok());
        let (known, others): (Vec<_>, Vec<_>) = paths.into_iter().partition(makes_pods);
        known.into_iter().chain(others).take(MOST_FILES)
    }

    /// The files by name; names with a dot in front and what is no file are left out.
    fn paths(&self) -> io::Result<Vec<PathBuf>> {
        match fs::metadata(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
            Ok(kind) if !kind.is_dir() => return Ok(vec![self.path.clone()]),
            Ok(_) => {}
        }
        let mut paths = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            let entry = entry?;
            let hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
            if !hidden {
                paths.push(entry.path());
            }
        }
        paths.sort();
        Ok(paths)
    }

    /// What a file holds: as read before, or anew. `None` for what is no file, and for a new file
    /// that is still being written.
    fn file(&self, path: &Path, look: &mut Look) -> Option<(Stamp, Result<Manifest, Refusal>)> {
        let known = self.read.get(path);
        let (mut file, stamp) = match open_file(path) {
            Ok(Some(opened)) => opened,
            Ok(None) => return None,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => {
                return Some(((0, 0, 0, 0), Err(Refusal::whole(format!("could not be read: {error}")))));
            }
        };
        if let Some((_, result)) = known.filter(|(read, _)| *read == stamp) {
            return Some((stamp, result.clone()));
        }
        let result = self.read_file(&mut file, path);
        let is_fresh = clock::now_unix().saturating_sub(stamp.3) < SETTLING;
        if result.is_err() && is_fresh {
            look.is_unsettled = true;
            return known.cloned();
        }
        Some((stamp, result))
    }

    fn read_file(&self, file: &mut File, path: &Path) -> Result<Manifest, Refusal> {
        let mut bytes = Vec::new();
        let most = u64::try_from(MOST_BYTES).unwrap_or(u64::MAX).saturating_add(1);
        let read = file.take(most).read_to_end(&mut bytes);
        read.map_err(|error| Refusal::whole(format!("could not be read: {error}")))?;
        manifest::read(&bytes, Place::File(&path.display().to_string()), &self.node)
    }
}

/// Opens a file without ever waiting for it; `None` for folders, pipes, devices and sockets.
fn open_file(path: &Path) -> io::Result<Option<(File, Stamp)>> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let is_file = fs::metadata(path)?.is_file();
    if !is_file {
        return Ok(None);
    }
    let file = open(path, flags, Mode::empty())?;
    let stat = fstat(&file)?;
    let changed = stat
        .st_ctime
        .saturating_mul(1_000_000_000)
        .saturating_add(i64::try_from(stat.st_ctime_nsec).unwrap_or(0));
    let is_file = rustix::fs::FileType::from_raw_mode(stat.st_mode).is_file();
    let stamp = (stat.st_dev, stat.st_ino, stat.st_size, changed);
    Ok(is_file.then(|| (File::from(file), stamp)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{os::unix::fs::symlink, process::Command};
    use tempfile::TempDir;

    fn folder() -> (TempDir, Folder) {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::new(dir.path().to_owned(), "node-1".parse().unwrap());
        (dir, folder)
    }

    fn manifest(name: &str) -> String {
        format!(
            "{{apiVersion: v1, kind: Pod, metadata: {{name: {name}}}, spec: {{containers: [{{name: a, image: i}}]}}}}"
        )
    }

    /// Each file's name with `ok` or `refused`.
    fn seen(folder: &mut Folder) -> Vec<String> {
        let look = folder.look().unwrap();
        let word = |result: &Result<Manifest, Refusal>| if result.is_ok() { "ok" } else { "refused" };
        let name = |from: &str| from.rsplit('/').next().unwrap().to_owned();
        look.found.iter().map(|found| format!("{} {}", name(&found.from), word(&found.result))).collect()
    }

    /// Makes a file look as if it had not been touched lately.
    fn settle(path: &Path) {
        // The stamp is the change time, which nothing but waiting can move; so wait for it.
        let since = || clock::now_unix() - fs::metadata(path).map(|it| changed(&it)).unwrap_or(0);
        while since() < SETTLING {
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }

    fn changed(metadata: &fs::Metadata) -> i64 {
        use std::os::unix::fs::MetadataExt;
        metadata.ctime() * 1_000_000_000 + metadata.ctime_nsec()
    }

    #[test]
    fn files_are_read_by_name_and_links_followed_and_everything_else_is_left() {
        let (dir, mut folder) = folder();
        let path = |name: &str| dir.path().join(name);
        fs::write(path("b.yaml"), manifest("b")).unwrap();
        fs::write(path("a.yaml"), manifest("a")).unwrap();
        fs::write(path(".hidden"), manifest("c")).unwrap();
        fs::create_dir(path("sub")).unwrap();
        symlink(path("a.yaml"), path("z-link")).unwrap();
        assert!(Command::new("mkfifo").arg(path("pipe")).status().unwrap().success());
        assert_eq!(seen(&mut folder), ["a.yaml ok", "b.yaml ok", "z-link ok"]);
    }

    #[test]
    fn half_a_file_is_left_until_it_is_whole_or_old() {
        let (dir, mut folder) = folder();
        let path = dir.path().join("web.yaml");
        fs::write(&path, "apiVersion: v1\nkind: Po").unwrap();
        assert_eq!(seen(&mut folder), [""; 0], "it may still be written");
        assert!(folder.look().unwrap().is_unsettled);
        fs::write(&path, manifest("web")).unwrap();
        assert_eq!(seen(&mut folder), ["web.yaml ok"]);
        fs::write(&path, "apiVer").unwrap();
        assert_eq!(seen(&mut folder), ["web.yaml ok"], "what it was before stays");
        settle(&path);
        assert_eq!(seen(&mut folder), ["web.yaml refused"]);
    }

    #[test]
    fn a_missing_path_has_nothing_and_a_file_is_a_folder_of_one() {
        let (dir, _) = folder();
        let mut missing = Folder::new(dir.path().join("none"), "node-1".parse().unwrap());
        assert_eq!(seen(&mut missing), [""; 0]);
        let file = dir.path().join("one.yaml");
        fs::write(&file, manifest("one")).unwrap();
        assert_eq!(seen(&mut Folder::new(file, "node-1".parse().unwrap())), ["one.yaml ok"]);
    }

    fn refused(look: &Look) -> Vec<&str> {
        look.found.iter().filter_map(|found| Some(found.result.as_ref().err()?.why.as_str())).collect()
    }

    #[test]
    fn thousands_of_broken_files_cost_no_pod_its_place() {
        let (dir, mut folder) = folder();
        for index in 0..2 * MOST_MANIFESTS {
            fs::write(dir.path().join(format!("a{index:05}")), "kind: Pod").unwrap();
        }
        fs::write(dir.path().join("z"), manifest("z")).unwrap();
        settle(&dir.path().join("z"));
        let look = folder.look().unwrap();
        assert_eq!(look.found.iter().filter(|found| found.result.is_ok()).count(), 1);
    }

    #[test]
    fn of_too_many_pods_those_that_are_there_already_stay_and_the_rest_is_told() {
        let (dir, mut folder) = folder();
        fs::write(dir.path().join("z"), manifest("z")).unwrap();
        folder.look().unwrap();
        for index in 0..MOST_MANIFESTS {
            fs::write(dir.path().join(format!("a{index:05}")), manifest(&format!("p{index}"))).unwrap();
        }
        let look = folder.look().unwrap();
        let last = look.found.last().unwrap();
        assert!(last.from.ends_with("/z") && last.result.is_ok(), "{last:?}");
        assert_eq!(refused(&look), ["1024 other manifests are there"]);
    }

    #[test]
    fn of_far_too_many_files_the_first_are_read_and_the_rest_is_told() {
        let (dir, mut folder) = folder();
        for index in 0..MOST_FILES + 1 {
            fs::write(dir.path().join(format!("{index:05}")), "").unwrap();
        }
        settle(&dir.path().join(format!("{MOST_FILES:05}")));
        let look = folder.look().unwrap();
        assert_eq!(look.found.len(), MOST_FILES + 1);
        assert!(refused(&look)[0].contains("16385 files"), "{}", refused(&look)[0]);
    }
}
