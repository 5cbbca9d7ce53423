//! Faults, and two services that claim the same.

use super::*;

#[test]
fn of_two_services_the_older_holds_an_address_and_the_other_is_told() {
    let old = || web().created(Some(1));
    let other = |name: &str, created| svc(name, "172.30.0.41").port("", 80).created(created);
    let cases = [
        ("the older", vec![old(), other("a", Some(2))], "web", "a"),
        ("whichever came first to us", vec![other("a", Some(2)), old()], "web", "a"),
        ("of the same age the first by name", vec![other("b", Some(1)), other("a", Some(1))], "a", "b"),
        ("who has no age comes last", vec![other("a", None), old()], "web", "a"),
    ];
    for (sentence, services, holds, waits) in cases {
        let mut model = Model::of(node());
        let outcome = model.apply(services.iter().map(Svc::change));
        assert_eq!(holder(&model, "172.30.0.41:80").as_deref(), Some(holds), "{sentence}");
        let told = format!(
            "Service default/{waits}: 172.30.0.41:80/TCP: is default/{holds}:/TCP (IPv4)'s, which came first; \
             give one of the two another address or port"
        );
        assert_eq!(outcome.faults.iter().map(Fault::to_string).collect::<Vec<_>>(), [told], "{sentence}");
        model.apply([Change::ServiceGone(gone(Kind::Service, holds))]);
        assert_eq!(holder(&model, "172.30.0.41:80").as_deref(), Some(waits), "{sentence}: the heir");
        assert_eq!(model.faults(), [], "{sentence}: and peace");
    }
}

#[test]
fn a_service_that_loses_one_address_keeps_the_others_and_its_own_ranges_stay_its_own() {
    let first = svc("a", "172.30.0.1").port("", 80).type_("LoadBalancer").ingress("203.0.113.90", None);
    let first = first.ranges(&["10.0.0.0/8"]).created(Some(1));
    let second = svc("b", "172.30.0.2").port("", 80).type_("LoadBalancer").ingress("203.0.113.90", None);
    let second = second.ranges(&["11.0.0.0/8"]).external_ip("203.0.113.80").created(Some(2));
    let model = model(&[second.change(), first.change()]);
    let at = |text: &str| holder(&model, text);
    assert_eq!(at("203.0.113.90:80").as_deref(), Some("a"));
    assert_eq!(at("203.0.113.80:80").as_deref(), Some("b"));
    assert_eq!(at("172.30.0.2:80").as_deref(), Some("b"));
    let sources = elements(model.table()).into_iter().filter(|it| matches!(it, Element::Source(..)));
    assert_eq!(sources.map(|it| short(&it)).collect::<Vec<_>>(), ["203.0.113.90:80/TCP from 10.0.0.0/8"]);
}

#[test]
fn node_ports_and_health_ports_are_contested_too() {
    let one = |name: &str, cluster_ip: &str| {
        let service = svc(name, cluster_ip).port_of("TCP", "", 80, 30080).type_("LoadBalancer");
        service.external_local().spec(|spec| spec.health_check_node_port = Some(30100))
    };
    let mut model = Model::of(node());
    let outcome = model.apply([one("a", "172.30.0.1").change(), one("b", "172.30.0.2").change()]);
    let fields: Vec<&str> = outcome.faults.iter().map(|fault| fault.field.as_str()).collect();
    assert_eq!(fields, ["node port 30080/TCP (IPv4)", "health check port 30100 (IPv4)"]);
}

#[test]
fn faults_stay_until_they_are_mended_and_disturb_nobody() {
    let mut model = model(&[slice().change()]);
    let bad = web().port("b", 0).external_ip("nowhere");
    assert_eq!(model.apply([bad.change()]).faults.len(), 2);
    assert_eq!(model.faults().len(), 2);
    assert_eq!(holder(&model, "172.30.0.41:80").as_deref(), Some("web"), "the rest counts");
    model.apply([svc("other", "172.30.0.42").port("", 80).change()]);
    assert_eq!(model.faults().len(), 2, "still");
    model.apply([web().change()]);
    assert_eq!(model.faults(), [], "mended");
    model.apply([bad.change(), Change::ServiceGone(gone(Kind::Service, "web"))]);
    assert_eq!(model.faults(), [], "gone");
}
