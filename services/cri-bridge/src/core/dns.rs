//! A pod's resolver: servers, searches and options (`pkg/kubelet/network/dns/dns.go`).

use super::spec;
use k8s_openapi::api::core::v1 as core;
use proto::runtime::v1::DnsConfig;
use std::net::IpAddr;

/// The most servers that resolvers look at.
const MAX_SERVERS: usize = 3;
/// The most search domains.
const MAX_SEARCHES: usize = 32;
/// The most characters of all search domains, blanks included.
const MAX_SEARCH_TEXT: usize = 2048;
/// The longest search domain; some resolvers abort on a longer one.
const MAX_SEARCH: usize = 253;

/// What the node knows of name resolution.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Resolver {
    /// `clusterDNS`.
    pub cluster: Vec<IpAddr>,
    /// `clusterDomain`, empty for none.
    pub domain: String,
    /// The file named by `resolvConf`; `None` when that is empty, which turns look-ups off.
    pub host: Option<DnsConfig>,
    /// The node's addresses.
    pub node_ips: Vec<IpAddr>,
}

/// Something that the pod's author should know; the text of a `Warning` event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// `DNSConfigForming`: a limit was exceeded.
    Trimmed(String),
    /// `MissingClusterDNS`: fell back to the node's resolver.
    NoClusterDns(String),
}

/// A pod's resolver, and what there is to say about it.
pub fn of(pod: &core::Pod, resolver: &Resolver) -> (DnsConfig, Vec<Notice>) {
    let spec = spec::of(pod);
    let mut notices = Vec::new();
    let is_host = spec::has_host_network(pod);
    let mut config = match spec.dns_policy.as_deref() {
        Some("None") => DnsConfig::default(),
        Some("Default") => resolver.of_host(),
        Some("ClusterFirst") if is_host => resolver.of_host(),
        _ if resolver.cluster.is_empty() => {
            notices.push(Notice::NoClusterDns(no_cluster_dns(pod)));
            resolver.of_host()
        }
        _ => resolver.of_cluster(spec::namespace(pod)),
    };
    if let Some(own) = &spec.dns_config {
        merge(&mut config, own);
    }
    trim(&mut config, &mut notices);
    (config, notices)
}

/// The sentence of `MissingClusterDNS` for the pod.
fn no_cluster_dns(pod: &core::Pod) -> String {
    format!(
        "pod: \"{}\". kubelet does not have ClusterDNS IP configured and cannot create Pod using \
         \"ClusterFirst\" policy. Falling back to \"Default\" policy.",
        spec::shown(pod)
    )
}

impl Resolver {
    fn of_host(&self) -> DnsConfig {
        let local = |ip: &IpAddr| if ip.is_ipv6() { "::1" } else { "127.0.0.1" }.to_owned();
        self.host.clone().unwrap_or_else(|| {
            let own: Vec<_> = self.node_ips.iter().map(local).collect();
            let servers = if own.is_empty() { vec!["127.0.0.1".to_owned()] } else { own };
            DnsConfig { servers, searches: vec![".".to_owned()], options: Vec::new() }
        })
    }

    fn of_cluster(&self, namespace: &str) -> DnsConfig {
        let domain = &self.domain;
        let mut searches = Vec::new();
        if !domain.is_empty() {
            searches = vec![format!("{namespace}.svc.{domain}"), format!("svc.{domain}"), domain.clone()];
        }
        searches.extend(self.host.iter().flat_map(|host| host.searches.clone()));
        DnsConfig {
            servers: self.cluster.iter().map(IpAddr::to_string).collect(),
            searches: unique(searches),
            options: vec!["ndots:5".to_owned()],
        }
    }
}

fn merge(config: &mut DnsConfig, own: &core::PodDNSConfig) {
    config.servers.extend(own.nameservers.clone().unwrap_or_default());
    config.servers = unique(std::mem::take(&mut config.servers));
    config.searches.extend(own.searches.clone().unwrap_or_default());
    config.searches = unique(std::mem::take(&mut config.searches));
    for option in own.options.iter().flatten() {
        let name = option.name.as_deref().unwrap_or_default();
        config.options.retain(|old| option_name(old) != name);
        config.options.push(match option.value.as_deref().filter(|value| !value.is_empty()) {
            Some(value) => format!("{name}:{value}"),
            None => name.to_owned(),
        });
    }
}

fn option_name(option: &str) -> &str {
    option.split(':').next().unwrap_or_default()
}

fn unique(texts: Vec<String>) -> Vec<String> {
    let mut kept: Vec<String> = Vec::with_capacity(texts.len());
    for text in texts {
        if !kept.contains(&text) {
            kept.push(text);
        }
    }
    kept
}

fn trim(config: &mut DnsConfig, notices: &mut Vec<Notice>) {
    if config.servers.len() > MAX_SERVERS {
        config.servers.truncate(MAX_SERVERS);
        notices.push(Notice::Trimmed(format!(
            "Nameserver limits were exceeded, some nameservers have been omitted, the applied nameserver line is: {}",
            config.servers.join(" ")
        )));
    }
    let asked = config.searches.len();
    config.searches.truncate(MAX_SEARCHES);
    config.searches.retain(|search| search.len() <= MAX_SEARCH);
    while config.searches.join(" ").len() > MAX_SEARCH_TEXT {
        config.searches.pop();
    }
    if config.searches.len() < asked {
        notices.push(Notice::Trimmed(format!(
            "Search Line limits were exceeded, some search paths have been omitted, the applied search line is: {}",
            config.searches.join(" ")
        )));
    }
}

/// Reads a `resolv.conf`: servers add up, of searches the last line counts, an option replaces an
/// earlier one of its name.
pub fn parse(file: &str) -> DnsConfig {
    let mut config = DnsConfig::default();
    for line in file.lines().map(str::trim).filter(|line| !line.starts_with('#')) {
        let mut fields = line.split_whitespace();
        match fields.next() {
            Some("nameserver") => config.servers.extend(fields.next().map(Into::into)),
            Some("search") => {
                let domains = fields.filter(|domain| *domain != ".");
                config.searches = domains.map(|d| d.strip_suffix('.').unwrap_or(d).to_owned()).collect();
            }
            Some("options") => {
                for option in fields {
                    config.options.retain(|old| option_name(old) != option_name(option));
                    config.options.push(option.to_owned());
                }
            }
            _ => {}
        }
    }
    config
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn resolver() -> Resolver {
        Resolver {
            cluster: vec!["10.96.0.10".parse().unwrap()],
            domain: "cluster.local".into(),
            host: Some(parse("nameserver 9.9.9.9\nsearch corp.example\noptions rotate\n")),
            node_ips: vec!["192.168.0.4".parse().unwrap()],
        }
    }

    /// Servers, searches and options as three lines.
    fn lines(spec: Value, resolver: &Resolver) -> (String, Vec<Notice>) {
        let pod = json!({"metadata": {"name": "web", "namespace": "shop", "uid": "u-1"}, "spec": spec});
        let (config, notices) = of(&serde_json::from_value(pod).unwrap(), resolver);
        let parts = [config.servers, config.searches, config.options];
        (parts.map(|part| part.join(" ")).join("|"), notices)
    }

    fn spec(policy: &str, host_network: bool) -> Value {
        json!({"containers": [], "dnsPolicy": policy, "hostNetwork": host_network})
    }

    #[test]
    fn a_policy_decides_where_names_are_looked_up() {
        let cluster =
            "10.96.0.10|shop.svc.cluster.local svc.cluster.local cluster.local corp.example|ndots:5";
        let host = "9.9.9.9|corp.example|rotate";
        let cases = [
            ("the cluster's by default", spec("ClusterFirst", false), cluster),
            ("the node's for a pod in the host's network", spec("ClusterFirst", true), host),
            ("unless it wants the cluster's", spec("ClusterFirstWithHostNet", true), cluster),
            ("the node's when asked for", spec("Default", false), host),
            ("none at all", spec("None", false), "||"),
        ];
        for (sentence, spec, want) in cases {
            assert_eq!(lines(spec, &resolver()), (want.to_owned(), vec![]), "{sentence}");
        }
    }

    #[test]
    fn the_pods_own_settings_are_added_and_replace_options() {
        let spec = json!({
            "containers": [], "dnsPolicy": "ClusterFirst",
            "dnsConfig": {"nameservers": ["1.1.1.1", "10.96.0.10"], "searches": ["a.example", "cluster.local"],
                          "options": [{"name": "ndots", "value": "2"}, {"name": "edns0"}]},
        });
        let searches = "shop.svc.cluster.local svc.cluster.local cluster.local corp.example a.example";
        let want = format!("10.96.0.10 1.1.1.1|{searches}|ndots:2 edns0");
        assert_eq!(lines(spec, &resolver()).0, want);
    }

    #[test]
    fn without_cluster_dns_the_nodes_resolver_is_used_and_said_so() {
        let resolver = Resolver { cluster: vec![], ..resolver() };
        let (lines, notices) = lines(spec("ClusterFirst", false), &resolver);
        assert_eq!(lines, "9.9.9.9|corp.example|rotate");
        let [Notice::NoClusterDns(said)] = notices.as_slice() else { panic!("{notices:?}") };
        assert!(said.starts_with("pod: \"web_shop(u-1)\". kubelet does not have ClusterDNS IP configured"));
    }

    #[test]
    fn an_empty_resolv_conf_setting_turns_look_ups_off() {
        let resolver = Resolver { host: None, ..resolver() };
        assert_eq!(lines(spec("Default", false), &resolver).0, "127.0.0.1|.|");
    }

    #[test]
    fn limits_are_kept_and_said() {
        let domains = |count: usize, letters: usize| -> Vec<String> {
            (0..count).map(|i| format!("{i:02}{}", "x".repeat(letters))).collect()
        };
        let own = |servers: Vec<&str>, searches: Vec<String>| json!({"containers": [], "dnsPolicy": "None", "dnsConfig": {"nameservers": servers, "searches": searches}});
        let cases = [
            ("four servers", own(vec!["1.1.1.1", "2.2.2.2", "3.3.3.3", "4.4.4.4"], vec![]), 3, 0, 1),
            ("thirty-three domains", own(vec![], domains(33, 1)), 0, 32, 1),
            ("a domain that is too long", own(vec![], domains(1, 300)), 0, 0, 1),
            ("too much text in all", own(vec![], domains(30, 98)), 0, 20, 1),
            ("just enough", own(vec!["1.1.1.1"], domains(32, 1)), 1, 32, 0),
        ];
        for (sentence, spec, servers, searches, said) in cases {
            let pod = json!({"metadata": {}, "spec": spec});
            let (config, notices) = of(&serde_json::from_value(pod).unwrap(), &resolver());
            let got = (config.servers.len(), config.searches.len(), notices.len());
            assert_eq!(got, (servers, searches, said), "{sentence}");
        }
    }

    #[test]
    fn a_resolv_conf_is_read_leniently() {
        let config = parse(
            "# c\n nameserver 1.1.1.1\nnameserver\nsearch a. b .\nsearch c\noptions ndots:1 x ndots:2\n?\n",
        );
        assert_eq!(config.servers, ["1.1.1.1"]);
        assert_eq!(config.searches, ["c"]);
        assert_eq!(config.options, ["x", "ndots:2"]);
    }
}
