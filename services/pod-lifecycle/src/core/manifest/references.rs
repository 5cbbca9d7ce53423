//! What a static pod may not refer to: objects of an API server that may not be there
//! (`PreventStaticPodAPIReferences`).

use super::Refusal;
use crate::core::spec;
use k8s_openapi::api::core::v1::{Container, Pod, PodSpec, Volume, VolumeProjection};

/// Refuses the first reference found.
pub(super) fn check(pod: &Pod) -> Result<(), Refusal> {
    let spec = spec::of(pod);
    let found = of_spec(spec).or_else(|| of_containers(spec)).or_else(|| of_volumes(spec));
    match found {
        None => Ok(()),
        Some((field, what)) => Err(Refusal { field, why: format!("static pods may not reference {what}") }),
    }
}

type Found = (String, &'static str);

fn of_spec(spec: &PodSpec) -> Option<Found> {
    let filled = |text: &Option<String>| text.as_deref().is_some_and(|text| !text.is_empty());
    if filled(&spec.service_account_name) || filled(&spec.service_account) {
        Some(("spec.serviceAccountName".into(), "serviceaccounts"))
    } else if spec.image_pull_secrets.iter().flatten().next().is_some() {
        Some(("spec.imagePullSecrets".into(), "secrets"))
    } else if spec.resource_claims.iter().flatten().next().is_some() {
        Some(("spec.resourceClaims".into(), "resourceclaims"))
    } else {
        None
    }
}

fn of_containers(spec: &PodSpec) -> Option<Found> {
    let init = spec.init_containers.iter().flatten().enumerate();
    let init = init.map(|(index, container)| (format!("spec.initContainers[{index}]"), container));
    let regular = spec.containers.iter().enumerate();
    let regular = regular.map(|(index, container)| (format!("spec.containers[{index}]"), container));
    init.chain(regular).find_map(|(at, container)| of_environment(&at, container))
}

fn of_environment(at: &str, container: &Container) -> Option<Found> {
    let from = container.env_from.iter().flatten().enumerate().find_map(|(index, from)| {
        let secret = from.secret_ref.as_ref().map(|_| "secrets");
        let found = secret.or(from.config_map_ref.as_ref().map(|_| "configmaps"));
        found.map(|what| (format!("{at}.envFrom[{index}]"), what))
    });
    from.or_else(|| {
        container.env.iter().flatten().enumerate().find_map(|(index, env)| {
            let source = env.value_from.as_ref()?;
            let secret = source.secret_key_ref.as_ref().map(|_| "secrets");
            let found = secret.or(source.config_map_key_ref.as_ref().map(|_| "configmaps"));
            found.map(|what| (format!("{at}.env[{index}].valueFrom"), what))
        })
    })
}

fn of_volumes(spec: &PodSpec) -> Option<Found> {
    spec.volumes.iter().flatten().enumerate().find_map(|(index, volume)| {
        let at = format!("spec.volumes[{index}]");
        of_volume(volume).map(|what| (at.clone(), what)).or_else(|| of_projected(&at, volume))
    })
}

fn of_volume(volume: &Volume) -> Option<&'static str> {
    let kinds = [
        (volume.config_map.is_some(), "configmaps (via configmap volumes)"),
        (volume.secret.is_some(), "secrets (via secret volumes)"),
        (volume.csi.is_some(), "csidrivers (via CSI volumes)"),
        (volume.glusterfs.is_some(), "endpoints (via glusterFS volumes)"),
        (volume.persistent_volume_claim.is_some(), "persistentvolumeclaims"),
        (volume.ephemeral.is_some(), "persistentvolumeclaims (via ephemeral volumes)"),
        (volume.azure_file.is_some(), "secrets (via azureFile volumes)"),
    ];
    kinds.into_iter().find(|(is_there, _)| *is_there).map(|(_, what)| what)
}

fn of_projected(at: &str, volume: &Volume) -> Option<Found> {
    let sources = volume.projected.iter().flat_map(|projected| projected.sources.iter().flatten());
    let named = |(index, source)| Some((format!("{at}.projected.sources[{index}]"), of_source(source)?));
    sources.enumerate().find_map(named)
}

fn of_source(source: &VolumeProjection) -> Option<&'static str> {
    let kinds = [
        (source.config_map.is_some(), "configmaps (via projected volumes)"),
        (source.secret.is_some(), "secrets (via projected volumes)"),
        (source.service_account_token.is_some(), "serviceaccounts (via projected volumes)"),
        (source.cluster_trust_bundle.is_some(), "clustertrustbundles"),
        (source.pod_certificate.is_some(), "podcertificates"),
    ];
    kinds.into_iter().find(|(is_there, _)| *is_there).map(|(_, what)| what)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::testing::PodBuilder;
    use serde_json::json;

    #[test]
    fn references_to_api_objects_are_refused_by_field() {
        let cases = [
            (
                "a service account",
                json!({"serviceAccountName": "x"}),
                "spec.serviceAccountName",
                "serviceaccounts",
            ),
            (
                "pull secrets",
                json!({"imagePullSecrets": [{"name": "x"}]}),
                "spec.imagePullSecrets",
                "secrets",
            ),
            (
                "a secret volume",
                json!({"volumes": [{"name": "v", "secret": {}}]}),
                "spec.volumes[0]",
                "secrets",
            ),
            (
                "a token",
                json!({"volumes": [{"name": "v", "projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}}]}),
                "spec.volumes[0].projected.sources[0]",
                "serviceaccounts",
            ),
            (
                "a claim",
                json!({"volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "c"}}]}),
                "spec.volumes[0]",
                "persistentvolumeclaims",
            ),
            (
                "an environment from a config map",
                json!({"containers": [{"name": "a", "envFrom": [{"configMapRef": {"name": "c"}}]}]}),
                "spec.containers[0].envFrom[0]",
                "configmaps",
            ),
            (
                "a value from a secret",
                json!({"initContainers": [{"name": "a", "env": [
                    {"name": "A", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]}], "containers": []}),
                "spec.initContainers[0].env[0].valueFrom",
                "secrets",
            ),
        ];
        for (sentence, mut spec, field, what) in cases {
            spec.as_object_mut().unwrap().entry("containers").or_insert(json!([]));
            let pod = PodBuilder::new().spec(|it| *it = serde_json::from_value(spec).unwrap()).build();
            let refusal = check(&pod).expect_err(sentence);
            assert_eq!(refusal.field, field, "{sentence}");
            assert!(refusal.why.contains(what), "{sentence}: {refusal}");
        }
    }

    #[test]
    fn what_the_node_has_itself_is_fine() {
        let volumes = json!([
            {"name": "a", "emptyDir": {}},
            {"name": "b", "hostPath": {"path": "/x"}},
            {"name": "c", "downwardAPI": {}},
            {"name": "d", "projected": {"sources": [{"downwardAPI": {}}]}},
        ]);
        let pod =
            PodBuilder::new().spec(|spec| spec.volumes = serde_json::from_value(volumes).unwrap()).build();
        assert_eq!(check(&pod), Ok(()));
    }
}
