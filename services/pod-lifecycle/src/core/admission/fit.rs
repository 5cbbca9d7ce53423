//! Whether what a pod asks for is left on the node.

use super::{House, Rejection, Tenant, resources, resources::Amounts};
use messages::Amount;

/// A resource that is not enough. Numbers as the kubelet tells them: CPU in thousandths, the rest
/// in whole units.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Lack {
    pub(super) resource: String,
    pub(super) requested: i64,
    pub(super) used: i64,
    pub(super) capacity: i64,
}

impl Lack {
    pub(super) fn rejection(&self) -> Rejection {
        let Self { resource, requested, used, capacity } = self;
        let message = format!(
            "Node didn't have enough resource: {resource}, requested: {requested}, used: {used}, capacity: {capacity}"
        );
        Rejection::new(format!("OutOf{resource}"), message)
    }

    /// How much more is needed.
    pub(super) fn missing(&self) -> i64 {
        self.requested - (self.capacity - self.used)
    }
}

/// What the node lacks for a pod: room for one more first, then CPU, memory, storage, and the rest.
pub(super) fn lacks(tenant: &Tenant<'_>, house: &House<'_>) -> Vec<Lack> {
    let allocatable = house.node.status.as_ref().and_then(|status| status.allocatable.as_ref());
    let allocatable = resources::amounts(allocatable);
    let mut used = Amounts::new();
    for other in house.tenants {
        resources::add(&mut used, &resources::requests(other.spec()));
    }
    let requests = resources::requests(tenant.spec());
    let amounts = in_order(&requests, &allocatable).filter_map(|resource| {
        let of = |amounts: &Amounts| value(resource, amounts.get(resource).copied().unwrap_or_default());
        let (requested, used, capacity) = (of(&requests), of(&used), of(&allocatable));
        let resource = resource.to_owned();
        (requested > capacity.saturating_sub(used)).then_some(Lack { resource, requested, used, capacity })
    });
    room(house, &allocatable).into_iter().chain(amounts).collect()
}

fn room(house: &House<'_>, allocatable: &Amounts) -> Option<Lack> {
    let used = i64::try_from(house.tenants.len()).unwrap_or(i64::MAX);
    let capacity = allocatable.get("pods").copied().unwrap_or_default().value();
    (used + 1 > capacity).then(|| Lack { resource: "pods".into(), requested: 1, used, capacity })
}

/// Resources that are asked for, in the order in which lacks are told. Extended ones that the node
/// does not know belong to somebody else.
fn in_order<'a>(requests: &'a Amounts, allocatable: &'a Amounts) -> impl Iterator<Item = &'a str> {
    const FIRST: [&str; 3] = ["cpu", "memory", "ephemeral-storage"];
    let asked = |name: &&str| requests.get(*name).is_some_and(|amount| !amount.is_zero());
    let others = requests.keys().map(String::as_str).filter(|name| !FIRST.contains(name));
    let known = others.filter(|name| !is_extended(name) || allocatable.contains_key(*name));
    FIRST.into_iter().chain(known).filter(asked)
}

/// A resource of somebody's own domain.
fn is_extended(name: &str) -> bool {
    name.split_once('/').is_some_and(|(domain, _)| {
        let native = domain == "kubernetes.io" || domain.ends_with(".kubernetes.io");
        !native && !domain.starts_with("requests.")
    })
}

/// The number that stands for an amount.
pub(super) fn value(resource: &str, amount: Amount) -> i64 {
    if resource == "cpu" { amount.milli_value() } else { amount.value() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::testing::{PodBuilder, asks, node};
    use messages::PodUid;

    fn lacking(asked: &[(&'static str, &'static str)], others: usize) -> Vec<String> {
        let node = node(&[("cpu", "2"), ("memory", "1Gi"), ("pods", "3"), ("example.com/gpu", "1")]);
        let uid: PodUid = "u".parse().unwrap();
        let other = PodBuilder::new().container_with("app", asks(&[("cpu", "500m")])).build();
        let tenants = vec![Tenant { uid: &uid, pod: &other, is_static: false }; others];
        let pod = PodBuilder::new().container_with("app", asks(asked)).build();
        let house = House { node: &node, tenants: &tenants, unsafe_sysctls: &[], has_apparmor: true };
        let lacks = lacks(&Tenant { uid: &uid, pod: &pod, is_static: false }, &house);
        lacks
            .iter()
            .map(|lack| lack.rejection().message.replace("Node didn't have enough resource: ", ""))
            .collect()
    }

    #[test]
    fn what_is_not_left_is_told_in_numbers() {
        type Row = (&'static str, &'static [(&'static str, &'static str)], usize, &'static [&'static str]);
        let cases: &[Row] = &[
            ("it just fits", &[("cpu", "1500m"), ("memory", "1Gi")], 1, &[]),
            (
                "a little too much CPU",
                &[("cpu", "1501m")],
                1,
                &["cpu, requested: 1501, used: 500, capacity: 2000"],
            ),
            ("nothing asked fits a full node", &[], 2, &[]),
            ("no room for another pod", &[], 3, &["pods, requested: 1, used: 3, capacity: 3"]),
            (
                "two things at once, CPU first",
                &[("memory", "2Gi"), ("cpu", "3")],
                0,
                &[
                    "cpu, requested: 3000, used: 0, capacity: 2000",
                    "memory, requested: 2147483648, used: 0, capacity: 1073741824",
                ],
            ),
            (
                "an extended resource that is known",
                &[("example.com/gpu", "2")],
                0,
                &["example.com/gpu, requested: 2, used: 0, capacity: 1"],
            ),
            ("one that is not known is not ours", &[("example.com/fpga", "2")], 0, &[]),
            (
                "huge pages are ours",
                &[("hugepages-2Mi", "2Mi")],
                0,
                &["hugepages-2Mi, requested: 2097152, used: 0, capacity: 0"],
            ),
        ];
        for (sentence, asked, others, want) in cases {
            assert_eq!(lacking(asked, *others), *want, "{sentence}");
        }
    }
}
