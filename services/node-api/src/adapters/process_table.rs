//! What our processes cost, from `/proc/<pid>/stat`, which everyone may read.

use crate::core::metrics::Usage;
use rustix::param::{clock_ticks_per_second, page_size};
use std::fs;

/// What a process costs; nothing when there is none of that number, or `/proc` does not tell.
pub(crate) fn usage(pid: u32) -> Option<Usage> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let boot = fs::read_to_string("/proc/stat").ok()?;
    parse(&stat, &boot, clock_ticks_per_second() as f64, page_size() as u64)
}

fn parse(stat: &str, boot: &str, ticks: f64, page: u64) -> Option<Usage> {
    // The name, in brackets, may hold anything.
    let (_, fields) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = fields.split_ascii_whitespace().collect();
    let number = |place: usize| fields.get(place).and_then(|field| field.parse::<u64>().ok());
    let booted = boot.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse::<u64>().ok()?;
    Some(Usage {
        cpu_seconds: (number(11)? + number(12)?) as f64 / ticks,
        resident: number(21)? * page,
        virtual_memory: number(20)?,
        started: booted as f64 + number(19)? as f64 / ticks,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_counted_after_the_name_whatever_it_is() {
        let stat = "42 (a) b) S 1 42 42 0 -1 4194304 1 2 3 4 150 50 0 0 20 0 1 0 500 4096000 300 18446744073709551615";
        let usage = parse(stat, "cpu 1\nbtime 1000\n", 100.0, 4096).unwrap();
        assert_eq!(
            usage,
            Usage { cpu_seconds: 2.0, resident: 300 * 4096, virtual_memory: 4_096_000, started: 1005.0 }
        );
        assert_eq!(parse("nonsense", "", 100.0, 4096), None);
    }

    #[test]
    fn our_own_process_costs_something() {
        assert!(usage(std::process::id()).is_some_and(|usage| usage.resident > 0));
        assert_eq!(usage(u32::MAX), None);
    }
}
