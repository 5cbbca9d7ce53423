//! The API server's pods for this node: listed, then watched, through api-gate.

use crate::{
    core::{manifest, mirror},
    ports::{Desk, News},
};
use chassis::error;
use futures::TryStreamExt;
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, Client,
    runtime::watcher::{self, Event},
};
use messages::{NodeName, PodUid};
use rand::Rng;
use std::{collections::BTreeMap, pin::pin, time::Duration};
use tokio::time::sleep;
use tracing::{debug, warn};

/// Pauses after failures, from the first to the longest: an API server that comes back is noticed
/// within ten seconds, whatever the jitter.
const PAUSES: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));

/// Follows and tells, for ever.
pub async fn follow(client: Client, node: NodeName, desk: Desk) {
    let pods: Api<Pod> = Api::all(client);
    let config = watcher::Config::default().fields(&format!("spec.nodeName={node}"));
    let mut events = pin!(watcher::watcher(pods, config));
    let (mut listing, mut pause) = (None, PAUSES.0);
    loop {
        match events.try_next().await {
            Ok(Some(event)) => {
                // A list that only begins has not succeeded yet.
                if !matches!(event, Event::Init) {
                    pause = PAUSES.0;
                }
                for news in read(event, &mut listing) {
                    if desk.send(news).await.is_err() {
                        return;
                    }
                }
            }
            Ok(None) => return,
            Err(failure) => {
                note(&failure, pause);
                sleep(rand::rng().random_range(pause / 2..=pause)).await;
                pause = (pause * 2).min(PAUSES.1);
            }
        }
    }
}

/// The first failure is worth a warning; a server that stays away is not worth one every few seconds.
fn note(failure: &watcher::Error, pause: Duration) {
    let error = error::chain(failure);
    if pause == PAUSES.0 {
        warn!(error, "the API server's pods cannot be followed; those that are known go on");
    } else {
        debug!(error, "the API server's pods cannot be followed still");
    }
}

/// A list that is coming in.
type Listing = Option<BTreeMap<PodUid, Pod>>;

fn read(event: Event<Pod>, listing: &mut Listing) -> Vec<News> {
    match event {
        Event::Init => {
            *listing = Some(BTreeMap::new());
            Vec::new()
        }
        Event::InitApply(pod) => match (judge(pod), listing) {
            (Some(Ok((uid, pod))), Some(listing)) => {
                listing.insert(uid, pod);
                Vec::new()
            }
            (Some(Err(news)), _) => vec![news],
            _ => Vec::new(),
        },
        Event::InitDone => vec![News::All(listing.take().unwrap_or_default().into_iter().collect())],
        Event::Apply(pod) => match judge(pod) {
            Some(Ok((uid, pod))) => vec![News::Changed(uid, Box::new(pod))],
            Some(Err(news)) => vec![news],
            None => Vec::new(),
        },
        Event::Delete(pod) => {
            judge(pod).and_then(Result::ok).map(|(uid, _)| News::Gone(uid)).into_iter().collect()
        }
    }
}

/// A pod with its UID; none for mirrors, which are told by what they mirror.
fn judge(pod: Pod) -> Option<Result<(PodUid, Pod), News>> {
    if mirror::is_mirror(&pod) {
        return None;
    }
    Some(match manifest::check_api_pod(&pod) {
        Ok(uid) => Ok((uid, pod)),
        Err(refusal) => Err(News::Refused(Box::new(pod), refusal.to_string())),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::{
        spec::CONFIG_MIRROR,
        testing::{PodBuilder, UID},
    };

    fn words(news: Vec<News>) -> Vec<String> {
        let word = |news: News| match news {
            News::All(pods) => format!("all {}", pods.len()),
            News::Changed(uid, _) => format!("changed {uid}"),
            News::Gone(uid) => format!("gone {uid}"),
            News::Refused(_, why) => format!("refused {why}"),
            News::Manifests(..) => "manifests".into(),
        };
        news.into_iter().map(word).collect()
    }

    #[test]
    fn a_list_is_told_whole_and_changes_one_by_one() {
        let pod = || PodBuilder::new().container("app").build();
        let mut listing = None;
        assert!(read(Event::Init, &mut listing).is_empty());
        assert!(read(Event::InitApply(pod()), &mut listing).is_empty());
        assert_eq!(words(read(Event::InitDone, &mut listing)), ["all 1"]);
        assert_eq!(words(read(Event::Apply(pod()), &mut listing)), [format!("changed {UID}")]);
        assert_eq!(words(read(Event::Delete(pod()), &mut listing)), [format!("gone {UID}")]);
    }

    #[test]
    fn mirrors_are_passed_over_and_impossible_ids_refused() {
        let marked = PodBuilder::new().container("app").meta(|pod| {
            pod.metadata.annotations = Some([(CONFIG_MIRROR.to_owned(), "x".to_owned())].into());
        });
        assert!(read(Event::Apply(marked.build()), &mut None).is_empty());
        let evil = PodBuilder::new().meta(|pod| pod.metadata.uid = Some("../x".into())).build();
        assert!(words(read(Event::Apply(evil), &mut None))[0].starts_with("refused metadata.uid"));
    }
}
