//! Lifecycle hooks: what is to be done for a postStart or preStop handler
//! (`pkg/kubelet/lifecycle/handlers.go`).

use k8s_openapi::{api::core::v1 as core, apimachinery::pkg::util::intstr::IntOrString};
use std::{net::IpAddr, time::Duration};

/// What a hook does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hook {
    /// Run a command in the container; not expanded, without a time limit of its own.
    Exec(Vec<String>),
    /// Ask a server once.
    Http(Request),
    /// Wait.
    Sleep(Duration),
}

/// One HTTP request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Over TLS, whose certificate is not looked at.
    pub is_https: bool,
    /// Address or name to connect to.
    pub host: String,
    /// Port to connect to.
    pub port: u16,
    /// Path and query, beginning with `/`.
    pub target: String,
    /// Headers, `Host` and the defaults among them.
    pub headers: Vec<(String, String)>,
}

/// Why a hook cannot be run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadHook {
    /// Nothing that can be done. `tcpSocket` never was.
    #[error("invalid handler")]
    Nothing,
    /// The pod has no address, and the hook names no host.
    #[error("failed to find networking container")]
    NoAddress,
    /// The port is neither a number nor the name of a port of the container.
    #[error("couldn't find port: {0:?}")]
    NoPort(String),
}

/// What a request says of us unless the hook says otherwise.
const USER_AGENT: &str = concat!("kube-lifecycle/", "1.36");

impl Hook {
    /// Reads a handler.
    ///
    /// # Errors
    /// When it is none that can be run.
    pub fn of(
        handler: &core::LifecycleHandler,
        ports: &[core::ContainerPort],
        pod_ip: Option<IpAddr>,
    ) -> Result<Self, BadHook> {
        if let Some(exec) = &handler.exec {
            return Ok(Self::Exec(exec.command.clone().unwrap_or_default()));
        }
        if let Some(sleep) = &handler.sleep {
            return Ok(Self::Sleep(Duration::from_secs(u64::try_from(sleep.seconds).unwrap_or_default())));
        }
        let http = handler.http_get.as_ref().ok_or(BadHook::Nothing)?;
        Ok(Self::Http(request(http, ports, pod_ip)?))
    }
}

fn request(
    http: &core::HTTPGetAction,
    ports: &[core::ContainerPort],
    pod_ip: Option<IpAddr>,
) -> Result<Request, BadHook> {
    let named = http.host.clone().filter(|host| !host.is_empty());
    let host = named.or(pod_ip.map(|ip| ip.to_string())).ok_or(BadHook::NoAddress)?;
    let port = port(&http.port, ports)?;
    let path = http.path.as_deref().unwrap_or_default();
    let target = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
    let is_https = http.scheme.as_deref().is_some_and(|scheme| scheme.eq_ignore_ascii_case("https"));
    let headers = headers(http, &host, port);
    Ok(Request { is_https, host, port, target, headers })
}

fn headers(http: &core::HTTPGetAction, host: &str, port: u16) -> Vec<(String, String)> {
    let given: Vec<_> =
        http.http_headers.iter().flatten().map(|h| (h.name.clone(), h.value.clone())).collect();
    let authority = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
    let defaults = [("Host", authority.as_str()), ("User-Agent", USER_AGENT), ("Accept", "*/*")];
    let lacking = |name: &str| !given.iter().any(|(given, _)| given.eq_ignore_ascii_case(name));
    let mut headers: Vec<(String, String)> = defaults
        .into_iter()
        .filter(|(name, _)| lacking(name))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    // An empty value takes a default away and is not sent.
    headers.extend(given.into_iter().filter(|(_, value)| !value.is_empty()));
    headers
}

fn port(port: &IntOrString, ports: &[core::ContainerPort]) -> Result<u16, BadHook> {
    let (number, shown) = match port {
        IntOrString::Int(number) => (Some(*number), number.to_string()),
        IntOrString::String(name) => {
            let named = ports.iter().find(|port| port.name.as_deref() == Some(name));
            (named.map(|port| port.container_port).or(name.parse().ok()), name.clone())
        }
    };
    number.and_then(|n| u16::try_from(n).ok()).filter(|n| *n > 0).ok_or(BadHook::NoPort(shown))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn hook(handler: Value) -> Result<Hook, BadHook> {
        let ports: Vec<core::ContainerPort> =
            serde_json::from_value(json!([{"name": "web", "containerPort": 8080}])).unwrap();
        Hook::of(&serde_json::from_value(handler).unwrap(), &ports, Some("fd00::5".parse().unwrap()))
    }

    fn http(action: Value) -> Result<String, BadHook> {
        let Hook::Http(request) = hook(json!({"httpGet": action}))? else { panic!("no request") };
        let headers: Vec<_> = request.headers.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let scheme = if request.is_https { "https" } else { "http" };
        Ok(format!("{scheme} {} {} {} {}", request.host, request.port, request.target, headers.join(" ")))
    }

    #[test]
    fn a_command_and_a_sleep() {
        assert_eq!(
            hook(json!({"exec": {"command": ["a", "$(B)"]}})),
            Ok(Hook::Exec(vec!["a".into(), "$(B)".into()]))
        );
        assert_eq!(hook(json!({"sleep": {"seconds": 3}})), Ok(Hook::Sleep(Duration::from_secs(3))));
    }

    #[test]
    fn a_request_goes_to_the_pod_unless_it_says_otherwise() {
        let defaults = "User-Agent=kube-lifecycle/1.36 Accept=*/*";
        let cases = [
            (
                "the pod, a port by name",
                json!({"port": "web", "path": "echo?msg=a"}),
                format!("http fd00::5 8080 /echo?msg=a Host=[fd00::5]:8080 {defaults}"),
            ),
            (
                "another host, over TLS, a number as text",
                json!({"host": "a.example", "port": "443", "scheme": "HTTPS"}),
                format!("https a.example 443 / Host=a.example:443 {defaults}"),
            ),
            (
                "headers replace defaults, and an empty one takes it away",
                json!({"port": 80, "httpHeaders": [{"name": "host", "value": "h"}, {"name": "Accept", "value": ""},
                                                   {"name": "X", "value": "1"}]}),
                "http fd00::5 80 / User-Agent=kube-lifecycle/1.36 host=h X=1".to_owned(),
            ),
        ];
        for (sentence, action, want) in cases {
            assert_eq!(http(action), Ok(want), "{sentence}");
        }
    }

    #[test]
    fn what_cannot_be_run_is_refused() {
        assert_eq!(hook(json!({})), Err(BadHook::Nothing));
        assert_eq!(hook(json!({"tcpSocket": {"port": 80}})), Err(BadHook::Nothing));
        for port in [json!("none"), json!(0), json!(70_000)] {
            assert!(matches!(http(json!({"port": port})), Err(BadHook::NoPort(_))), "{port}");
        }
    }
}
