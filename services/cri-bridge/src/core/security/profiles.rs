//! Seccomp and AppArmor profiles.

use super::Defaults;
use k8s_openapi::api::core::v1 as core;
use proto::runtime::v1::{SecurityProfile, security_profile::ProfileType};

/// A profile that is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadProfile {
    /// `Localhost` without a name.
    #[error("localhostProfile must be set if seccompProfile type is Localhost.")]
    NoSeccompName,
    /// A name that leads out of the folder of profiles.
    #[error("localhostProfile {0:?} must be a path below the folder of seccomp profiles")]
    SeccompPath(String),
    /// `Localhost` without a name.
    #[error("missing localhost apparmor profile name")]
    NoAppArmorName,
    /// No such type.
    #[error("unknown apparmor profile type: {0:?}")]
    AppArmorType(String),
}

/// Annotation prefix from before AppArmor had fields; static pods may still use it.
const APPARMOR_ANNOTATION: &str = "container.apparmor.security.beta.kubernetes.io/";
const APPARMOR_DEFAULT: &str = "runtime/default";
const APPARMOR_UNCONFINED: &str = "unconfined";
const APPARMOR_LOCALHOST: &str = "localhost/";

/// The runtime's own profile.
pub(super) fn runtime_default() -> SecurityProfile {
    profile(ProfileType::RuntimeDefault)
}

fn profile(profile_type: ProfileType) -> SecurityProfile {
    SecurityProfile { profile_type: profile_type.into(), localhost_ref: String::new() }
}

/// The container's seccomp profile, or the pod's, or the node's default.
///
/// # Errors
/// When a local profile has no name or one that leads elsewhere.
pub fn seccomp(
    pod: &core::Pod,
    container: &core::Container,
    defaults: &Defaults,
) -> Result<SecurityProfile, BadProfile> {
    let own = container.security_context.as_ref().and_then(|context| context.seccomp_profile.as_ref());
    let of_pod = pod.spec.as_ref().and_then(|spec| spec.security_context.as_ref()?.seccomp_profile.as_ref());
    match own.or(of_pod) {
        None if defaults.seccomp_is_runtime_default => Ok(runtime_default()),
        Some(given) if given.type_ == "RuntimeDefault" => Ok(runtime_default()),
        Some(given) if given.type_ == "Localhost" => {
            let name = given.localhost_profile.as_deref().filter(|name| !name.is_empty());
            let name = name.ok_or(BadProfile::NoSeccompName)?;
            if name.starts_with('/') || name.split('/').any(|part| part == "..") {
                return Err(BadProfile::SeccompPath(name.to_owned()));
            }
            let path = defaults.seccomp_root.join(name).to_string_lossy().into_owned();
            Ok(SecurityProfile { localhost_ref: path, ..profile(ProfileType::Localhost) })
        }
        _ => Ok(profile(ProfileType::Unconfined)),
    }
}

/// The container's AppArmor profile, or its annotation's, or the pod's, in the new and in the old
/// spelling; `None` leaves it to the runtime.
///
/// # Errors
/// When a profile is none.
pub fn apparmor(
    pod: &core::Pod,
    container: &core::Container,
) -> Result<Option<(SecurityProfile, String)>, BadProfile> {
    let own = container.security_context.as_ref().and_then(|context| context.app_armor_profile.clone());
    let of_pod = || pod.spec.as_ref()?.security_context.as_ref()?.app_armor_profile.clone();
    let Some(given) = own.or_else(|| annotated(pod, &container.name)).or_else(of_pod) else {
        return Ok(None);
    };
    match given.type_.as_str() {
        "RuntimeDefault" => Ok(Some((runtime_default(), APPARMOR_DEFAULT.to_owned()))),
        "Unconfined" => Ok(Some((profile(ProfileType::Unconfined), APPARMOR_UNCONFINED.to_owned()))),
        "Localhost" => {
            let name = given.localhost_profile.ok_or(BadProfile::NoAppArmorName)?;
            let old = format!("{APPARMOR_LOCALHOST}{name}");
            Ok(Some((SecurityProfile { localhost_ref: name, ..profile(ProfileType::Localhost) }, old)))
        }
        other => Err(BadProfile::AppArmorType(other.to_owned())),
    }
}

fn annotated(pod: &core::Pod, container: &str) -> Option<core::AppArmorProfile> {
    let value = pod.metadata.annotations.as_ref()?.get(&format!("{APPARMOR_ANNOTATION}{container}"))?;
    let profile = |type_: &str, name: Option<&str>| core::AppArmorProfile {
        type_: type_.to_owned(),
        localhost_profile: name.map(Into::into),
    };
    match value.as_str() {
        APPARMOR_DEFAULT => Some(profile("RuntimeDefault", None)),
        APPARMOR_UNCONFINED => Some(profile("Unconfined", None)),
        other => other.strip_prefix(APPARMOR_LOCALHOST).map(|name| profile("Localhost", Some(name))),
    }
}
