//! Rules of shapes: whom they tell apart.

use super::*;
use crate::core::nft::expression::Expression as E;

/// What a rule of a chain that refuses does, in short.
fn short(rule: &[E]) -> String {
    let part = |expression: &E| match expression {
        E::Lookup { set, .. } => Some((*set).to_owned()),
        E::Compare { .. } => Some("interface".to_owned()),
        E::Verdict(verdict) => Some(format!("{verdict:?}")),
        _ => None,
    };
    rule.iter().filter_map(part).collect::<Vec<_>>().join(" ")
}

#[test]
fn senders_are_told_apart_as_far_as_it_makes_a_difference() {
    use Refusal::{Drop, None as Pass};
    let interface = PodTest::Interface(b"veth".to_vec());
    // (sentence, for pods, host and others, how pods are told, rules)
    let cases: &[(&str, [Refusal; 3], PodTest, &[&str])] = &[
        ("all the same", [Drop, Drop, Drop], PodTest::Ranges, &["Drop"]),
        ("pods differ", [Pass, Drop, Drop], PodTest::Ranges, &["pods Return", "Drop"]),
        (
            "others differ",
            [Pass, Pass, Drop],
            PodTest::Ranges,
            &["pods Return", "host-addresses Return", "Drop"],
        ),
        (
            "the host differs, so pods come first: one of them may have the host's address",
            [Drop, Pass, Drop],
            PodTest::Ranges,
            &["pods Drop", "host-addresses Return", "Drop"],
        ),
        ("pods cannot be told", [Pass, Drop, Drop], PodTest::None, &["Drop"]),
        ("pods by their interface", [Pass, Drop, Drop], interface, &["interface Return", "Drop"]),
    ];
    for (sentence, refusals, pods, want) in cases {
        let rules = SharedChain::Refuse(*refusals).rules(Family::V4, pods);
        assert_eq!(rules.iter().map(|rule| short(rule)).collect::<Vec<_>>(), *want, "{sentence}");
    }
}

#[test]
fn interfaces_are_told_by_whole_names_or_by_how_they_begin() {
    let whole = [b"cni0".to_vec(), vec![0; 12]].concat();
    let cases = [
        ("a bridge, whole", Detector::Bridge("cni0".into()), PodTest::Interface(whole)),
        ("a prefix", Detector::InterfacePrefix("veth".into()), PodTest::Interface(b"veth".to_vec())),
        ("nothing", Detector::Bridge(String::new()), PodTest::None),
        (
            "ranges of the other family",
            Detector::ClusterCidr(["fd00::/8"].map(crate::core::testing::range).into()),
            PodTest::None,
        ),
    ];
    for (sentence, detector, want) in cases {
        assert_eq!(PodTest::of(&detector, Family::V4), want, "{sentence}");
    }
}
