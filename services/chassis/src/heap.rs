//! Ten small heaps share a node's memory: what a burst of pods has left free goes back to the kernel.

use std::time::Duration;
use tokio::time::sleep;

/// How often. A walk over a heap of some megabytes takes less than a millisecond.
const EVERY: Duration = Duration::from_secs(10);

/// Gives back what is free, every few seconds, for ever.
pub(crate) async fn keep_small() {
    loop {
        sleep(EVERY).await;
        give_back();
    }
}

#[cfg(target_env = "gnu")]
#[expect(unsafe_code, reason = "glibc offers it as a C function alone")]
fn give_back() {
    // SAFETY: it takes glibc's own locks, may be called at any time, and moves nothing that is in use.
    unsafe { libc::malloc_trim(0) };
}

/// Other allocators give back by themselves.
#[cfg(not(target_env = "gnu"))]
fn give_back() {}
