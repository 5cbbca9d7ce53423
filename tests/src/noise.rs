//! How much slower than alone this machine runs what a test is about: other programs want its processors too. A test of
//! time allows for it, so that it fails for what is slow and not for who is beside it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::time::{ClockId, clock_gettime};

/// Pause between two looks.
const PAUSE: Duration = Duration::from_millis(5);
/// What a look costs of the processor.
const WORK: Duration = Duration::from_micros(200);
/// How late a thread is that was woken on a machine that does nothing else.
const USUAL: Duration = Duration::from_micros(100);

/// Looks from now on, until it is asked.
pub struct Noise {
    enough: Arc<AtomicBool>,
    looking: JoinHandle<Heard>,
}

/// What was found out.
#[derive(Clone, Copy, Debug, Default)]
pub struct Heard {
    looks: u32,
    late: Duration,
    worked: Duration,
    took: Duration,
}

impl Noise {
    /// Begins to look.
    pub fn listen() -> Self {
        let enough = Arc::new(AtomicBool::new(false));
        let until = enough.clone();
        let looking = thread::spawn(move || {
            let mut heard = Heard::default();
            while !until.load(Ordering::Relaxed) {
                heard.look();
            }
            heard
        });
        Self { enough, looking }
    }

    /// What was found out until now.
    pub fn heard(self) -> Heard {
        self.enough.store(true, Ordering::Relaxed);
        // The thread neither fails nor panics.
        self.looking.join().unwrap_or_default()
    }
}

impl Heard {
    fn look(&mut self) {
        let begin = Instant::now();
        thread::sleep(PAUSE);
        self.late += begin.elapsed().saturating_sub(PAUSE);
        let (begin, busy) = (Instant::now(), processor());
        while processor().saturating_sub(busy) < WORK {
            std::hint::spin_loop();
        }
        self.took += begin.elapsed();
        self.worked += processor().saturating_sub(busy);
        self.looks += 1;
    }

    /// How long that takes now which alone takes `time` of work, and is woken so many times meanwhile.
    pub fn stretched(&self, time: Duration, wakes: u32) -> Duration {
        let looks = self.looks.max(1);
        let late = (self.late / looks).saturating_sub(USUAL);
        let slower = self.took.as_secs_f64() / self.worked.as_secs_f64().max(1e-9);
        time.mul_f64(slower.max(1.0)) + late * wakes
    }
}

/// What this thread has had of the processor.
fn processor() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map(Duration::from).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_takes_as_long_as_alone_or_longer() {
        let noise = Noise::listen();
        thread::sleep(Duration::from_millis(50));
        let heard = noise.heard();
        assert!(heard.looks > 0, "{heard:?}");
        assert!(heard.stretched(Duration::from_millis(20), 10) >= Duration::from_millis(20), "{heard:?}");
    }

    #[test]
    fn noise_stretches_work_and_every_wake() {
        let millis = Duration::from_millis;
        let heard = Heard { looks: 10, late: millis(21), worked: millis(4), took: millis(8) };
        assert_eq!(heard.stretched(millis(20), 5), millis(50), "twice the work, and five times two late");
        let quiet = Heard { looks: 10, late: millis(1), worked: millis(4), took: millis(4) };
        assert_eq!(quiet.stretched(millis(20), 5), millis(20));
    }
}
