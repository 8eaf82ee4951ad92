//! The machine's own clock.

use std::fs;
use std::sync::LazyLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, clock_gettime};

use super::{Clock, Look, Timestamp, Uptime};

/// Attempts to read two clocks at one moment.
const TRIES: u32 = 4;

const NS_A_MS: u64 = 1_000_000;

/// Two clocks that are read within this time count as read at one moment.
const AT_ONCE_NS: u64 = NS_A_MS;

/// The machine's clock that counts all time since its start, suspension included (`CLOCK_BOOTTIME`), anchored
/// to the wall clock when this is made. The default.
///
/// A wall clock that is set moves no deadline: see [the rules](crate::clock).
#[derive(Debug)]
pub struct SystemClock {
    /// The wall's time at which the machine would have started.
    anchor_ns: u64,
}

impl SystemClock {
    /// A clock that is anchored to the wall clock now.
    pub fn new() -> Self {
        SystemClock { anchor_ns: wall_ns().saturating_sub(since_boot_ns()) }
    }

    fn at(&self, since_boot_ns: u64) -> Timestamp {
        Timestamp(self.anchor_ns.saturating_add(since_boot_ns) / NS_A_MS)
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        SystemClock::new()
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        self.at(since_boot_ns())
    }

    fn look(&self) -> Look {
        // In this order, a thread that is descheduled in between takes the wall for earlier than it is, not
        // for later.
        let read = || (since_boot_ns(), wall_ns(), since_boot_ns());
        let at_once = |(before, _, after): &(u64, u64, u64)| after.saturating_sub(*before) < AT_ONCE_NS;
        let (_, wall_ns, since_ns) = (1..TRIES).map(|_| read()).find(at_once).unwrap_or_else(read);
        let since = Duration::from_nanos(since_ns);
        let uptime = BOOT.zip(*NAMESPACE).map(|(boot, namespace)| Uptime { boot, namespace, since });
        Look { steady: self.at(since_ns), wall: Timestamp(wall_ns / NS_A_MS), uptime }
    }
}

/// Nanoseconds since 1970; 0 before, and correct until the year 2554.
fn wall_ns() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

/// Counts all time since the machine started. Miri does not support it.
const BOOTTIME: ClockId = if cfg!(miri) { ClockId::Monotonic } else { ClockId::Boottime };

fn since_boot_ns() -> u64 {
    let time = clock_gettime(BOOTTIME);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// The id that the kernel drew when it started.
static BOOT: LazyLock<Option<u128>> = LazyLock::new(|| {
    let text = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    u128::from_str_radix(&text.trim().replace('-', ""), 16).ok()
});

/// The time namespace, by what matters of it: how far its clock is ahead of the machine's, in nanoseconds.
///
/// Not the namespace's inode: a container that is started anew gets another namespace, often with the same clock,
/// and an inode may be used again for one with another clock. `None` if the kernel does not say it.
static NAMESPACE: LazyLock<Option<u128>> = LazyLock::new(|| {
    let ours = match fs::read_link("/proc/self/ns/time") {
        Ok(ours) => ours,
        // The kernel has no time namespaces, if this is where it would show them.
        Err(_) => return fs::exists("/proc/self/ns/pid").unwrap_or(false).then_some(0),
    };
    // The offsets are those of the namespace that children will be in, which is the same but for a process
    // between `unshare` and its first child.
    let childrens = fs::read_link("/proc/self/ns/time_for_children").ok()?;
    let offsets = fs::read_to_string("/proc/self/timens_offsets").ok()?;
    if ours == childrens { boottime_offset(&offsets) } else { None }
});

/// The number of a namespace with these `timens_offsets`: the line "boottime SECONDS NANOSECONDS".
fn boottime_offset(offsets: &str) -> Option<u128> {
    let line = offsets.lines().find_map(|line| line.trim_start().strip_prefix("boottime"))?;
    let mut numbers = line.split_whitespace().map(str::parse::<i128>);
    let (seconds, nanos) = (numbers.next()?.ok()?, numbers.next()?.ok()?);
    Some(seconds.checked_mul(1_000_000_000)?.checked_add(nanos)? as u128)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_is_known_by_the_offset_of_its_clock() {
        let of = |boottime: &str| boottime_offset(&format!("monotonic           7         0\n{boottime}\n"));
        assert_eq!(of("boottime            0         0"), Some(0));
        assert_eq!(of("boottime        86400       500"), Some(86_400_000_000_500));
        assert_eq!(of("boottime           -1         0"), Some(-1_000_000_000_i128 as u128));
        for unknown in ["", "boottime", "boottime 1", "boottime x 0", "boottime 1 y"] {
            assert_eq!(of(unknown), None, "{unknown}");
        }
    }

    #[test]
    fn it_says_the_walls_time_and_goes_on() {
        let clock = SystemClock::new();
        let (first, second) = (clock.look(), clock.look());
        assert!(second.steady >= first.steady);
        assert!(second.steady >= Timestamp(super::super::EPOCH_2020_MS));
        // Uptime and steady time are one clock.
        if let (Some(before), Some(after)) = (first.uptime, second.uptime) {
            assert_eq!((before.boot, before.namespace), (after.boot, after.namespace));
            let passed_ms = second.steady.since(first.steady).as_millis();
            assert!((after.since - before.since).as_millis().abs_diff(passed_ms) <= 1);
        }
    }
}
