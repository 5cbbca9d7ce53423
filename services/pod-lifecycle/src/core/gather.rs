//! Manifests of one source put together: which pods they make, and which are refused.

use super::{
    fnv,
    manifest::{Manifest, Refusal},
};
use k8s_openapi::api::core::v1::Pod;
use messages::{PodUid, Token, pod_lifecycle::Refused};
use std::collections::{BTreeMap, BTreeSet};

/// The most files of a folder that are looked at.
pub const MOST_FILES: usize = 16_384;
/// The most manifests of a folder that make pods.
pub const MOST_MANIFESTS: usize = 1024;
/// The most refusals that are told one by one.
const MOST_REFUSALS: usize = 100;

/// One manifest and what came of it.
#[derive(Debug, Clone)]
pub struct Found {
    /// The file or URL.
    pub from: String,
    /// Its pods, or why not.
    pub result: Result<Manifest, Refusal>,
}

/// What a source has.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Gathered {
    /// Its pods; each UID and full name once.
    pub pods: Vec<(PodUid, Pod)>,
    /// Manifests that were refused, by [`Refused::id`].
    pub refused: BTreeMap<Token, Refused>,
    /// Fields that nobody knows, by manifest.
    pub unknown_fields: Vec<(String, Vec<String>)>,
}

/// Puts manifests together, in their order: of two with the same name or UID the first counts.
pub fn gather(found: Vec<Found>) -> Gathered {
    let (mut gathered, mut taken) = (Gathered::default(), BTreeSet::new());
    let mut more = 0;
    for Found { from, result } in found {
        match result {
            Ok(manifest) => {
                if !manifest.unknown_fields.is_empty() {
                    gathered.unknown_fields.push((from.clone(), manifest.unknown_fields));
                }
                for pod in manifest.pods {
                    match take(&mut taken, &pod.uid, &pod.pod) {
                        Ok(()) => gathered.pods.push((pod.uid, pod.pod)),
                        Err(refusal) => more += refuse(&mut gathered, &from, refusal),
                    }
                }
            }
            Err(refusal) => more += refuse(&mut gathered, &from, refusal),
        }
    }
    if more > 0 {
        let why = format!("{more} more manifests were refused; mend the ones that are named first");
        let rest = refused("further manifests", Refusal::whole(why));
        gathered.refused.insert(rest.id.clone(), rest);
    }
    gathered
}

/// Notes a refusal; 1 when there are too many already.
fn refuse(gathered: &mut Gathered, from: &str, refusal: Refusal) -> usize {
    if gathered.refused.len() >= MOST_REFUSALS {
        return 1;
    }
    let refused = refused(from, refusal);
    gathered.refused.insert(refused.id.clone(), refused);
    0
}

/// The state that tells of a refusal.
pub fn refused(from: &str, refusal: Refusal) -> Refused {
    let hash = format!("{:032x}", fnv::fnv128(&[from.as_bytes()]));
    let id = hash.parse().expect("32 hex digits are a token");
    Refused { id, from: from.to_owned(), field: refusal.field, why: refusal.why }
}

/// What must stand once: a UID, or a namespace and name.
type Claim = (String, String);

fn take(taken: &mut BTreeSet<Claim>, uid: &PodUid, pod: &Pod) -> Result<(), Refusal> {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let name: Claim = (text(&pod.metadata.namespace), text(&pod.metadata.name));
    let again = |field: &str, why: String| Err(Refusal { field: field.into(), why });
    if taken.contains(&name) {
        let (namespace, name) = name;
        return again("metadata.name", format!("another manifest is of pod {namespace}/{name} already"));
    }
    if !taken.insert((String::new(), uid.to_string())) {
        return again("metadata.uid", format!("another manifest has the UID {uid} already"));
    }
    taken.insert(name);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::{manifest::StaticPod, testing::PodBuilder};

    fn file(from: &str, name: &str, uid: &str) -> Found {
        let pod =
            PodBuilder::new().container("app").meta(|pod| pod.metadata.name = Some(name.into())).build();
        let pods = vec![StaticPod { uid: uid.parse().unwrap(), pod }];
        Found { from: from.into(), result: Ok(Manifest { pods, unknown_fields: Vec::new() }) }
    }

    fn broken(from: &str) -> Found {
        Found { from: from.into(), result: Err(Refusal::whole("it is empty")) }
    }

    #[test]
    fn of_two_alike_the_first_counts_and_others_are_not_touched() {
        let cases = [
            ("the same name", file("/b", "web", "u2"), "metadata.name"),
            ("the same UID", file("/b", "other", "u1"), "metadata.uid"),
        ];
        for (sentence, second, field) in cases {
            let gathered = gather(vec![file("/a", "web", "u1"), second, file("/c", "third", "u3")]);
            let uids: Vec<&str> = gathered.pods.iter().map(|(uid, _)| uid.as_str()).collect();
            assert_eq!(uids, ["u1", "u3"], "{sentence}");
            let refused: Vec<_> = gathered.refused.values().collect();
            assert_eq!((refused.len(), refused[0].from.as_str()), (1, "/b"), "{sentence}");
            assert_eq!(refused[0].field, field, "{sentence}");
        }
    }

    #[test]
    fn thousands_of_broken_files_are_told_in_a_bounded_way() {
        let many = (0..5_000).map(|index| broken(&format!("/{index}"))).collect();
        let gathered = gather(many);
        assert_eq!(gathered.refused.len(), MOST_REFUSALS + 1);
        assert!(gathered.refused.values().any(|refused| refused.why.starts_with("4900 more")));
    }
}
