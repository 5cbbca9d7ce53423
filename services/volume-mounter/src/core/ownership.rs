//! Who owns the files of a volume: `fsGroup`, and the common user of a pod's containers.

use k8s_openapi::api::core::v1 as core;

const GROUP_READ_WRITE: u32 = 0o060;
const USER_READ_WRITE: u32 = 0o600;
const GROUP_READ: u32 = 0o040;
const USER_READ: u32 = 0o400;
const SETGID: u32 = 0o2000;
const EXECUTE: u32 = 0o110;

/// `securityContext.fsGroup`, when it is one.
pub fn fs_group(pod: &core::Pod) -> Option<u32> {
    let context = pod.spec.as_ref()?.security_context.as_ref()?;
    u32::try_from(context.fs_group?).ok()
}

/// The user that every container of a pod runs as, when the spec gives all the same one.
pub fn common_user(pod: &core::Pod) -> Option<u32> {
    let spec = pod.spec.as_ref()?;
    let of_pod = spec.security_context.as_ref().and_then(|context| context.run_as_user);
    let regular = spec.containers.iter().chain(spec.init_containers.iter().flatten());
    let contexts = regular.map(|container| container.security_context.as_ref());
    let ephemeral = spec.ephemeral_containers.iter().flatten();
    let contexts = contexts.chain(ephemeral.map(|container| container.security_context.as_ref()));
    let mut users = contexts.map(|context| context.and_then(|context| context.run_as_user).or(of_pod));
    let first = users.next()??;
    let all_same = users.all(|user| user == Some(first));
    if all_same { u32::try_from(first).ok() } else { None }
}

/// The mode of a projected token. A token that gets an owner (or, through `fsGroup`, a group) is
/// closed to everyone else.
pub fn token_mode(default_mode: u32, has_owner: bool) -> u32 {
    if has_owner { 0o600 } else { default_mode }
}

/// Whether a volume's processes may write to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// They only read.
    ReadOnly,
    /// They read and write.
    ReadWrite,
}

/// The mode of a file or folder after it was given to the group (`pkg/volume/volume_linux.go`).
pub fn group_mode(mode: u32, is_folder: bool, access: Access) -> u32 {
    let bits = match access {
        Access::ReadOnly => USER_READ | GROUP_READ,
        Access::ReadWrite => USER_READ_WRITE | GROUP_READ_WRITE,
    };
    mode | bits | if is_folder { SETGID | EXECUTE } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(spec: &str) -> core::Pod {
        serde_json::from_str(&format!(r#"{{"metadata":{{}},"spec":{spec}}}"#)).unwrap()
    }

    #[test]
    fn a_common_user_is_one_that_all_share() {
        let cases = [
            ("none given", r#"{"containers":[{"name":"a"}]}"#, None),
            (
                "given for the pod",
                r#"{"securityContext":{"runAsUser":5},"containers":[{"name":"a"}]}"#,
                Some(5),
            ),
            (
                "a container has one of its own",
                r#"{"securityContext":{"runAsUser":5},
                    "containers":[{"name":"a"},{"name":"b","securityContext":{"runAsUser":6}}]}"#,
                None,
            ),
            (
                "all containers have the same, init containers too",
                r#"{"initContainers":[{"name":"i","securityContext":{"runAsUser":7}}],
                    "containers":[{"name":"a","securityContext":{"runAsUser":7}}]}"#,
                Some(7),
            ),
            (
                "the init container has none",
                r#"{"initContainers":[{"name":"i"}],
                    "containers":[{"name":"a","securityContext":{"runAsUser":7}}]}"#,
                None,
            ),
        ];
        for (name, spec, want) in cases {
            assert_eq!(common_user(&pod(spec)), want, "{name}");
        }
    }

    #[test]
    fn the_group_may_do_what_the_volume_is_for() {
        let cases = [
            ("a file to read", 0o400, false, Access::ReadOnly, 0o440),
            ("a token", 0o600, false, Access::ReadOnly, 0o640),
            ("a file to write", 0o644, false, Access::ReadWrite, 0o664),
            ("a folder to read", 0o755, true, Access::ReadOnly, 0o2755),
            ("a folder to write", 0o777, true, Access::ReadWrite, 0o2777),
        ];
        for (name, mode, is_folder, access, want) in cases {
            assert_eq!(group_mode(mode, is_folder, access), want, "{name}");
        }
    }

    #[test]
    fn a_token_with_an_owner_is_closed_to_others() {
        assert_eq!((token_mode(0o644, false), token_mode(0o644, true)), (0o644, 0o600));
    }
}
