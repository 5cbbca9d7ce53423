//! What our processes cost, from `/proc/<pid>/stat` and `status`, which everyone may read.

use crate::core::metrics::Usage;
use rustix::param::clock_ticks_per_second;
use std::fs;

/// What a process costs; nothing when there is none of that number, or `/proc` does not tell.
pub(crate) fn usage(pid: u32) -> Option<Usage> {
    let read = |name: &str| fs::read_to_string(format!("/proc/{name}")).ok();
    let (stat, status) = (read(&format!("{pid}/stat"))?, read(&format!("{pid}/status"))?);
    parse(&stat, &status, &read("stat")?, clock_ticks_per_second() as f64)
}

fn parse(stat: &str, status: &str, machine: &str, ticks: f64) -> Option<Usage> {
    // The name, in brackets, may hold anything.
    let (_, fields) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = fields.split_ascii_whitespace().collect();
    let number = |place: usize| fields.get(place).and_then(|field| field.parse::<u64>().ok());
    let booted: u64 = machine.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()?;
    Some(Usage {
        cpu_seconds: (number(11)? + number(12)?) as f64 / ticks,
        own: kibibytes(status, "RssAnon:")? + kibibytes(status, "RssShmem:")?,
        shared: kibibytes(status, "RssFile:")?,
        virtual_memory: number(20)?,
        started: booted as f64 + number(19)? as f64 / ticks,
    })
}

/// The number of a line such as `RssAnon: 1234 kB`, in bytes.
fn kibibytes(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|number| number << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_counted_after_the_name_whatever_it_is() {
        let stat = "42 (a) b) S 1 42 42 0 -1 4194304 1 2 3 4 150 50 0 0 20 0 1 0 500 4096000 300 18446744073709551615";
        let status = "Name:\ta) b\nRssAnon:\t     12 kB\nRssFile:\t     34 kB\nRssShmem:\t      1 kB\n";
        let usage = parse(stat, status, "cpu 1\nbtime 1000\n", 100.0).unwrap();
        let want = Usage {
            cpu_seconds: 2.0,
            own: 13 << 10,
            shared: 34 << 10,
            virtual_memory: 4_096_000,
            started: 1005.0,
        };
        assert_eq!(usage, want);
        assert_eq!(parse("nonsense", "", "", 100.0), None);
    }

    #[test]
    fn our_own_process_costs_something() {
        assert!(usage(std::process::id()).is_some_and(|usage| usage.own > 0));
        assert_eq!(usage(u32::MAX), None);
    }
}
