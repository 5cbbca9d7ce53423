//! Whether this node takes a pod: the checks of the stock kubelet in their order, the first that
//! fails decides. Facts about what already runs are never judged again.

mod fit;
mod ports;
mod preemption;
mod selector;
mod sysctl;

use super::{resources, spec};
use k8s_openapi::api::core::v1::{Node, Pod, PodSpec, Taint, Toleration};
use messages::PodUid;

/// From this priority on a pod is critical (`system-cluster-critical` and above).
pub const CRITICAL_PRIORITY: i32 = 2_000_000_000;

/// A pod that wants in, or is in.
#[derive(Debug, Clone, Copy)]
pub struct Tenant<'a> {
    /// Its UID.
    pub uid: &'a PodUid,
    /// The pod.
    pub pod: &'a Pod,
    /// It comes from a file or URL.
    pub is_static: bool,
}

impl Tenant<'_> {
    fn spec(&self) -> &PodSpec {
        spec::of(self.pod)
    }

    fn priority(&self) -> i32 {
        self.spec().priority.unwrap_or(0)
    }

    fn is_critical(&self) -> bool {
        self.is_static || self.priority() >= CRITICAL_PRIORITY
    }
}

/// The node that is asked.
#[derive(Debug, Clone, Copy)]
pub struct House<'a> {
    /// The node object.
    pub node: &'a Node,
    /// Pods that hold resources.
    pub tenants: &'a [Tenant<'a>],
    /// `allowedUnsafeSysctls`.
    pub unsafe_sysctls: &'a [String],
    /// The kernel enforces AppArmor profiles.
    pub has_apparmor: bool,
}

/// Why a pod is turned down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// `status.reason`.
    pub reason: String,
    /// The sentence, without `Pod was rejected:`.
    pub message: String,
    /// The node object as it is known may be behind the API server's: worth another look.
    pub is_doubtful: bool,
}

impl Rejection {
    fn new(reason: impl Into<String>, message: impl Into<String>) -> Self {
        Self { reason: reason.into(), message: message.into(), is_doubtful: false }
    }

    fn predicate(name: &str, why: &str) -> Self {
        Self::new(name, format!("Predicate {name} failed: {why}"))
    }
}

/// What becomes of a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It may run.
    Admitted,
    /// It is critical, and fits once these have left.
    After(Vec<PodUid>),
    /// It may not.
    Rejected(Rejection),
}

/// Judges a pod.
pub fn judge(tenant: &Tenant<'_>, house: &House<'_>) -> Verdict {
    let early = sysctl::check(tenant, house).or_else(|| system(tenant, house));
    let late = || appearance(tenant, house);
    match early {
        Some(rejection) => Verdict::Rejected(rejection),
        None => match placement(tenant, house) {
            Verdict::Admitted => late().map_or(Verdict::Admitted, Verdict::Rejected),
            other => other,
        },
    }
}

/// The operating system, and what its runtime must support.
fn system(tenant: &Tenant<'_>, house: &House<'_>) -> Option<Rejection> {
    const OS: &str = "kubernetes.io/os";
    let label = tenant.pod.metadata.labels.as_ref().and_then(|labels| labels.get(OS));
    if label.is_some_and(|label| label != "linux") {
        let message = "Failed to admit pod as the `kubernetes.io/os` label doesn't match node label";
        return Some(Rejection::new("PodOSSelectorNodeLabelDoesNotMatch", message));
    }
    if tenant.spec().os.as_ref().is_some_and(|os| os.name != "linux") {
        let message = "Failed to admit pod as the OS field doesn't match node OS";
        return Some(Rejection::new("PodOSNotSupported", message));
    }
    let context = tenant.spec().security_context.as_ref();
    let policy = context.and_then(|context| context.supplemental_groups_policy.as_deref());
    let features = house.node.status.as_ref().and_then(|status| status.features.as_ref());
    let supported = features.and_then(|features| features.supplemental_groups_policy) == Some(true);
    (policy == Some("Strict") && !supported).then(|| {
        let message = "SupplementalGroupsPolicy=Strict is not supported in this node";
        Rejection::new("SupplementalGroupsPolicyNotSupported", message)
    })
}

/// Resources, labels, name, ports and taints. A critical pod that lacks only resources makes room.
fn placement(tenant: &Tenant<'_>, house: &House<'_>) -> Verdict {
    let lacks = fit::lacks(tenant, house);
    let mut others = Vec::new();
    if !selector::matches(tenant.spec(), house.node) {
        let why = "node(s) didn't match Pod's node affinity/selector";
        others.push(Rejection { is_doubtful: lacks.is_empty(), ..Rejection::predicate("NodeAffinity", why) });
    }
    let named = tenant.spec().node_name.as_deref().filter(|name| !name.is_empty());
    if named.is_some_and(|name| house.node.metadata.name.as_deref() != Some(name)) {
        others.push(Rejection::predicate("NodeName", "node(s) didn't match the requested node name"));
    }
    if ports::conflict(tenant, house) {
        let why = "node(s) didn't have free ports for the requested pod ports";
        others.push(Rejection::predicate("NodePorts", why));
    }
    if !tenant.is_static && has_untolerated_taint(tenant, house.node) {
        let why = "node(s) had taints that the pod didn't tolerate";
        others.push(Rejection::predicate("TaintToleration", why));
    }
    decide(tenant, house, lacks, others)
}

fn decide(tenant: &Tenant<'_>, house: &House<'_>, lacks: Vec<fit::Lack>, others: Vec<Rejection>) -> Verdict {
    if let Some(lack) = lacks.first() {
        let room = if others.is_empty() && tenant.is_critical() {
            preemption::victims(tenant, house, &lacks)
        } else {
            None
        };
        return room.map_or_else(|| Verdict::Rejected(lack.rejection()), Verdict::After);
    }
    let only = others.len() == 1;
    let first = others.into_iter().next();
    first.map_or(Verdict::Admitted, |first| {
        Verdict::Rejected(Rejection { is_doubtful: first.is_doubtful && only, ..first })
    })
}

/// The kubelet minds only taints that end what runs.
fn has_untolerated_taint(tenant: &Tenant<'_>, node: &Node) -> bool {
    let taints = node.spec.iter().flat_map(|spec| spec.taints.iter().flatten());
    let tolerations = tenant.spec().tolerations.as_deref().unwrap_or_default();
    let mut ending = taints.filter(|taint| taint.effect == "NoExecute");
    ending.any(|taint| !tolerations.iter().any(|toleration| tolerates(toleration, taint)))
}

fn tolerates(toleration: &Toleration, taint: &Taint) -> bool {
    let any = |text: &Option<String>| text.as_deref().is_none_or(str::is_empty);
    let effect = any(&toleration.effect) || toleration.effect.as_deref() == Some(&taint.effect);
    let key = any(&toleration.key) || toleration.key.as_deref() == Some(&taint.key);
    let (given, wanted) = (taint.value.as_deref().unwrap_or(""), toleration.value.as_deref().unwrap_or(""));
    let compare = |holds: fn(i64, i64) -> bool| match (given.parse(), wanted.parse()) {
        (Ok(given), Ok(wanted)) => holds(given, wanted),
        _ => false,
    };
    let value = match toleration.operator.as_deref() {
        Some("Exists") => true,
        Some("Lt") => compare(|given, wanted| given < wanted),
        Some("Gt") => compare(|given, wanted| given > wanted),
        _ => given == wanted,
    };
    effect && key && value
}

/// Profiles that the kernel could not enforce.
fn appearance(tenant: &Tenant<'_>, house: &House<'_>) -> Option<Rejection> {
    let spec = tenant.spec();
    let pod = spec.security_context.as_ref().and_then(|context| context.app_armor_profile.as_ref());
    let containers = spec.init_containers.iter().flatten().chain(&spec.containers);
    let own = containers.filter_map(|it| it.security_context.as_ref()?.app_armor_profile.as_ref());
    let mut wanted = own.chain(pod).filter(|profile| profile.type_ != "Unconfined");
    (!house.has_apparmor && wanted.next().is_some())
        .then(|| Rejection::new("AppArmor", "Cannot enforce AppArmor: AppArmor is not enabled on the host"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::testing::{PodBuilder, cpu, node};
    use serde_json::{Value, json};

    /// The reason with which a pod is turned down by a node of 4 CPUs; empty when it is admitted.
    fn reason(pod: &PodBuilder, change: &Value, others: &[PodBuilder], is_static: bool) -> String {
        let mut node = serde_json::to_value(node(&[("cpu", "4"), ("memory", "8Gi"), ("pods", "3")])).unwrap();
        merge(&mut node, change);
        let node: Node = serde_json::from_value(node).unwrap();
        let uid: PodUid = "u".parse().unwrap();
        let others: Vec<Pod> = others.iter().map(|other| other.clone().build()).collect();
        let tenants: Vec<_> = others.iter().map(|pod| Tenant { uid: &uid, pod, is_static: false }).collect();
        let pod = pod.clone().build();
        let house = House { node: &node, tenants: &tenants, unsafe_sysctls: &[], has_apparmor: false };
        match judge(&Tenant { uid: &uid, pod: &pod, is_static }, &house) {
            Verdict::Admitted => String::new(),
            Verdict::After(_) => "preempts".into(),
            Verdict::Rejected(rejection) => rejection.reason,
        }
    }

    fn merge(into: &mut Value, from: &Value) {
        match (into, from) {
            (Value::Object(into), Value::Object(from)) => {
                for (key, value) in from {
                    merge(into.entry(key).or_insert(json!({})), value);
                }
            }
            (into, from) => *into = from.clone(),
        }
    }

    fn pod() -> PodBuilder {
        PodBuilder::new().container_with("app", cpu("1"))
    }

    fn patched(patch: Value) -> PodBuilder {
        pod().spec(|spec| {
            let mut whole = serde_json::to_value(&*spec).unwrap();
            merge(&mut whole, &patch);
            *spec = serde_json::from_value(whole).unwrap();
        })
    }

    #[test]
    fn each_check_has_its_reason() {
        let none = json!({});
        let tainted = json!({"spec": {"taints": [{"key": "gone", "effect": "NoExecute"}]}});
        let strict = json!({"securityContext": {"supplementalGroupsPolicy": "Strict"}});
        let supports = json!({"status": {"features": {"supplementalGroupsPolicy": true}}});
        let apparmor = json!({"securityContext": {"appArmorProfile": {"type": "RuntimeDefault"}}});
        let tolerant = json!({"tolerations": [{"operator": "Exists"}]});
        let other_os = pod()
            .meta(|pod| pod.metadata.labels = Some([("kubernetes.io/os".into(), "windows".into())].into()));
        let cases = [
            ("a plain pod fits", pod(), &none, ""),
            ("another OS by label", other_os, &none, "PodOSSelectorNodeLabelDoesNotMatch"),
            ("another OS by field", patched(json!({"os": {"name": "windows"}})), &none, "PodOSNotSupported"),
            (
                "strict groups, not supported",
                patched(strict.clone()),
                &none,
                "SupplementalGroupsPolicyNotSupported",
            ),
            ("strict groups, supported", patched(strict), &supports, ""),
            ("too much CPU", PodBuilder::new().container_with("app", cpu("5")), &none, "OutOfcpu"),
            (
                "a selector without match",
                patched(json!({"nodeSelector": {"disk": "ssd"}})),
                &none,
                "NodeAffinity",
            ),
            ("bound to another node", patched(json!({"nodeName": "other"})), &none, "NodeName"),
            ("a taint that ends pods", pod(), &tainted, "TaintToleration"),
            ("a tolerated taint", patched(tolerant), &tainted, ""),
            ("a profile that nobody enforces", patched(apparmor), &none, "AppArmor"),
            (
                "an unsafe sysctl",
                patched(json!({"securityContext": {"sysctls": [{"name": "kernel.msgmax", "value": "1"}]}})),
                &none,
                "SysctlForbidden",
            ),
        ];
        for (sentence, pod, node, want) in cases {
            assert_eq!(reason(&pod, node, &[], false), want, "{sentence}");
        }
        assert_eq!(reason(&pod(), &tainted, &[], true), "", "static pods stay whatever the taint");
    }

    #[test]
    fn only_a_lone_label_mismatch_is_doubtful() {
        let node = node(&[("cpu", "4"), ("pods", "3")]);
        let uid: PodUid = "u".parse().unwrap();
        let house = House { node: &node, tenants: &[], unsafe_sysctls: &[], has_apparmor: false };
        let doubtful = |pod: PodBuilder| {
            let pod = pod.build();
            match judge(&Tenant { uid: &uid, pod: &pod, is_static: false }, &house) {
                Verdict::Rejected(rejection) => rejection.is_doubtful,
                other => panic!("{other:?}"),
            }
        };
        assert!(doubtful(patched(json!({"nodeSelector": {"disk": "ssd"}}))));
        assert!(!doubtful(patched(json!({"nodeSelector": {"disk": "ssd"}, "nodeName": "other"}))));
        assert!(!doubtful(patched(json!({"nodeName": "other"}))));
    }

    #[test]
    fn a_critical_pod_makes_room_and_others_do_not() {
        let full = || vec![PodBuilder::new().container_with("app", cpu("4"))];
        let critical = || patched(json!({"priority": CRITICAL_PRIORITY}));
        let none = json!({});
        let cases = [
            ("a plain pod", pod(), false, "OutOfcpu"),
            ("a critical one", critical(), false, "preempts"),
            ("a static one", pod(), true, "preempts"),
        ];
        for (sentence, pod, is_static, want) in cases {
            assert_eq!(reason(&pod, &none, &full(), is_static), want, "{sentence}");
        }
        let critical_tenant = [full().remove(0).spec(|spec| spec.priority = Some(CRITICAL_PRIORITY))];
        assert_eq!(reason(&critical(), &none, &critical_tenant, false), "OutOfcpu", "equals do not give way");
        let affine = patched(json!({"priority": CRITICAL_PRIORITY, "nodeSelector": {"a": "b"}}));
        assert_eq!(reason(&affine, &none, &full(), false), "OutOfcpu", "it would not fit anyway");
    }
}
