//! Whether a container's image is there for its next start, and when to ask for it again.
//!
//! Every start asks first, as the stock kubelet does: the pull policy may want a fresh look, and
//! the image may have been collected. The answer counts for that one attempt.

use super::{backoff, moment::Moment, situation::Situation, spec::Part, waiting::Waiting};
use messages::{Fault, cri_bridge::ImageState};
use std::time::Duration;

/// Where an image stands for one start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Image {
    /// Confirmed for this attempt.
    Ready,
    /// To be asked for; what failed before is still to be shown.
    Ask(Option<Waiting>),
    /// It will be asked for again later.
    Wait {
        /// When the picture changes next.
        until: Moment,
        /// What to show meanwhile.
        shown: Waiting,
    },
}

/// Failures that waiting does not hide behind `ImagePullBackOff`: no pull has failed.
const NOT_PULLED: [&str; 3] = ["ErrImageNeverPull", "InvalidImageName", "ImageInspectError"];

/// Where the image of a container stands for a start of this attempt.
pub fn stand(situation: &Situation<'_>, part: &Part<'_>, attempt: u32) -> Image {
    if situation.world.pulled.get(part.name()) == Some(&attempt) {
        return Image::Ready;
    }
    let Some(ImageState::Failed { fault, at, failures }) = situation.runtime().image(part.image()) else {
        return Image::Ask(None);
    };
    let wait = backoff::image_wait(*failures);
    let (failed_at, due) = (Moment(*at), Moment(*at).after(wait));
    let turn = failed_at.after(backoff::shown_for(wait));
    let backing_off = backing_off(part, fault, *failures);
    match situation.now {
        now if now >= due => Image::Ask(Some(backing_off)),
        now if now >= turn => Image::Wait { until: due, shown: backing_off },
        _ => Image::Wait { until: turn, shown: Waiting::from(fault) },
    }
}

fn backing_off(part: &Part<'_>, fault: &Fault, failures: u32) -> Waiting {
    if NOT_PULLED.contains(&fault.reason.as_str()) {
        return Waiting::from(fault);
    }
    let message = format!("Back-off pulling image \"{}\": {}: {}", part.image(), fault.reason, fault.message);
    Waiting { reason: "ImagePullBackOff".into(), message, round: Some(failures) }
}

/// The longest time that an unanswered pull may go without any word before it is asked for again.
pub const PATIENCE: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::{
        backoff::CrashLoop,
        situation::{Known, Memory, World},
        testing::{PodBuilder, RuntimeBuilder, SECOND},
    };

    fn failed(reason: &str, failures: u32) -> Option<ImageState> {
        Some(ImageState::Failed { fault: Fault::new(reason, "no such host"), at: 100 * SECOND, failures })
    }

    #[test]
    fn a_failed_image_is_shown_and_asked_for_again_with_a_growing_wait() {
        let present = Some(ImageState::Present { image_ref: "sha256:1".into() });
        let cases = [
            ("nothing is known: ask", None, 100, "ask"),
            ("it is there, but not confirmed for this start: ask", present, 100, "ask"),
            ("just failed: its reason", failed("ErrImagePull", 1), 101, "ErrImagePull until 105"),
            ("a while later: back-off", failed("ErrImagePull", 1), 106, "ImagePullBackOff until 110"),
            ("time is up: ask", failed("ErrImagePull", 1), 110, "ask, showing ImagePullBackOff"),
            ("the fifth failure waits longer", failed("ErrImagePull", 5), 111, "ImagePullBackOff until 260"),
            (
                "never to be pulled stays that",
                failed("ErrImageNeverPull", 2),
                112,
                "ErrImageNeverPull until 120",
            ),
        ];
        for (sentence, image, second, want) in cases {
            let pod = PodBuilder::new().container("app").build();
            let mut runtime = RuntimeBuilder::ready();
            if let Some(image) = image {
                runtime = runtime.image("app", image);
            }
            let world = World { runtime: Known::Present(runtime.build()), ..World::default() };
            let (spec, memory) = (pod.spec.as_ref().unwrap(), Memory::new(Moment(0)));
            let (crash_loop, now) = (CrashLoop::default(), Moment(second * SECOND));
            let situation = Situation { pod: &pod, spec, world: &world, memory: &memory, crash_loop, now };
            let got = match stand(&situation, &situation.parts()[0], 0) {
                Image::Ready => "ready".into(),
                Image::Ask(None) => "ask".into(),
                Image::Ask(Some(shown)) => format!("ask, showing {}", shown.reason),
                Image::Wait { until, shown } => format!("{} until {}", shown.reason, until.0 / SECOND),
            };
            assert_eq!(got, want, "{sentence}");
        }
    }
}
