use super::*;
use crate::core::{
    address::Protocol,
    testing::{Svc, ip, range, svc},
};

fn web() -> Svc {
    svc("web", "172.30.0.41").port("http", 80)
}

#[test]
fn services_that_are_not_a_proxys_are_left_alone() {
    let cases = [
        ("a cluster IP", web(), true),
        ("headless", svc("web", "None").port("http", 80), false),
        ("not yet given an address", svc("web", "").port("http", 80), false),
        ("no address told", web().spec(|spec| spec.cluster_ip = None), false),
        ("an external name with a cluster IP left over", web().type_("ExternalName"), false),
        ("another proxy's", web().label(PROXY_NAME), false),
        ("another label", web().label("app"), true),
    ];
    for (sentence, service, is_ours) in cases {
        let Reading { service, faults } = read(&service.0);
        assert_eq!(service.is_some(), is_ours, "{sentence}");
        assert_eq!(faults, [], "{sentence}");
    }
}

#[test]
fn addresses_are_told_by_family() {
    let dual = || web().also("fd00:172::41");
    // (sentence, service, IPv4 side, IPv6 side); a side is its cluster, external and balancer IPs
    type Wanted = Option<(&'static str, &'static [&'static str], &'static [&'static str])>;
    let cases: Vec<(&str, Svc, Wanted, Wanted)> = vec![
        ("one family", web(), Some(("172.30.0.41", &[], &[])), None),
        ("two", dual(), Some(("172.30.0.41", &[], &[])), Some(("fd00:172::41", &[], &[]))),
        (
            "an old object with the single field alone",
            web().spec(|spec| spec.cluster_ips = None),
            Some(("172.30.0.41", &[], &[])),
            None,
        ),
        (
            "external IPs of both",
            dual().external_ip("203.0.113.9").external_ip("2001:db8::9").external_ip("203.0.113.8"),
            Some(("172.30.0.41", &["203.0.113.8", "203.0.113.9"], &[])),
            Some(("fd00:172::41", &["2001:db8::9"], &[])),
        ),
        (
            "a balancer that passes packets on unchanged",
            dual().ingress("203.0.113.1", None).ingress("2001:db8::1", Some("VIP")),
            Some(("172.30.0.41", &[], &["203.0.113.1"])),
            Some(("fd00:172::41", &[], &["2001:db8::1"])),
        ),
        (
            "a balancer that speaks to the pods itself",
            dual().ingress("203.0.113.1", Some("Proxy")),
            Some(("172.30.0.41", &[], &[])),
            Some(("fd00:172::41", &[], &[])),
        ),
        (
            "a balancer of a family that the service lacks",
            web().ingress("2001:db8::1", None),
            Some(("172.30.0.41", &[], &[])),
            None,
        ),
        ("a balancer with a name", web().ingress("", None), Some(("172.30.0.41", &[], &[])), None),
    ];
    for (sentence, service, v4, v6) in cases {
        let Reading { service, faults } = read(&service.0);
        let service = service.expect(sentence);
        assert_eq!(faults, [], "{sentence}");
        for (family, want) in [(Family::V4, v4), (Family::V6, v6)] {
            let want = want.map(|(cluster_ip, external, balancers)| Side {
                family,
                cluster_ip: ip(cluster_ip),
                external_ips: external.iter().map(|text| ip(text)).collect(),
                balancer_ips: balancers.iter().map(|text| ip(text)).collect(),
                guard: None,
            });
            assert_eq!(service.side(family), want.as_ref(), "{sentence}: {family}");
        }
    }
}

#[test]
fn policies_count_where_there_is_such_traffic() {
    use Policy::{Cluster, Local};
    let cases = [
        ("neither told", web(), (Cluster, Cluster)),
        ("internal", web().internal_local(), (Local, Cluster)),
        ("external, and nothing external", web().external_local(), (Cluster, Cluster)),
        (
            "external, with an external IP",
            web().external_ip("203.0.113.9").external_local(),
            (Cluster, Local),
        ),
        ("external, of type NodePort", web().type_("NodePort").external_local(), (Cluster, Local)),
        ("both", web().type_("LoadBalancer").external_local().internal_local(), (Local, Local)),
    ];
    for (sentence, service, want) in cases {
        let service = read(&service.0).service.expect(sentence);
        assert_eq!((service.internal, service.external), want, "{sentence}");
    }
}

#[test]
fn a_balancer_asks_for_health_only_where_it_keeps_to_nodes_with_endpoints() {
    let balanced = |port| web().type_("LoadBalancer").spec(|spec| spec.health_check_node_port = Some(port));
    let cases = [
        ("policy Local", balanced(30100).external_local(), Some(30100)),
        ("policy Cluster", balanced(30100), None),
        ("type NodePort", balanced(30100).external_local().type_("NodePort"), None),
        ("a port that is yet to be given", balanced(0).external_local(), None),
    ];
    for (sentence, service, want) in cases {
        assert_eq!(read(&service.0).service.expect(sentence).health_port, want, "{sentence}");
    }
}

#[test]
fn source_ranges_open_and_close() {
    // (sentence, ranges, who may come by IPv4, by IPv6; nothing is everybody)
    type Guard = Option<Vec<&'static str>>;
    let cases: Vec<(&str, &[&str], Guard, Guard)> = vec![
        ("none", &[], None, None),
        (
            "some",
            &["203.0.113.0/24", "2001:db8::/64"],
            Some(vec!["203.0.113.0/24"]),
            Some(vec!["2001:db8::/64"]),
        ),
        ("space around one", &[" 203.0.113.0/24 "], Some(vec!["203.0.113.0/24"]), None),
        ("one of everybody", &["203.0.113.0/24", "0.0.0.0/0"], None, None),
        ("everybody by IPv4", &["0.0.0.0/0", "2001:db8::/64"], None, Some(vec!["2001:db8::/64"])),
        ("one that cannot be read opens to nobody", &["everywhere"], Some(vec![]), Some(vec![])),
        ("nor takes another away", &["x", "203.0.113.0/24"], Some(vec!["203.0.113.0/24"]), Some(vec![])),
    ];
    for (sentence, ranges, v4, v6) in cases {
        let service = web().also("fd00:172::41").ranges(ranges);
        let service = read(&service.0).service.expect(sentence);
        for (family, want) in [(Family::V4, v4), (Family::V6, v6)] {
            let guard = &service.side(family).expect(sentence).guard;
            let want = want.map(|ranges| ranges.into_iter().map(range).collect());
            assert_eq!(*guard, want, "{sentence}: {family}");
        }
    }
}

#[test]
fn clients_are_held_as_long_as_the_service_says() {
    let cases = [
        ("not at all", web(), None),
        ("told", web().affinity(Some(60)), Some(60)),
        ("three hours unless told", web().affinity(None), Some(10_800)),
        ("no configuration", web().affinity(None).spec(|it| it.session_affinity_config = None), Some(10_800)),
        ("nonsense", web().affinity(Some(-1)), Some(10_800)),
        ("more than a day", web().affinity(Some(86_401)), Some(10_800)),
    ];
    for (sentence, service, want) in cases {
        assert_eq!(read(&service.0).service.expect(sentence).affinity, want, "{sentence}");
    }
}

#[test]
fn a_faulty_piece_is_left_out_and_told_and_the_rest_counts() {
    // (sentence, service, the fields told, ports that are left)
    let second = |port| web().port("other", port);
    let cases: Vec<(&str, Svc, &[&str], usize)> = vec![
        ("port 0", second(0), &["spec.ports[1].port"], 1),
        ("a port too large", second(65_536), &["spec.ports[1].port"], 1),
        ("a negative port", second(-80), &["spec.ports[1].port"], 1),
        ("a node port too large", web().port_of("TCP", "b", 81, 70_000), &["spec.ports[1].nodePort"], 2),
        ("an unknown protocol", web().port_of("QUIC", "b", 81, 0), &["spec.ports[1].protocol"], 1),
        ("a name twice", web().port("http", 81), &["spec.ports[1].name"], 1),
        ("a name twice, another protocol", web().port_of("UDP", "http", 80, 0), &[], 2),
        ("a number twice", web().port("b", 80), &["spec.ports[1].port"], 1),
        ("a cluster IP that is none", web().also("bad"), &["spec.clusterIPs[1]"], 1),
        ("two cluster IPs of a family", web().also("172.30.0.42"), &["spec.clusterIPs[1]"], 1),
        ("an external IP that is none", web().external_ip("203.0.113"), &["spec.externalIPs[0]"], 1),
        ("nobody's external IP", web().external_ip("0.0.0.0"), &["spec.externalIPs[0]"], 1),
        ("an external IP of another family", web().external_ip("2001:db8::9"), &["spec.externalIPs[0]"], 1),
        ("a balancer's", web().ingress("x", None), &["status.loadBalancer.ingress[0].ip"], 1),
        ("a range", web().ranges(&["x"]), &["spec.loadBalancerSourceRanges[0]"], 1),
        ("a time", web().affinity(Some(0)), &["spec.sessionAffinityConfig.clientIP.timeoutSeconds"], 1),
        (
            "a health check port",
            web().type_("LoadBalancer").external_local().spec(|spec| spec.health_check_node_port = Some(-1)),
            &["spec.healthCheckNodePort"],
            1,
        ),
    ];
    for (sentence, service, fields, ports) in cases {
        let Reading { service, faults } = read(&service.0);
        let told: Vec<&str> = faults.iter().map(|fault| fault.field.as_str()).collect();
        assert_eq!(told, fields, "{sentence}");
        let service = service.expect(sentence);
        assert_eq!(service.ports.len(), ports, "{sentence}");
        assert_eq!(service.side(Family::V4).map(|it| it.cluster_ip), Some(ip("172.30.0.41")), "{sentence}");
    }
}

#[test]
fn a_fault_names_the_object_the_field_and_what_to_do() {
    let faults = read(&web().port("other", 0).0).faults;
    let want = "Service default/web: spec.ports[1].port: 0 is no port; set a port between 1 and 65535";
    assert_eq!(faults[0].to_string(), want);
}

#[test]
fn many_faults_are_told_as_a_number() {
    let service = (0..100).fold(web(), |service, number| service.external_ip(&format!("bad{number}")));
    let faults = read(&service.0).faults;
    assert_eq!((faults.len(), faults[8].what.as_str()), (9, "92 more faults"));
}

#[test]
fn odd_names_are_kept_and_escaped_where_they_are_told() {
    let mut service = web().port("a\nb", 0).0;
    service.metadata.name = Some("we\nb\u{1b}[31m".into());
    let Reading { service, faults } = read(&service);
    assert_eq!(service.expect("it is served").name.to_string(), "default/we\\nb\\u{1b}[31m");
    assert!(!faults[0].to_string().contains('\n'), "{}", faults[0]);
}

#[test]
fn a_service_without_a_name_or_a_spec_is_none() {
    let mut nameless = web().0;
    nameless.metadata.name = None;
    let Reading { service, faults } = read(&nameless);
    assert_eq!((service, faults.len()), (None, 1));
    let mut empty = web().0;
    empty.spec = None;
    assert_eq!(read(&empty), Reading { service: None, faults: vec![] });
}

#[test]
fn what_a_proxy_does_not_look_at_changes_nothing() {
    let plain = read(&web().0);
    let other = web().spec(|spec| {
        spec.publish_not_ready_addresses = Some(true);
        spec.traffic_distribution = Some("PreferSameZone".into());
        spec.selector = Some([("app".to_owned(), "web".to_owned())].into());
    });
    assert_eq!(read(&other.0), plain);
    let port = &plain.service.expect("it is served").ports[0];
    assert_eq!((&*port.name, port.protocol, port.port, port.node_port), ("http", Protocol::Tcp, 80, None));
}
