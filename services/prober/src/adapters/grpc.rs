//! gRPC probes: `grpc.health.v1.Health/Check`, in plaintext, must answer SERVING.

use super::{HostPort, socket};
use crate::core::{headers::USER_AGENT, outcome::Outcome};
use hyper_util::rt::TokioIo;
use proto::grpc::health::v1::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};
use std::time::Duration;
use tonic::{
    Code, Status,
    transport::{Channel, Endpoint, Uri},
};
use tower::service_fn;

/// Asks a server about a service; the empty name asks about the server itself.
pub async fn probe(address: (&str, u16), service: &str, timeout: Duration) -> Outcome {
    match tokio::time::timeout(timeout, check(address, service)).await {
        Ok(outcome) => outcome,
        Err(_) => Outcome::Failure(format!("timeout: health rpc did not complete within {timeout:?}")),
    }
}

async fn check((host, port): (&str, u16), service: &str) -> Outcome {
    let address = HostPort(host, port).to_string();
    let channel = match connect(host, port).await {
        Ok(channel) => channel,
        Err(why) => {
            return Outcome::Failure(format!("error: failed to connect service at {address:?}: {why}"));
        }
    };
    let request = HealthCheckRequest { service: service.to_owned() };
    match HealthClient::new(channel).check(request).await {
        Ok(answer) => judge(answer.into_inner().status()),
        Err(status) => Outcome::Failure(sentence(&status)),
    }
}

async fn connect(host: &str, port: u16) -> Result<Channel, String> {
    let uri = format!("http://{}", HostPort(host, port));
    let endpoint = Endpoint::from_shared(uri).and_then(|endpoint| endpoint.user_agent(USER_AGENT));
    let endpoint = endpoint.map_err(|bad| bad.to_string())?;
    let socket = socket::connect(host, port).await?;
    let mut only = Some(socket);
    let connector = service_fn(move |_: Uri| {
        let socket = only.take().ok_or_else(|| std::io::Error::other("a probe connects once"));
        async { socket.map(TokioIo::new) }
    });
    endpoint.connect_with_connector(connector).await.map_err(|error| error.to_string())
}

fn judge(status: ServingStatus) -> Outcome {
    match status {
        ServingStatus::Serving => Outcome::Success,
        other => Outcome::Failure(format!("service unhealthy (responded with {:?})", other.as_str_name())),
    }
}

fn sentence(status: &Status) -> String {
    match status.code() {
        Code::Unimplemented => format!(
            "error: this server does not implement the grpc health protocol (grpc.health.v1.Health): {}",
            status.message()
        ),
        code => {
            format!("error: health rpc probe failed: rpc error: code = {code:?} desc = {}", status.message())
        }
    }
}
