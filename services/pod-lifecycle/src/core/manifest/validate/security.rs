//! Security contexts: numbers, profiles, sysctls.

use super::{Refusal, hold, one_of, refuse};
use k8s_openapi::api::core::v1::{Container, PodSpec, SeccompProfile};

pub(super) fn pod(spec: &PodSpec) -> Result<(), Refusal> {
    let shares = spec.share_process_namespace == Some(true);
    let both = shares && spec.host_pid == Some(true);
    hold(!both, "spec.shareProcessNamespace", "cannot be used beside hostPID")?;
    let Some(context) = &spec.security_context else { return Ok(()) };
    let at = "spec.securityContext";
    let ids = [
        (context.run_as_user, "runAsUser"),
        (context.run_as_group, "runAsGroup"),
        (context.fs_group, "fsGroup"),
    ];
    ids.into_iter().try_for_each(|(id, field)| number(id, format!("{at}.{field}")))?;
    for group in context.supplemental_groups.iter().flatten() {
        number(Some(*group), format!("{at}.supplementalGroups"))?;
    }
    let policies = ["Merge", "Strict"];
    one_of(
        context.supplemental_groups_policy.as_deref(),
        &policies,
        format!("{at}.supplementalGroupsPolicy"),
    )?;
    seccomp(context.seccomp_profile.as_ref(), &format!("{at}.seccompProfile"))?;
    for (index, sysctl) in context.sysctls.iter().flatten().enumerate() {
        hold(is_sysctl(&sysctl.name), format!("{at}.sysctls[{index}].name"), "is not a sysctl's name")?;
    }
    Ok(())
}

pub(super) fn container(container: &Container, at: &str) -> Result<(), Refusal> {
    let Some(context) = &container.security_context else { return Ok(()) };
    let at = format!("{at}.securityContext");
    number(context.run_as_user, format!("{at}.runAsUser"))?;
    number(context.run_as_group, format!("{at}.runAsGroup"))?;
    one_of(context.proc_mount.as_deref(), &["Default", "Unmasked", ""], format!("{at}.procMount"))?;
    seccomp(context.seccomp_profile.as_ref(), &format!("{at}.seccompProfile"))?;
    let held_back = context.allow_privilege_escalation == Some(false) && context.privileged == Some(true);
    hold(!held_back, format!("{at}.allowPrivilegeEscalation"), "cannot be false for a privileged container")
}

fn number(id: Option<i64>, field: String) -> Result<(), Refusal> {
    let valid = id.is_none_or(|id| (0..=i64::from(i32::MAX)).contains(&id));
    hold(valid, field, "must be between 0 and 2147483647")
}

/// A profile on this machine is named below the kubelet's `seccomp` folder, and stays below it.
fn seccomp(profile: Option<&SeccompProfile>, at: &str) -> Result<(), Refusal> {
    let Some(profile) = profile else { return Ok(()) };
    let local = profile.localhost_profile.as_deref();
    one_of(Some(&profile.type_), &["Unconfined", "RuntimeDefault", "Localhost"], format!("{at}.type"))?;
    match (profile.type_ == "Localhost", local) {
        (true, Some(path)) => {
            let below =
                !path.is_empty() && !path.starts_with('/') && !path.split('/').any(|part| part == "..");
            hold(below, format!("{at}.localhostProfile"), "must be a relative path without '..'")
        }
        (true, None) => refuse(format!("{at}.localhostProfile"), "is needed for type Localhost"),
        (false, Some(_)) => refuse(format!("{at}.localhostProfile"), "is only for type Localhost"),
        (false, None) => Ok(()),
    }
}

/// Parts of `[a-z0-9_-]` joined by dots or slashes, at most 253 characters.
fn is_sysctl(name: &str) -> bool {
    let part = |part: &str| {
        !part.is_empty()
            && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_-".contains(&b))
    };
    name.len() <= 253 && name.split(['.', '/']).all(part)
}

#[cfg(test)]
mod tests {
    use super::super::tests::refused;
    use serde_json::json;

    #[test]
    fn security_contexts_are_checked() {
        let context = |context: serde_json::Value| json!({ "securityContext": context });
        let of_app = |context: serde_json::Value| json!({"containers": [{"name": "app", "image": "i", "securityContext": context}]});
        let cases = [
            ("a negative user", context(json!({"runAsUser": -1})), "spec.securityContext.runAsUser"),
            (
                "a climbing profile",
                context(json!({"seccompProfile": {"type": "Localhost", "localhostProfile": "../x"}})),
                "spec.securityContext.seccompProfile.localhostProfile",
            ),
            (
                "a sysctl that climbs",
                context(json!({"sysctls": [{"name": "kernel/../x", "value": "1"}]})),
                "spec.securityContext.sysctls[0].name",
            ),
            (
                "two process namespaces",
                json!({"hostPID": true, "shareProcessNamespace": true}),
                "spec.shareProcessNamespace",
            ),
            (
                "a privileged container that may not escalate",
                of_app(json!({"privileged": true, "allowPrivilegeEscalation": false})),
                "spec.containers[0].securityContext.allowPrivilegeEscalation",
            ),
        ];
        for (sentence, patch, field) in cases {
            assert_eq!(refused(patch), field, "{sentence}");
        }
    }
}
