//! How much of this machine Envoy may take.

use std::fs;

use nix::sys::resource::{Resource, getrlimit};

use crate::render::Room;

/// File descriptors that are no connections: files that are watched, listeners, logs, each worker's own.
const OTHER_DESCRIPTORS: u64 = 200;

/// Of the memory there is, in percent: what Envoy counts of its own leaves out threads' stacks, code and the VMs of
/// wasm.
const SHARE: u64 = 75;

/// What there is here, for the child that takes the largest number of descriptors it may have.
pub(super) fn of_this_machine() -> Room {
    let descriptors = getrlimit(Resource::RLIMIT_NOFILE).map_or(u64::from(u32::MAX), |(_, most)| most);
    let groups = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];
    let of_group = groups.iter().filter_map(|path| fs::read_to_string(path).ok()?.trim().parse().ok()).min();
    let of_machine = fs::read_to_string("/proc/meminfo").ok().and_then(|text| total(&text));
    room(descriptors, of_group, of_machine)
}

fn room(descriptors: u64, of_group: Option<u64>, of_machine: Option<u64>) -> Room {
    // Each client's connection may need one to a backend.
    let connections = descriptors.saturating_sub(OTHER_DESCRIPTORS) / 2;
    let memory = of_group.into_iter().chain(of_machine).min();
    Room {
        connections: u32::try_from(connections).unwrap_or(u32::MAX).clamp(16, 1_000_000),
        memory: memory.map(|bytes| bytes / 100 * SHARE).filter(|bytes| *bytes > 0),
    }
}

/// `MemTotal` of /proc/meminfo (proc(5)), in bytes.
fn total(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smaller_of_group_and_machine_counts() {
        assert_eq!(room(20_000, Some(1_000), Some(4_000)), Room { connections: 9_900, memory: Some(750) });
        // A group without a limit says `max`, or in the first version a number larger than any memory.
        assert_eq!(room(u64::MAX, Some(9_223_372_036_854_771_712), Some(4_000)).memory, Some(3_000));
        assert_eq!(room(u64::MAX, None, None), Room { connections: 1_000_000, memory: None });
        assert_eq!(room(64, None, None).connections, 16);
    }

    #[test]
    fn the_memory_of_the_machine() {
        assert_eq!(total("MemTotal:       16374628 kB\nMemFree: 1 kB\n"), Some(16_374_628 * 1024));
        assert_eq!(total(""), None);
        assert!(of_this_machine().memory.is_some_and(|bytes| bytes > 1 << 20));
    }
}
