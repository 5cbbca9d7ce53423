//! What pods and containers ask for, summed as Kubernetes sums it.
//!
//! Rules of `k8s.io/component-helpers/resource`: an init container counts while it runs, sidecars
//! (KEP-753) all along, the pod's own numbers (KEP-2837) go before those of its containers.

use super::spec;
use k8s_openapi::{api::core::v1 as core, apimachinery::pkg::api::resource::Quantity};
use messages::{Amount, BadAmount};
use std::collections::BTreeMap;

/// Amounts by resource name.
pub type Amounts = BTreeMap<String, Amount>;

/// A quantity of the spec that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("resource {resource} of {of}: {bad}")]
pub struct BadDemand {
    of: String,
    resource: String,
    bad: BadAmount,
}

/// Requests and limits.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Demand {
    /// What is set aside.
    pub requests: Amounts,
    /// What may be used at most.
    pub limits: Amounts,
}

/// A container's demand, and how it counts in the pod's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerDemand {
    /// The container.
    pub name: String,
    /// Whether it is a sidecar.
    pub is_sidecar: bool,
    /// The numbers.
    pub demand: Demand,
}

/// All that a pod asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PodDemand {
    /// `spec.containers`.
    pub regular: Vec<ContainerDemand>,
    /// `spec.initContainers`, in order.
    pub init: Vec<ContainerDemand>,
    /// `spec.resources`, cpu, memory and huge pages only; `None` where there is none of them.
    pub own: Option<Demand>,
    /// `spec.overhead`.
    pub overhead: Amounts,
}

impl PodDemand {
    /// Reads a pod's numbers.
    ///
    /// # Errors
    /// When one is no quantity.
    pub fn of(pod: &core::Pod) -> Result<Self, BadDemand> {
        let spec = spec::of(pod);
        let own = spec.resources.as_ref().map(|own| demand("the pod", Some(own))).transpose()?;
        let own =
            own.map(|own| Demand { requests: at_pod_level(own.requests), limits: at_pod_level(own.limits) });
        Ok(Self {
            regular: spec.containers.iter().map(container_demand).collect::<Result<_, _>>()?,
            init: spec::init_containers(&spec).map(container_demand).collect::<Result<_, _>>()?,
            own: own.filter(|own| !own.requests.is_empty() || !own.limits.is_empty()),
            overhead: amounts("the pod's overhead", spec.overhead.as_ref())?,
        })
    }

    /// What the pod's containers request together, the pod's own numbers aside.
    pub fn container_requests(&self) -> Amounts {
        self.summed(|demand| &demand.requests)
    }

    /// What the pod requests, without overhead.
    pub fn requests(&self) -> Amounts {
        let own = self.own.iter().flat_map(|own| own.requests.clone());
        self.container_requests().into_iter().chain(own).collect()
    }

    /// What the pod may use, without overhead. A resource that some container does not limit
    /// stands here with the sum of the others: see [`Self::is_limited`].
    pub fn limits(&self) -> Amounts {
        let own = self.own.iter().flat_map(|own| own.limits.clone());
        self.summed(|demand| &demand.limits).into_iter().chain(own).collect()
    }

    /// Requests with overhead, as the pod's cgroup gets them.
    pub fn requests_with_overhead(&self) -> Amounts {
        let mut requests = self.requests();
        add(&mut requests, &self.overhead);
        requests
    }

    /// Limits with overhead, where there is a limit.
    pub fn limits_with_overhead(&self) -> Amounts {
        let mut limits = self.limits();
        for (name, amount) in &mut limits {
            if !amount.is_zero() {
                *amount = *amount + self.overhead.get(name).copied().unwrap_or_default();
            }
        }
        limits
    }

    /// Whether every container limits the resource, or the pod itself does.
    pub fn is_limited(&self, resource: &str) -> bool {
        let limited = |demand: &Demand| demand.limits.get(resource).is_some_and(|limit| !limit.is_zero());
        let mut all = self.regular.iter().chain(&self.init);
        self.own.as_ref().is_some_and(limited) || all.all(|container| limited(&container.demand))
    }

    /// The demand of one container.
    pub fn container(&self, name: &str) -> Option<&ContainerDemand> {
        self.regular.iter().chain(&self.init).find(|container| container.name == name)
    }

    fn summed(&self, of: fn(&Demand) -> &Amounts) -> Amounts {
        let mut total = Amounts::new();
        for container in &self.regular {
            add(&mut total, of(&container.demand));
        }
        let (mut sidecars, mut peak) = (Amounts::new(), Amounts::new());
        for container in &self.init {
            let mut at_once = sidecars.clone();
            add(&mut at_once, of(&container.demand));
            if container.is_sidecar {
                add(&mut total, of(&container.demand));
                sidecars.clone_from(&at_once);
            }
            raise(&mut peak, &at_once);
        }
        raise(&mut total, &peak);
        total
    }
}

fn container_demand(container: &core::Container) -> Result<ContainerDemand, BadDemand> {
    Ok(ContainerDemand {
        name: container.name.clone(),
        is_sidecar: spec::is_sidecar(container),
        demand: demand(&format!("container {}", container.name), container.resources.as_ref())?,
    })
}

fn demand(of: &str, written: Option<&core::ResourceRequirements>) -> Result<Demand, BadDemand> {
    Ok(Demand {
        requests: amounts(of, written.and_then(|written| written.requests.as_ref()))?,
        limits: amounts(of, written.and_then(|written| written.limits.as_ref()))?,
    })
}

/// Reads a resource list.
///
/// # Errors
/// When an amount of it is no quantity; `of` says whose.
pub fn amounts(of: &str, list: Option<&BTreeMap<String, Quantity>>) -> Result<Amounts, BadDemand> {
    let read = |(name, quantity): (&String, &Quantity)| match Amount::try_from(quantity) {
        Ok(amount) => Ok((name.clone(), amount)),
        Err(bad) => Err(BadDemand { of: of.to_owned(), resource: name.clone(), bad }),
    };
    list.into_iter().flatten().map(read).collect()
}

fn at_pod_level(amounts: Amounts) -> Amounts {
    let counts = |name: &str| matches!(name, "cpu" | "memory") || name.starts_with("hugepages-");
    amounts.into_iter().filter(|(name, _)| counts(name)).collect()
}

fn add(to: &mut Amounts, more: &Amounts) {
    for (name, amount) in more {
        let sum = to.entry(name.clone()).or_default();
        *sum = *sum + *amount;
    }
}

fn raise(to: &mut Amounts, least: &Amounts) {
    for (name, amount) in least {
        let most = to.entry(name.clone()).or_default();
        *most = (*most).max(*amount);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn pod_demand(spec: Value) -> PodDemand {
        let pod = serde_json::from_value(json!({"metadata": {}, "spec": spec})).unwrap();
        PodDemand::of(&pod).unwrap()
    }

    fn asking(cpu: &str) -> Value {
        json!({"requests": {"cpu": cpu}, "limits": {"cpu": cpu}})
    }

    #[test]
    fn a_pod_asks_for_the_most_that_runs_at_once() {
        let cases = [
            (
                "regular containers run together",
                json!({"containers": [{"name": "a", "resources": asking("1")}, {"name": "b", "resources": asking("2")}]}),
                3000,
            ),
            (
                "an init container runs alone and counts if it asks for more",
                json!({"containers": [{"name": "a", "resources": asking("1")}],
                       "initContainers": [{"name": "i", "resources": asking("4")}]}),
                4000,
            ),
            (
                "a sidecar runs beside everything after it",
                json!({"containers": [{"name": "a", "resources": asking("1")}],
                       "initContainers": [{"name": "s", "restartPolicy": "Always", "resources": asking("500m")},
                                          {"name": "i", "resources": asking("1")}]}),
                1500,
            ),
            (
                "an init container after a sidecar runs beside it",
                json!({"containers": [{"name": "a", "resources": asking("1")}],
                       "initContainers": [{"name": "s", "restartPolicy": "Always", "resources": asking("500m")},
                                          {"name": "i", "resources": asking("3")}]}),
                3500,
            ),
            (
                "but not one before it",
                json!({"containers": [{"name": "a", "resources": asking("1")}],
                       "initContainers": [{"name": "i", "resources": asking("1500m")},
                                          {"name": "s", "restartPolicy": "Always", "resources": asking("500m")}]}),
                1500,
            ),
            (
                "the pod's own number goes before its containers'",
                json!({"resources": asking("7"), "containers": [{"name": "a", "resources": asking("1")}]}),
                7000,
            ),
        ];
        for (sentence, spec, milli) in cases {
            let demand = pod_demand(spec);
            assert_eq!(demand.requests()["cpu"].milli_value(), milli, "{sentence}");
            assert_eq!(demand.limits()["cpu"].milli_value(), milli, "{sentence}");
        }
    }

    #[test]
    fn overhead_is_added_to_requests_and_to_limits_that_exist() {
        let demand = pod_demand(json!({
            "overhead": {"cpu": "250m", "memory": "1Mi"},
            "containers": [{"name": "a", "resources": {"requests": {"cpu": "1"}, "limits": {"cpu": "1"}}}],
        }));
        assert_eq!(demand.requests_with_overhead()["cpu"].milli_value(), 1250);
        assert_eq!(demand.requests_with_overhead()["memory"].value(), 1 << 20);
        assert_eq!(demand.limits_with_overhead()["cpu"].milli_value(), 1250);
        assert_eq!(demand.limits_with_overhead().get("memory"), None);
    }

    #[test]
    fn a_resource_is_limited_when_all_limit_it_or_the_pod_does() {
        let limit = |cpu: &str| json!({"limits": {"cpu": cpu}});
        let cases = [
            ("all do", json!({"containers": [{"name": "a", "resources": limit("1")}]}), true),
            (
                "one does not",
                json!({"containers": [{"name": "a", "resources": limit("1")}, {"name": "b"}]}),
                false,
            ),
            (
                "an init container does not",
                json!({"containers": [{"name": "a", "resources": limit("1")}], "initContainers": [{"name": "i"}]}),
                false,
            ),
            ("the pod does", json!({"resources": limit("1"), "containers": [{"name": "a"}]}), true),
            (
                "a limit of nothing is none",
                json!({"containers": [{"name": "a", "resources": limit("0")}]}),
                false,
            ),
        ];
        for (sentence, spec, want) in cases {
            assert_eq!(pod_demand(spec).is_limited("cpu"), want, "{sentence}");
        }
    }

    #[test]
    fn a_number_that_cannot_be_read_is_named() {
        let spec = json!({"containers": [{"name": "a", "resources": {"limits": {"cpu": "many"}}}]});
        let pod = serde_json::from_value(json!({"metadata": {}, "spec": spec})).unwrap();
        let refused = PodDemand::of(&pod).unwrap_err().to_string();
        assert_eq!(refused, "resource cpu of container a: \"many\" is not a quantity such as 500m, 2 or 1Gi");
    }
}
