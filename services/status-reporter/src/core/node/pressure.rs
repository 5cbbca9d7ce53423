//! Whether the disk is short of space or inodes: the hard eviction signals `nodefs.available` and
//! `nodefs.inodesFree`, held for a while once observed (`evictionPressureTransitionPeriod`), so that the
//! condition does not flutter.
//!
//! Memory and process ids are not measured yet: their conditions say that there is enough. Evicting is
//! not done here at all.

use super::resources::of_threshold;
use chassis::config::KubeletConfiguration;
use messages::{Amount, BootTime, cri_bridge::Filesystem};

/// When the disk was last seen short.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct DiskPressure {
    seen_at: Option<BootTime>,
}

impl DiskPressure {
    /// Takes a measurement.
    pub(crate) fn measure(&mut self, now: BootTime, disk: &Filesystem, config: &KubeletConfiguration) {
        let is_short = [
            ("nodefs.available", disk.available, disk.capacity),
            ("nodefs.inodesFree", disk.inodes_free, disk.inodes),
        ]
        .into_iter()
        // A file system without a fixed number of inodes (btrfs) says zero.
        .filter(|(_, _, capacity)| *capacity > 0)
        .any(|(signal, left, capacity)| {
            let threshold = config.eviction_hard.get(signal);
            threshold.is_some_and(|threshold| amount(left) < of_threshold(threshold, capacity))
        });
        if is_short {
            self.seen_at = Some(now);
        }
    }

    /// Whether it holds.
    pub(crate) fn holds(self, now: BootTime, config: &KubeletConfiguration) -> bool {
        let held = config.eviction_pressure_transition_period.get();
        self.seen_at.is_some_and(|seen_at| seen_at == now || now.since(seen_at) < held)
    }
}

fn amount(left: u64) -> Amount {
    Amount::whole(i64::try_from(left).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: u64 = 60 * 1_000_000_000;

    fn disk(available: u64, inodes_free: u64) -> Filesystem {
        Filesystem { capacity: 100, available, inodes: 1000, inodes_free }
    }

    /// A sentence, measurements by the minute, and whether there is pressure at a minute.
    type Row<'a> = (&'a str, &'a [(u64, Filesystem)], u64, bool);

    #[test]
    fn pressure_comes_with_a_measurement_and_goes_some_minutes_after_the_last_one() {
        let cases: &[Row] = &[
            ("nothing was measured", &[], 0, false),
            ("there is enough", &[(0, disk(50, 500))], 0, false),
            ("a tenth is the threshold", &[(0, disk(10, 500))], 0, false),
            ("less is pressure", &[(0, disk(9, 500))], 0, true),
            ("inodes count too", &[(0, disk(50, 49))], 0, true),
            ("it is held", &[(0, disk(9, 500)), (1, disk(50, 500))], 4, true),
            ("and goes", &[(0, disk(9, 500)), (1, disk(50, 500))], 5, false),
            ("no inodes to count", &[(0, Filesystem { inodes: 0, ..disk(50, 0) })], 0, false),
        ];
        for (name, measured, minute, want) in cases {
            let (mut pressure, config) = (DiskPressure::default(), KubeletConfiguration::default());
            for (minute, disk) in *measured {
                pressure.measure(BootTime(minute * MINUTE), disk, &config);
            }
            assert_eq!(pressure.holds(BootTime(minute * MINUTE), &config), *want, "{name}");
        }
    }
}
