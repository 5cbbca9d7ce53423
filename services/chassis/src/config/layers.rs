//! Files and flags as layers of one JSON tree: how a later one covers an earlier one, and what
//! "not set" means. Pure; the order of the steps is [`super::load`]'s.

use super::{GoDuration, kubelet::default_eviction_hard};
use serde_json::{Map, Value, json};

/// Covers `base` with `patch` (RFC 7396): objects are merged, `null` removes, all else replaces.
pub(super) fn merge(base: &mut Value, patch: Value) {
    let Value::Object(patch) = patch else {
        *base = patch;
        return;
    };
    if !base.is_object() {
        *base = Value::Object(Map::new());
    }
    let Some(fields) = base.as_object_mut() else { return };
    for (name, value) in patch {
        if value.is_null() {
            fields.remove(&name);
        } else {
            merge(fields.entry(name).or_insert(Value::Null), value);
        }
    }
}

/// Covers `base` with flags: a map that a flag names replaces the file's, save the feature gates, which
/// are merged (`kubeletConfigFlagPrecedence` upstream). Structures are merged as always.
pub(super) fn cover_with_flags(base: &mut Value, mut flags: Value) {
    for name in MAPS {
        let given = flags.as_object_mut().and_then(|flags| flags.remove(name));
        if let (Some(map), Some(fields)) = (given, base.as_object_mut()) {
            fields.insert(name.to_owned(), map);
        }
    }
    merge(base, flags);
}

/// Fields that hold maps, not structures.
const MAPS: [&str; 9] = [
    "cpuManagerPolicyOptions",
    "evictionHard",
    "evictionMinimumReclaim",
    "evictionSoft",
    "evictionSoftGracePeriod",
    "kubeReserved",
    "qosReserved",
    "systemReserved",
    "topologyManagerPolicyOptions",
];

/// Fields of which Go can't tell "zero" from "not set", so that a zero means the default. All others
/// with a default are pointers upstream, and zero is a value of its own.
const ZERO_IS_DEFAULT: [&str; 45] = [
    "address",
    "authentication.webhook.cacheTTL",
    "authentication.x509.clientCAFile",
    "authorization.mode",
    "authorization.webhook.cacheAuthorizedTTL",
    "authorization.webhook.cacheUnauthorizedTTL",
    "cgroupDriver",
    "configMapAndSecretChangeDetectionStrategy",
    "containerLogMaxSize",
    "containerRuntimeEndpoint",
    "contentType",
    "cpuManagerPolicy",
    "cpuManagerReconcilePeriod",
    "eventBurst",
    "evictionPressureTransitionPeriod",
    "fileCheckFrequency",
    "hairpinMode",
    "healthzBindAddress",
    "httpCheckFrequency",
    "imageMinimumGCAge",
    "imagePullCredentialsVerificationPolicy",
    "kubeAPIBurst",
    "logging.flushFrequency",
    "logging.format",
    "maxOpenFiles",
    "maxPods",
    "memoryManagerPolicy",
    "memoryReservationPolicy",
    "memorySwap.swapBehavior",
    "nodeLeaseDurationSeconds",
    "nodeStatusReportFrequency",
    "nodeStatusUpdateFrequency",
    "podLogsDir",
    "port",
    "registryBurst",
    "runtimeRequestTimeout",
    "staticPodPath",
    "streamingConnectionIdleTimeout",
    "syncFrequency",
    "tlsCertFile",
    "tlsPrivateKeyFile",
    "topologyManagerPolicy",
    "topologyManagerScope",
    "volumePluginDir",
    "volumeStatsAggPeriod",
];

/// Removes zeros that mean "not set".
pub(super) fn without_zeros(tree: &mut Value) {
    for path in ZERO_IS_DEFAULT {
        let (parents, name) = path.rsplit_once('.').unwrap_or(("", path));
        let parent = parents.split('.').filter(|part| !part.is_empty()).try_fold(&mut *tree, Value::get_mut);
        if let Some(Value::Object(fields)) = parent
            && fields.get(name).is_some_and(is_zero)
        {
            fields.remove(name);
        }
    }
}

fn is_zero(value: &Value) -> bool {
    match value {
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty() || text.parse() == Ok(GoDuration::ZERO),
        _ => false,
    }
}

/// Fills in the defaults that depend on other fields, as they stand after the first layer: later
/// layers change such a field only by naming it.
pub(super) fn with_dependent_defaults(tree: &mut Value) {
    let Some(fields) = tree.as_object_mut() else { return };
    let status_period = fields.get("nodeStatusUpdateFrequency").cloned().unwrap_or(json!("5m0s"));
    fields.entry("nodeStatusReportFrequency").or_insert(status_period);
    let parallel = fields.get("maxParallelImagePulls").and_then(Value::as_u64).is_some_and(|most| most >= 2);
    fields.entry("serializeImagePulls").or_insert(json!(!parallel));
    let merged = fields.get("mergeDefaultEvictionSettings") == Some(&json!(true));
    let thresholds = fields.entry("evictionHard").or_insert_with(|| json!(default_eviction_hard()));
    if merged && let Some(given) = thresholds.as_object_mut() {
        for (signal, threshold) in default_eviction_hard() {
            given.entry(signal).or_insert(json!(threshold));
        }
    }
}

/// Fields that are paths; in the first file a relative one starts at the file's folder.
const PATHS: [&str; 7] = [
    "/staticPodPath",
    "/authentication/x509/clientCAFile",
    "/tlsCertFile",
    "/tlsPrivateKeyFile",
    "/resolvConf",
    "/volumePluginDir",
    "/podLogsDir",
];

/// Makes relative paths start at `folder`.
pub(super) fn with_paths_from(tree: &mut Value, folder: &std::path::Path) {
    for pointer in PATHS {
        if let Some(Value::String(path)) = tree.pointer_mut(pointer)
            && !path.is_empty()
        {
            *path = folder.join(&*path).to_string_lossy().into_owned();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_later_layer_covers_an_earlier_one() {
        let cases = [
            ("a value is replaced", json!({"a": 1}), json!({"a": 2}), json!({"a": 2})),
            (
                "a map is merged",
                json!({"m": {"a": 1}}),
                json!({"m": {"b": 2}}),
                json!({"m": {"a": 1, "b": 2}}),
            ),
            ("a list is replaced", json!({"l": [1, 2]}), json!({"l": [3]}), json!({"l": [3]})),
            ("null removes", json!({"a": 1, "b": 2}), json!({"a": null}), json!({"b": 2})),
            ("null of something absent adds nothing", json!({}), json!({"m": {"a": null}}), json!({"m": {}})),
        ];
        for (name, mut base, patch, expected) in cases {
            merge(&mut base, patch);
            assert_eq!(base, expected, "{name}");
        }
    }

    #[test]
    fn zero_means_default_only_where_go_cannot_tell() {
        let mut tree = json!({
            "maxPods": 0, "syncFrequency": "0s", "hairpinMode": "", "healthzPort": 0, "resolvConf": "",
            "authentication": {"webhook": {"cacheTTL": "0s", "enabled": false}},
        });
        without_zeros(&mut tree);
        assert_eq!(
            tree,
            json!({"healthzPort": 0, "resolvConf": "", "authentication": {"webhook": {"enabled": false}}})
        );
    }

    #[test]
    fn some_defaults_follow_other_fields() {
        let fill = |mut tree: Value| {
            with_dependent_defaults(&mut tree);
            tree
        };
        let period = |tree| fill(tree)["nodeStatusReportFrequency"].clone();
        assert_eq!(period(json!({})), "5m0s");
        assert_eq!(period(json!({"nodeStatusUpdateFrequency": "20s"})), "20s");
        assert_eq!(fill(json!({"maxParallelImagePulls": 2}))["serializeImagePulls"], false);
        assert_eq!(fill(json!({"maxParallelImagePulls": 1}))["serializeImagePulls"], true);
        let some = json!({"memory.available": "1Gi"});
        assert_eq!(fill(json!({"evictionHard": some}))["evictionHard"], some);
        let merged = fill(json!({"evictionHard": some, "mergeDefaultEvictionSettings": true}));
        assert_eq!(merged["evictionHard"]["memory.available"], "1Gi");
        assert_eq!(merged["evictionHard"]["nodefs.available"], "10%");
    }
}
