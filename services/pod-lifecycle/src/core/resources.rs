//! What a pod asks for in all: what admission adds up and preemption gives back.

use super::spec;
use k8s_openapi::{
    api::core::v1::{Container, PodSpec},
    apimachinery::pkg::api::resource::Quantity,
};
use messages::Amount;
use std::collections::BTreeMap;

/// Amounts by resource name.
pub type Amounts = BTreeMap<String, Amount>;

/// A list of quantities as amounts; what is no quantity counts as nothing.
pub fn amounts(list: Option<&BTreeMap<String, Quantity>>) -> Amounts {
    let read =
        |(name, quantity): (&String, &Quantity)| Some((name.clone(), Amount::try_from(quantity).ok()?));
    list.into_iter().flatten().filter_map(read).collect()
}

/// What a pod asks for: regular containers and sidecars together, or more where an init container
/// needs more at its time; the pod's own requests in the place of both; and its overhead on top.
pub fn requests(spec: &PodSpec) -> Amounts {
    let mut total = Amounts::new();
    for container in &spec.containers {
        add(&mut total, &of(container));
    }
    let (mut sidecars, mut peak) = (Amounts::new(), Amounts::new());
    for container in spec.init_containers.iter().flatten() {
        let mut now = sidecars.clone();
        add(&mut now, &of(container));
        if spec::is_sidecar(container) {
            sidecars = now.clone();
            add(&mut total, &of(container));
        }
        raise(&mut peak, &now);
    }
    raise(&mut total, &peak);
    let own = spec.resources.as_ref().map(|resources| amounts(resources.requests.as_ref()));
    total.extend(own.into_iter().flatten());
    add(&mut total, &amounts(spec.overhead.as_ref()));
    total
}

/// Adds amounts.
pub fn add(total: &mut Amounts, more: &Amounts) {
    for (name, amount) in more {
        let sum = total.entry(name.clone()).or_default();
        *sum = *sum + *amount;
    }
}

fn raise(total: &mut Amounts, least: &Amounts) {
    for (name, amount) in least {
        let most = total.entry(name.clone()).or_default();
        *most = (*most).max(*amount);
    }
}

fn of(container: &Container) -> Amounts {
    amounts(container.resources.as_ref().and_then(|resources| resources.requests.as_ref()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::testing::{PodBuilder, cpu};

    #[test]
    fn init_containers_count_at_their_time_and_sidecars_all_the_time() {
        let cases = [
            (
                "regular containers add up",
                PodBuilder::new().container_with("a", cpu("1")).container_with("b", cpu("2")),
                3000,
            ),
            (
                "a small init container is covered",
                PodBuilder::new().init_with("i", cpu("1")).container_with("a", cpu("2")),
                2000,
            ),
            (
                "a big one is the peak",
                PodBuilder::new().init_with("i", cpu("5")).container_with("a", cpu("2")),
                5000,
            ),
            (
                "a sidecar runs beside",
                PodBuilder::new()
                    .sidecar("s")
                    .spec(|spec| cpu("1")(&mut spec.init_containers.as_mut().unwrap()[0]))
                    .container_with("a", cpu("2")),
                3000,
            ),
            (
                "an init container after a sidecar runs beside it",
                PodBuilder::new()
                    .sidecar("s")
                    .spec(|spec| cpu("1")(&mut spec.init_containers.as_mut().unwrap()[0]))
                    .init_with("i", cpu("4"))
                    .container_with("a", cpu("2")),
                5000,
            ),
            (
                "overhead comes on top",
                PodBuilder::new().container_with("a", cpu("1")).spec(|spec| {
                    spec.overhead = Some([("cpu".to_owned(), Quantity("250m".into()))].into());
                }),
                1250,
            ),
        ];
        for (sentence, pod, milli) in cases {
            let pod = pod.build();
            let requests = requests(pod.spec.as_ref().unwrap());
            assert_eq!(requests["cpu"].milli_value(), milli, "{sentence}");
        }
    }
}
