//! Clocks: the time that all processes share, and the CPU time of other processes.

use nix::time::{ClockId, clock_gettime};
use nix::unistd::Pid;

/// Nanoseconds of CPU that all threads of a process have used, those that have ended among them. Much finer than the
/// hundredths of a second in `/proc/PID/stat`. `None` once the process has ended.
pub(crate) fn cpu_ns(pid: i32) -> Option<u64> {
    let clock = ClockId::pid_cpu_clock_id(Pid::from_raw(pid)).ok()?;
    nanoseconds(clock)
}

/// The sum of [`cpu_ns`] over several processes.
pub(crate) fn cpu_ns_of(pids: &[i32]) -> u64 {
    pids.iter().filter_map(|pid| cpu_ns(*pid)).sum()
}

/// Nanoseconds of the monotonic clock, which is the same one in every process of the machine.
pub(crate) fn monotonic_ns() -> u64 {
    nanoseconds(ClockId::CLOCK_MONOTONIC).unwrap_or_default()
}

fn nanoseconds(clock: ClockId) -> Option<u64> {
    let time = clock_gettime(clock).ok()?;
    let seconds = u64::try_from(time.tv_sec()).ok()?;
    let nanoseconds = u64::try_from(time.tv_nsec()).ok()?;
    Some(seconds.saturating_mul(1_000_000_000).saturating_add(nanoseconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_works_uses_cpu() {
        let me = i32::try_from(std::process::id()).unwrap();
        let before = cpu_ns(me).unwrap();
        let end = monotonic_ns() + 20_000_000;
        while monotonic_ns() < end {}
        assert!(cpu_ns(me).unwrap() > before);
    }

    #[test]
    fn a_process_that_has_ended_has_no_clock() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        child.wait().unwrap();
        let ended = i32::try_from(child.id()).unwrap();
        assert_eq!(cpu_ns(ended), None);
        assert_eq!(cpu_ns_of(&[ended]), 0);
    }
}
