//! Whether a pod wants a port of the node that another one has.

use super::{House, Tenant};
use crate::core::spec;

/// Protocol, address and number; no address means all.
type HostPort<'a> = (&'a str, &'a str, i32);

/// Whether any of its host ports is taken.
pub(super) fn conflict(tenant: &Tenant<'_>, house: &House<'_>) -> bool {
    let wanted = host_ports(tenant);
    let taken = || house.tenants.iter().flat_map(host_ports);
    wanted.iter().any(|wanted| taken().any(|taken| meet(*wanted, taken)))
}

fn host_ports<'a>(tenant: &'a Tenant<'_>) -> Vec<HostPort<'a>> {
    let spec = tenant.spec();
    let sidecars = spec.init_containers.iter().flatten().filter(|container| spec::is_sidecar(container));
    let ports = sidecars.chain(&spec.containers).flat_map(|container| container.ports.iter().flatten());
    let host = ports.filter_map(|port| {
        let number = port.host_port.filter(|number| *number > 0)?;
        let address = port.host_ip.as_deref().filter(|address| !address.is_empty() && *address != "::");
        Some((port.protocol.as_deref().unwrap_or("TCP"), address.unwrap_or("0.0.0.0"), number))
    });
    host.collect()
}

fn meet(a: HostPort<'_>, b: HostPort<'_>) -> bool {
    let everywhere = a.1 == "0.0.0.0" || b.1 == "0.0.0.0";
    (a.0, a.2) == (b.0, b.2) && (everywhere || a.1 == b.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_meet_by_protocol_number_and_address() {
        let cases = [
            ("the same", ("TCP", "0.0.0.0", 80), ("TCP", "0.0.0.0", 80), true),
            ("another number", ("TCP", "0.0.0.0", 80), ("TCP", "0.0.0.0", 81), false),
            ("another protocol", ("TCP", "0.0.0.0", 80), ("UDP", "0.0.0.0", 80), false),
            ("all addresses meet each", ("TCP", "0.0.0.0", 80), ("TCP", "10.0.0.1", 80), true),
            ("two addresses do not meet", ("TCP", "10.0.0.2", 80), ("TCP", "10.0.0.1", 80), false),
        ];
        for (sentence, a, b, want) in cases {
            assert_eq!(meet(a, b), want, "{sentence}");
        }
    }
}
