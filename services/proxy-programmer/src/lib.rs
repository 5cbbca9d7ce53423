//! The process that will write packet rules. So far it only has its place: in the catalog, under the
//! supervisor and behind its permissions. It programs nothing and says so. [`mod@core`] holds the rules
//! that it is to follow and [`adapters`] the way into the kernel; only tests call them yet.

pub mod adapters;
pub mod core;

use chassis::Service;
use messages::proxy_programmer::Table;

/// Says that nothing is programmed, and waits to be stopped.
pub async fn run(service: Service) -> Result<(), std::convert::Infallible> {
    service.bus.say(&Table { mode: String::new(), service_ports: 0, endpoints: 0, committed_at: 0 }).await;
    service.health.ready();
    service.stop.told().await;
    Ok(())
}
