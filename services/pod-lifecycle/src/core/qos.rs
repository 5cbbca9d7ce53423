//! A pod's quality-of-service class, from its requests and limits of cpu and memory.

use k8s_openapi::{
    api::core::v1::{PodSpec, ResourceRequirements},
    apimachinery::pkg::api::resource::Quantity,
};
use messages::Amount;
use std::collections::BTreeMap;

/// The two resources that make the class.
const COUNTED: [&str; 2] = ["cpu", "memory"];

/// `Guaranteed`, `Burstable` or `BestEffort`. Resources of the pod as a whole, where it names
/// them (KEP 2837), decide alone; otherwise init and regular containers do together.
pub fn class(spec: &PodSpec) -> &'static str {
    let containers = spec.init_containers.iter().flatten().chain(&spec.containers);
    let resources: Vec<_> = match &spec.resources {
        Some(pod) if counts(pod) => vec![pod.clone()],
        _ => containers.map(|container| container.resources.clone().unwrap_or_default()).collect(),
    };
    if !resources.iter().any(counts) {
        "BestEffort"
    } else if resources.iter().all(is_guaranteed) {
        "Guaranteed"
    } else {
        "Burstable"
    }
}

fn amount(list: &Option<BTreeMap<String, Quantity>>, resource: &str) -> Amount {
    let quantity = list.as_ref().and_then(|list| list.get(resource));
    quantity.and_then(|quantity| Amount::try_from(quantity).ok()).unwrap_or_default()
}

fn counts(resources: &ResourceRequirements) -> bool {
    let lists = [&resources.requests, &resources.limits];
    COUNTED.iter().any(|resource| lists.iter().any(|list| !amount(list, resource).is_zero()))
}

/// Both limits are set, and no request is below its limit.
fn is_guaranteed(resources: &ResourceRequirements) -> bool {
    COUNTED.iter().all(|resource| {
        let (request, limit) = (amount(&resources.requests, resource), amount(&resources.limits, resource));
        !limit.is_zero() && (request.is_zero() || request == limit)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::testing::PodBuilder;

    fn resources(requests: &[(&str, &str)], limits: &[(&str, &str)]) -> ResourceRequirements {
        let list = |list: &[(&str, &str)]| {
            Some(list.iter().map(|(name, amount)| (name.to_string(), Quantity(amount.to_string()))).collect())
        };
        ResourceRequirements {
            requests: list(requests),
            limits: list(limits),
            ..ResourceRequirements::default()
        }
    }

    #[test]
    fn the_class_follows_requests_and_limits_of_all_containers() {
        let both: &[(&str, &str)] = &[("cpu", "1"), ("memory", "1Gi")];
        let same: &[(&str, &str)] = &[("cpu", "1000m"), ("memory", "1024Mi")];
        let cases: &[(&str, ResourceRequirements, &str)] = &[
            ("nothing asked", resources(&[], &[]), "BestEffort"),
            ("zeros are nothing", resources(&[("cpu", "0")], &[]), "BestEffort"),
            ("only a request", resources(&[("cpu", "1")], &[]), "Burstable"),
            ("only one limit", resources(&[], &[("cpu", "1")]), "Burstable"),
            ("both limits", resources(&[], both), "Guaranteed"),
            ("requests equal in other words", resources(same, both), "Guaranteed"),
            ("a request below", resources(&[("cpu", "500m")], both), "Burstable"),
            ("others do not count", resources(&[("ephemeral-storage", "1Gi")], &[]), "BestEffort"),
        ];
        for (sentence, wanted, class_wanted) in cases {
            let pod =
                PodBuilder::new().container_with("app", |app| app.resources = Some(wanted.clone())).build();
            assert_eq!(class(pod.spec.as_ref().unwrap()), *class_wanted, "{sentence}");
        }
        let mixed = PodBuilder::new()
            .init("init")
            .container_with("app", |app| app.resources = Some(resources(both, both)))
            .build();
        assert_eq!(class(mixed.spec.as_ref().unwrap()), "Burstable", "an init container without limits");
    }
}
