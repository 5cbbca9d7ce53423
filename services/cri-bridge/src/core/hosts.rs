//! The pod's host name and its `/etc/hosts`. Tests of Kubernetes compare that file byte by byte.

use super::spec;
use k8s_openapi::api::core::v1 as core;
use std::{fmt::Write, net::IpAddr};

/// The longest host name that the kernel's 64 bytes hold, less the one for its end.
const LONGEST: usize = 63;
/// The longest that may be set when the whole domain name is.
const LONGEST_FQDN: usize = 64;

/// Why there is no host name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadHostname {
    /// Not a DNS label.
    #[error("pod {field} {value:?} is not a valid DNS label")]
    Label {
        /// `Hostname` or `Subdomain`.
        field: &'static str,
        /// What it is.
        value: String,
    },
    /// `hostnameOverride` is no domain name.
    #[error("pod HostnameOverride {0:?} is not a valid DNS subdomain")]
    Override(String),
    /// Nothing is left of it.
    #[error("hostname for pod {0:?} was invalid: {1:?}")]
    Empty(String, String),
    /// `setHostnameAsFQDN` with a long name.
    #[error("failed to construct FQDN from pod hostname and cluster domain, FQDN {0} is too long ({LONGEST_FQDN} characters is the max, {len} characters requested)", len = .0.len())]
    TooLong(String),
}

/// A pod's host name and the domain it is in, empty for none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hostname {
    /// As in `hostname`.
    pub name: String,
    /// As in `hostname -d`.
    pub domain: String,
}

impl Hostname {
    /// The name by the spec, cut to what fits.
    ///
    /// # Errors
    /// When a field of the spec is no name.
    pub fn of(pod: &core::Pod, cluster_domain: &str) -> Result<Self, BadHostname> {
        let spec = spec::of(pod);
        if let Some(name) = &spec.hostname_override {
            let labels_fit = name.len() <= 253 && name.split('.').all(is_label);
            return if labels_fit {
                Ok(Self { name: cut(pod, name)?, domain: String::new() })
            } else {
                Err(BadHostname::Override(name.clone()))
            };
        }
        let given = |field: &'static str, value: &Option<String>| match value.as_deref() {
            None | Some("") => Ok(None),
            Some(value) if is_label(value) => Ok(Some(value.to_owned())),
            Some(value) => Err(BadHostname::Label { field, value: value.to_owned() }),
        };
        let name = given("Hostname", &spec.hostname)?;
        let name = cut(pod, name.as_deref().unwrap_or(spec::name(pod)))?;
        let domain = given("Subdomain", &spec.subdomain)?;
        let domain = domain.map(|sub| format!("{sub}.{}.svc.{cluster_domain}", spec::namespace(pod)));
        Ok(Self { name, domain: domain.unwrap_or_default() })
    }

    /// What the kernel is told: the name, or with `setHostnameAsFQDN` the whole.
    ///
    /// # Errors
    /// When the whole is longer than the kernel takes.
    pub fn for_kernel(&self, as_fqdn: bool) -> Result<String, BadHostname> {
        if !as_fqdn || self.domain.is_empty() {
            return Ok(self.name.clone());
        }
        let fqdn = format!("{}.{}", self.name, self.domain);
        if fqdn.len() > LONGEST_FQDN { Err(BadHostname::TooLong(fqdn)) } else { Ok(fqdn) }
    }
}

fn cut(pod: &core::Pod, name: &str) -> Result<String, BadHostname> {
    let cut = match name.get(..LONGEST) {
        Some(cut) if name.len() > LONGEST => cut.trim_end_matches(['-', '.']),
        _ => name,
    };
    if cut.is_empty() {
        return Err(BadHostname::Empty(spec::name(pod).to_owned(), name.to_owned()));
    }
    Ok(cut.to_owned())
}

fn is_label(text: &str) -> bool {
    text.parse::<messages::ContainerName>().is_ok()
}

/// The file for a pod with a network of its own.
pub fn managed(pod: &core::Pod, hostname: &Hostname, ips: &[IpAddr]) -> String {
    let mut file = String::from(
        "# Kubernetes-managed hosts file.\n\
         127.0.0.1\tlocalhost\n\
         ::1\tlocalhost ip6-localhost ip6-loopback\n\
         fe00::0\tip6-localnet\n\
         fe00::0\tip6-mcastprefix\n\
         fe00::1\tip6-allnodes\n\
         fe00::2\tip6-allrouters\n",
    );
    let Hostname { name, domain } = hostname;
    for ip in ips {
        let _ = match domain.as_str() {
            "" => writeln!(file, "{ip}\t{name}"),
            domain => writeln!(file, "{ip}\t{name}.{domain}\t{name}"),
        };
    }
    file + &aliases(pod)
}

/// The file for a pod in the host's network: the node's own, with a head.
pub fn of_host(pod: &core::Pod, node_file: &str) -> String {
    format!("# Kubernetes-managed hosts file (host network).\n{node_file}{}", aliases(pod))
}

fn aliases(pod: &core::Pod) -> String {
    let spec = spec::of(pod);
    let aliases = spec.host_aliases.as_deref().unwrap_or_default();
    if aliases.is_empty() {
        return String::new();
    }
    let line = |alias: &core::HostAlias| {
        format!("{}\t{}\n", alias.ip, alias.hostnames.as_deref().unwrap_or_default().join("\t"))
    };
    format!("\n# Entries added by HostAliases.\n{}", aliases.iter().map(line).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn pod(name: &str, mut spec: Value) -> core::Pod {
        spec["containers"] = json!([]);
        serde_json::from_value(json!({"metadata": {"name": name, "namespace": "shop"}, "spec": spec}))
            .unwrap()
    }

    fn hostname(name: &str, spec: Value) -> Result<(String, String), BadHostname> {
        Hostname::of(&pod(name, spec), "cluster.local").map(|hostname| (hostname.name, hostname.domain))
    }

    #[test]
    fn a_host_name_is_the_pods_unless_the_spec_says_otherwise() {
        let long = format!("{}-{}", "a".repeat(62), "b".repeat(20));
        let cases = [
            ("the pod's name", "web", json!({}), "web", ""),
            ("the spec's", "web", json!({"hostname": "db"}), "db", ""),
            ("with a subdomain", "web", json!({"subdomain": "ring"}), "web", "ring.shop.svc.cluster.local"),
            ("cut, and not ending in a dash", &long, json!({}), &"a".repeat(62), ""),
            ("overridden", "web", json!({"hostnameOverride": "a.b", "subdomain": "x"}), "a.b", ""),
        ];
        for (sentence, name, spec, want, domain) in cases {
            assert_eq!(hostname(name, spec), Ok((want.to_owned(), domain.to_owned())), "{sentence}");
        }
    }

    #[test]
    fn what_is_no_host_name_is_refused_by_field() {
        let cases = [
            (json!({"hostname": "A"}), "pod Hostname \"A\" is not a valid DNS label"),
            (json!({"subdomain": "a.b"}), "pod Subdomain \"a.b\" is not a valid DNS label"),
            (
                json!({"hostnameOverride": "a..b"}),
                "pod HostnameOverride \"a..b\" is not a valid DNS subdomain",
            ),
        ];
        for (spec, want) in cases {
            assert_eq!(hostname("web", spec).unwrap_err().to_string(), want);
        }
    }

    #[test]
    fn the_kernel_is_told_the_whole_name_only_on_demand() {
        let hostname = Hostname { name: "web".into(), domain: "ring.shop.svc.cluster.local".into() };
        assert_eq!(hostname.for_kernel(false).unwrap(), "web");
        assert_eq!(hostname.for_kernel(true).unwrap(), "web.ring.shop.svc.cluster.local");
        let long = Hostname { domain: "x".repeat(62), ..hostname };
        assert!(
            long.for_kernel(true)
                .unwrap_err()
                .to_string()
                .contains("is too long (64 characters is the max, 66")
        );
    }

    #[test]
    fn the_hosts_file_is_written_to_the_byte() {
        let pod = pod("web", json!({"hostAliases": [{"ip": "1.2.3.4", "hostnames": ["a", "b"]}]}));
        let head = "# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n\
                    ::1\tlocalhost ip6-localhost ip6-loopback\nfe00::0\tip6-localnet\n\
                    fe00::0\tip6-mcastprefix\nfe00::1\tip6-allnodes\nfe00::2\tip6-allrouters\n";
        let tail = "\n# Entries added by HostAliases.\n1.2.3.4\ta\tb\n";
        let ips = ["10.1.0.5".parse().unwrap(), "fd00::5".parse().unwrap()];
        let plain = Hostname { name: "web".into(), domain: String::new() };
        assert_eq!(managed(&pod, &plain, &ips), format!("{head}10.1.0.5\tweb\nfd00::5\tweb\n{tail}"));
        let domain = Hostname { domain: "ring.shop".into(), ..plain };
        assert_eq!(managed(&pod, &domain, &ips[..1]), format!("{head}10.1.0.5\tweb.ring.shop\tweb\n{tail}"));
        assert_eq!(
            of_host(&pod, "x\n"),
            format!("# Kubernetes-managed hosts file (host network).\nx\n{tail}")
        );
    }
}
