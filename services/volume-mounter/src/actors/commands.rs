//! The commands of this service, handed to the actors.

use super::pods::Pods;
use actix::{Addr, Message};
use chassis::{Bus, BusError, Serving, telemetry};
use messages::{
    Decision, Outcome, PodUid, Refusal,
    volume_mounter::{BindSubpath, BindSubpathReply, PrepareVolumes, ReleaseVolumes},
};
use opentelemetry::Context as TraceContext;
use std::time::Duration;

/// A command that takes longer is answered `Accepted`, well before its caller loses patience.
pub(super) const SOON: Duration = Duration::from_secs(4);

/// Make a pod's volumes.
#[derive(Message)]
#[rtype(result = "Outcome")]
pub(super) struct Prepare {
    pub(super) pod: PodUid,
    pub(super) decision: Decision,
    /// What the making is part of.
    pub(super) context: TraceContext,
}

/// Take a pod's volumes away.
#[derive(Message)]
#[rtype(result = "Outcome")]
pub(super) struct Release {
    pub(super) pod: PodUid,
    pub(super) decision: Decision,
}

/// Bind a sub-path.
#[derive(Message)]
#[rtype(result = "BindSubpathReply")]
pub(super) struct Bind {
    pub(super) asked: BindSubpath,
    /// What the binding is part of.
    pub(super) context: TraceContext,
}

/// Serves all commands for as long as the result is kept.
///
/// # Errors
/// When a subscription can't be made.
pub(crate) async fn serve(bus: &Bus, pods: &Addr<Pods>) -> Result<[Serving; 3], BusError> {
    let (preparing, releasing, binding) = (pods.clone(), pods.clone(), pods.clone());
    Ok([
        bus.serve::<PrepareVolumes, _, _>(move |asked| {
            let PrepareVolumes { pod, decision } = asked.command;
            let context = telemetry::context_of_current();
            answer(preparing.send(Prepare { pod, decision, context }))
        })
        .await?,
        bus.serve::<ReleaseVolumes, _, _>(move |asked| {
            let ReleaseVolumes { pod, decision } = asked.command;
            answer(releasing.send(Release { pod, decision }))
        })
        .await?,
        bus.serve::<BindSubpath, _, _>(move |asked| {
            let context = telemetry::context_of_current();
            let binding = binding.send(Bind { asked: asked.command, context });
            async move {
                let refused = |_| BindSubpathReply::Refused { refusal: Refusal::Unavailable };
                binding.await.unwrap_or_else(refused)
            }
        })
        .await?,
    ])
}

/// An actor that does not answer is on its way out.
async fn answer(sent: impl Future<Output = Result<Outcome, actix::MailboxError>>) -> Outcome {
    sent.await.unwrap_or(Outcome::Refused { refusal: Refusal::Unavailable })
}
