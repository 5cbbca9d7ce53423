//! Keeps looking at the manifests below `staticPodPath`: when inotify tells of a change, and every
//! `fileCheckFrequency` in any case.

use super::folder::{Folder, Look};
use crate::{
    core::gather,
    ports::{Desk, News},
};
use chassis::error;
use futures::StreamExt;
use inotify::{EventMask, EventStream, Inotify, WatchMask};
use messages::pod_lifecycle::PodSource;
use std::{io, path::Path, time::Duration};
use tokio::{task::spawn_blocking, time::sleep};
use tracing::{debug, warn};

/// How long after a file was made, and not yet closed, it is looked at: a link is never closed.
const SOON: Duration = Duration::from_millis(100);
/// How soon something is looked at again that was being written, or a path that could not be watched.
const AGAIN: Duration = Duration::from_secs(1);

/// Looks and tells, for ever.
pub async fn follow(mut folder: Folder, every: Duration, desk: Desk) {
    let mut watch = Watch::default();
    let mut last_error = String::new();
    loop {
        watch.set(folder.path());
        let Ok((back, look)) = spawn_blocking(move || {
            let look = folder.look();
            (folder, look)
        })
        .await
        else {
            // Only when the process is going down.
            return;
        };
        folder = back;
        let mut pause = every;
        match look {
            Ok(Look { found, is_unsettled }) => {
                let news = News::Manifests(PodSource::File, gather::gather(found));
                if desk.send(news).await.is_err() {
                    return;
                }
                last_error.clear();
                if is_unsettled {
                    pause = pause.min(AGAIN);
                }
            }
            Err(failure) => tell_once(&mut last_error, error::chain(&failure)),
        }
        if !watch.is_set() {
            pause = pause.min(AGAIN);
        }
        // Both may be dropped: a change that is missed is seen by the next look.
        tokio::select! {
            () = watch.changed() => {}
            () = sleep(pause) => {}
        }
    }
}

fn tell_once(last: &mut String, text: String) {
    if *last != text {
        warn!(error = text, "static pods cannot be listed; those that are known stay");
        *last = text;
    }
}

/// The kernel's notices about a path.
#[derive(Default)]
struct Watch {
    stream: Option<EventStream<[u8; 4096]>>,
}

impl Watch {
    fn is_set(&self) -> bool {
        self.stream.is_some()
    }

    /// Watches the path, unless it is watched already or is not there.
    fn set(&mut self, path: &Path) {
        if self.stream.is_none() {
            match watch(path) {
                Ok(stream) => self.stream = Some(stream),
                Err(failure) => debug!(path = %path.display(), error = %failure, "not watched yet"),
            }
        }
    }

    /// Returns when something has changed; never when nothing is watched.
    async fn changed(&mut self) {
        let Some(stream) = &mut self.stream else { return std::future::pending().await };
        match stream.next().await {
            Some(Ok(event)) if event.mask.contains(EventMask::IGNORED) => self.stream = None,
            Some(Ok(event)) if event.mask.contains(EventMask::CREATE) => sleep(SOON).await,
            Some(Ok(_)) => {}
            Some(Err(_)) | None => self.stream = None,
        }
    }
}

fn watch(path: &Path) -> io::Result<EventStream<[u8; 4096]>> {
    let inotify = Inotify::init()?;
    let mask = WatchMask::CREATE
        | WatchMask::CLOSE_WRITE
        | WatchMask::MOVED_FROM
        | WatchMask::MOVED_TO
        | WatchMask::DELETE
        | WatchMask::DELETE_SELF
        | WatchMask::MOVE_SELF;
    inotify.watches().add(path, mask)?;
    inotify.into_event_stream([0; 4096])
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use tokio::{sync::mpsc, time::timeout};

    fn manifest(name: &str) -> String {
        format!(
            "{{apiVersion: v1, kind: Pod, metadata: {{name: {name}}}, spec: {{containers: [{{name: a, image: i}}]}}}}"
        )
    }

    #[actix::test]
    async fn a_change_is_told_at_once_and_a_folder_that_comes_later_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("manifests");
        let folder = Folder::new(path.clone(), "node-1".parse().unwrap());
        let (desk, mut news) = mpsc::channel(4);
        actix::spawn(follow(folder, Duration::from_secs(3_600), desk));
        let mut pods = async || match timeout(Duration::from_secs(20), news.recv()).await.unwrap().unwrap() {
            News::Manifests(PodSource::File, gathered) => gathered.pods.len(),
            other => panic!("{other:?}"),
        };
        assert_eq!(pods().await, 0, "a missing folder has nothing");
        fs::create_dir(&path).unwrap();
        fs::write(path.join("a.yaml"), manifest("a")).unwrap();
        while pods().await != 1 {}
        fs::write(path.join("b.yaml"), manifest("b")).unwrap();
        while pods().await != 2 {}
        fs::remove_file(path.join("a.yaml")).unwrap();
        while pods().await != 1 {}
    }
}
