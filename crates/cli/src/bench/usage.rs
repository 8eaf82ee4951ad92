//! Processor time, writes and memory of this process.

use std::fs;

use rustix::time::{ClockId, clock_gettime};

/// Usage since the process began.
#[derive(Clone, Copy, Debug)]
pub(super) struct Usage {
    /// Processor time of all threads.
    cpu_ns: u64,
    /// Bytes given to the operating system, whether or not they are on disk; `None` if it does not report
    /// them.
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

/// Resident memory of this process; 0 if the operating system does not report it.
pub(super) fn resident_bytes() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib: Option<u64> = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    kib.unwrap_or(0) * 1_024
}
