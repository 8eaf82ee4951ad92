//! The machine of a measurement.

use std::fmt;
use std::fs;
use std::path::Path;

use serde::Serialize;

use crate::filesystem::filesystem;

#[derive(Clone, Debug, Serialize)]
pub(super) struct Machine {
    pub(super) cores: usize,
    pub(super) processor: String,
    pub(super) linux: String,
    /// File system of the scratch directory; `None` if the operating system does not report it.
    pub(super) filesystem: Option<String>,
    /// Load average of the minute before the measurements.
    pub(super) load: Option<f64>,
}

impl Machine {
    pub(super) fn detect(scratch: &Path) -> Self {
        let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
        Machine {
            cores: cores(),
            processor: model.map_or("an unknown processor", |(_, model)| model.trim()).to_string(),
            linux: kernel.trim().to_string(),
            filesystem: filesystem(scratch),
            load: load.split_whitespace().next().and_then(|load| load.parse().ok()),
        }
    }

    /// Conditions that make the figures better or worse than they should be.
    pub(super) fn caveats(&self) -> Vec<String> {
        let mut caveats = Vec::new();
        if let Some(kind @ ("tmpfs" | "ramfs")) = self.filesystem.as_deref() {
            caveats.push(format!(
                "{kind} is memory, where a sync costs nothing. Give --dir on a disk for real figures."
            ));
        }
        if let Some(load) = self.load.filter(|load| *load > self.cores as f64 / 4.0) {
            caveats.push(format!(
                "other programs are using this machine (load average {load:.1}), which makes every figure \
                 worse."
            ));
        }
        caveats
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Machine { cores, processor, linux, filesystem, .. } = self;
        let filesystem = filesystem.as_deref().unwrap_or("an unknown filesystem");
        write!(f, "machine: {cores} cores of {processor}, Linux {linux}, {filesystem}")
    }
}

/// Number of cores that this process may use.
pub(super) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, |cores| cores.get())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_in_memory_and_a_busy_machine_are_reported() {
        let machine = |filesystem: &str, load| Machine {
            cores: 4,
            processor: "a processor".to_string(),
            linux: "6.1".to_string(),
            filesystem: Some(filesystem.to_string()),
            load: Some(load),
        };
        assert_eq!(machine("ext4", 0.9).to_string(), "machine: 4 cores of a processor, Linux 6.1, ext4");
        assert!(machine("ext4", 0.9).caveats().is_empty());
        assert_eq!(machine("tmpfs", 3.0).caveats().len(), 2);
    }
}
