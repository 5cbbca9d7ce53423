//! Waiting for a condition, never for a time: the only way in which scenarios let time pass.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};

/// Pause between two looks; a look that takes longer is followed by as long a pause, so that waiting for a slow
/// program leaves the machine half free.
const PAUSE: Duration = Duration::from_millis(50);

/// Looks until `look` finds something. When `patience` is over the error names `what` was waited for and the last
/// thing seen, which is the error of the last look.
pub fn until<T>(what: &str, patience: Duration, mut look: impl FnMut() -> Result<T>) -> Result<T> {
    let deadline = Instant::now() + patience;
    loop {
        let begin = Instant::now();
        let seen = match look() {
            Ok(found) => return Ok(found),
            Err(seen) => seen,
        };
        if Instant::now() >= deadline {
            return Err(anyhow!("{what} did not come within {patience:?}; last seen: {seen:#}"));
        }
        sleep(begin.elapsed().max(PAUSE));
    }
}

#[cfg(test)]
mod tests {
    use anyhow::bail;

    use super::*;

    #[test]
    fn returns_what_the_look_finds() {
        let mut looks = 0;
        let found = until("the third look", Duration::from_secs(10), || {
            looks += 1;
            if looks < 3 { bail!("only {looks}") } else { Ok(looks) }
        });
        assert_eq!(found.unwrap(), 3);
    }

    #[test]
    fn names_the_last_thing_seen_when_patience_ends() {
        let error = until::<()>("a miracle", Duration::ZERO, || bail!("an ordinary day")).unwrap_err();
        assert_eq!(error.to_string(), "a miracle did not come within 0ns; last seen: an ordinary day");
    }
}
