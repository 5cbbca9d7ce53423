//! Rules on what is collected, pulled, rotated, evicted and shut down.

use super::{Check, QUANTITY_RULE, amount};
use crate::config::{CredentialsVerification, GoDuration, kubelet::Texts};
use messages::Amount;

pub(super) fn check(check: &mut Check) {
    images(check);
    pulls(check);
    logs(check);
    restarts(check);
    thresholds(check);
    shutdown(check);
}

fn images(check: &mut Check) {
    let c = check.configuration;
    let (low, high) = (c.image_gc_low_threshold_percent, c.image_gc_high_threshold_percent);
    for (field, percent) in [("imageGCHighThresholdPercent", high), ("imageGCLowThresholdPercent", low)] {
        check.must(percent <= 100, field, percent, "must be between 0 and 100");
    }
    let rule = format!("must be less than imageGCHighThresholdPercent ({high})");
    check.must(low < high, "imageGCLowThresholdPercent", low, &rule);
    let (least, most) = (c.image_minimum_gc_age, c.image_maximum_gc_age);
    for (field, age) in [("imageMinimumGCAge", least), ("imageMaximumGCAge", most)] {
        check.must(!age.is_negative(), field, age, "must not be negative");
    }
    let rule = format!("must be greater than imageMinimumGCAge ({least})");
    check.must(most <= GoDuration::ZERO || most > least, "imageMaximumGCAge", most, &rule);
}

fn pulls(check: &mut Check) {
    let c = check.configuration;
    if let Some(most) = c.max_parallel_image_pulls {
        let field = "maxParallelImagePulls";
        check.must(most >= 1, field, most, "must be 1 or more");
        let rule = "must not be greater than 1 unless serializeImagePulls is false";
        check.must(!c.serialize_image_pulls || most <= 1, field, most, rule);
    }
    let policy = c.image_pull_credentials_verification_policy;
    check.must(
        c.preloaded_images_verification_allowlist.is_empty()
            || policy == CredentialsVerification::NeverVerifyAllowlistedImages,
        "preloadedImagesVerificationAllowlist",
        "is set",
        "needs imagePullCredentialsVerificationPolicy NeverVerifyAllowlistedImages",
    );
    for (at, pattern) in c.preloaded_images_verification_allowlist.iter().enumerate() {
        let field = format!("preloadedImagesVerificationAllowlist[{at}]");
        let rule = "must be an image name without tag or digest, whose last part may be *";
        check.must(is_image_pattern(pattern), &field, pattern, rule);
    }
}

/// An image name, or a path of one followed by `/*`.
fn is_image_pattern(pattern: &str) -> bool {
    let name = pattern.strip_suffix("/*").unwrap_or(pattern);
    let last = name.rsplit('/').next().unwrap_or_default();
    let plain = |part: &str| !part.is_empty() && !part.contains(['*', '@', ' ']);
    name.split('/').all(plain) && (!last.contains(':') || !name.contains('/') && name != pattern)
}

fn logs(check: &mut Check) {
    let c = check.configuration;
    check.must(
        c.container_log_max_files > 1,
        "containerLogMaxFiles",
        c.container_log_max_files,
        "must be greater than 1",
    );
    check.must(
        c.container_log_max_workers >= 1,
        "containerLogMaxWorkers",
        c.container_log_max_workers,
        "must be 1 or more",
    );
    let interval = c.container_log_monitor_interval;
    check.must(
        interval >= GoDuration::seconds(3),
        "containerLogMonitorInterval",
        interval,
        "must be 3s or more",
    );
    let size = &c.container_log_max_size;
    check.must(amount(size).is_some(), "containerLogMaxSize", size, QUANTITY_RULE);
    let folder = c.pod_logs_dir.to_string_lossy();
    let normal = folder.starts_with('/')
        && (folder == "/"
            || folder.trim_end_matches('/').split('/').skip(1).all(|part| !matches!(part, "" | "." | "..")));
    check.must(normal, "podLogsDir", &folder, "must be absolute, without empty parts, '.' and '..'");
    check.must(folder.is_ascii(), "podLogsDir", &folder, "must hold ASCII characters only");
}

fn restarts(check: &mut Check) {
    let longest = check.configuration.crash_loop_back_off.max_container_restart_period;
    let field = "crashLoopBackOff.maxContainerRestartPeriod";
    let within = (GoDuration::seconds(1)..=GoDuration::seconds(300)).contains(&longest);
    check.must(within, field, longest, "must be between 1s and 300s");
    let named = longest != GoDuration::seconds(300);
    let rule = "needs the feature gate KubeletCrashLoopBackOffMax";
    check.must(!named || check.gate("KubeletCrashLoopBackOffMax"), field, longest, rule);
}

/// Signals of `pkg/kubelet/eviction/api` that a configuration may name.
const SIGNALS: [&str; 9] = [
    "memory.available",
    "allocatableMemory.available",
    "nodefs.available",
    "nodefs.inodesFree",
    "imagefs.available",
    "imagefs.inodesFree",
    "containerfs.available",
    "containerfs.inodesFree",
    "pid.available",
];

fn thresholds(check: &mut Check) {
    let c = check.configuration;
    for (name, map) in [("evictionHard", &c.eviction_hard), ("evictionSoft", &c.eviction_soft)] {
        signals(check, name, map);
        for (signal, threshold) in map {
            let rule = "must be a positive quantity, or a percentage from 0% to 100%";
            check.must(is_threshold(threshold), &format!("{name}.{signal}"), threshold, rule);
        }
    }
    signals(check, "evictionMinimumReclaim", &c.eviction_minimum_reclaim);
    for (signal, amount) in &c.eviction_minimum_reclaim {
        let rule = "must be a quantity that is not negative, or a percentage above 0%";
        check.must(is_reclaim(amount), &format!("evictionMinimumReclaim.{signal}"), amount, rule);
    }
    signals(check, "evictionSoftGracePeriod", &c.eviction_soft_grace_period);
    for (signal, period) in &c.eviction_soft_grace_period {
        let duration = period.parse::<GoDuration>().is_ok_and(|period| !period.is_negative());
        let rule = "must be a duration that is not negative";
        check.must(duration, &format!("evictionSoftGracePeriod.{signal}"), period, rule);
    }
    for (signal, threshold) in &c.eviction_soft {
        let has_grace = c.eviction_soft_grace_period.contains_key(signal);
        let rule = "needs a grace period in evictionSoftGracePeriod";
        check.must(has_grace, &format!("evictionSoft.{signal}"), threshold, rule);
    }
}

fn signals(check: &mut Check, name: &str, map: &Texts) {
    for signal in map.keys() {
        let rule = format!("is no eviction signal; there are {}", SIGNALS.join(", "));
        check.must(SIGNALS.contains(&signal.as_str()), name, signal, &rule);
    }
}

fn is_threshold(text: &str) -> bool {
    match percentage(text) {
        Some(percent) => (0.0..=100.0).contains(&percent),
        None => amount(text).is_some_and(|amount| amount > Amount::default()),
    }
}

fn is_reclaim(text: &str) -> bool {
    match percentage(text) {
        Some(percent) => percent > 0.0,
        None => amount(text).is_some_and(|amount| amount >= Amount::default()),
    }
}

fn percentage(text: &str) -> Option<f64> {
    text.strip_suffix('%')?.parse().ok()
}

fn shutdown(check: &mut Check) {
    let c = check.configuration;
    let (all, critical) = (c.shutdown_grace_period, c.shutdown_grace_period_critical_pods);
    for (field, period) in [("shutdownGracePeriod", all), ("shutdownGracePeriodCriticalPods", critical)] {
        let fine = period == GoDuration::ZERO || period >= GoDuration::seconds(1);
        check.must(fine, field, period, "must be 0 or 1s or more");
        let open = period == GoDuration::ZERO || check.gate("GracefulNodeShutdown");
        check.must(open, field, period, "needs the feature gate GracefulNodeShutdown");
    }
    let rule = format!("must not be greater than shutdownGracePeriod ({all})");
    check.must(critical <= all, "shutdownGracePeriodCriticalPods", critical, &rule);
    if c.shutdown_grace_period_by_pod_priority.is_empty() {
        return;
    }
    let field = "shutdownGracePeriodByPodPriority";
    let both = all > GoDuration::ZERO || critical > GoDuration::ZERO;
    check.must(!both, field, "is set", "must not be set beside shutdownGracePeriod");
    let rule = "needs the feature gate GracefulNodeShutdownBasedOnPodPriority";
    check.must(check.gate("GracefulNodeShutdownBasedOnPodPriority"), field, "is set", rule);
}

#[cfg(test)]
mod tests {
    use super::{super::told, *};
    use crate::config::KubeletConfiguration;

    type Change = fn(&mut KubeletConfiguration);

    fn texts(signal: &str, value: &str) -> Texts {
        Texts::from([(signal.to_owned(), value.to_owned())])
    }

    #[test]
    fn each_rule_names_field_value_and_rule() {
        let cases: &[(Change, &str)] = &[
            (
                |c| c.image_gc_low_threshold_percent = 90,
                "imageGCLowThresholdPercent: 90: must be less than imageGCHighThresholdPercent (85)",
            ),
            (
                |c| c.image_maximum_gc_age = GoDuration::seconds(60),
                "imageMaximumGCAge: 1m0s: must be greater than imageMinimumGCAge (2m0s)",
            ),
            (
                |c| c.max_parallel_image_pulls = Some(3),
                "maxParallelImagePulls: 3: must not be greater than 1 unless serializeImagePulls is false",
            ),
            (
                |c| c.container_log_max_size = "big".into(),
                "containerLogMaxSize: big: must be a quantity such as 100Mi or 1.5",
            ),
            (
                |c| c.pod_logs_dir = "/var/../log".into(),
                "podLogsDir: /var/../log: must be absolute, without empty parts, '.' and '..'",
            ),
            (
                |c| c.crash_loop_back_off.max_container_restart_period = GoDuration::seconds(301),
                "crashLoopBackOff.maxContainerRestartPeriod: 5m1s: must be between 1s and 300s",
            ),
            (
                |c| c.eviction_hard = texts("memory.available", "0"),
                "evictionHard.memory.available: 0: must be a positive quantity, or a percentage from 0% to 100%",
            ),
            (
                |c| c.eviction_soft = texts("memory.available", "1Gi"),
                "evictionSoft.memory.available: 1Gi: needs a grace period in evictionSoftGracePeriod",
            ),
            (
                |c| c.shutdown_grace_period_critical_pods = GoDuration::seconds(5),
                "shutdownGracePeriodCriticalPods: 5s: must not be greater than shutdownGracePeriod (0s)",
            ),
        ];
        for (change, expected) in cases {
            assert_eq!(told(*change), [*expected]);
        }
    }

    #[test]
    fn image_patterns_name_images_without_tag() {
        let cases = [
            ("registry.k8s.io/pause", true),
            ("registry.k8s.io/*", true),
            ("localhost:5000/*", true),
            ("registry.k8s.io/pause:3.10", false),
            ("registry.k8s.io/pause@sha256:0", false),
            ("*", false),
            ("a*/b", false),
            ("", false),
        ];
        for (pattern, valid) in cases {
            assert_eq!(is_image_pattern(pattern), valid, "{pattern:?}");
        }
    }
}
