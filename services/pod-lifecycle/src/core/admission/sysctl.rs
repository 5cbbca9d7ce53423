//! Which kernel parameters a pod may set: those that only it can feel, and what the operator allows.

use super::{House, Rejection, Tenant};

/// Parameters that are namespaced and cannot hurt a neighbour.
const SAFE: [&str; 12] = [
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.ping_group_range",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
    "net.ipv4.tcp_rmem",
    "net.ipv4.tcp_wmem",
];

/// Which namespace a parameter lives in.
const NETWORK: &[&str] = &["net."];
const IPC: &[&str] = &["kernel.shm", "kernel.msg", "kernel.sem", "fs.mqueue."];

/// The first parameter that is not allowed.
pub(super) fn check(tenant: &Tenant<'_>, house: &House<'_>) -> Option<Rejection> {
    let spec = tenant.spec();
    let wanted = spec.security_context.iter().flat_map(|context| context.sysctls.iter().flatten());
    let refusals = wanted.filter_map(|sysctl| {
        let name = sysctl.name.replace('/', ".");
        let of = |prefixes: &[&str]| prefixes.iter().any(|prefix| name.starts_with(prefix));
        if of(NETWORK) && spec.host_network == Some(true) {
            Some(format!("forbidden sysctl: \"{name}\" not allowed with host net enabled"))
        } else if of(IPC) && spec.host_ipc == Some(true) {
            Some(format!("forbidden sysctl: \"{name}\" not allowed with host ipc enabled"))
        } else if !is_allowed(&name, house.unsafe_sysctls) {
            Some(format!("forbidden sysctl: \"{name}\" not allowlisted"))
        } else {
            None
        }
    });
    refusals.map(|message| Rejection::new("SysctlForbidden", message)).next()
}

fn is_allowed(name: &str, patterns: &[String]) -> bool {
    let matches = |pattern: &String| match pattern.replace('/', ".").strip_suffix('*') {
        Some(prefix) => name.starts_with(prefix),
        None => pattern.replace('/', ".") == name,
    };
    SAFE.contains(&name) || patterns.iter().any(matches)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_safe_ones_and_the_operators_are_allowed() {
        let patterns = ["net.core.*".to_owned(), "kernel/msgmax".to_owned()];
        let cases = [
            ("a safe one", "net.ipv4.tcp_syncookies", true),
            ("one below a pattern", "net.core.somaxconn", true),
            ("one by its name", "kernel.msgmax", true),
            ("another", "kernel.msgmnb", false),
            ("one that only begins like it", "kernel.msgmaxx", false),
        ];
        for (sentence, name, want) in cases {
            assert_eq!(is_allowed(name, &patterns), want, "{sentence}");
        }
    }
}
