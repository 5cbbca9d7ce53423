//! Environment variables that tell of services (`pkg/kubelet/envvars`).

use k8s_openapi::api::core::v1::{Service, ServicePort};
use std::collections::BTreeMap;

type Variables = BTreeMap<String, String>;

/// The variables for a pod of `namespace`: always of `default/kubernetes`, and with
/// `enableServiceLinks` of every service in the pod's namespace that has a cluster IP.
pub fn variables<'s>(
    services: impl IntoIterator<Item = &'s Service>,
    namespace: &str,
    links: bool,
) -> Variables {
    let mut chosen: BTreeMap<&str, &Service> = BTreeMap::new();
    for service in services {
        let name = service.metadata.name.as_deref().unwrap_or_default();
        let from = service.metadata.namespace.as_deref().unwrap_or_default();
        if from == "default" && name == "kubernetes" {
            chosen.insert(name, service);
        } else if links && from == namespace {
            chosen.entry(name).or_insert(service);
        }
    }
    chosen.into_iter().flat_map(|(name, service)| of_service(name, service)).collect()
}

fn of_service(name: &str, service: &Service) -> Vec<(String, String)> {
    let Some(spec) = &service.spec else { return Vec::new() };
    let ip = spec.cluster_ip.as_deref().unwrap_or_default();
    let ports = spec.ports.as_deref().unwrap_or_default();
    if ip.is_empty() || ip == "None" || ports.is_empty() {
        return Vec::new();
    }
    let prefix = variable(name);
    let mut all = vec![
        (format!("{prefix}_SERVICE_HOST"), ip.to_owned()),
        (format!("{prefix}_SERVICE_PORT"), ports[0].port.to_string()),
        (format!("{prefix}_PORT"), url(ip, &ports[0])),
    ];
    for port in ports {
        if let Some(named) = port.name.as_deref().filter(|named| !named.is_empty()) {
            all.push((format!("{prefix}_SERVICE_PORT_{}", variable(named)), port.port.to_string()));
        }
        let of_port = format!("{prefix}_PORT_{}_{}", port.port, protocol(port).to_uppercase());
        all.push((format!("{of_port}_PROTO"), protocol(port).to_lowercase()));
        all.push((format!("{of_port}_PORT"), port.port.to_string()));
        all.push((format!("{of_port}_ADDR"), ip.to_owned()));
        all.push((of_port, url(ip, port)));
    }
    all
}

fn variable(name: &str) -> String {
    name.to_uppercase().replace('-', "_")
}

fn protocol(port: &ServicePort) -> &str {
    port.protocol.as_deref().filter(|protocol| !protocol.is_empty()).unwrap_or("TCP")
}

fn url(ip: &str, port: &ServicePort) -> String {
    let host = if ip.contains(':') { format!("[{ip}]") } else { ip.to_owned() };
    format!("{}://{host}:{}", protocol(port).to_lowercase(), port.port)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn service(namespace: &str, name: &str, ip: &str, ports: serde_json::Value) -> Service {
        serde_json::from_value(json!({
            "metadata": {"namespace": namespace, "name": name},
            "spec": {"clusterIP": ip, "ports": ports},
        }))
        .unwrap()
    }

    #[test]
    fn a_service_is_told_in_both_manners() {
        let ports = json!([{"name": "http-web", "port": 80}, {"name": "dns", "port": 53, "protocol": "UDP"}]);
        let service = service("shop", "my-db", "10.0.0.7", ports);
        let variables = variables([&service], "shop", true);
        let want = [
            ("MY_DB_PORT", "tcp://10.0.0.7:80"),
            ("MY_DB_PORT_53_UDP", "udp://10.0.0.7:53"),
            ("MY_DB_PORT_53_UDP_ADDR", "10.0.0.7"),
            ("MY_DB_PORT_53_UDP_PORT", "53"),
            ("MY_DB_PORT_53_UDP_PROTO", "udp"),
            ("MY_DB_PORT_80_TCP", "tcp://10.0.0.7:80"),
            ("MY_DB_PORT_80_TCP_ADDR", "10.0.0.7"),
            ("MY_DB_PORT_80_TCP_PORT", "80"),
            ("MY_DB_PORT_80_TCP_PROTO", "tcp"),
            ("MY_DB_SERVICE_HOST", "10.0.0.7"),
            ("MY_DB_SERVICE_PORT", "80"),
            ("MY_DB_SERVICE_PORT_DNS", "53"),
            ("MY_DB_SERVICE_PORT_HTTP_WEB", "80"),
        ];
        let got: Vec<_> = variables.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(got, want);
    }

    #[test]
    fn which_services_a_pod_is_told_of() {
        let port = json!([{"port": 443}]);
        let all = [
            service("default", "kubernetes", "10.0.0.1", port.clone()),
            service("shop", "kubernetes", "10.9.9.9", port.clone()),
            service("shop", "db", "10.0.0.7", port.clone()),
            service("shop", "headless", "None", port.clone()),
            service("shop", "outside", "", port.clone()),
            service("default", "other", "10.0.0.8", port.clone()),
            service("shop", "six", "fd00::1", port),
        ];
        let hosts = |links| {
            let variables = variables(&all, "shop", links);
            let hosts: Vec<_> = variables.into_iter().filter(|(name, _)| name.ends_with("_HOST")).collect();
            hosts.into_iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>()
        };
        assert_eq!(
            hosts(true),
            ["DB_SERVICE_HOST=10.0.0.7", "KUBERNETES_SERVICE_HOST=10.0.0.1", "SIX_SERVICE_HOST=fd00::1"]
        );
        assert_eq!(hosts(false), ["KUBERNETES_SERVICE_HOST=10.0.0.1"]);
        assert_eq!(variables(&all, "shop", true)["SIX_PORT"], "tcp://[fd00::1]:443");
    }
}
