//! What it was measured on.

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
    /// Of the scratch directory; `None` where the system does not tell.
    pub(super) filesystem: Option<String>,
}

impl Machine {
    pub(super) fn look(scratch: &Path) -> Self {
        let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        Machine {
            cores: cores(),
            processor: model.map_or("an unknown processor", |(_, model)| model.trim()).to_string(),
            linux: kernel.trim().to_string(),
            filesystem: filesystem(scratch),
        }
    }

    /// A sync costs nothing there.
    pub(super) fn keeps_files_in_memory(&self) -> bool {
        matches!(self.filesystem.as_deref(), Some("tmpfs" | "ramfs"))
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Machine { cores, processor, linux, filesystem } = self;
        let filesystem = filesystem.as_deref().unwrap_or("an unknown filesystem");
        write!(f, "machine: {cores} cores of {processor}, Linux {linux}, {filesystem}")
    }
}

/// As many as this process may use.
pub(super) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, |cores| cores.get())
}
