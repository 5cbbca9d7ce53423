//! How long to wait before something that failed is tried again.
//!
//! A container that keeps ending: at once the first time, then 10 s doubling to five minutes,
//! counted from the end of its last run; a run of ten minutes starts the count again. The clock of
//! each container is journaled, so that a restart of this process neither forgets nor repeats a
//! wait. An image: 10 s doubling to five minutes from the last failure. Everything else: 10 to 15 s, or 2 to 4 s
//! where the pod is not to blame and what it needs is out of reach for the moment.

use super::{fnv, moment::Moment};
use k8s_openapi::api::core::v1::{Container, Pod};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The first wait, of containers and images alike.
const FIRST: Duration = Duration::from_secs(10);
/// The least wait after a failure that may pass at any moment.
const PASSING: Duration = Duration::from_secs(2);
/// After this long without a new start, a container's count begins again.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(600);
/// The longest wait for an image.
const IMAGE_MOST: Duration = Duration::from_secs(300);

/// What is remembered of one container's restarts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clock {
    /// What the count is about: changes with image and resources, and then the count is void.
    pub key: u64,
    /// The wait before the next start.
    pub delay: Duration,
    /// When the last start was decided.
    pub updated: Moment,
    /// The attempt that was decided then.
    pub attempt: u32,
}

/// The rule for restarting containers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CrashLoop {
    /// The longest wait: `crashLoopBackOff.maxContainerRestartPeriod`, five minutes by default.
    pub most: Duration,
}

impl Default for CrashLoop {
    fn default() -> Self {
        Self { most: Duration::from_secs(300) }
    }
}

impl CrashLoop {
    /// When a container that ended at `finished` may be started again; `None` when at once.
    pub fn wait(&self, clock: Option<&Clock>, finished: Moment, now: Moment) -> Option<Moment> {
        let clock = clock.filter(|clock| now.since(clock.updated) <= FORGOTTEN_AFTER)?;
        let due = finished.after(clock.delay);
        (due > now).then_some(due)
    }

    /// The clock once a start of `attempt` after an end at `finished` was decided. Deciding the
    /// same attempt again changes nothing.
    pub fn started(&self, clock: Option<&Clock>, start: Start, now: Moment) -> Clock {
        let known = clock.filter(|clock| clock.key == start.key);
        if let Some(same) = known.filter(|clock| clock.attempt >= start.attempt) {
            return same.clone();
        }
        let lasting = known.filter(|clock| start.finished.since(clock.updated) <= FORGOTTEN_AFTER);
        let delay = lasting.map_or(FIRST, |clock| clock.delay * 2).min(self.most);
        Clock { key: start.key, delay, updated: now, attempt: start.attempt }
    }
}

/// A start that was decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Start {
    /// [`key`] of the container.
    pub key: u64,
    /// The attempt to be started.
    pub attempt: u32,
    /// When the run before it ended.
    pub finished: Moment,
}

/// What a container's count is about: pod, name, image and resources.
pub fn key(pod: &Pod, container: &Container) -> u64 {
    let image = container.image.as_deref().unwrap_or_default();
    let resources = serde_json::to_string(&container.resources).unwrap_or_default();
    let uid = pod.metadata.uid.as_deref().unwrap_or_default();
    let parts = [uid, "\0", &container.name, "\0", image, "\0", &resources];
    fnv::fnv64(&parts.map(str::as_bytes))
}

/// The wait after this many failed pulls in a row.
pub fn image_wait(failures: u32) -> Duration {
    let doublings = failures.saturating_sub(1).min(10);
    FIRST.saturating_mul(1 << doublings).min(IMAGE_MOST)
}

/// The wait after a failed sandbox, container creation or volume command: 10 s and up to half as
/// much again, spread by what failed so that many pods do not try in step.
pub fn retry_wait(seed: &str) -> Duration {
    FIRST + Duration::from_millis(fnv::fnv64(&[seed.as_bytes()]) % 5_000)
}

/// The wait after a failure that is not of the pod's making and may pass at any moment, such as an API server
/// that is away: 2 to 4 s, so that a node has caught up within ten seconds of its end.
pub fn passing_wait(seed: &str) -> Duration {
    PASSING + Duration::from_millis(fnv::fnv64(&[seed.as_bytes()]) % 2_000)
}

/// How long a failure is shown by its own reason before the wait is shown instead.
pub fn shown_for(wait: Duration) -> Duration {
    (wait / 2).min(FIRST)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: u64 = 7;

    fn at(seconds: u64) -> Moment {
        Moment(0).after(Duration::from_secs(seconds))
    }

    /// Runs a container that ends a second after each start, and tells the seconds waited.
    fn waits(rule: CrashLoop, restarts: u32) -> Vec<u64> {
        let (mut clock, mut now, mut waited) = (None, at(1), Vec::new());
        for attempt in 1..=restarts {
            let finished = now;
            let due = rule.wait(clock.as_ref(), finished, now).unwrap_or(now);
            waited.push(due.since(finished).as_secs());
            clock = Some(rule.started(clock.as_ref(), Start { key: KEY, attempt, finished }, due));
            now = due.after(Duration::from_secs(1));
        }
        waited
    }

    #[test]
    fn the_first_restart_is_at_once_and_waits_double_to_the_most() {
        assert_eq!(waits(CrashLoop::default(), 8), [0, 10, 20, 40, 80, 160, 300, 300]);
        assert_eq!(waits(CrashLoop { most: Duration::from_secs(1) }, 3), [0, 1, 1]);
    }

    #[test]
    fn a_long_run_starts_the_count_again() {
        let rule = CrashLoop::default();
        let clock = Clock { key: KEY, delay: Duration::from_secs(160), updated: at(0), attempt: 5 };
        let (early, late) = (at(600), at(601));
        let start = |finished| Start { key: KEY, attempt: 6, finished };
        assert_eq!(rule.wait(Some(&clock), early, early), Some(early.after(clock.delay)));
        assert_eq!(rule.wait(Some(&clock), late, late), None);
        assert_eq!(rule.started(Some(&clock), start(early), early).delay, Duration::from_secs(300));
        assert_eq!(rule.started(Some(&clock), start(late), late).delay, FIRST);
    }

    #[test]
    fn deciding_the_same_attempt_twice_counts_once() {
        let rule = CrashLoop::default();
        let start = Start { key: KEY, attempt: 1, finished: at(1) };
        let once = rule.started(None, start, at(1));
        assert_eq!(rule.started(Some(&once), start, at(2)), once);
    }

    #[test]
    fn another_image_voids_the_count() {
        let clock = Clock { key: KEY, delay: Duration::from_secs(300), updated: at(0), attempt: 9 };
        let start = Start { key: KEY + 1, attempt: 10, finished: at(5) };
        assert_eq!(CrashLoop::default().started(Some(&clock), start, at(5)).delay, FIRST);
    }

    #[test]
    fn images_wait_from_ten_seconds_to_five_minutes() {
        let waits: Vec<u64> = (1..=7).map(|failures| image_wait(failures).as_secs()).collect();
        assert_eq!(waits, [10, 20, 40, 80, 160, 300, 300]);
    }
}
