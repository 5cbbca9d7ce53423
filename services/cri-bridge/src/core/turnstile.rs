//! Who may work on the runtime next.
//!
//! Sandboxes and containers are made a few at a time, because beyond that the runtime gets slower
//! for all. Whoever's pod came first goes first, whatever is asked for it: so a pod that was begun is
//! finished before the next is, and of many pods the first run early instead of all at the end. The
//! alternative, one queue in the order of asking, makes all sandboxes before any container.

use std::collections::BTreeMap;

/// How many work at once. Measured with containerd and runc on two cores: fewer leave the cores
/// idle while the kernel waits, more only queue up inside the runtime.
pub const AT_ONCE: usize = 4;

/// A waiting one: its pod's place in the line, then its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Ticket {
    pod: u64,
    own: u64,
}

/// The line and who is through. `W` is how a waiting one is told.
#[derive(Debug)]
pub struct Turnstile<W> {
    free: usize,
    tickets: u64,
    line: BTreeMap<Ticket, W>,
}

impl<W> Turnstile<W> {
    /// Lets so many through at once.
    pub fn new(at_once: usize) -> Self {
        Self { free: at_once, tickets: 0, line: BTreeMap::new() }
    }

    /// A place for a pod that is seen for the first time, behind all others.
    pub fn place(&mut self) -> u64 {
        self.tickets += 1;
        self.tickets
    }

    /// Joins the line.
    pub fn join(&mut self, pod: u64, waiting: W) {
        self.tickets += 1;
        self.line.insert(Ticket { pod, own: self.tickets }, waiting);
    }

    /// Comes back out.
    pub fn done(&mut self) {
        self.free += 1;
    }

    /// Lets the next one through, if there is room.
    pub fn admit(&mut self) -> Option<W> {
        if self.free == 0 {
            return None;
        }
        let (_, waiting) = self.line.pop_first()?;
        self.free -= 1;
        Some(waiting)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(turnstile: &mut Turnstile<&'static str>) -> Vec<&'static str> {
        std::iter::from_fn(|| turnstile.admit()).collect()
    }

    #[test]
    fn earlier_pods_go_first_whatever_they_want() {
        let mut turnstile = Turnstile::new(1);
        let (first, second, third) = (turnstile.place(), turnstile.place(), turnstile.place());
        turnstile.join(second, "second's sandbox");
        turnstile.join(third, "third's sandbox");
        turnstile.join(first, "first's container");
        turnstile.join(first, "first's other container");
        let mut order = Vec::new();
        while let Some(next) = turnstile.admit() {
            order.push(next);
            turnstile.done();
        }
        let want = ["first's container", "first's other container", "second's sandbox", "third's sandbox"];
        assert_eq!(order, want);
    }

    #[test]
    fn no_more_than_its_number_are_through_at_once() {
        let mut turnstile = Turnstile::new(2);
        let pod = turnstile.place();
        for name in ["a", "b", "c", "d"] {
            turnstile.join(pod, name);
        }
        assert_eq!(all(&mut turnstile), ["a", "b"]);
        turnstile.done();
        assert_eq!(all(&mut turnstile), ["c"]);
    }
}
