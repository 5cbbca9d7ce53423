//! Rules on ports, certificates, the node object and the API server.

use super::Check;
use crate::config::labels;
use k8s_openapi::api::core::v1::Taint;

const TLS_VERSIONS: [&str; 5] = ["", "VersionTLS10", "VersionTLS11", "VersionTLS12", "VersionTLS13"];

pub(super) fn check(check: &mut Check) {
    let c = check.configuration;
    check.must(c.port != 0, "port", c.port, "must be between 1 and 65535");
    check.must(!c.run_once, "runOnce", c.run_once, "the mode is gone and must not be set");
    check.must(
        TLS_VERSIONS.contains(&c.tls_min_version.as_str()),
        "tlsMinVersion",
        &c.tls_min_version,
        "must be one of VersionTLS10, VersionTLS11, VersionTLS12, VersionTLS13",
    );
    check.must(
        c.tls_cert_file.is_some() == c.tls_private_key_file.is_some(),
        "tlsCertFile",
        c.tls_cert_file.as_ref().map_or("absent".into(), |path| path.to_string_lossy()),
        "must be set if and only if tlsPrivateKeyFile is",
    );
    check.must(
        !c.server_tls_bootstrap || check.gate("RotateKubeletServerCertificate"),
        "serverTLSBootstrap",
        c.server_tls_bootstrap,
        "needs the feature gate RotateKubeletServerCertificate",
    );
    check.must(
        !c.enable_system_log_query || c.enable_system_log_handler,
        "enableSystemLogQuery",
        c.enable_system_log_query,
        "needs enableSystemLogHandler",
    );
    check.must(
        c.node_status_max_images >= -1,
        "nodeStatusMaxImages",
        c.node_status_max_images,
        "must be -1 or greater",
    );
    shown_metrics(check);
    collector(check);
    for (at, taint) in c.register_with_taints.iter().enumerate() {
        self::taint(check, &format!("registerWithTaints[{at}]"), taint);
    }
}

/// `showHiddenMetricsForVersion` is empty or the minor version before this one.
fn shown_metrics(check: &mut Check) {
    let version = check.configuration.show_hidden_metrics_for_version.as_str();
    check.must(
        matches!(version, "" | "1.35"),
        "showHiddenMetricsForVersion",
        version,
        "must be empty or the previous minor version, 1.35",
    );
}

fn collector(check: &mut Check) {
    let Some(tracing) = &check.configuration.tracing else { return };
    if let Some(rate) = tracing.sampling_rate_per_million {
        let rule = "must be at most 1000000";
        check.must(rate <= 1_000_000, "tracing.samplingRatePerMillion", rate, rule);
    }
    if let Some(endpoint) = &tracing.endpoint {
        let scheme = endpoint.split_once("//").map_or("dns:", |(scheme, _)| scheme);
        check.must(
            matches!(scheme, "dns:" | "unix:" | "unix-abstract:"),
            "tracing.endpoint",
            endpoint,
            "must be host:port, or begin with dns:, unix: or unix-abstract:",
        );
    }
}

fn taint(check: &mut Check, field: &str, taint: &Taint) {
    check.must(labels::is_key(&taint.key), &format!("{field}.key"), &taint.key, labels::KEY_RULE);
    let value = taint.value.as_deref().unwrap_or_default();
    check.must(labels::is_value(value), &format!("{field}.value"), value, labels::VALUE_RULE);
    check.must(
        matches!(taint.effect.as_str(), "" | "NoSchedule" | "PreferNoSchedule" | "NoExecute"),
        &format!("{field}.effect"),
        &taint.effect,
        "must be NoSchedule, PreferNoSchedule or NoExecute",
    );
    check.must(taint.time_added.is_none(), &format!("{field}.timeAdded"), "is set", "must not be");
}

#[cfg(test)]
mod tests {
    use super::super::told;
    use crate::config::{KubeletConfiguration, Tracing};
    use k8s_openapi::api::core::v1::Taint;

    type Change = fn(&mut KubeletConfiguration);

    #[test]
    fn each_rule_names_field_value_and_rule() {
        let cases: &[(Change, &str)] = &[
            (|c| c.run_once = true, "runOnce: true: the mode is gone and must not be set"),
            (
                |c| c.tls_cert_file = Some("/c".into()),
                "tlsCertFile: /c: must be set if and only if tlsPrivateKeyFile is",
            ),
            (|c| c.node_status_max_images = -2, "nodeStatusMaxImages: -2: must be -1 or greater"),
            (
                |c| {
                    let endpoint = Some("http://collector:4317".into());
                    c.tracing = Some(Tracing { endpoint, ..Tracing::default() });
                },
                "tracing.endpoint: http://collector:4317: \
                 must be host:port, or begin with dns:, unix: or unix-abstract:",
            ),
            (
                |c| {
                    let taint = Taint { key: "a".into(), effect: "Never".into(), ..Taint::default() };
                    c.register_with_taints = vec![taint];
                },
                "registerWithTaints[0].effect: Never: must be NoSchedule, PreferNoSchedule or NoExecute",
            ),
        ];
        for (change, expected) in cases {
            assert_eq!(told(*change), [*expected]);
        }
    }
}
