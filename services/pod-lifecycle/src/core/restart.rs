//! Whether a container that ended is started again: container rules, then its own policy, then
//! the pod's (KEP 5307, `ContainerRestartRules`).

use k8s_openapi::api::core::v1::{Container, ContainerRestartRule, PodSpec};

/// What a restart policy says about an ended container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// Start it again in any case.
    Always,
    /// Start it again unless it ended with 0.
    OnFailure,
    /// Leave it.
    Never,
}

impl Policy {
    /// The policy of this name; what is not known counts as `Always`, the API's default.
    pub fn named(name: Option<&str>) -> Self {
        match name {
            Some("OnFailure") => Self::OnFailure,
            Some("Never") => Self::Never,
            _ => Self::Always,
        }
    }

    /// Whether it starts a container again that ended so.
    pub fn restarts(self, exit_code: i32) -> bool {
        match self {
            Self::Always => true,
            Self::OnFailure => exit_code != 0,
            Self::Never => false,
        }
    }
}

/// The policy without rules: the container's own, or the pod's where it has none.
pub fn policy(container: &Container, spec: &PodSpec) -> Policy {
    let own =
        container.restart_policy.as_deref().filter(|name| ["Always", "OnFailure", "Never"].contains(name));
    Policy::named(own.or(spec.restart_policy.as_deref()))
}

/// Whether a container that ended with this code is started again.
pub fn restarts_after(container: &Container, spec: &PodSpec, exit_code: i32) -> bool {
    let mut rules = container.restart_policy_rules.iter().flatten();
    let first = rules.find(|rule| matches(rule, exit_code));
    let ruled = container.restart_policy.is_some() && first.is_some_and(restarts);
    ruled || policy(container, spec).restarts(exit_code)
}

/// Whether a container that a probe has stopped is started again. It has no exit code yet, so its
/// rules are not asked.
pub fn restarts_after_probe(container: &Container, spec: &PodSpec) -> bool {
    policy(container, spec) != Policy::Never
}

fn matches(rule: &ContainerRestartRule, exit_code: i32) -> bool {
    let Some(codes) = &rule.exit_codes else { return false };
    let listed = codes.values.iter().flatten().any(|code| *code == exit_code);
    match codes.operator.as_str() {
        "In" => listed,
        "NotIn" => !listed,
        _ => false,
    }
}

/// `RestartAllContainers` restarts at least the container itself.
fn restarts(rule: &ContainerRestartRule) -> bool {
    ["Restart", "RestartAllContainers"].contains(&rule.action.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::core::v1::ContainerRestartRuleOnExitCodes;

    fn ruled(own: Option<&str>, rule: Option<(&str, i32)>) -> Container {
        let rule = rule.map(|(operator, code)| ContainerRestartRule {
            action: "Restart".into(),
            exit_codes: Some(ContainerRestartRuleOnExitCodes {
                operator: operator.into(),
                values: Some(vec![code]),
            }),
        });
        Container {
            restart_policy: own.map(Into::into),
            restart_policy_rules: rule.map(|rule| vec![rule]),
            ..Container::default()
        }
    }

    #[test]
    fn rules_come_before_the_containers_policy_and_that_before_the_pods() {
        let cases = [
            ("the pod's Always restarts success", "Always", None, None, 0, true),
            ("the pod's OnFailure leaves success", "OnFailure", None, None, 0, false),
            ("the pod's OnFailure restarts failure", "OnFailure", None, None, 1, true),
            ("the pod's Never leaves failure", "Never", None, None, 1, false),
            ("a container's policy wins over the pod's", "Always", Some("Never"), None, 1, false),
            ("a rule wins over the container's policy", "Never", Some("Never"), Some(("In", 42)), 42, true),
            ("a rule for another code does not", "Never", Some("Never"), Some(("In", 42)), 1, false),
            ("NotIn is the opposite", "Never", Some("Never"), Some(("NotIn", 42)), 1, true),
            ("an unknown operator matches nothing", "Never", Some("Never"), Some(("Near", 42)), 42, false),
        ];
        for (sentence, pod, own, rule, code, want) in cases {
            let spec = PodSpec { restart_policy: Some(pod.into()), ..PodSpec::default() };
            assert_eq!(restarts_after(&ruled(own, rule), &spec, code), want, "{sentence}");
        }
    }

    #[test]
    fn a_probe_asks_policies_only() {
        let never = PodSpec { restart_policy: Some("Never".into()), ..PodSpec::default() };
        assert!(!restarts_after_probe(&ruled(None, Some(("NotIn", 0))), &never));
        assert!(restarts_after_probe(&ruled(Some("OnFailure"), None), &never));
    }
}
