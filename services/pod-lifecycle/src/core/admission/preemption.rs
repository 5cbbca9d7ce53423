//! Who gives way to a critical pod: as few as possible, and of the weakest class.

use super::{
    House, Tenant,
    fit::{Lack, value},
    resources,
};
use crate::core::qos;
use messages::PodUid;

/// What is still needed of each resource.
type Needs = Vec<(String, i64)>;

/// The pods to stop so that nothing is lacking; `None` when all that may be stopped are not enough.
pub(super) fn victims(tenant: &Tenant<'_>, house: &House<'_>, lacks: &[Lack]) -> Option<Vec<PodUid>> {
    let needs: Needs = lacks.iter().map(|lack| (lack.resource.clone(), lack.missing())).collect();
    let weaker: Vec<_> = house.tenants.iter().filter(|other| gives_way(other, tenant)).collect();
    let of = |class: &str| -> Vec<&Tenant<'_>> {
        weaker.iter().copied().filter(|other| qos::class(other.spec()) == class).collect()
    };
    let (best_effort, burstable, guaranteed) = (of("BestEffort"), of("Burstable"), of("Guaranteed"));
    let strong = choose(&guaranteed, less(less(needs.clone(), &best_effort), &burstable))?;
    let middle = choose(&burstable, less(less(needs.clone(), &best_effort), &strong))?;
    let weak = choose(&best_effort, less(less(needs, &middle), &strong))?;
    let chosen = strong.into_iter().chain(middle).chain(weak);
    Some(chosen.map(|victim| victim.uid.clone()).collect())
}

fn gives_way(other: &Tenant<'_>, to: &Tenant<'_>) -> bool {
    let weaker = to.is_critical() && !other.is_critical();
    weaker || (to.priority() > other.priority() && !other.is_static)
}

/// What is needed once these have gone.
fn less(needs: Needs, gone: &[&Tenant<'_>]) -> Needs {
    let rest = |(resource, need): (String, i64)| {
        let given: i64 = gone.iter().map(|other| given_back(other, &resource)).sum();
        Some((resource, need - given)).filter(|(_, need)| *need > 0)
    };
    needs.into_iter().filter_map(rest).collect()
}

fn given_back(tenant: &Tenant<'_>, resource: &str) -> i64 {
    if resource == "pods" {
        return 1;
    }
    let requests = resources::requests(tenant.spec());
    requests.get(resource).map_or(0, |amount| value(resource, *amount))
}

/// The one that brings nearest to what is needed, again and again; `None` when all are not enough.
fn choose<'a>(from: &[&'a Tenant<'a>], mut needs: Needs) -> Option<Vec<&'a Tenant<'a>>> {
    let (mut left, mut chosen) = (from.to_vec(), Vec::new());
    while !needs.is_empty() {
        let distance = |tenant: &&Tenant<'_>| -> (i64, i64) {
            let rest: i64 =
                needs.iter().map(|(name, need)| permille(need - given_back(tenant, name), *need)).sum();
            let size: i64 = needs.iter().map(|(name, _)| given_back(tenant, name)).sum();
            (rest, size)
        };
        let (index, _) = left.iter().enumerate().min_by_key(|(_, tenant)| distance(tenant))?;
        let victim = left.remove(index);
        needs = less(needs, &[victim]);
        chosen.push(victim);
    }
    Some(chosen)
}

/// The part of a need that stays, in thousandths, squared: being far off in one resource is worse
/// than being a little off in two.
fn permille(rest: i64, need: i64) -> i64 {
    let part = rest.max(0).saturating_mul(1000) / need.max(1);
    part * part
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::testing::{PodBuilder, asks, node};
    use k8s_openapi::api::core::v1::Pod;

    /// Who gives way on a node where these pods run, to a critical pod that lacks so much CPU.
    fn chosen(tenants: &[(&str, PodBuilder)], missing: i64) -> Option<Vec<String>> {
        let pods: Vec<(PodUid, Pod)> =
            tenants.iter().map(|(uid, pod)| (uid.parse().unwrap(), pod.clone().build())).collect();
        let tenants: Vec<_> = pods.iter().map(|(uid, pod)| Tenant { uid, pod, is_static: false }).collect();
        let node = node(&[("cpu", "4")]);
        let house = House { node: &node, tenants: &tenants, unsafe_sysctls: &[], has_apparmor: true };
        let (uid, pod) = ("critical".parse().unwrap(), PodBuilder::new().container("app").build());
        let lack = Lack { resource: "cpu".into(), requested: missing, used: 0, capacity: 0 };
        let victims = victims(&Tenant { uid: &uid, pod: &pod, is_static: true }, &house, &[lack])?;
        Some(victims.iter().map(ToString::to_string).collect())
    }

    fn burstable(cpu: &'static str) -> PodBuilder {
        PodBuilder::new().container_with("app", move |app| asks(&[("cpu", cpu)])(app))
    }

    fn guaranteed(cpu: &'static str) -> PodBuilder {
        PodBuilder::new().container_with("app", move |app| {
            asks(&[("cpu", cpu), ("memory", "1Gi")])(app);
            let resources = app.resources.as_mut().unwrap();
            resources.limits = resources.requests.clone();
        })
    }

    #[test]
    fn the_fewest_of_the_weakest_class_give_way() {
        type Row<'a> = (&'a str, &'a [(&'a str, PodBuilder)], i64, Option<&'a [&'a str]>);
        let cases: &[Row<'_>] = &[
            ("one is enough", &[("a", burstable("1")), ("b", burstable("1"))], 1000, Some(&["a"])),
            (
                "the one that fits best",
                &[("a", burstable("500m")), ("b", burstable("2"))],
                1500,
                Some(&["b"]),
            ),
            (
                "the smallest that is enough",
                &[("a", burstable("3")), ("b", burstable("2"))],
                1500,
                Some(&["b"]),
            ),
            (
                "burstable before guaranteed",
                &[("a", guaranteed("2")), ("b", burstable("2"))],
                1000,
                Some(&["b"]),
            ),
            (
                "both where one class is not enough",
                &[("a", guaranteed("2")), ("b", burstable("1"))],
                3000,
                Some(&["a", "b"]),
            ),
            ("not enough at all", &[("a", burstable("1"))], 1500, None),
        ];
        for (sentence, tenants, missing, want) in cases {
            let want = want.map(|names| names.iter().map(ToString::to_string).collect::<Vec<_>>());
            assert_eq!(chosen(tenants, *missing), want, "{sentence}");
        }
    }
}
