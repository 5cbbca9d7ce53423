//! The pod that stands at the API server for a static pod, so that users see it.

use super::spec::{CONFIG_HASH, CONFIG_MIRROR};
use k8s_openapi::api::core::v1::Pod;

/// The mirror pod of a static pod: a copy without UID and status, marked with the hash by which
/// status-reporter tells an outdated one.
pub fn of(pod: &Pod) -> Pod {
    let mut mirror = Pod { metadata: pod.metadata.clone(), spec: pod.spec.clone(), status: None };
    let hash = pod.metadata.annotations.as_ref().and_then(|all| all.get(CONFIG_HASH)).cloned();
    let hash = hash.or_else(|| pod.metadata.uid.clone()).unwrap_or_default();
    mirror.metadata.uid = None;
    mirror.metadata.annotations.get_or_insert_default().insert(CONFIG_MIRROR.into(), hash);
    mirror
}

/// Whether a pod at the API server only mirrors a static one.
pub fn is_mirror(pod: &Pod) -> bool {
    pod.metadata.annotations.as_ref().is_some_and(|all| all.contains_key(CONFIG_MIRROR))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::testing::PodBuilder;

    #[test]
    fn a_mirror_carries_the_hash_and_no_uid() {
        let pod = PodBuilder::new()
            .container("app")
            .meta(|pod| {
                let hash = (CONFIG_HASH.to_owned(), "abc".to_owned());
                pod.metadata.annotations = Some([hash].into());
            })
            .build();
        let mirror = of(&pod);
        assert!(is_mirror(&mirror) && !is_mirror(&pod));
        assert_eq!(mirror.metadata.annotations.unwrap()[CONFIG_MIRROR], "abc");
        assert_eq!((mirror.metadata.uid, mirror.spec), (None, pod.spec));
    }
}
