//! What one probe does, with defaults, named ports and the pod's address filled in.

use k8s_openapi::{api::core::v1 as core, apimachinery::pkg::util::intstr::IntOrString};
use std::collections::BTreeMap;

/// One attempt's deed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Check {
    /// Run the container's command; it is here only to be named in messages.
    Exec {
        /// The command and its arguments.
        command: Vec<String>,
    },
    /// Send an HTTP GET.
    Http(HttpGet),
    /// Open a TCP connection.
    Tcp {
        /// Address or DNS name.
        host: String,
        /// Port.
        port: u16,
    },
    /// Ask `grpc.health.v1.Health/Check`.
    Grpc {
        /// The pod's address.
        host: String,
        /// Port.
        port: u16,
        /// The service that is asked about; empty for the whole server.
        service: String,
    },
}

/// An HTTP probe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpGet {
    /// `http` or `https`.
    pub scheme: String,
    /// Address or DNS name.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Path and query as the spec has them.
    pub path: String,
    /// Headers as the spec has them, in order.
    pub headers: Vec<(String, String)>,
}

/// Why there is no deed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unresolved {
    /// The pod's address is not known yet; trying again later helps.
    #[error("the pod has no address yet")]
    NoAddress,
    /// The probe names no action.
    #[error("missing probe handler")]
    NoAction,
    /// A port's name stands in no `containerPort`, and is no number either.
    #[error("the container has no port named {0:?}")]
    UnknownPort(String),
    /// A number outside 1 to 65535.
    #[error("invalid port number: {0}")]
    BadPort(i64),
    /// Neither HTTP nor HTTPS.
    #[error("unknown scheme {0:?}")]
    BadScheme(String),
}

/// What surrounds the probe: the pod's address and the container's ports by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Surroundings {
    /// The pod's primary address.
    pub ip: Option<String>,
    /// `containerPort` by port name.
    pub ports: BTreeMap<String, u16>,
}

impl Check {
    /// The deed of a probe.
    ///
    /// # Errors
    /// When the probe can't be carried out as it stands.
    pub fn of(probe: &core::Probe, around: &Surroundings) -> Result<Self, Unresolved> {
        if let Some(exec) = &probe.exec {
            Ok(Self::Exec { command: exec.command.clone().unwrap_or_default() })
        } else if let Some(get) = &probe.http_get {
            http(get, around).map(Self::Http)
        } else if let Some(tcp) = &probe.tcp_socket {
            Ok(Self::Tcp { host: around.host(tcp.host.as_deref())?, port: around.port(&tcp.port)? })
        } else if let Some(grpc) = &probe.grpc {
            let service = grpc.service.clone().unwrap_or_default();
            Ok(Self::Grpc { host: around.host(None)?, port: in_range(grpc.port.into())?, service })
        } else {
            Err(Unresolved::NoAction)
        }
    }
}

fn http(get: &core::HTTPGetAction, around: &Surroundings) -> Result<HttpGet, Unresolved> {
    let headers = get.http_headers.iter().flatten();
    Ok(HttpGet {
        scheme: scheme(get.scheme.as_deref())?,
        host: around.host(get.host.as_deref())?,
        port: around.port(&get.port)?,
        path: get.path.clone().unwrap_or_default(),
        headers: headers.map(|header| (header.name.clone(), header.value.clone())).collect(),
    })
}

fn scheme(given: Option<&str>) -> Result<String, Unresolved> {
    match given.unwrap_or_default().to_ascii_lowercase().as_str() {
        "" | "http" => Ok("http".to_owned()),
        "https" => Ok("https".to_owned()),
        other => Err(Unresolved::BadScheme(other.to_owned())),
    }
}

impl Surroundings {
    fn host(&self, given: Option<&str>) -> Result<String, Unresolved> {
        let given = given.filter(|host| !host.is_empty()).map(str::to_owned);
        given.or_else(|| self.ip.clone()).ok_or(Unresolved::NoAddress)
    }

    /// A port by number, by name, or by a number written as a name.
    fn port(&self, given: &IntOrString) -> Result<u16, Unresolved> {
        let name = match given {
            IntOrString::Int(number) => return in_range((*number).into()),
            IntOrString::String(name) => name,
        };
        match (self.ports.get(name), name.parse()) {
            (Some(port), _) => in_range((*port).into()),
            (None, Ok(number)) => in_range(number),
            (None, Err(_)) => Err(Unresolved::UnknownPort(name.clone())),
        }
    }
}

fn in_range(number: i64) -> Result<u16, Unresolved> {
    u16::try_from(number).ok().filter(|port| *port > 0).ok_or(Unresolved::BadPort(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn around() -> Surroundings {
        Surroundings { ip: Some("10.0.0.7".into()), ports: BTreeMap::from([("web".into(), 8080)]) }
    }

    fn tcp(port: IntOrString, host: Option<&str>) -> core::Probe {
        let tcp_socket = Some(core::TCPSocketAction { port, host: host.map(str::to_owned) });
        core::Probe { tcp_socket, ..Default::default() }
    }

    #[test]
    fn ports_are_found_by_number_and_by_name() {
        let at = |port| Ok(Check::Tcp { host: "10.0.0.7".into(), port });
        let named = |name: &str| IntOrString::String(name.into());
        let cases = [
            ("a number", IntOrString::Int(80), at(80)),
            ("a name", named("web"), at(8080)),
            ("a number written as a name", named("81"), at(81)),
            ("a name that no port has", named("admin"), Err(Unresolved::UnknownPort("admin".into()))),
            ("zero", IntOrString::Int(0), Err(Unresolved::BadPort(0))),
            ("beyond the last", IntOrString::Int(65536), Err(Unresolved::BadPort(65536))),
            ("negative, as a name", named("-1"), Err(Unresolved::BadPort(-1))),
        ];
        for (name, port, want) in cases {
            assert_eq!(Check::of(&tcp(port, None), &around()), want, "{name}");
        }
    }

    #[test]
    fn the_pods_address_is_the_default_host() {
        let nowhere = Surroundings::default();
        let cases = [
            ("no host given", None, around(), Ok("10.0.0.7")),
            ("an empty host is none", Some(""), around(), Ok("10.0.0.7")),
            ("a host of its own", Some("db.example"), around(), Ok("db.example")),
            ("a host of its own needs no address", Some("db.example"), nowhere.clone(), Ok("db.example")),
            ("no address yet", None, nowhere, Err(Unresolved::NoAddress)),
        ];
        for (name, host, around, want) in cases {
            let got = Check::of(&tcp(IntOrString::Int(1), host), &around);
            let want = want.map(|host| Check::Tcp { host: host.into(), port: 1 });
            assert_eq!(got, want, "{name}");
        }
    }

    #[test]
    fn an_http_probe_keeps_path_and_headers_and_lowers_the_scheme() {
        let header = core::HTTPHeader { name: "X-A".into(), value: "1".into() };
        let get = core::HTTPGetAction {
            scheme: Some("HTTPS".into()),
            port: IntOrString::String("web".into()),
            path: Some("/healthz?deep=1".into()),
            http_headers: Some(vec![header]),
            ..Default::default()
        };
        let probe = core::Probe { http_get: Some(get), ..Default::default() };
        let want = HttpGet {
            scheme: "https".into(),
            host: "10.0.0.7".into(),
            port: 8080,
            path: "/healthz?deep=1".into(),
            headers: vec![("X-A".into(), "1".into())],
        };
        assert_eq!(Check::of(&probe, &around()), Ok(Check::Http(want)));
    }

    #[test]
    fn a_probe_without_an_action_is_told() {
        assert_eq!(Check::of(&core::Probe::default(), &around()), Err(Unresolved::NoAction));
    }
}
