//! Containers: names, images, ports, environment, resources, probes and hooks.

use super::{Refusal, amounts::amounts, hold, names, one_of, security, volumes};
use crate::core::spec;
use k8s_openapi::{
    api::core::v1::{
        Container, ContainerPort, EnvVar, HTTPGetAction, Lifecycle, LifecycleHandler, PodSpec, Probe,
        ResourceRequirements,
    },
    apimachinery::pkg::util::intstr::IntOrString,
};
use messages::Amount;
use std::collections::BTreeSet;

pub(super) fn check(spec: &PodSpec) -> Result<(), Refusal> {
    hold(!spec.containers.is_empty(), "spec.containers", "a pod needs at least one container")?;
    let init = spec.init_containers.iter().flatten().enumerate();
    let init = init.map(|(index, container)| (format!("spec.initContainers[{index}]"), container, true));
    let regular = spec.containers.iter().enumerate();
    let regular = regular.map(|(index, container)| (format!("spec.containers[{index}]"), container, false));
    let (mut seen, mut host_ports) = (BTreeSet::new(), BTreeSet::new());
    for (at, container, is_init) in init.chain(regular) {
        names::label(&container.name, format!("{at}.name"))?;
        hold(seen.insert(&container.name), format!("{at}.name"), "another container has this name")?;
        self::container(container, spec, &at, is_init)?;
        ports(container, spec, &at, &mut host_ports)?;
    }
    Ok(())
}

fn container(container: &Container, spec: &PodSpec, at: &str, is_init: bool) -> Result<(), Refusal> {
    let image = container.image.as_deref().unwrap_or_default();
    hold(!image.is_empty(), format!("{at}.image"), "is needed")?;
    hold(image.trim() == image, format!("{at}.image"), "must not begin or end with a space")?;
    let pulls = ["Always", "IfNotPresent", "Never"];
    one_of(container.image_pull_policy.as_deref(), &pulls, format!("{at}.imagePullPolicy"))?;
    let policies = ["File", "FallbackToLogsOnError"];
    let policy = container.termination_message_policy.as_deref();
    one_of(policy, &policies, format!("{at}.terminationMessagePolicy"))?;
    one_of(
        container.restart_policy.as_deref(),
        &["Always", "OnFailure", "Never"],
        format!("{at}.restartPolicy"),
    )?;
    for (index, env) in container.env.iter().flatten().enumerate() {
        variable(env, &format!("{at}.env[{index}]"))?;
    }
    let wanted = container.resources.as_ref();
    wanted.map_or(Ok(()), |wanted| resources(wanted, &format!("{at}.resources")))?;
    volumes::mounts(container, spec, at)?;
    security::container(container, at)?;
    let plain_init = is_init && !spec::is_sidecar(container);
    probes(container, at, plain_init)?;
    let lifecycle = container.lifecycle.as_ref();
    hold(!plain_init || lifecycle.is_none(), format!("{at}.lifecycle"), "an init container has no hooks")?;
    lifecycle.map_or(Ok(()), |lifecycle| hooks(lifecycle, &format!("{at}.lifecycle")))
}

fn variable(env: &EnvVar, at: &str) -> Result<(), Refusal> {
    names::variable(&env.name, format!("{at}.name"))?;
    let valued = env.value.as_deref().is_some_and(|value| !value.is_empty());
    hold(!(valued && env.value_from.is_some()), format!("{at}.valueFrom"), "cannot be used beside value")
}

type HostPort<'a> = (&'a str, &'a str, i32);

fn ports<'a>(
    container: &'a Container,
    spec: &PodSpec,
    at: &str,
    taken: &mut BTreeSet<HostPort<'a>>,
) -> Result<(), Refusal> {
    let mut seen = BTreeSet::new();
    for (index, port) in container.ports.iter().flatten().enumerate() {
        let at = format!("{at}.ports[{index}]");
        self::port(port, spec, &at)?;
        if let Some(name) = port.name.as_deref().filter(|name| !name.is_empty()) {
            names::port(name, format!("{at}.name"))?;
            hold(seen.insert(name), format!("{at}.name"), "another port of the container has this name")?;
        }
        let protocol = port.protocol.as_deref().unwrap_or("TCP");
        let host = port.host_port.filter(|host| *host != 0);
        let free =
            host.is_none_or(|host| taken.insert((protocol, port.host_ip.as_deref().unwrap_or(""), host)));
        hold(free, format!("{at}.hostPort"), "is used twice in the pod")?;
    }
    Ok(())
}

fn port(port: &ContainerPort, spec: &PodSpec, at: &str) -> Result<(), Refusal> {
    let is_port = |number: i32| (1..=65_535).contains(&number);
    hold(is_port(port.container_port), format!("{at}.containerPort"), "must be between 1 and 65535")?;
    let host = port.host_port.filter(|host| *host != 0);
    hold(host.is_none_or(is_port), format!("{at}.hostPort"), "must be between 1 and 65535")?;
    let equal = !spec::is_host_network(spec) || host.is_none_or(|host| host == port.container_port);
    hold(equal, format!("{at}.hostPort"), "must equal containerPort on the node's network")?;
    one_of(port.protocol.as_deref(), &["TCP", "UDP", "SCTP"], format!("{at}.protocol"))
}

/// Requests and limits: amounts, none negative, no request above its limit.
pub(super) fn resources(resources: &ResourceRequirements, at: &str) -> Result<(), Refusal> {
    amounts(resources.requests.as_ref(), &format!("{at}.requests"))?;
    amounts(resources.limits.as_ref(), &format!("{at}.limits"))?;
    let limits = resources.limits.clone().unwrap_or_default();
    for (name, request) in resources.requests.iter().flatten() {
        let limit = limits.get(name).and_then(|limit| Amount::try_from(limit).ok());
        let above = limit.is_some_and(|limit| Amount::try_from(request).is_ok_and(|request| request > limit));
        hold(!above, format!("{at}.requests[{name}]"), "must not be above its limit")?;
    }
    Ok(())
}

fn probes(container: &Container, at: &str, plain_init: bool) -> Result<(), Refusal> {
    let probes = [
        ("startupProbe", &container.startup_probe),
        ("livenessProbe", &container.liveness_probe),
        ("readinessProbe", &container.readiness_probe),
    ];
    for (name, probe) in probes {
        let Some(probe) = probe else { continue };
        let at = format!("{at}.{name}");
        hold(!plain_init, &at, "an init container is not probed")?;
        self::probe(probe, &at)?;
        let once = name == "readinessProbe" || probe.success_threshold.unwrap_or(1) == 1;
        hold(once, format!("{at}.successThreshold"), "must be 1")?;
    }
    Ok(())
}

fn probe(probe: &Probe, at: &str) -> Result<(), Refusal> {
    let counts = [
        (probe.initial_delay_seconds, "initialDelaySeconds", 0),
        (probe.timeout_seconds, "timeoutSeconds", 1),
        (probe.period_seconds, "periodSeconds", 1),
        (probe.success_threshold, "successThreshold", 1),
        (probe.failure_threshold, "failureThreshold", 1),
    ];
    for (count, name, least) in counts {
        hold(count.is_none_or(|count| count >= least), format!("{at}.{name}"), "is too small")?;
    }
    let kinds =
        [probe.exec.is_some(), probe.http_get.is_some(), probe.tcp_socket.is_some(), probe.grpc.is_some()];
    exactly_one(&kinds, at)?;
    let ports = [
        probe.http_get.as_ref().map(|get| get.port.clone()),
        probe.tcp_socket.as_ref().map(|socket| socket.port.clone()),
        probe.grpc.as_ref().map(|grpc| IntOrString::Int(grpc.port)),
    ];
    ports.into_iter().flatten().try_for_each(|port| target_port(&port, at))?;
    scheme(probe.http_get.as_ref(), at)
}

fn hooks(lifecycle: &Lifecycle, at: &str) -> Result<(), Refusal> {
    let hooks = [("postStart", &lifecycle.post_start), ("preStop", &lifecycle.pre_stop)];
    hooks.into_iter().try_for_each(|(name, hook)| {
        hook.as_ref().map_or(Ok(()), |hook| self::hook(hook, &format!("{at}.{name}")))
    })
}

fn hook(hook: &LifecycleHandler, at: &str) -> Result<(), Refusal> {
    let kinds =
        [hook.exec.is_some(), hook.http_get.is_some(), hook.tcp_socket.is_some(), hook.sleep.is_some()];
    exactly_one(&kinds, at)?;
    hook.http_get.as_ref().map_or(Ok(()), |get| target_port(&get.port, at))?;
    scheme(hook.http_get.as_ref(), at)
}

fn exactly_one(kinds: &[bool], at: &str) -> Result<(), Refusal> {
    hold(kinds.iter().filter(|kind| **kind).count() == 1, at, "needs exactly one kind of handler")
}

fn target_port(port: &IntOrString, at: &str) -> Result<(), Refusal> {
    match port {
        IntOrString::Int(number) => {
            hold((1..=65_535).contains(number), format!("{at}.port"), "must be between 1 and 65535")
        }
        IntOrString::String(name) => names::port(name, format!("{at}.port")),
    }
}

fn scheme(get: Option<&HTTPGetAction>, at: &str) -> Result<(), Refusal> {
    one_of(get.and_then(|get| get.scheme.as_deref()), &["HTTP", "HTTPS"], format!("{at}.httpGet.scheme"))
}

#[cfg(test)]
mod tests {
    use super::super::tests::refused;
    use serde_json::{Value, json};

    /// The refused field of a pod with one container, changed so, without the path to it.
    fn of_app(patch: Value) -> String {
        let mut app = json!({"name": "app", "image": "i"});
        app.as_object_mut().unwrap().extend(patch.as_object().unwrap().clone());
        refused(json!({ "containers": [app] })).replace("spec.containers[0].", "")
    }

    #[test]
    fn containers_are_checked() {
        let port = |port: Value| json!({ "ports": [port] });
        let probe = |probe: Value| json!({ "livenessProbe": probe });
        let cases = [
            ("a path as a name", json!({"name": "../app"}), "name"),
            ("no image", json!({"image": ""}), "image"),
            ("an unknown pull policy", json!({"imagePullPolicy": "Maybe"}), "imagePullPolicy"),
            ("port 0", port(json!({"containerPort": 0})), "ports[0].containerPort"),
            ("a port beyond", port(json!({"containerPort": 80, "hostPort": 70_000})), "ports[0].hostPort"),
            (
                "an unknown protocol",
                port(json!({"containerPort": 80, "protocol": "ICMP"})),
                "ports[0].protocol",
            ),
            ("a variable without a name", json!({"env": [{"name": ""}]}), "env[0].name"),
            ("a variable with a =", json!({"env": [{"name": "a=b"}]}), "env[0].name"),
            (
                "a request above its limit",
                json!({"resources": {"requests": {"cpu": "2"}, "limits": {"cpu": "1"}}}),
                "resources.requests[cpu]",
            ),
            (
                "a negative request",
                json!({"resources": {"requests": {"memory": "-1Mi"}}}),
                "resources.requests[memory]",
            ),
            ("a probe of nothing", probe(json!({})), "livenessProbe"),
            ("a probe of two things", probe(json!({"exec": {}, "tcpSocket": {"port": 80}})), "livenessProbe"),
            ("a probe of no port", probe(json!({"tcpSocket": {"port": 0}})), "livenessProbe.port"),
            (
                "a probe of an unknown scheme",
                probe(json!({"httpGet": {"port": 80, "scheme": "ftp"}})),
                "livenessProbe.httpGet.scheme",
            ),
            (
                "a liveness probe that must succeed twice",
                probe(json!({"exec": {}, "successThreshold": 2})),
                "livenessProbe.successThreshold",
            ),
            ("a hook of nothing", json!({"lifecycle": {"preStop": {}}}), "lifecycle.preStop"),
        ];
        for (sentence, patch, field) in cases {
            assert_eq!(of_app(patch), field, "{sentence}");
        }
    }

    #[test]
    fn names_and_host_ports_stand_once_in_a_pod() {
        let two = |a: Value, b: Value| json!({ "containers": [a, b] });
        let app = |name: &str, ports: Value| json!({"name": name, "image": "i", "ports": ports});
        let host = |number: i32| json!([{"containerPort": number, "hostPort": 80, "protocol": "TCP"}]);
        let cases = [
            ("the same name", two(app("a", json!([])), app("a", json!([]))), "spec.containers[1].name"),
            (
                "the same host port",
                two(app("a", host(1)), app("b", host(2))),
                "spec.containers[1].ports[0].hostPort",
            ),
            ("no container at all", json!({"containers": []}), "spec.containers"),
            (
                "an init container's name",
                json!({"initContainers": [{"name": "app", "image": "i"}]}),
                "spec.containers[0].name",
            ),
            (
                "a probed init container",
                json!({"initContainers": [{"name": "i", "image": "i", "livenessProbe": {"exec": {}}}]}),
                "spec.initContainers[0].livenessProbe",
            ),
        ];
        for (sentence, patch, field) in cases {
            assert_eq!(refused(patch), field, "{sentence}");
        }
    }
}
