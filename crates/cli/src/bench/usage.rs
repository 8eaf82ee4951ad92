//! What this process has used of the machine.

use std::fs;

use rustix::time::{ClockId, clock_gettime};

/// Since the process began, but for the memory, which is what it has now.
#[derive(Clone, Copy, Debug)]
pub(super) struct Usage {
    /// Of all threads.
    cpu_ns: u64,
    /// Handed to the system to be written, whether or not it is on the disk yet; `None` where it does not tell.
    written_bytes: Option<u64>,
}

impl Usage {
    pub(super) fn now() -> Self {
        let cpu = clock_gettime(ClockId::ProcessCPUTime);
        let io = fs::read_to_string("/proc/self/io").unwrap_or_default();
        let written = io.lines().find_map(|line| line.strip_prefix("write_bytes: "));
        Usage {
            cpu_ns: cpu.tv_sec as u64 * 1_000_000_000 + cpu.tv_nsec as u64,
            written_bytes: written.and_then(|bytes| bytes.trim().parse().ok()),
        }
    }

    pub(super) fn cpu_ns_since(self, before: Usage) -> u64 {
        self.cpu_ns.saturating_sub(before.cpu_ns)
    }

    pub(super) fn written_bytes_since(self, before: Usage) -> Option<u64> {
        Some(self.written_bytes?.saturating_sub(before.written_bytes?))
    }
}

/// Memory that this process has now; 0 where the system does not tell.
pub(super) fn resident_bytes() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib: Option<u64> = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    kib.unwrap_or(0) * 1_024
}
