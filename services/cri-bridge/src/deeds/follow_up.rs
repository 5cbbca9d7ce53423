//! Looking for what a call has made that was not answered. Nothing is asked for again under the same name and
//! attempt while the runtime may still be at it.

use super::{End, Subject};
use crate::adapters::containerd::RuntimeError;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How often it is looked for.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How long it is looked for whose name is taken by an earlier call, which was given up.
const RESERVED_PATIENCE: Duration = Duration::from_secs(5);

/// Looks until it is there, or for as long as the runtime may be at it; tells its id.
///
/// # Errors
/// When it need not be looked for any more, or nobody can tell.
pub(super) async fn look_for<F>(
    subject: &Subject,
    unanswered: &RuntimeError,
    look: impl Fn() -> F,
) -> Result<Option<String>, End>
where
    F: Future<Output = Result<Option<String>, RuntimeError>>,
{
    let patience = match unanswered {
        cut_off if cut_off.is_cut_off() => Duration::ZERO,
        reserved if reserved.is_reserved() => RESERVED_PATIENCE,
        _ => subject.world.settings.patience,
    };
    let deadline = Instant::now() + patience;
    loop {
        match look().await {
            Ok(Some(found)) => return Ok(Some(found)),
            Err(error) if End::of_call(&error, || End::Halted) == End::Away => return Err(End::Away),
            Ok(None) | Err(_) => {}
        }
        if subject.is_halted() {
            return Err(End::Halted);
        }
        if Instant::now() >= deadline {
            return Ok(None);
        }
        sleep(LOOK_EVERY).await;
    }
}
