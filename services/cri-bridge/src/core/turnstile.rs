//! Who may work on the runtime next.
//!
//! Sandboxes and containers are made, and taken away, a few at a time, because beyond that the runtime
//! gets slower for all. Whoever's pod came first goes first, whatever is asked for it: so a pod that was begun is
//! finished before the next is, and of many pods the first run early instead of all at the end. The
//! alternative, one queue in the order of asking, makes all sandboxes before any container.

use std::{collections::BTreeMap, time::Duration};

/// How many work at once on so many cores: two per core, because the kernel waits as much as the cores work, and four
/// at least. Measured with containerd 2.4 and runc on two cores: of thirty pods all run as early four at a time as eight
/// at a time, and the mean pod a fifteenth earlier.
pub fn at_once(cores: usize) -> usize {
    cores.saturating_mul(2).clamp(4, 32)
}

/// How long a pod's place is kept until it comes again: from its sandbox to its containers it is twice over the bus.
pub const KEPT: Duration = Duration::from_millis(200);

/// How long anybody counts as working. Whose network takes longer waits rather than works, and others go on.
pub const PATIENCE: Duration = Duration::from_secs(5);

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
    /// Pods whose place inside is kept for what is asked for them next, and the number of who kept it.
    kept: BTreeMap<u64, u64>,
    tickets: u64,
    line: BTreeMap<Ticket, W>,
}

impl<W> Turnstile<W> {
    /// Lets so many through at once.
    pub fn new(at_once: usize) -> Self {
        Self { free: at_once, kept: BTreeMap::new(), tickets: 0, line: BTreeMap::new() }
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

    /// Comes back out, and is about to come again for the same pod. The number tells one keeping from another.
    pub fn keep(&mut self, pod: u64, number: u64) {
        if self.kept.insert(pod, number).is_some() {
            self.done();
        }
    }

    /// It did not come again: the place is anybody's, unless it has been kept anew since.
    pub fn release(&mut self, pod: u64, number: u64) {
        if self.kept.get(&pod) == Some(&number) {
            self.kept.remove(&pod);
            self.done();
        }
    }

    /// Lets the next one through, if there is room or its place was kept; tells its pod too.
    pub fn admit(&mut self) -> Option<(u64, W)> {
        let is_kept = |ticket: &&Ticket| self.kept.contains_key(&ticket.pod);
        if let Some(ticket) = self.line.keys().find(is_kept).copied() {
            self.kept.remove(&ticket.pod);
            return Some((ticket.pod, self.line.remove(&ticket)?));
        }
        if self.free == 0 {
            return None;
        }
        let (ticket, waiting) = self.line.pop_first()?;
        self.free -= 1;
        Some((ticket.pod, waiting))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(turnstile: &mut Turnstile<&'static str>) -> Vec<&'static str> {
        std::iter::from_fn(|| turnstile.admit().map(|(_, name)| name)).collect()
    }

    #[test]
    fn a_kept_place_is_for_the_same_pod_until_it_is_released() {
        let mut turnstile = Turnstile::new(1);
        let (first, second) = (turnstile.place(), turnstile.place());
        turnstile.join(second, "second's sandbox");
        assert_eq!(all(&mut turnstile), ["second's sandbox"]);
        turnstile.join(first, "first's sandbox");
        turnstile.keep(second, 1);
        assert_eq!(all(&mut turnstile), [""; 0], "it is kept");
        turnstile.join(second, "second's container");
        assert_eq!(all(&mut turnstile), ["second's container"], "though the first pod came earlier");
        turnstile.keep(second, 2);
        turnstile.release(second, 1);
        assert_eq!(all(&mut turnstile), [""; 0], "it was kept anew");
        turnstile.release(second, 2);
        assert_eq!(all(&mut turnstile), ["first's sandbox"]);
        turnstile.release(second, 2);
        turnstile.join(second, "one too many");
        assert_eq!(all(&mut turnstile), [""; 0], "it is released once");
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
        while let Some((_, next)) = turnstile.admit() {
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
