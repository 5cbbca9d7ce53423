//! Saying what the pods' actors have to say, in the order in which they had it to say, and answering
//! whoever waits for that.
//!
//! The bus takes what is said into a queue of its own, so this one is short. It is not bounded, because
//! an actor that waited for it would not take messages meanwhile.

use chassis::Bus;
use messages::{Key, cri_bridge::RuntimePod};
use tokio::sync::mpsc::UnboundedReceiver;
use tracing::{Instrument, Span};

/// What is said of a pod.
pub enum What {
    /// What the runtime holds of it.
    Pod(Box<RuntimePod>),
    /// There is nothing of it any more.
    Gone(Key),
}

/// One saying.
pub struct Saying {
    /// What; nothing, to be told only that everything before was said.
    pub what: Option<What>,
    /// In whose span, so that those who hear it belong to the same trace.
    pub span: Span,
    /// What to do then.
    pub then: Box<dyn FnOnce()>,
}

/// Says what comes, for ever.
pub async fn say(bus: Bus, mut sayings: UnboundedReceiver<Saying>) {
    while let Some(Saying { what, span, then }) = sayings.recv().await {
        async {
            match what {
                Some(What::Pod(pod)) => bus.say(&*pod).await,
                Some(What::Gone(key)) => bus.retract::<RuntimePod>(&key).await,
                None => {}
            }
        }
        .instrument(span)
        .await;
        then();
    }
}
