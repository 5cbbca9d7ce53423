//! Tables for security contexts.

use super::*;
use proto::runtime::v1::{NamespaceMode, security_profile::ProfileType};
use serde_json::{Value, json};

const NOBODY_SAYS: ImageUser = ImageUser::Id(0);

fn pod(spec: Value, container: Value) -> core::Pod {
    let mut container = container;
    container["name"] = json!("app");
    let mut spec = spec;
    spec["containers"] = json!([container]);
    serde_json::from_value(
        json!({"metadata": {"name": "web", "namespace": "shop", "uid": "u"}, "spec": spec}),
    )
    .unwrap()
}

fn context(
    spec: Value,
    container: Value,
    image_user: &ImageUser,
) -> Result<cri::LinuxContainerSecurityContext, BadSecurity> {
    let pod = pod(spec, json!({"securityContext": container}));
    let container = &pod.spec.as_ref().unwrap().containers[0];
    let defaults =
        Defaults { seccomp_root: "/root/seccomp".into(), masked: vec!["/hot".into()], ..Defaults::default() };
    let subject = Subject { pod: &pod, container, image_user, volume_groups: &[77], target: None };
    of_container(subject, &defaults)
}

fn user(context: &cri::LinuxContainerSecurityContext) -> (Option<i64>, &str) {
    (context.run_as_user.map(|user| user.value), &context.run_as_username)
}

#[test]
fn the_containers_settings_go_before_the_pods_and_those_before_the_images() {
    let named = ImageUser::Name("web".into());
    let cases = [
        ("nobody says: root", json!({}), json!({}), &NOBODY_SAYS, (Some(0), "")),
        ("the image's number", json!({}), json!({}), &ImageUser::Id(7), (Some(7), "")),
        ("the image's name is left to the runtime", json!({}), json!({}), &named, (None, "web")),
        ("the pod's", json!({"securityContext": {"runAsUser": 5}}), json!({}), &named, (Some(5), "")),
        (
            "the container's",
            json!({"securityContext": {"runAsUser": 5}}),
            json!({"runAsUser": 6}),
            &named,
            (Some(6), ""),
        ),
    ];
    for (sentence, spec, container, image_user, want) in cases {
        assert_eq!(user(&context(spec, container, image_user).unwrap()), want, "{sentence}");
    }
}

#[test]
fn root_is_refused_where_the_spec_forbids_it() {
    let named = ImageUser::Name("web".into());
    let tail = "(pod: \"web_shop(u)\", container: app)";
    let cases = [
        (json!({"runAsUser": 0}), &NOBODY_SAYS, Some("container's runAsUser breaks non-root policy")),
        (json!({}), &NOBODY_SAYS, Some("container has runAsNonRoot and image will run as root")),
        (
            json!({}),
            &named,
            Some(
                "container has runAsNonRoot and image has non-numeric user (web), cannot verify user is non-root",
            ),
        ),
        (json!({"runAsUser": 9}), &named, None),
        (json!({}), &ImageUser::Id(9), None),
        (json!({"runAsNonRoot": false}), &NOBODY_SAYS, None),
    ];
    for (container, image_user, want) in cases {
        let got = context(json!({"securityContext": {"runAsNonRoot": true}}), container, image_user);
        let want = want.map(|head| format!("{head} {tail}"));
        assert_eq!(got.err().map(|refused| refused.to_string()), want);
    }
}

#[test]
fn groups_are_the_pods_and_its_volumes() {
    let spec = json!({"securityContext": {"fsGroup": 1, "supplementalGroups": [2, 3], "supplementalGroupsPolicy": "Strict"}});
    let context = context(spec, json!({}), &NOBODY_SAYS).unwrap();
    assert_eq!(context.supplemental_groups, [1, 2, 3, 77]);
    assert_eq!(context.supplemental_groups_policy(), cri::SupplementalGroupsPolicy::Strict);
}

#[test]
fn flags_and_paths_follow_the_container() {
    let plain = context(json!({}), json!({}), &NOBODY_SAYS).unwrap();
    assert!(!plain.no_new_privs && !plain.privileged && !plain.readonly_rootfs);
    assert_eq!(plain.masked_paths.last().map(String::as_str), Some("/hot"));
    assert_eq!(plain.readonly_paths.len(), 5);
    let set = json!({
        "allowPrivilegeEscalation": false, "privileged": true, "readOnlyRootFilesystem": true, "procMount": "Unmasked",
        "capabilities": {"add": ["NET_ADMIN"], "drop": ["ALL"]},
        "seLinuxOptions": {"type": "t"},
    });
    let set = context(json!({}), set, &NOBODY_SAYS).unwrap();
    assert!(set.no_new_privs && set.privileged && set.readonly_rootfs);
    assert!(set.masked_paths.is_empty() && set.readonly_paths.is_empty());
    let capabilities = set.capabilities.unwrap();
    assert_eq!(
        (capabilities.add_capabilities, capabilities.drop_capabilities),
        (vec!["NET_ADMIN".into()], vec!["ALL".into()])
    );
    assert_eq!(set.selinux_options.unwrap().r#type, "t");
}

#[test]
fn namespaces_are_shared_as_the_spec_says() {
    use NamespaceMode::{Container, Node, Pod, Target};
    let cases = [
        ("by default the network and not processes", json!({}), None, (Pod, Container, Pod)),
        (
            "all with the node",
            json!({"hostNetwork": true, "hostPID": true, "hostIPC": true}),
            None,
            (Node, Node, Node),
        ),
        ("processes within the pod", json!({"shareProcessNamespace": true}), None, (Pod, Pod, Pod)),
        ("an ephemeral container looks at another", json!({}), Some("c1"), (Pod, Target, Pod)),
        (
            "which it sees anyway where all are shared",
            json!({"shareProcessNamespace": true}),
            Some("c1"),
            (Pod, Pod, Pod),
        ),
    ];
    for (sentence, spec, target, want) in cases {
        let options = namespaces(&pod(spec, json!({})), target);
        assert_eq!((options.network(), options.pid(), options.ipc()), want, "{sentence}");
        assert_eq!(options.target_id, if want.1 == Target { "c1" } else { "" }, "{sentence}");
    }
}

#[test]
fn seccomp_profiles_are_chosen_and_stay_in_their_folder() {
    let given =
        |kind: &str, name: Option<&str>| json!({"seccompProfile": {"type": kind, "localhostProfile": name}});
    let in_pod = |profile: Value| json!({"securityContext": profile});
    let cases = [
        ("nothing said", json!({}), json!({}), Ok((ProfileType::Unconfined, ""))),
        (
            "the pod's",
            in_pod(given("RuntimeDefault", None)),
            json!({}),
            Ok((ProfileType::RuntimeDefault, "")),
        ),
        (
            "the container's",
            in_pod(given("RuntimeDefault", None)),
            given("Unconfined", None),
            Ok((ProfileType::Unconfined, "")),
        ),
        (
            "a local one",
            json!({}),
            given("Localhost", Some("a/b.json")),
            Ok((ProfileType::Localhost, "/root/seccomp/a/b.json")),
        ),
        ("a local one without a name", json!({}), given("Localhost", None), Err(BadProfile::NoSeccompName)),
        (
            "a way out",
            json!({}),
            given("Localhost", Some("../x")),
            Err(BadProfile::SeccompPath("../x".into())),
        ),
    ];
    for (sentence, spec, container, want) in cases {
        let got = context(spec, container, &NOBODY_SAYS).map(|context| {
            let seccomp = context.seccomp.unwrap();
            (seccomp.profile_type(), seccomp.localhost_ref)
        });
        let want = want.map(|(kind, path)| (kind, path.to_owned())).map_err(BadSecurity::Profile);
        assert_eq!(got, want, "{sentence}");
    }
}

#[test]
fn apparmor_is_told_in_both_spellings() {
    let pod = |container: Value, annotation: Option<&str>, of_pod: Value| {
        let mut pod = pod(json!({"securityContext": of_pod}), json!({"securityContext": container}));
        let key = "container.apparmor.security.beta.kubernetes.io/app".to_owned();
        pod.metadata.annotations = annotation.map(|value| [(key, value.to_owned())].into());
        pod
    };
    let field = |kind: &str| json!({"appArmorProfile": {"type": kind, "localhostProfile": "mine"}});
    let cases = [
        ("nothing said", pod(json!({}), None, json!({})), None),
        ("the container's", pod(field("Localhost"), None, field("Unconfined")), Some("localhost/mine")),
        (
            "an annotation before the pod's",
            pod(json!({}), Some("runtime/default"), field("Unconfined")),
            Some("runtime/default"),
        ),
        ("the pod's", pod(json!({}), None, field("Unconfined")), Some("unconfined")),
    ];
    for (sentence, pod, want) in cases {
        let container = &pod.spec.as_ref().unwrap().containers[0];
        let old = apparmor(&pod, container).unwrap().map(|(_, old)| old);
        assert_eq!(old.as_deref(), want, "{sentence}");
    }
}

#[test]
fn a_sandbox_is_privileged_if_a_container_is_and_runs_with_the_runtimes_profile() {
    let pod =
        pod(json!({"securityContext": {"runAsUser": 4}}), json!({"securityContext": {"privileged": true}}));
    let sandbox = of_sandbox(&pod, &[9]).unwrap();
    assert!(sandbox.privileged);
    assert_eq!(sandbox.run_as_user.unwrap().value, 4);
    assert_eq!(sandbox.supplemental_groups, [9]);
    assert_eq!(sandbox.seccomp.unwrap().profile_type(), ProfileType::RuntimeDefault);
}
